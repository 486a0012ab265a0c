"""Condemned: the files that open deletions of replicas ask for.

Pure: a view in, sets of files out.

Rules
  * Nobody counts them as a copy.
  * As a source they serve only copies that were asked for no later than the
    deletion: the earlier request wins, and the deletion waits where it has to
    (``Ground.NEEDED``). Whoever asks for a copy later takes another source.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import reduce
from operator import or_

from holdfast.inventory.store import Snapshot
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey


def condemned(
    view: Snapshot, dataset: DatasetKey, *, blocks: Collection[str] | None = None
) -> Mapping[tuple[str, str], FileSet]:
    """By block and site, the files of a dataset that are to go, held there or not; of some blocks only, if given."""
    return {
        place: reduce(or_, (files for _, files in asked))
        for place, asked in condemned_since(view, dataset, blocks=blocks).items()
    }


def condemned_since(
    view: Snapshot, dataset: DatasetKey, *, blocks: Collection[str] | None = None
) -> Mapping[tuple[str, str], list[tuple[int, FileSet]]]:
    """The same, with the moment at which each was asked for; a file is named once for each deletion."""
    parts = [
        (part, request.site, request.created_us)
        for request in view.deletion_requests(dataset=dataset)
        for part in request.scope
        if blocks is None or part.block in blocks
    ]
    known = view.find_blocks(tuple({BlockKey(dataset, part.block): None for part, _, _ in parts}))
    found: dict[tuple[str, str], list[tuple[int, FileSet]]] = {}
    for part, site, asked_us in parts:
        files = part.files(known[BlockKey(dataset, part.block)].n_files)
        found.setdefault((part.block, site), []).append((asked_us, files))
    return found
