"""Preview: what a publish would register, and what it would refuse, without writing or reading a file."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.inventory.store import Store
from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.names import DatasetKey
from holdfast.model.records import Site
from holdfast.replication import scan
from holdfast.replication.publication import OnProgress, Phase, Preview, Publication, no_progress
from holdfast.replication.registration import Registration
from holdfast.replication.scan_table import Found
from holdfast.storage.driver import StorageDriver

PREVIEW_LFNS = 20


async def preview(
    store: Store,
    driver: StorageDriver,
    site: Site,
    directory: str,
    dataset: DatasetKey,
    *,
    clock: Clock,
    progress: OnProgress = no_progress,
) -> Preview:
    """What ``publish`` would register, and its refusals, without writing anything or reading a file."""
    began_us = clock()
    publication = Publication(dataset, site, directory)
    publication.check()
    registration = Registration(store, publication, actor="")
    await scan.require_directory(driver, publication)
    registration.find()
    n_files = size = 0
    lfns: list[str] = []

    def keep(found: Sequence[Found]) -> None:
        nonlocal n_files, size
        registration.check_free([each.lfn for each in found])
        n_files, size = n_files + len(found), size + sum(each.size for each in found)
        lfns.extend(each.lfn for each in found[: PREVIEW_LFNS - len(lfns)])

    await scan.scan(driver, publication, keep, phase=Phase.SCAN, progress=progress)
    if not n_files:
        raise scan.nothing_there(publication)
    seconds = (clock() - began_us) / SECOND_US
    return Preview(dataset, site.name, directory, n_files, size, tuple(sorted(lfns)), seconds)
