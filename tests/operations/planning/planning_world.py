"""What tests of planning are made of: requests, batches and sites by short names, and a small inventory in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from holdfast.model import changes as c
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    BlockFiles,
    CopyRequest,
    Dataset,
    Door,
    FileColumns,
    Request,
    RequestState,
    Site,
    SiteStatus,
    StorageType,
)
from holdfast.operations.batch import Batch, BatchState, QueuedRequest, RequestKind
from holdfast.operations.batches.links import Link
from holdfast.operations.planning.assignment import Assignment
from holdfast.operations.planning.holders import NOTHING, Holders, Holding
from holdfast.operations.planning.limits import LinkLimits, SiteLimits, WorkLimits
from holdfast.operations.planning.schedule import Schedule, schedule
from holdfast.operations.planning.served import Served
from holdfast.operations.planning.usage import StreamUsage
from holdfast.testing.memory_store import MemoryStore

DATASET = DatasetKey("/sky/survey")
NOW_US = 1_700_000_000_000_000
FILE_SIZE = 1000
"""The bytes of every file of a batch, if nothing else is said."""


def site(name: str, storage: StorageType = StorageType.DISK, status: SiteStatus = SiteStatus.READY) -> Site:
    return Site(name, (Door("memory", f"memory:{name}"),), storage, status)


def sites(*names: str, **others: Site) -> dict[str, Site]:
    return {name: site(name) for name in names} | others


def request(number: int = 1, **values: Any) -> QueuedRequest:
    given: dict[str, Any] = {
        "number": number,
        "id": f"r{number}",
        "kind": RequestKind.COPY,
        "dataset": DATASET,
        "site": "Z",
        "owner": "ann",
        "priority": 3,
        "deadline_us": None,
        "created_us": 0,
        "plan": 0,
        "planned_to": "",
        "is_planned": True,
        "n_files": 0,
        "size": 0,
        "n_done": 0,
        "size_done": 0,
        "n_found": 0,
        "on_hold": "",
        "is_closed": False,
    } | values
    if given["kind"] is RequestKind.ORPHANS:
        given["dataset"] = None
    return QueuedRequest(**given)


def batch(id: int = 1, of: QueuedRequest | None = None, n_files: int = 4, **values: Any) -> Batch:
    """A queued batch; its block is named like its number unless ``block`` says otherwise."""
    of = of or request()
    files = values.pop("files", FileSet.full(n_files))
    block = values.pop("block", "" if of.kind is RequestKind.ORPHANS else f"b{id}")
    size = values.pop("size", len(files) * FILE_SIZE)
    state = values.pop("state", BatchState.QUEUED)
    return Batch(id, of, block, files, len(files), size, state, **values)


def sizes(of: Batch) -> Sequence[int]:
    """Every file is as long as the others."""
    return [FILE_SIZE] * of.files.bits.bit_length()


def everywhere(*names: str, n_files: int = 10_000) -> Holders:
    """These sites hold all files of all blocks."""
    held = Holding({name: FileSet.full(n_files) for name in names})
    return lambda _block: held


def holding(held: Mapping[BlockKey, Holding]) -> Holders:
    return lambda block: held.get(block, NOTHING)


def link(source: str, destination: str = "Z", **values: Any) -> dict[tuple[str, str], Link]:
    return {(source, destination): Link(source, destination, **values)}


def limits(
    slots: int = 8, *, into: int | None = None, out: int | None = None, deletions: int = 4, **values: Any
) -> WorkLimits:
    """The same for all sites and links; ``per_link``, ``streams``, ``batch_files`` and ``batch_size`` are of links."""
    names = ("per_link", "streams", "batch_files", "batch_size")
    of_link = LinkLimits(**{name: values.pop(name) for name in names if name in values})
    of_site = SiteLimits(into, out, deletions)
    return WorkLimits(slots, of_link=lambda _from, _to: of_link, of_site=lambda _name: of_site, **values)


def scheduled(waiting: Sequence[Batch], **given: Any) -> Schedule:
    """A schedule with room for everything, from site A to site Z, unless something else is given."""
    values: dict[str, Any] = {
        "usage": StreamUsage(),
        "limits": limits(1000, streams=1000),
        "holders": everywhere("A"),
        "sizes": sizes,
        "links": {},
        "sites": sites("A", "B", "C", "Z"),
        "served": Served(),
        "room_files": 1_000_000,
        "now_us": NOW_US,
    } | given
    return schedule(waiting, **values)


def without(waiting: Iterable[Batch], claimed: Iterable[Assignment]) -> list[Batch]:
    """What waits when assignments were claimed as they come; a claim of what is not there fails."""
    left = {each.id: each for each in waiting}
    for each in claimed:
        there = left[each.batch.id]
        assert (there.files, there.size) == (each.batch.files, each.batch.size)
        rest = there.files - each.files
        left[there.id] = replace(there, files=rest, n_files=len(rest), size=there.size - each.size)
    return [each for each in left.values() if each.files]


class Inventory:
    """Blocks of a dataset at sites A, B and C. File i of a block has 10**i bytes, so a sum tells which they are."""

    def __init__(self, n_files: Mapping[str, int]) -> None:
        self.store = MemoryStore()
        self.commit(*(c.PutSite(site(name)) for name in "ABC"), c.CreateDataset(Dataset(DATASET, is_open=True)))
        for block, number in n_files.items():
            self.register(BlockKey(DATASET, block), number)

    def commit(self, *changes: c.Change) -> None:
        self.store.commit(c.ChangeSet(changes, "test", "test"))

    def register(self, block: BlockKey, n_files: int) -> None:
        """A block whose files are at A."""
        self.commit(c.RegisterFiles(block, 0, _columns(f"{block.dataset}/{block.block}", n_files), "A", "", 1))

    def add(self, datasets: Iterable[DatasetKey], *, n_blocks: int, n_files: int) -> None:
        """Datasets of blocks 0, 1 ... at A."""
        for dataset in datasets:
            self.commit(c.CreateDataset(Dataset(dataset, is_open=True)))
            for number in range(n_blocks):
                self.register(BlockKey(dataset, str(number)), n_files)

    def put(self, changed: Site) -> None:
        """A site is another one from now on."""
        self.commit(c.PutSite(changed))

    def hold(self, at: str, files: Mapping[str, FileSet]) -> None:
        """A site gets some files, as a copy brings them."""
        scope = scope_of(files)
        if not scope:
            return
        arrived = [c.FilesArrived(BlockKey(DATASET, each.block), at, each.ordinals, 1) for each in scope]
        request = CopyRequest(f"to-{at}", DATASET, at, scope)
        self.commit(c.RequestCopy(request), *arrived, c.CloseRequest(request.id, RequestState.DONE))

    def ask(self, request: Request) -> None:
        """Make a request."""
        self.commit(c.RequestCopy(request) if isinstance(request, CopyRequest) else c.RequestDeletion(request))


def scope_of(files: Mapping[str, FileSet]) -> tuple[BlockFiles, ...]:
    return tuple(BlockFiles(block, tuple(wanted)) for block, wanted in sorted(files.items()) if wanted)


def size_of(files: FileSet) -> int:
    return sum(10**ordinal for ordinal in files)


def _columns(directory: str, n_files: int) -> FileColumns:
    names = tuple(f"f{number}" for number in range(n_files))
    digests = ("00000001",) * n_files
    return FileColumns((directory,), (0,) * n_files, names, tuple(10**i for i in range(n_files)), {"adler32": digests})
