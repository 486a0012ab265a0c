"""Change sets for hypothesis, over a world so small that they get in each other's way.

Three sites, three datasets, two blocks each, thirty-two files, four ids: random
changes then meet what others did. ``change_sets(view)`` prefers what ``view``
shows, so that about half of them are accepted; the others are refused for every
reason there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from hypothesis import strategies as st

from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model.errors import UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import (
    BlockFiles,
    CopyRequest,
    Dataset,
    DatasetStatus,
    DeletionRequest,
    Door,
    Evidence,
    FileColumns,
    Group,
    Lock,
    Orphan,
    Permission,
    RequestState,
    Site,
    SiteStatus,
    Staging,
)

OPEN, OTHER, STAGED = DatasetKey("/open"), DatasetKey("/other"), DatasetKey("/staged", "1")
DATASETS = (OPEN, OTHER, STAGED)
BLOCKS = tuple(BlockKey(dataset, name) for dataset in DATASETS for name in "xy")
DIRECTORIES = ("/d", "/d/e")
SITES = ("A", "B", "C")
IDS = ("1", "2", "3", "4")
BEGINNING = c.ChangeSet(
    (
        *(c.PutSite(Site(name, (Door("posix", f"/store/{name}"),))) for name in SITES),
        c.PutGroup(Group("physics")),
        c.CreateDataset(Dataset(OPEN, is_open=True)),
        c.RegisterFiles(BLOCKS[0], 0, FileColumns(("/d",), (0, 0, 0), ("f0", "f1", "f2"), (1, 2, 3)), site="A"),
        c.RequestCopy(CopyRequest("1", OPEN, "B", (BlockFiles("x"),))),
        c.FilesArrived(BLOCKS[0], "B", (0, 1), verified_us=5),
    ),
    actor="hypothesis",
    cause="to begin with",
)
"""A first change set, after which most changes make sense."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Pools:
    """The names to draw from."""

    datasets: st.SearchStrategy[DatasetKey]
    blocks: st.SearchStrategy[BlockKey]
    sites: st.SearchStrategy[str]
    requests: st.SearchStrategy[str]
    locks: st.SearchStrategy[str]


def _mostly(present: Iterable[T], every: Iterable[T]) -> st.SearchStrategy[T]:
    """One that is there, or seldom any."""
    return st.sampled_from([*present] * 4 + [*every])


def _pools(view: Snapshot | None) -> _Pools:
    if view is None:
        every = (st.sampled_from(names) for names in (DATASETS, BLOCKS, SITES, IDS, IDS))
        return _Pools(*every)  # type: ignore[arg-type]
    datasets = [dataset.key for dataset in view.datasets(staged=True)]
    return _Pools(
        datasets=_mostly(datasets, DATASETS),
        blocks=_mostly((block.key for key in datasets for block in view.blocks(key)), BLOCKS),
        sites=_mostly((site.name for site in view.sites()), SITES),
        requests=_mostly((each.id for each in [*view.copy_requests(), *view.deletion_requests()]), IDS),
        locks=_mostly((lock.id for lock in view.locks()), IDS),
    )


_times = st.one_of(st.none(), st.integers(0, 9))
_groups = st.sampled_from(["", "physics"])
_ids = st.sampled_from(IDS)
_ordinals = st.lists(st.integers(0, 3), max_size=3).map(tuple)
_paths = st.builds(lambda directory, number: f"{directory}/f{number}", st.sampled_from(DIRECTORIES), st.integers(0, 15))
_datasets_new = st.sampled_from(
    [
        Dataset(OPEN, is_open=True),
        Dataset(OTHER, metadata={"a": 1}),
        Dataset(OTHER, is_open=True),
        Dataset(STAGED, staging=Staging("A", "/d/e")),
        Dataset(STAGED, staging=Staging("B", "/s")),
    ]
)


def _site(name: str, number: int) -> Site:
    rules = PfnRules() if number % 2 else PfnRules.prefix("/d", "/d")
    status = SiteStatus.READY if number else SiteStatus.MORGUE
    return Site(name, (Door("posix", f"/store{number}", rules),), status=status)


def _columns(rows: list[tuple[int, int, int]], algorithm: str) -> FileColumns:
    return FileColumns(
        dirs=DIRECTORIES,
        dir_index=tuple(place for place, _, _ in rows),
        names=tuple(f"f{name}" for _, name, _ in rows),
        sizes=tuple(size for _, _, size in rows),
        checksums={algorithm: tuple(f"{size:08x}" if size else None for _, _, size in rows)},
    )


_files = st.builds(
    _columns,
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 15), st.integers(0, 9)), min_size=1, max_size=2),
    st.sampled_from(["adler32", "crc32c"]),
)


def _copy(id: str, block: BlockKey, site: str, ordinals: tuple[int, ...] | None, group: str) -> c.RequestCopy:
    return c.RequestCopy(CopyRequest(id, block.dataset, site, (BlockFiles(block.block, ordinals),), group=group))


def _deletion(id: str, site: str, paths: Iterable[str]) -> c.RequestDeletion:
    return c.RequestDeletion(DeletionRequest(id, site, tuple(Orphan(path, 1, 1) for path in paths)))


def _permissions(name: str, mode: int) -> c.SetPermissions:
    return c.SetPermissions((Permission("/d", "", "me", "us", mode), Permission("/d", name, "me", "us", 0)))


def changes(view: Snapshot | None = None) -> Mapping[type[c.Change], st.SearchStrategy[c.Change]]:
    """A strategy for every kind of change that a commit takes."""
    pools = _pools(view)
    some_ordinals = st.one_of(st.none(), _ordinals)
    on_dataset = st.builds(
        Lock, _ids, st.just("me"), pools.datasets, st.sampled_from(["", "x"]), sites=st.sampled_from(["*", "A"])
    )
    on_file = st.builds(Lock, _ids, st.just("me"), lfn=_paths, expires_us=st.one_of(st.none(), st.integers(0, 60)))
    update = st.builds(
        c.UpdateDataset,
        pools.datasets,
        st.one_of(st.none(), st.sampled_from(DatasetStatus)),
        st.sampled_from([None, {}, {"a": [1, {"b": None}]}]),
        st.one_of(st.none(), st.booleans()),
        st.sampled_from([None, None, 1, 2, 0]),
    )
    block, site = pools.blocks, pools.sites
    return {
        c.PutSite: st.builds(c.PutSite, st.builds(_site, st.sampled_from(SITES), st.integers(0, 3))),
        c.RemoveSite: st.builds(c.RemoveSite, site),
        c.PutGroup: st.builds(c.PutGroup, st.sampled_from([Group("physics"), Group("admin")])),
        c.CreateDataset: st.builds(c.CreateDataset, _datasets_new),
        c.UpdateDataset: update,
        c.RegisterFiles: st.builds(
            c.RegisterFiles, block, st.integers(0, 3), _files, st.one_of(site, st.just("")), _groups, _times
        ),
        c.RevealDataset: st.builds(c.RevealDataset, pools.datasets, st.integers(0, 3), st.integers(0, 20)),
        c.AbandonStaged: st.builds(c.AbandonStaged, pools.datasets),
        c.RequestCopy: st.builds(_copy, _ids, block, site, some_ordinals, _groups),
        c.RequestDeletion: st.builds(_deletion, _ids, site, st.lists(_paths, min_size=1, max_size=2)),
        c.CloseRequest: st.builds(
            c.CloseRequest, pools.requests, st.sampled_from(RequestState), st.sampled_from(["", "why"])
        ),
        c.FilesArrived: st.builds(c.FilesArrived, block, site, some_ordinals, st.integers(0, 9)),
        c.FilesGone: st.builds(c.FilesGone, block, site, _ordinals, st.sampled_from(Evidence)),
        c.FilesVerified: st.builds(c.FilesVerified, site, st.lists(block, max_size=2).map(tuple), st.integers(0, 9)),
        c.PutLock: st.builds(c.PutLock, st.one_of(on_dataset, on_file)),
        c.RemoveLock: st.builds(c.RemoveLock, pools.locks),
        c.SetPermissions: st.builds(_permissions, st.sampled_from(["", "f1", "f2"]), st.integers(-1, 0o7777)),
    }


def _requirements(view: Snapshot) -> st.SearchStrategy[c.Requirement]:
    pools = _pools(view)
    positions = st.one_of(st.just(view.head.position), st.integers(0, view.head.position))
    return st.one_of(
        st.builds(c.DatasetUnchanged, pools.datasets, positions),
        st.builds(c.SiteUnchanged, pools.sites, positions),
        st.builds(c.DatasetVisible, pools.datasets),
        st.builds(c.NotLocked, pools.datasets, pools.sites, _groups),
        st.builds(c.RequestIsOpen, pools.requests),
        st.builds(c.StillOrphans, pools.sites, st.lists(_paths, max_size=2).map(tuple)),
    )


def _aimed(change: c.Change, view: Snapshot) -> c.Change:
    """``change`` with the numbers that ``view`` asks for."""
    try:
        if isinstance(change, c.RegisterFiles):
            sizes = {block.key: block.n_files for block in view.blocks(change.block.dataset)}
            return replace(change, first_ordinal=sizes.get(change.block, 0))
        if isinstance(change, c.RevealDataset):
            blocks = view.blocks(change.dataset)
            n_files, size = sum(block.n_files for block in blocks), sum(block.size for block in blocks)
            return replace(change, n_files=n_files, size=size)
    except UnknownName:
        pass  # What is not there asks for nothing.
    return change


def change_sets(view: Snapshot) -> st.SearchStrategy[c.ChangeSet]:
    """Change sets of one to three changes, seldom with a requirement, mostly aimed at what ``view`` shows."""
    kinds = changes(view)
    # The world is quickly full of sites and datasets; what fills and empties replicas should come more often.
    often = (c.RegisterFiles, c.RegisterFiles, c.RequestCopy, c.FilesArrived, c.FilesArrived, c.FilesGone)
    one = st.one_of(*kinds.values(), *(kinds[kind] for kind in often))
    aimed = st.builds(
        lambda change, hit: _aimed(change, view) if hit else change, one, st.sampled_from([True] * 9 + [False])
    )
    few = st.sampled_from([1, 1, 1, 2, 3]).flatmap(
        lambda n_changes: st.lists(aimed, min_size=n_changes, max_size=n_changes)
    )
    requirements = st.one_of(*[st.just(())] * 4, st.tuples(_requirements(view)))
    origin = st.sampled_from([None, None, c.Origin("far", "1")])
    return st.builds(c.ChangeSet, few.map(tuple), st.just("hypothesis"), st.just("why"), requirements, origin)
