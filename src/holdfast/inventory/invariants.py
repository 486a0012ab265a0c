"""The invariants of the inventory as code: what must hold at every position.

Each function yields a Finding for each violation and nothing else; the numbers
are those of ``docs/invariants.md``. All is asked of a Snapshot, so that it
serves every form of the inventory (and the simulator); what only the SQL form
has is looked at in ``table_invariants``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from holdfast.inventory.store import Snapshot
from holdfast.model import pfn
from holdfast.model.errors import HoldfastError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.record_checks import check_files
from holdfast.model.records import (
    Block,
    BlockFiles,
    BlockReplica,
    FileColumns,
    FileRecord,
    Request,
    RequestState,
)

LOOKUP_ROWS = 5000
"""So many files are looked up at once."""


@dataclass(frozen=True, slots=True)
class Touch:
    """An entry that touched what a finding is about."""

    position: int
    at_us: int
    actor: str
    cause: str


@dataclass(frozen=True, slots=True)
class Violation:
    """One violation: the invariant's number ("I3"), where, and what; and since when, where that is known."""

    invariant: str
    place: str
    message: str
    about: tuple[str, str] | None = None
    """What it is about, as the side table names it: ("dataset", key) or ("site", name)."""
    since: tuple[int, int] | None = None
    """The last position at which all was sound, and the position that was looked at."""
    touches: tuple[Touch, ...] = ()
    """The last entries between the two that touched what it is about."""


def check_files_of_blocks(view: Snapshot) -> Iterator[Violation]:
    """I3 and I4: blocks are the sums of their files; files are valid and found where they are."""
    waiting: list[tuple[BlockKey, FileColumns]] = []
    for dataset in view.datasets(staged=True):
        for block in view.blocks(dataset.key):
            files = view.files(block.key)
            if (len(files), sum(files.sizes)) != (block.n_files, block.size):
                message = f"says {block.n_files} files, {block.size} bytes; has {len(files)}, {sum(files.sizes)}"
                yield Violation("I3", str(block.key), message, _about(block.key))
            try:
                check_files(files)
            except HoldfastError as error:
                yield Violation("I4", str(block.key), error.message, _about(block.key))
            waiting.append((block.key, files))
            if sum(len(each) for _, each in waiting) >= LOOKUP_ROWS:
                yield from _check_lookup(waiting, view)
                waiting = []
    yield from _check_lookup(waiting, view)


def _check_lookup(blocks: Sequence[tuple[BlockKey, FileColumns]], view: Snapshot) -> Iterator[Violation]:
    """I4: each file is found under its LFN. Many blocks are asked for together."""
    try:
        found = iter(view.lookup([lfn for _, files in blocks for lfn in files.lfns()]))
    except HoldfastError as error:  # A name that is none: told already, and nothing else can be asked then.
        yield Violation(
            "I4", str(blocks[0][0]), f"its files cannot be looked up: {error.message}", _about(blocks[0][0])
        )
        return
    for key, files in blocks:
        records = list(islice(found, len(files)))
        if any(record is None or record.ordinal != row or record.block != key for row, record in enumerate(records)):
            yield Violation("I4", str(key), "a look-up of its LFNs finds other files", _about(key))


def _about(block: BlockKey) -> tuple[str, str]:
    return "dataset", str(block.dataset)


def check_replicas(view: Snapshot) -> Iterator[Violation]:
    """I5: replicas have a block and a site, and say truly what they hold."""
    sites = {site.name for site in view.sites()}
    blocks: dict[BlockKey, Block] = {
        block.key: block for dataset in view.datasets(staged=True) for block in view.blocks(dataset.key)
    }
    current: tuple[BlockKey, Sequence[int]] | None = None
    for replica in view.replicas():
        place = f"{replica.block} at {replica.site}"
        if replica.site not in sites:
            yield Violation("I5", place, "the site is not known", ("site", replica.site))
        block = blocks.get(replica.block)
        if block is None:
            yield Violation("I5", place, "the block is not known", _about(replica.block))
            continue
        # A complete one is as large as its block, and whether the block is right is asked of the block.
        if replica.held is not None and (current is None or current[0] != replica.block):
            current = (replica.block, view.files(replica.block).sizes)
        sizes = current[1] if current is not None and replica.held is not None else ()
        yield from _check_replica(replica, block, sizes, place)


def _check_replica(replica: BlockReplica, block: Block, sizes: Sequence[int], place: str) -> Iterator[Violation]:
    held, about = replica.files(block.n_files), _about(replica.block)
    if not held.within(block.n_files):
        yield Violation("I5", place, f"holds files beyond the {block.n_files} of its block", about)
        return
    if replica.held is not None and len(replica.held) == block.n_files:
        yield Violation("I5", place, "holds all files but is not marked complete", about)
    size = block.size if replica.held is None else replica.size
    if len(sizes) == block.n_files and replica.held is not None:
        size = sum(sizes[ordinal] for ordinal in held)
    if (replica.n_files, replica.size) != (len(held), size):
        message = f"says {replica.n_files} files, {replica.size} bytes; holds {len(held)}, {size}"
        yield Violation("I5", place, message, about)
    if not replica.n_files and replica.verified_us is not None:
        yield Violation("I5", place, "holds nothing but was verified", about)


def check_datasets(view: Snapshot) -> Iterator[Violation]:
    """I6: what is staged says from where; what is visible and closed has files."""
    sites = {site.name for site in view.sites()}
    for dataset in view.datasets(staged=True):
        if dataset.staging is not None and dataset.staging.site not in sites:
            message = f"is staged at the unknown site {dataset.staging.site}"
            yield Violation("I6", str(dataset.key), message, ("dataset", str(dataset.key)))


def check_requests(view: Snapshot) -> Iterator[Violation]:
    """I7, I8 and I14: copies have replicas to fill, orphans are nobody's files, scopes name what is there."""
    requests: list[Request] = [*view.copy_requests(), *view.deletion_requests()]
    for request in requests:
        if request.state is not RequestState.OPEN:
            yield Violation("I7", f"request {request.id}", f"is listed as open and says {request.state.value}")
        yield from _check_scope(request, view)
    for copy in view.copy_requests():
        there = view.find_replicas([BlockKey(copy.dataset, part.block) for part in copy.scope], copy.site)
        lacking = sorted({part.block for part in copy.scope} - {key.block for key in there})
        if lacking:
            message = f"no replica of block {lacking[0]} at {copy.site}"
            yield Violation("I7", f"request {copy.id}", message, ("dataset", str(copy.dataset)))
    for deletion in view.deletion_requests():
        rules = view.site(deletion.site).first_door.rules
        lfns = [pfn.lfn_of(rules, orphan.path) for orphan in deletion.orphans]
        for record in view.lookup([lfn for lfn in lfns if lfn is not None]):
            if record is not None and _is_wanted(record, deletion.site, view):
                message = f"{record.lfn} is had or awaited at {deletion.site}"
                yield Violation("I8", f"request {deletion.id}", message, ("dataset", str(record.block.dataset)))


def _check_scope(request: Request, view: Snapshot) -> Iterator[Violation]:
    """I14: the files that an open request names are registered, in a dataset that is visible."""
    place = f"request {request.id}"
    if request.site not in {site.name for site in view.sites()}:
        yield Violation("I14", place, f"is for the unknown site {request.site}", ("site", request.site))
    if request.dataset is None:
        return
    about = "dataset", str(request.dataset)
    dataset = view.find_datasets((request.dataset,)).get(request.dataset)
    if dataset is None or not dataset.is_visible:
        yield Violation("I14", place, f"is for {request.dataset}, which is not there or not visible", about)
    for message in _unknown(request.dataset, request.scope, view):
        yield Violation("I14", place, message, about)


def _unknown(dataset: DatasetKey, scope: tuple[BlockFiles, ...], view: Snapshot) -> Iterator[str]:
    blocks = view.find_blocks([BlockKey(dataset, part.block) for part in scope])
    for part in scope:
        block = blocks.get(BlockKey(dataset, part.block))
        if block is None:
            yield f"names block {part.block}, which is not there"
        elif not all(0 <= ordinal < block.n_files for ordinal in part.ordinals or ()):
            yield f"names files beyond the {block.n_files} of block {part.block}"


def _is_wanted(file: FileRecord, site: str, view: Snapshot) -> bool:
    """Whether a site holds a file, or awaits it; that it has others of the block is no matter."""
    if any(replica.holds(file.ordinal) for replica in view.replicas(block=file.block, site=site)):
        return True
    here = view.copy_requests(dataset=file.block.dataset, site=site)
    parts = [part for each in here for part in each.scope if part.block == file.block.block]
    return any(part.ordinals is None or file.ordinal in part.ordinals for part in parts)


SNAPSHOT_CHECKS: tuple[Callable[[Snapshot], Iterator[Violation]], ...] = (
    check_files_of_blocks,
    check_replicas,
    check_datasets,
    check_requests,
)
