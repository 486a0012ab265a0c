"""Our side of the bench of the inventory in memory: the one place that knows how the image is asked.

Each function is one figure's work and nothing else; who calls it measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench import inventory_data
from holdfast.inventory import keeper
from holdfast.inventory.image import sql_load, sums
from holdfast.inventory.image.file_table import FileTable
from holdfast.inventory.image.image import Image, follow
from holdfast.inventory.image.layered import Layered
from holdfast.inventory.image.published import PublishedImage
from holdfast.inventory.image.publisher import Publisher
from holdfast.inventory.image.snapshot import ImageSnapshot
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.model.changes import ChangeSet
from holdfast.model.records import FileColumns


def open_from_store(store: SqlStore) -> Image:
    """The whole inventory into memory."""
    with store.reading() as connection:
        return sql_load.load(connection)


def grow(table: FileTable, blocks: Iterable[FileColumns], first: int) -> FileTable:
    """The files of more blocks, one commit each, without any merging."""
    for number, files in enumerate(blocks, first):
        table = table.appended(number, 0, files)
    return table


def merge(table: FileTable) -> FileTable:
    """All the steps of merging that pay."""
    while (merged := table.merge_step()) is not None:
        table = merged
    return table


def publish(image: Image, folder: Path) -> None:
    """Write the image where other processes map it."""
    with Publisher(folder) as publisher:
        publisher.publish(image.tables)


def publish_changes(publisher: Publisher, image: Image) -> None:
    """Publish what has changed, as a server does."""
    image.settle(keeper.PUBLISHED_CHANGES_MAX)
    publisher.publish(image.tables)


def open_published(folder: Path) -> PublishedImage:
    """Map what another process has published."""
    return PublishedImage(folder)


def with_general_rules(snapshot: ImageSnapshot) -> ImageSnapshot:
    """The same inventory, if all its sites had general rules."""
    sites = Layered({site.name: site for site in inventory_data.sites(general=True)})
    return ImageSnapshot(replace(snapshot.tables, sites=sites))


def locate(snapshot: ImageSnapshot, lfns: Sequence[str]) -> list[list[str] | None]:
    """All PFNs of each LFN, as text."""
    return snapshot.pfns(lfns)


def find_ids(snapshot: ImageSnapshot, lfns: Sequence[str]) -> int:
    """Which block each LFN is in and where; returns how many were found."""
    blocks, _ = snapshot.tables.files.find_all(lfns)
    return int((blocks >= 0).sum())


def find_one(snapshot: ImageSnapshot, lfn: str) -> list[str] | None:
    """One LFN's PFNs."""
    return snapshot.pfns([lfn])[0]


def size_by_site_and_group(snapshot: ImageSnapshot) -> dict[tuple[str, str], int]:
    """The bytes of all block replicas by site and group."""
    return sums.sizes_by_site_and_group(snapshot.tables)


def commit(store: Store, image: Image, change_set: ChangeSet) -> None:
    """Change the store and bring the image up to it."""
    store.commit(change_set)
    follow(store, image)
