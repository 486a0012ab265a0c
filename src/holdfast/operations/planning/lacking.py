"""Lacking: which files a request still has to bring or to delete, block by block, as new batches.

Pure: a request and a snapshot in, steps out. Each step is written to the queue
in one transaction, together with how far it has come, so that planning goes on
there after a crash.

Rules
  * A copy lacks what its scope names and the destination does not hold. What
    the destination holds but is to lose by an open deletion counts as lacking:
    the copy then waits for that deletion.
  * A deletion of replicas has to do with what its scope names and the site
    holds, or an open copy still brings there: that arrives first. One of
    orphans and directories has to do with all that it lists; a batch is of one kind.
  * A batch is of one block. Its size is the exact sum of its files; files are
    read only where the sums of blocks and replicas do not tell.
  * A step ends at the end of a part of the scope, at about STEP_FILES files.
    How far it has come is the name of that part's block: parts that leave the
    scope between two steps move nothing.
  * Equal input gives equal steps, in equal order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_

from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Block, BlockFiles, BlockReplica, CopyRequest, DeletionRequest, Request
from holdfast.operations.batch import NewBatch, QueuedRequest

STEP_FILES = 20_000
"""About how many files are written at a time."""
STEPS_MAX = 100
"""So many steps are written together at most."""
SCOPE_BLOCKS = 1000
"""So many blocks of a scope are read at a time."""
ORPHANS_FILES = 10_000
"""How many orphans, or directories, make a batch."""

_NONE = FileSet()


@dataclass(frozen=True, slots=True)
class PlanStep:
    """Some batches of a request, and how far it is planned with them."""

    batches: tuple[NewBatch, ...]
    planned_to: str
    """To go on from; of no other meaning."""
    is_last: bool
    n_already: int
    """Files of these parts that need nothing: they are there already, or gone."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one part of a scope comes to."""

    planned_to: str
    batch: NewBatch | None
    n_already: int = 0


def steps(request: Request, snapshot: Snapshot, planned_to: str = "") -> Iterator[PlanStep]:
    """What a request lacks beyond ``planned_to``; at least one step."""
    if isinstance(request, CopyRequest):
        parts = _parts_of_copy(request, snapshot, planned_to)
    elif request.dataset is not None:
        parts = _parts_of_deletion(request, request.dataset, snapshot, planned_to)
    else:
        parts = _parts_of_orphans(request, planned_to)
    batches: list[NewBatch] = []
    n_files = n_already = 0
    for part in parts:
        if n_files >= STEP_FILES:
            yield PlanStep(tuple(batches), planned_to, False, n_already)
            batches, n_files, n_already = [], 0, 0
        planned_to, n_already = part.planned_to, n_already + part.n_already
        if part.batch is not None:
            batches.append(part.batch)
            n_files += len(part.batch.files)
    yield PlanStep(tuple(batches), planned_to, True, n_already)


def together(
    requests: Iterable[tuple[QueuedRequest, Request]], snapshot: Snapshot
) -> Iterator[tuple[tuple[QueuedRequest, PlanStep], ...]]:
    """What many requests lack, as the queue knows them: groups of steps, each for one transaction.

    Steps of one request follow each other. What was written with one step is to be taken for the next.
    """
    group: list[tuple[QueuedRequest, PlanStep]] = []
    n_files = 0
    for queued, request in requests:
        for step in steps(request, snapshot, queued.planned_to):
            group.append((queued, step))
            n_files += sum(len(batch.files) for batch in step.batches)
            if n_files >= STEP_FILES or len(group) >= STEPS_MAX:
                yield tuple(group)
                group, n_files = [], 0
    if group:
        yield tuple(group)


def unbrought(request: CopyRequest, snapshot: Snapshot) -> tuple[NewBatch, ...]:
    """All that a copy asks for and its site does not hold, whatever was planned or brought."""
    parts = (
        _part(snapshot, asked, asked.wanted - asked.held) for asked in _asked(snapshot, request, request.dataset, "")
    )
    return tuple(part.batch for part in parts if part.batch is not None)


def _parts_of_copy(request: CopyRequest, snapshot: Snapshot, planned_to: str) -> Iterator[_Part]:
    condemned = deletion.condemned(snapshot, request.dataset)
    for asked in _asked(snapshot, request, request.dataset, planned_to):
        held = asked.held - condemned.get((asked.block.key.block, request.site), _NONE)
        yield _part(snapshot, asked, asked.wanted - held)


def _parts_of_deletion(
    request: DeletionRequest, dataset: DatasetKey, snapshot: Snapshot, planned_to: str
) -> Iterator[_Part]:
    coming: dict[str, list[BlockFiles]] = {}
    for copy in snapshot.copy_requests(dataset=dataset, site=request.site):
        for part in copy.scope:
            coming.setdefault(part.block, []).append(part)
    for asked in _asked(snapshot, request, dataset, planned_to):
        files = asked.held
        for part in coming.get(asked.block.key.block, ()):
            files |= part.files(asked.block.n_files)
        yield _part(snapshot, asked, asked.wanted & files)


def _parts_of_orphans(request: DeletionRequest, planned_to: str) -> Iterator[_Part]:
    sizes, n_orphans = request.path_sizes(), len(request.orphans)
    start = int(planned_to or 0)
    while start < len(sizes):
        stop = min(start + ORPHANS_FILES, n_orphans if start < n_orphans else len(sizes))
        yield _Part(str(stop), NewBatch("", FileSet.full(stop) - FileSet.full(start), sum(sizes[start:stop])))
        start = stop


@dataclass(frozen=True, slots=True)
class _Asked:
    """A block, what a request means of it, and what the site of the request has of it."""

    block: Block
    wanted: FileSet
    replica: BlockReplica | None

    @property
    def held(self) -> FileSet:
        return _NONE if self.replica is None else self.replica.files(self.block.n_files)


def _asked(snapshot: Snapshot, request: Request, dataset: DatasetKey, planned_to: str) -> Iterator[_Asked]:
    """The blocks of a scope beyond ``planned_to`` in the order of their names, each once."""
    parts: dict[BlockKey, list[BlockFiles]] = {}
    for part in request.scope:
        if part.block > planned_to:
            parts.setdefault(BlockKey(dataset, part.block), []).append(part)
    every = sorted(parts)
    for start in range(0, len(every), SCOPE_BLOCKS):
        keys = tuple(every[start : start + SCOPE_BLOCKS])  # One object: a snapshot knows what it was just asked.
        blocks, replicas = snapshot.find_blocks(keys), snapshot.find_replicas(keys, request.site)
        for key in keys:
            block = blocks.get(key)
            if block is not None:
                wanted = reduce(or_, (part.files(block.n_files) for part in parts[key]))
                yield _Asked(block, wanted & FileSet.full(block.n_files), replicas.get(key))


def _part(snapshot: Snapshot, asked: _Asked, files: FileSet) -> _Part:
    """The part of a plan in which ``files`` are to be seen to."""
    name = asked.block.key.block
    n_already = len(asked.wanted) - len(files)
    return _Part(name, NewBatch(name, files, _size(snapshot, asked, files)) if files else None, n_already)


def _size(snapshot: Snapshot, asked: _Asked, files: FileSet) -> int:
    block, replica = asked.block, asked.replica
    every = FileSet.full(block.n_files)
    if files == every:
        return block.size
    if replica is not None and replica.held is not None:
        if files == replica.held:
            return replica.size
        if files == every - replica.held:
            return block.size - replica.size
    sizes = snapshot.files(block.key).sizes
    return sum(map(sizes.__getitem__, files))
