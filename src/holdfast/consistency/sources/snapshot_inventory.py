"""SnapshotInventory: what should be at a site, by our own inventory.

The check of ``checking`` asks our inventory itself, and more of it: what becomes
of files, why, and what is asked for. This is the same side for those who compare
it as they compare other catalogues.

Rules
  * Expected is what ``expected`` says.
  * Known are all other files of blocks that have a replica at the site: what it
    lacks, what is on its way, what is being published.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from holdfast.consistency.durable import sync
from holdfast.consistency.expected import write_expected
from holdfast.consistency.sources.catalogue_table import KNOWN_SCHEMA, table_writer
from holdfast.consistency.sources.inventory import SHOWN_MAX, Written, known_beside
from holdfast.inventory.store import Snapshot, Store
from holdfast.model import names, pfn
from holdfast.model.records import Site


class SnapshotInventory:
    """Our inventory as an ``Inventory``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def label(self) -> str:
        """The inventory's epoch, which a restored one does not share."""
        with self._store.snapshot() as view:
            return f"snapshot {view.head.epoch}"

    def write(self, site: Site, target: Path) -> Written:
        """Take a snapshot."""
        with self._store.snapshot() as view:
            expected = write_expected(view, site, target)
            known = _write_known(view, site, known_beside(target))
        lost = expected.without_path
        return Written(expected.files, expected.size, known, len(lost), lost[:SHOWN_MAX])


def _write_known(view: Snapshot, site: Site, target: Path) -> int:
    visible = {dataset.key for dataset in view.datasets()}
    known = 0
    with table_writer(target, KNOWN_SCHEMA) as writer:
        for replica in view.replicas(site=site.name):
            is_visible = replica.block.dataset in visible
            lfns = view.files(replica.block).lfns()
            lacking = (lfn for row, lfn in enumerate(lfns) if not (is_visible and replica.holds(row)))
            paths = (pfn.path_of(site.first_door.rules, lfn) for lfn in lacking)
            places = [names.split(path) for path in paths if path is not None]
            columns = {"dir": [dir for dir, _ in places], "name": [name for _, name in places]}
            writer.write_table(pa.table(columns, schema=KNOWN_SCHEMA))
            known += len(places)
    sync(target)
    return known
