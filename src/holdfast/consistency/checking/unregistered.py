"""Unregistered: files at a site that may be copies which the inventory was never told of.

The site has a replica of the file's block that does not hold the file, and
nobody asks for it there. Its bytes may be left from a copy that was given up,
or from a deletion; or somebody has put it there.

Rules
  * Such a file is an orphan, and stays: the one check lets nothing go that is of
    a block of which the site has a replica. What becomes of it is for people to say.
  * Where the site's rules may give two files one path, nothing is told to be unregistered.

Pure: a snapshot in, paths and reasons out.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.consistency.checking.awaited import Asked
from holdfast.inventory.store import Snapshot
from holdfast.model import pfn
from holdfast.model.records import Site


def unregistered(view: Snapshot, site: Site, asked: Asked, paths: Sequence[str]) -> dict[str, str]:
    """Those of ``paths`` at which such files lie, each with why it stays."""
    rules = site.first_door.rules
    if not pfn.is_one_to_one(rules):
        return {}
    lfns = {path: lfn for path in paths if (lfn := pfn.lfn_of(rules, path)) is not None}
    records = dict(zip(lfns, view.lookup(list(lfns.values())), strict=True))
    known = {path: record for path, record in records.items() if record is not None}
    here = view.find_replicas({record.block: None for record in known.values()}, site.name)
    return {
        path: f"it may be a copy of a file of {record.block} that nobody has registered"
        for path, record in known.items()
        if record.block in here
        and not here[record.block].holds(record.ordinal)
        and not asked.by(record.block, record.ordinal)
    }
