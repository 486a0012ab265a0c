"""Preparing: from what was claimed to jobs, by one view of the inventory.

Rules
  * What the destination holds, and no open deletion asks for, is not brought.
  * A batch whose block the inventory does not know any more is given back; the
    next look tells what has become of its request.
  * A deletion looks at the other copies that were last proved longer ago than
    the settings allow.
  * What a deletion takes for a file is read in this view, and not kept from before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot
from holdfast.model.errors import InvalidName, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import CopyRequest, DeletionRequest, FileColumns
from holdfast.operations import replacing
from holdfast.operations.batch import Batch
from holdfast.operations.carrying.claimed import Claimed
from holdfast.operations.carrying.fence import Fence
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.codes import Code
from holdfast.operations.deleting.below import Below
from holdfast.operations.deleting.claiming import Passed
from holdfast.operations.deleting.elsewhere import OtherCopies
from holdfast.operations.deleting.gate import ClaimGate
from holdfast.operations.deleting.job import DeletionJob
from holdfast.operations.deleting.removal import Target
from holdfast.operations.deleting.since import Since
from holdfast.operations.places import OpenDoor
from holdfast.operations.work.copying import BusyPlaces, CopyJob, Route
from holdfast.operations.work.kept_columns import KeptColumns
from holdfast.operations.work.stops import Stops
from holdfast.operations.work.worker_jobs import WorkerJob


class Preparing:
    """Makes the jobs of one worker. ``stops``: told of sites that take nothing for now."""

    def __init__(self, tools: Tools, columns: KeptColumns, stops: Stops) -> None:
        self._tools = tools
        self._columns = columns
        self._stops = stops
        self._busy = BusyPlaces()
        self._since = Since(tools.store)

    def copies(
        self,
        view: Snapshot,
        claimed: Sequence[tuple[Batch, Route]],
        requests: Mapping[str, CopyRequest],
        fence: Fence,
    ) -> list[WorkerJob]:
        """The jobs of copies."""
        held = self._held(view, [batch for batch, _ in claimed])
        self._columns.read(view, [batch for batch, _ in claimed])
        return [
            self._copy(view, batch, route, held.get((batch.block_key, batch.site), FileSet()), requests, fence)
            for batch, route in claimed
        ]

    def deletions(
        self,
        view: Snapshot,
        passed: Sequence[tuple[Passed, OpenDoor, int]],
        requests: Mapping[str, DeletionRequest],
        fence: Fence,
    ) -> list[WorkerJob]:
        """The jobs of deletions."""
        batches = [each.batch for each, _, _ in passed]
        others, columns = OtherCopies(view, self._tools, batches), KeptColumns()
        columns.read(view, [batch for batch in batches if batch.request.dataset is not None])
        return [
            self._deletion(view, each, door, streams, requests[each.batch.request.id], others, columns, fence)
            for each, door, streams in passed
        ]

    # ---- copies -----------------------------------------------------------------

    def _held(self, view: Snapshot, batches: Sequence[Batch]) -> dict[tuple[BlockKey, str], FileSet]:
        """What destinations hold of the blocks of these batches, to stay."""
        keys = list(dict.fromkeys(batch.block_key for batch in batches))
        blocks, replicas = view.find_blocks(keys), view.find_replicas_of_blocks(keys)
        doomed = {dataset: deletion.condemned(view, dataset) for dataset in {key.dataset for key in keys}}
        wanted = {(batch.block_key, batch.site) for batch in batches}
        return {
            (key, replica.site): replica.files(blocks[key].n_files)
            - doomed[key.dataset].get((key.block, replica.site), FileSet())
            for key, there in replicas.items()
            for replica in there
            if (key, replica.site) in wanted
        }

    def _copy(
        self,
        view: Snapshot,
        batch: Batch,
        route: Route,
        held: FileSet,
        requests: Mapping[str, CopyRequest],
        fence: Fence,
    ) -> WorkerJob:
        files = _files(view, self._columns, batch)
        if files is None:
            return _given_back(batch)
        claimed = Claimed(batch, {ordinal: files.sizes[ordinal] for ordinal in batch.files})
        job = CopyJob(
            self._tools,
            fence,
            self._stops,
            claimed,
            route,
            files,
            held=held,
            replaceable=self._replaceable(requests.get(batch.request.id), batch.site),
            busy=self._busy,
        )
        return WorkerJob(claimed, route.streams, job.carry, job.ended)

    def _replaceable(self, asked: CopyRequest | None, site: str) -> Callable[[str, str], Callable[[], str] | None]:
        if asked is None or not asked.replace:
            return lambda lfn, path: None
        return lambda lfn, path: replacing.asking(self._tools.store, self._tools.outside.clock, site, lfn, path)

    # ---- deletions ----------------------------------------------------------------

    def _deletion(
        self,
        view: Snapshot,
        passed: Passed,
        door: OpenDoor,
        streams: int,
        asked: DeletionRequest,
        others: OtherCopies,
        columns: KeptColumns,
        fence: Fence,
    ) -> WorkerJob:
        batch = passed.batch
        lfns: dict[int, str] = {}
        if asked.dataset is None:
            claimed = Claimed(batch, {ordinal: asked.path_size(ordinal) for ordinal in batch.files})
            targets = [_named(asked, ordinal) for ordinal in batch.files]
        else:
            files = _files(view, columns, batch)
            if files is None:
                return _given_back(batch)
            claimed = Claimed(batch, {ordinal: files.sizes[ordinal] for ordinal in batch.files})
            targets = self._targets(claimed, door, files)
            lfns = {target.ordinal: target.name for target in targets}
        gate = ClaimGate(
            self._tools,
            fence,
            batch,
            asked,
            self._since,
            checked=passed.head,
            claimed=claimed,
            lfns=lfns,
            looks=others.looks(batch, asked),
        )
        job = DeletionJob(
            self._tools,
            fence,
            claimed,
            door,
            targets,
            object_to=gate.object_to,
            streams=streams,
            below=Below(asked, self._tools.queue, batch),
        )
        return WorkerJob(claimed, streams, job.carry)

    def _targets(self, claimed: Claimed, door: OpenDoor, files: FileColumns) -> list[Target]:
        found = []
        for ordinal in claimed.batch.files:
            lfn = files.lfn(ordinal)
            try:
                found.append(Target(ordinal, lfn, door.place(lfn).path, files.sizes[ordinal]))
            except InvalidName as error:
                if claimed.failed(ordinal, Code.UNNAMEABLE, str(error)):
                    self._tools.tally.failed(
                        claimed.batch.claim, lfn, str(error), site=claimed.batch.site, code=Code.UNNAMEABLE
                    )
        return found


def _files(view: Snapshot, columns: KeptColumns, batch: Batch) -> FileColumns | None:
    try:
        files = columns.of(view, batch)
    except UnknownName:
        return None
    return files if batch.files.within(len(files)) else None


def _named(asked: DeletionRequest, ordinal: int) -> Target:
    """What an orphan or directory is that a request names itself."""
    directory = asked.directory(ordinal)
    if directory is not None:
        return Target(ordinal, directory.path, directory.path, 0, directory.mtime_ns or 0, is_directory=True)
    each = asked.orphans[ordinal]
    moved_to = asked.into + each.path if asked.into else ""
    return Target(ordinal, each.path, each.path, each.size, each.mtime_ns, each.version, moved_to)


def _given_back(batch: Batch) -> WorkerJob:
    """A job of which nothing is done."""
    claimed = Claimed(batch, {})
    claimed.left.clear()
    claimed.ends_early("its block is not known any more")

    async def nothing() -> None:
        pass

    return WorkerJob(claimed, 1, nothing)
