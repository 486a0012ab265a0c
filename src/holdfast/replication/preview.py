"""Preview: what a publish would register, and what it would refuse, without writing or reading a file.

Rules
  * Whatever a publish refuses before it reads the first file, its preview
    refuses with the same error.
  * Nothing is changed, in the inventory, beside it, or at the site.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.inventory.store import Store
from holdfast.model.clock import SECOND_US, Clock
from holdfast.model.names import DatasetKey
from holdfast.model.records import Site
from holdfast.replication import scan
from holdfast.replication.publication import Description, OnProgress, Phase, Preview, Publication, no_progress
from holdfast.replication.registration import Registration
from holdfast.replication.scan_table import ScannedFile
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
    actor: str,
    digest: str = "sha256",
    description: Description | None = None,
    progress: OnProgress = no_progress,
) -> Preview:
    """What ``publish``, called with the same, would register."""
    began_us = clock()
    publication = Publication(dataset, site, directory, digest, description or Description())
    publication.check()
    registration = Registration(store, publication, actor=actor)
    await scan.require_directory(driver, publication)
    known = registration.find()
    is_published = known is not None and known.is_visible
    if not is_published:
        registration.check_stage(known)
    n_files = size = 0
    lfns: list[str] = []

    def keep(found: Sequence[ScannedFile]) -> None:
        nonlocal n_files, size
        registration.check_free([each.lfn for each in found])
        n_files, size = n_files + len(found), size + sum(each.size for each in found)
        lfns.extend(each.lfn for each in found[: PREVIEW_LFNS - len(lfns)])

    await scan.scan(driver, publication, keep, phase=Phase.SCAN, progress=progress)
    if not n_files:
        raise scan.nothing_there(publication)
    if is_published:
        registration.check_totals(n_files, size)
    seconds = (clock() - began_us) / SECOND_US
    return Preview(dataset, site.name, directory, n_files, size, tuple(sorted(lfns)), seconds, is_published)
