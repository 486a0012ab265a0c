"""Random change sets, from a seed, over a world so small that they get in each other's way.

Three sites, three datasets of two blocks each, some thirty files, few ids:
changes then meet what others did. They prefer what a view shows, so that about
half of them are accepted; the others are refused for every reason there is.

Equal seeds and equal views give equal change sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeVar

from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model import names, quarantine
from holdfast.model import requirements as need
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import (
    Block,
    BlockFiles,
    CopyRequest,
    Dataset,
    DatasetStatus,
    DeletionRequest,
    Door,
    EmptyDirectory,
    Evidence,
    FileColumns,
    Group,
    Lock,
    Orphan,
    Permission,
    Request,
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
REQUEST_IDS = tuple(str(number) for number in range(1, 21))
"""Of a request an id is never used again."""
BEGINNING = c.ChangeSet(
    (
        *(c.PutSite(Site(name, (Door("posix", f"/store/{name}"),))) for name in SITES),
        c.PutGroup(Group("physics")),
        c.CreateDataset(Dataset(OPEN, is_open=True)),
        c.RegisterFiles(BLOCKS[0], 0, FileColumns(("/d",), (0, 0, 0), ("f0", "f1", "f2"), (1, 2, 3)), site="A"),
        c.RequestCopy(CopyRequest("1", OPEN, "B", (BlockFiles("x"),))),
        c.FilesArrived(BLOCKS[0], "B", (0, 1), verified_us=5),
    ),
    actor="random",
    cause="to begin with",
)
"""A first change set, after which most changes make sense."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ChangeSource:
    """Chance, and the state to aim at."""

    random: Random
    view: Snapshot

    def seldom(self) -> bool:
        """One time in ten."""
        return self.random.random() < 0.1

    def proof_us(self) -> int:
        """When something was proved, seldom by a clock that is far ahead."""
        return 2**60 if self.seldom() else self.random.randrange(10)

    def one(self, present: Iterable[T], every: Sequence[T]) -> T:
        """One that is there, or seldom any."""
        known = list(present)
        return self.random.choice(every if self.seldom() or not known else known)

    def dataset(self) -> DatasetKey:
        """A dataset."""
        return self.one((dataset.key for dataset in self.view.datasets(staged=True)), DATASETS)

    def block(self) -> BlockKey:
        """A block."""
        datasets = [dataset.key for dataset in self.view.datasets(staged=True)]
        return self.one((block.key for key in datasets for block in self.view.blocks(key)), BLOCKS)

    def replica(self) -> tuple[BlockKey, str]:
        """A block at a site."""
        every = [(block, site) for block in BLOCKS for site in SITES]
        return self.one(((each.block, each.site) for each in self.view.replicas()), every)

    def site(self) -> str:
        """A site."""
        return self.one((site.name for site in self.view.sites()), SITES)

    def ordinals(self) -> tuple[int, ...]:
        """Up to three ordinals of a small block, in any order."""
        return tuple(self.random.choices(range(4), k=self.random.randrange(4)))

    def path(self) -> str:
        """An LFN, which here is a path, too."""
        return f"{self.random.choice(DIRECTORIES)}/f{self.random.randrange(16)}"

    def blocks_of(self, dataset: DatasetKey) -> list[Block]:
        """The blocks of a dataset that need not be there."""
        known = any(each.key == dataset for each in self.view.datasets(staged=True))
        return self.view.blocks(dataset) if known else []


def _put_site(source: ChangeSource) -> c.Change:
    random = source.random
    rules = random.choice([PfnRules(), PfnRules.prefix("/d", "/d")])
    status = random.choice([SiteStatus.READY, SiteStatus.READY, SiteStatus.MORGUE])
    kind: Literal["put-site", "set-site"] = "put-site" if source.seldom() else "set-site"
    name, moved = random.choice(SITES), (Door("posix", f"/store{random.randrange(3)}", rules),)
    present = [site.doors for site in source.view.sites() if site.name == name]
    return c.PutSite(Site(name, random.choice([moved, *present]), status=status), kind)


def _create(source: ChangeSource) -> c.Change:
    made = [
        Dataset(OPEN, is_open=True),
        Dataset(OTHER, metadata={"a": 1}),
        Dataset(OTHER, is_open=True),
        Dataset(STAGED, staging=Staging("A", "/d/e")),
        Dataset(STAGED, staging=Staging("B", "/s")),
    ]
    return c.CreateDataset(source.random.choice(made))


def _update(source: ChangeSource) -> c.Change:
    choice = source.random.choice
    return c.UpdateDataset(
        source.dataset(),
        status=choice([None, *DatasetStatus]),
        metadata=choice([None, {}, {"a": [1, {"b": None}]}]),
        is_open=choice([None, True, True, False]),
        required_copies=choice([None, None, 1, 2, 0]),
    )


def _register(source: ChangeSource) -> c.Change:
    random = source.random
    block = source.one((BlockKey(key, name) for key in [source.dataset()] for name in "xy"), BLOCKS)
    before = next((each.n_files for each in source.blocks_of(block.dataset) if each.key == block), 0)
    rows = [(random.randrange(2), random.randrange(16), random.randrange(10)) for _ in range(random.randint(1, 2))]
    sizes = tuple(size for _, _, size in rows)
    files = FileColumns(
        dirs=DIRECTORIES,
        dir_index=tuple(place for place, _, _ in rows),
        names=tuple(f"f{name}" for _, name, _ in rows),
        sizes=sizes,
        checksums=random.choice([{}, {"crc32c": tuple(f"{size:08x}" for size in sizes)}, {"md5": (None,) * len(rows)}]),
    )
    site, group = random.choice([source.site(), ""]), random.choice(["", "physics"])
    first_ordinal = random.randrange(4) if source.seldom() else before
    return c.RegisterFiles(block, first_ordinal, files, site, group, verified_us=random.choice([None, 1, 5, 9]))


def _reveal(source: ChangeSource) -> c.Change:
    dataset = source.one([STAGED], DATASETS)
    blocks = source.blocks_of(dataset)
    n_files = source.random.randrange(4) if source.seldom() else sum(block.n_files for block in blocks)
    return c.RevealDataset(dataset, n_files, sum(block.size for block in blocks))


def _scope(source: ChangeSource, block: str) -> tuple[BlockFiles, ...]:
    """All or some files of a block, seldom in two parts, or of others, too."""
    parts = [BlockFiles(block, source.random.choice([None, source.ordinals()]))]
    if source.random.random() < 0.2:
        parts.append(BlockFiles(source.random.choice("xy"), source.random.choice([None, source.ordinals()])))
    return tuple(parts)


def _request_copy(source: ChangeSource) -> c.Change:
    block, choice = source.block(), source.random.choice
    scope, group = _scope(source, block.block), choice(["", "physics"])
    request = CopyRequest(
        choice(REQUEST_IDS), block.dataset, source.site(), scope, group=group, replace=choice([True, False])
    )
    return c.RequestCopy(request)


def _request_deletion(source: ChangeSource) -> c.Change:
    id = source.random.choice(REQUEST_IDS)
    if source.random.random() < 0.3:
        orphans = tuple(Orphan(source.path(), 1, 1) for _ in range(source.random.randint(1, 2)))
        into = source.random.choice(["", "", quarantine.day_folder(0)])
        return c.RequestDeletion(DeletionRequest(id, source.site(), orphans, into=into))
    if source.random.random() < 0.2:
        directories = (EmptyDirectory(names.split(source.path())[0], source.random.choice([None, 1])),)
        return c.RequestDeletion(DeletionRequest(id, source.site(), directories=directories))
    block, site = source.replica()
    return c.RequestDeletion(DeletionRequest(id, site, dataset=block.dataset, scope=_scope(source, block.block)))


def _request_id(source: ChangeSource) -> str:
    requests: list[Request] = [*source.view.copy_requests(), *source.view.deletion_requests()]
    return source.one((request.id for request in requests), REQUEST_IDS)


def _close(source: ChangeSource) -> c.Change:
    kind: Literal["close-request", "end-request"] = "close-request" if source.seldom() else "end-request"
    state, detail = source.random.choice(list(RequestState)), source.random.choice(["", "why"])
    return c.CloseRequest(_request_id(source), state, detail, kind)


def _reduce(source: ChangeSource) -> c.Change:
    return c.ReduceRequest(_request_id(source), _scope(source, source.random.choice("xy")), "why")


def _deleted(source: ChangeSource) -> c.Change:
    asked = [
        (BlockKey(each.dataset, part.block), each.site, part.ordinals or source.ordinals(), each.id)
        for each in source.view.deletion_requests()
        if each.dataset is not None
        for part in each.scope
    ]
    any_one = *source.replica(), source.ordinals(), source.random.choice(REQUEST_IDS)
    block, site, ordinals, id = source.one(asked, [any_one])
    return c.FilesDeleted(block, site, ordinals, id)


def _arrived(source: ChangeSource) -> c.Change:
    block, site = source.replica()
    ordinals = source.random.choice([None, source.ordinals(), source.ordinals()])
    return c.FilesArrived(block, site, ordinals, verified_us=source.proof_us())


def _gone(source: ChangeSource) -> c.Change:
    block, site = source.replica()
    return c.FilesGone(block, site, source.ordinals(), source.random.choice(list(Evidence)))


def _verified(source: ChangeSource) -> c.Change:
    block, site = source.replica()
    blocks = (block, source.block()) if source.seldom() else (block,)
    return c.FilesVerified(site, blocks, verified_us=source.proof_us())


def _blocks(source: ChangeSource) -> tuple[BlockKey, ...]:
    """One block or two, perhaps twice the same."""
    return tuple(source.block() for _ in range(source.random.randint(1, 2)))


def _blocks_arrived(source: ChangeSource) -> c.Change:
    choice = source.random.choice
    group, verified_us = choice(["", "physics"]), choice([None, 1, 5, 9])
    return c.BlocksArrived(source.site(), _blocks(source), group, verified_us, choice([False, False, True]))


def _remove_replicas(source: ChangeSource) -> c.Change:
    block, site = source.replica()
    blocks = (block, *_blocks(source)) if source.random.random() < 0.3 else (block,)
    return c.RemoveReplicas(site, blocks, source.random.choice(list(Evidence)), "why")


def _assign_replicas(source: ChangeSource) -> c.Change:
    block, site = source.replica()
    blocks = (block, source.block()) if source.seldom() else (block,)
    group, is_custodial = source.random.choice([None, "", "physics"]), source.random.choice([None, True, False])
    return c.AssignReplicas(site, blocks, group, is_custodial)


def _files(source: ChangeSource, *, held: bool) -> tuple[BlockKey, tuple[int, ...]]:
    """Some files of a block that may change; with ``held`` those that sites hold, too."""
    every = {block.key: block.n_files for each in source.view.datasets() for block in source.blocks_of(each.key)}
    loose = []
    for key, n_files in every.items():
        present = source.view.replicas(block=key)
        free = [row for row in range(n_files) if held or not any(each.holds(row) for each in present)]
        if free and source.view.dataset(key.dataset).is_open:
            loose.append((key, free))
    key, ordinals = source.one(loose, [(source.block(), [0, 1, 2, 3])])
    return key, tuple(source.random.sample(ordinals, k=min(len(ordinals), source.random.randint(1, 2))))


def _remove_files(source: ChangeSource) -> c.Change:
    return c.RemoveFiles(*_files(source, held=False), "why")


def _rename_files(source: ChangeSource) -> c.Change:
    random = source.random
    block, ordinals = _files(source, held=True)
    dir_index = tuple(random.randrange(2) for _ in ordinals)
    file_names = tuple(f"f{random.randrange(16)}" for _ in ordinals)
    evidence = random.choice([Evidence.HEARD, Evidence.STATED, Evidence.DECLARED, Evidence.DECLARED])
    return c.RenameFiles(block, ordinals, DIRECTORIES, dir_index, file_names, evidence)


def _put_lock(source: ChangeSource) -> c.Change:
    random = source.random
    id, expires_us = random.choice(IDS), random.choice([None, random.randrange(100)])
    if random.random() < 0.5:
        return c.PutLock(Lock(id, "me", lfn=source.path(), expires_us=expires_us))
    sites, block = random.choice(["*", "A"]), random.choice(["", "x"])
    return c.PutLock(Lock(id, "me", source.dataset(), block, sites=sites, expires_us=expires_us))


def _set_permissions(source: ChangeSource) -> c.Change:
    mode = -1 if source.seldom() else source.random.randrange(0o10000)
    name = source.random.choice(["", "f1", "f2"])
    return c.SetPermissions((Permission("/d", "", "me", "us", mode), Permission("/d", name, "me", "us", 0)))


CHANGES: Mapping[type[c.Change], Callable[[ChangeSource], c.Change]] = {
    c.PutSite: _put_site,
    c.RemoveSite: lambda source: c.RemoveSite(source.site()),
    c.PutGroup: lambda source: c.PutGroup(Group(source.random.choice(["physics", "admin"]))),
    c.CreateDataset: _create,
    c.UpdateDataset: _update,
    c.RegisterFiles: _register,
    c.RevealDataset: _reveal,
    c.AbandonStaged: lambda source: c.AbandonStaged(source.one([STAGED], DATASETS)),
    c.RequestCopy: _request_copy,
    c.RequestDeletion: _request_deletion,
    c.CloseRequest: _close,
    c.ReduceRequest: _reduce,
    c.FilesDeleted: _deleted,
    c.FilesArrived: _arrived,
    c.FilesGone: _gone,
    c.FilesVerified: _verified,
    c.BlocksArrived: _blocks_arrived,
    c.RemoveReplicas: _remove_replicas,
    c.AssignReplicas: _assign_replicas,
    c.RemoveFiles: _remove_files,
    c.RenameFiles: _rename_files,
    c.PutLock: _put_lock,
    c.RemoveLock: lambda source: c.RemoveLock(source.one((lock.id for lock in source.view.locks()), IDS)),
    c.SetPermissions: _set_permissions,
    c.ConfirmRestore: lambda source: c.ConfirmRestore(source.view.head.epoch),
}
"""How to make every kind of change that a commit takes."""

# The world is quickly full of sites and datasets; what fills and empties replicas should come more often.
_OFTEN = (*(c.RegisterFiles,) * 4, *(c.RequestCopy,) * 2, *(c.FilesArrived,) * 3, *(c.RemoveFiles, c.RenameFiles) * 2)
_KINDS = (*CHANGES, *_OFTEN, c.FilesGone, c.CloseRequest, *(c.RequestDeletion,) * 3, *(c.FilesDeleted,) * 3)


def _requirement(source: ChangeSource) -> need.Requirement:
    last = source.view.head.position
    position = source.random.choice([last, source.random.randint(0, last)])
    made: list[need.Requirement] = [
        need.DatasetUnchanged(source.dataset(), position),
        need.SiteUnchanged(source.site(), position),
        need.DatasetVisible(source.dataset()),
        need.NotLocked(source.dataset(), source.site(), "physics"),
        need.ReplicasThere(source.site(), (source.block(),)),
        need.StillThere((source.path(), source.path())),
        need.RequestIsOpen(source.random.choice(REQUEST_IDS)),
        need.StillOrphans(source.site(), (source.path(),)),
        need.StillNeedless(source.site(), (source.random.choice([*DIRECTORIES, "/d/g", "/e", "/e/f"]),)),
        need.NoOtherRemovals(source.site(), (source.random.choice(REQUEST_IDS),)),
        need.StillDeletable(_request_id(source), source.block(), source.ordinals()),
    ]
    return source.random.choice(made)


def change_set(seed: int, view: Snapshot) -> c.ChangeSet:
    """One to three changes, seldom with a requirement, mostly aimed at what ``view`` shows."""
    source = ChangeSource(Random(seed), view)
    n_changes = source.random.choice([1, 1, 1, 1, 2, 3])
    made = tuple(CHANGES[source.random.choice(_KINDS)](source) for _ in range(n_changes))
    requirements = (_requirement(source),) if source.random.random() < 0.2 else ()
    origin = c.Origin("far", "1") if source.seldom() else None
    return c.ChangeSet(made, "random", f"seed {seed}", requirements, origin)
