"""Plan copies: which files a request lacks, from where each may come, when a failed one is tried again.

Pure: requests, snapshots and numbers in, values out. What is planned is kept
by ``queue.py`` and carried out by ``executor.py``.

Rules
  * Planned is what the request names and the destination does not hold.
  * A source holds the file by the inventory's word, is another site and READY;
    disk goes before tape, then the fewest recent failures, then the name.
  * Waits double from the least to the longest, less up to half by chance; the
    chance follows from the seed, the task and the attempt.
  * Equal input gives an equal plan, in equal order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.inventory.store import Snapshot
from holdfast.model.clock import SECOND_US
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import (
    Block,
    BlockFiles,
    BlockReplica,
    CopyRequest,
    FileColumns,
    Site,
    SiteStatus,
    StorageType,
)
from holdfast.operations.task import NewTask

BATCH_FILES = 10_000
"""About how many tasks are written at a time."""

_SLOWNESS = {StorageType.DISK: 0, StorageType.BUFFER: 1, StorageType.UNKNOWN: 2, StorageType.TAPE: 3}


@dataclass(frozen=True, slots=True)
class Batch:
    """Some tasks of a request, and how many parts of its scope are planned with them."""

    tasks: tuple[NewTask, ...]
    n_parts: int
    is_last: bool


def batches(request: CopyRequest, snapshot: Snapshot, n_parts: int = 0) -> Iterator[Batch]:
    """What lacks of a request, from the part ``n_parts`` of its scope on; at least one batch."""
    held = held_at(snapshot, request)
    tasks: list[NewTask] = []
    for number, part in enumerate(request.scope[n_parts:], n_parts + 1):
        files = snapshot.files(BlockKey(request.dataset, part.block))
        tasks += lacking(part, files, held.get(part.block, FileSet()))
        if len(tasks) >= BATCH_FILES and number < len(request.scope):
            yield Batch(tuple(tasks), number, is_last=False)
            tasks = []
    yield Batch(tuple(tasks), len(request.scope), is_last=True)


def held_at(snapshot: Snapshot, request: CopyRequest) -> dict[str, FileSet]:
    """What the request's destination holds already, by block."""
    n_files = {block.key.block: block.n_files for block in snapshot.blocks(request.dataset)}
    replicas = snapshot.replicas(dataset=request.dataset, site=request.site)
    return {replica.block.block: replica.files(n_files[replica.block.block]) for replica in replicas}


def lacking(part: BlockFiles, files: FileColumns, held: FileSet) -> list[NewTask]:
    """The files of one part of a scope that are not held."""
    wanted = range(len(files)) if part.ordinals is None else part.ordinals
    held_ordinals = frozenset(held)
    return [
        NewTask(part.block, ordinal, files.lfn(ordinal), files.sizes[ordinal], files.checksums_of(ordinal))
        for ordinal in wanted
        if ordinal not in held_ordinals
    ]


def sources(
    ordinal: int,
    replicas: Iterable[BlockReplica],
    sites: Mapping[str, Site],
    *,
    destination: str,
    failures: Mapping[str, int],
) -> tuple[str, ...]:
    """The sites that a file may come from, best first. ``failures``: recent ones, by site."""
    able = [
        replica.site
        for replica in replicas
        if replica.site != destination
        and replica.site in sites
        and sites[replica.site].status is SiteStatus.READY
        and replica.holds(ordinal)
    ]
    return tuple(sorted(able, key=lambda name: (_SLOWNESS[sites[name].storage_type], failures.get(name, 0), name)))


def retry_delay_us(attempts: int, task: int, *, seed: int, delay_s_min: float, delay_s_max: float) -> int:
    """How long to wait after the failure number ``attempts`` (1, 2 ...)."""
    # Beyond 2**40 no configured maximum is in reach, and floats stay finite.
    delay_s = min(delay_s_max, delay_s_min * 2.0 ** min(attempts - 1, 40))
    chance = random.Random(f"{seed}:{task}:{attempts}").random()
    return int(delay_s * (1 - chance / 2) * SECOND_US)


def normal_scope(blocks: Sequence[Block], scope: Sequence[BlockFiles] | None) -> tuple[BlockFiles, ...]:
    """A scope in its one normal form: all blocks for None; sorted, each block once, None where all files are meant."""
    if scope is None:
        return tuple(BlockFiles(block.key.block) for block in blocks)
    n_files = {block.key.block: block.n_files for block in blocks}
    merged: dict[str, set[int] | None] = {}
    for part in scope:
        so_far = merged.get(part.block, set())
        merged[part.block] = None if part.ordinals is None or so_far is None else so_far | set(part.ordinals)
    return tuple(
        BlockFiles(name, None if wanted is None or len(wanted) == n_files.get(name) else tuple(sorted(wanted)))
        for name, wanted in sorted(merged.items())
        if wanted is None or wanted
    )


def covers(greater: Sequence[BlockFiles], lesser: Sequence[BlockFiles]) -> bool:
    """Whether everything in the normal scope ``lesser`` is also in the normal scope ``greater``."""
    known = {part.block: part.ordinals for part in greater}
    for part in lesser:
        if part.block not in known:
            return False
        ordinals = known[part.block]
        if ordinals is not None and (part.ordinals is None or not set(part.ordinals) <= set(ordinals)):
            return False
    return True
