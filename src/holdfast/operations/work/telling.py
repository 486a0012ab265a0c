"""Telling: what the inventory is told of what has gathered, and what becomes of that which it will not have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from holdfast.config import OperationsSettings
from holdfast.model.changes import Change, CloseRequest, FilesArrived, FilesDeleted
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, RequestState
from holdfast.model.requirements import CopyIsThere, Requirement
from holdfast.operations.batch import BatchFailure, BatchState, QueuedRequest, RequestKind
from holdfast.operations.carrying import outcomes
from holdfast.operations.carrying.claimed import Gathered
from holdfast.operations.codes import Code


def changes_of(gathered: Sequence[Gathered]) -> list[Change]:
    """What the inventory is told, in the order in which it was claimed."""
    arrived: dict[tuple[BlockKey, str], tuple[FileSet, int]] = {}
    deleted: dict[tuple[BlockKey, str, str], FileSet] = {}
    for each in gathered:
        batch = each.batch
        if not each.told:
            continue
        if batch.request.kind is RequestKind.COPY:
            place = batch.block_key, batch.site
            files, verified_us = arrived.get(place, (FileSet(), each.verified_us))
            arrived[place] = files | each.told, min(verified_us, each.verified_us)
        elif batch.request.kind is RequestKind.REPLICAS:
            key = batch.block_key, batch.site, batch.request.id
            deleted[key] = deleted.get(key, FileSet()) | each.told
    changes: list[Change] = [
        FilesArrived(block, site, tuple(files), verified_us) for (block, site), (files, verified_us) in arrived.items()
    ]
    changes += [FilesDeleted(block, site, tuple(files), id) for (block, site, id), files in deleted.items()]
    return changes


def all_there(changes: Sequence[Change], closed: Iterable[QueuedRequest]) -> list[Requirement]:
    """That those copies which are told to be done have brought all that they ask for, with what is told here."""
    done = {each.id for each in changes if isinstance(each, CloseRequest) and each.state is RequestState.DONE}
    arriving: dict[tuple[DatasetKey, str], list[BlockFiles]] = {}
    for change in changes:
        if isinstance(change, FilesArrived):
            place = change.block.dataset, change.site
            arriving.setdefault(place, []).append(BlockFiles(change.block.block, change.ordinals))
    return [
        CopyIsThere(request.id, tuple(arriving.get((request.dataset, request.site), ())))
        for request in closed
        if request.id in done and request.kind is RequestKind.COPY and request.dataset is not None
    ]


def refused(gathered: Gathered, error: str, settings: OperationsSettings) -> Gathered:
    """What the inventory will not have, as failed for good."""
    settled = gathered.settled
    failed = BatchFailure(
        settled.done,
        settled.size,
        BatchState.FAILED,
        gathered.batch.attempts + 1,
        Code.ENGINE_FAILED,
        f"the inventory refuses it: {error}",
    )
    failure = outcomes.for_good(gathered.batch, failed, settings)
    settled = replace(settled, done=FileSet(), size=0, n_found=0, failures=(*settled.failures, failure))
    return replace(gathered, settled=settled, told=FileSet(), n_copied=0, size_copied=0)
