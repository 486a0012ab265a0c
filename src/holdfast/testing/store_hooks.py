"""What the rules of StoreSuite have in common: the hooks, a clock, and a small inventory to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from holdfast.inventory.store import Cursor, Head, Snapshot, Store
from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.clock import Clock
from holdfast.model.errors import HoldfastError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import (
    BlockFiles,
    BlockReplica,
    CopyRequest,
    Dataset,
    DeletionRequest,
    Door,
    FileColumns,
    Group,
    Orphan,
    Site,
    SiteStatus,
    Staging,
)
from holdfast.testing.snapshots import described

Error = TypeVar("Error", bound=HoldfastError)

START_US = 1_000_000
"""Where every test's clock begins."""

DATA = DatasetKey("/data/one")
"""An open dataset with one block of four files, all at site A and proved at PROVED_US."""
BLOCK = BlockKey(DATA, "block")
PROVED_US = 500
STAGED = DatasetKey("/staged", "1")
"""What ``stage`` makes: a dataset that is being published from site A, /staged."""
STAGED_BLOCK = BlockKey(STAGED, "block")


@dataclass(slots=True)
class ManualClock:
    """A clock that goes when it is told to."""

    now_us: int = START_US

    def __call__(self) -> int:
        """The moment it was set to."""
        return self.now_us


def site(name: str, *, rules: PfnRules | None = None, status: SiteStatus = SiteStatus.READY) -> Site:
    """A site with one door."""
    return Site(name, (Door("posix", f"/store/{name}", rules or PfnRules()),), status=status)


def files(
    n_files: int, *, directory: str = "/data/one", stem: str = "file", first: int = 0, size: int = 10
) -> FileColumns:
    """Files of one directory with an adler32 each; the i-th is ``size`` + i bytes long."""
    numbers = range(first, first + n_files)
    return FileColumns(
        dirs=(directory,),
        dir_index=(0,) * n_files,
        names=tuple(f"{stem}{number}" for number in numbers),
        sizes=tuple(size + number for number in numbers),
        checksums={"adler32": tuple(f"{number:08x}" for number in numbers)},
    )


def copy_request(
    id: str = "copy",
    *,
    dataset: DatasetKey = DATA,
    to: str = "B",
    ordinals: tuple[int, ...] | None = None,
    blocks: Sequence[str] = ("block",),
    **more: Any,
) -> c.RequestCopy:
    """Ask for blocks of a dataset at a site."""
    scope = tuple(BlockFiles(block, ordinals) for block in blocks)
    return c.RequestCopy(CopyRequest(id, dataset, to, scope, **more))


def deletion_request(*paths: str, id: str = "deletion", at: str = "A", **more: Any) -> c.RequestDeletion:
    """Ask for the removal of orphans."""
    return c.RequestDeletion(DeletionRequest(id, at, tuple(Orphan(path, 1, 2) for path in paths), **more))


def replica_deletion(
    id: str = "removal",
    *,
    dataset: DatasetKey = DATA,
    at: str = "A",
    ordinals: tuple[int, ...] | None = None,
    blocks: Sequence[str] = ("block",),
    **more: Any,
) -> c.RequestDeletion:
    """Ask for the deletion of what a site holds of blocks of a dataset."""
    scope = tuple(BlockFiles(block, ordinals) for block in blocks)
    return c.RequestDeletion(DeletionRequest(id, at, dataset=dataset, scope=scope, **more))


class StoreHooks:
    """A fresh store for each test, and short words for what tests do with it."""

    def make_store(self, clock: Clock) -> Store:
        """A new, empty store whose time is that of ``clock``."""
        raise NotImplementedError

    def reopen(self, store: Store, clock: Clock) -> Store:
        """What a new process finds after the one that had ``store`` died."""
        raise NotImplementedError

    def restored(self, store: Store, clock: Clock) -> Store:
        """A store of its own as it is after ``store``, as it is now, was backed up and restored."""
        raise NotImplementedError

    @cached_property
    def clock(self) -> ManualClock:
        """The time of ``store``."""
        return ManualClock()

    @cached_property
    def store(self) -> Store:
        """The store of this test."""
        return self.make_store(self.clock)

    @pytest.fixture(autouse=True)
    def _close_store(self) -> Iterator[None]:
        yield
        self.store.close()

    def commit(
        self,
        *changes: c.Change,
        require: Sequence[need.Requirement] = (),
        also: Callable[[Connection], None] | None = None,
    ) -> Head:
        """One change set."""
        return self.store.commit(c.ChangeSet(changes, "tester", "a test", tuple(require)), also=also)

    def refused(
        self, error: type[Error], *changes: c.Change, require: Sequence[need.Requirement] = (), says: str = ""
    ) -> Error:
        """Check that a change set is refused whole, with this very kind of error; returns it."""
        before = self.described()
        with pytest.raises(error) as caught:
            self.commit(*changes, require=require)
        assert type(caught.value) is error
        assert says in str(caught.value)
        assert self.described() == before
        return caught.value

    def alters_nothing(self, *changes: c.Change) -> None:
        """Check that a change set is accepted and has no effect but its entry."""
        before = self.described()
        self.commit(*changes)
        after = self.described()
        moving = {key for key in before if key in ("head", "last touched") or key.startswith("changed since")}
        assert {key: before[key] for key in before.keys() - moving} == {
            key: after[key] for key in before.keys() - moving
        }

    def described(self) -> Mapping[str, object]:
        """All that the store says."""
        with self.store.snapshot() as snapshot:
            return described(snapshot)

    def view(self) -> Snapshot:
        """A snapshot that is held until the test ends."""
        return self._held.enter_context(self.store.snapshot())

    @cached_property
    def _held(self) -> ExitStack:
        return ExitStack()

    @pytest.fixture(autouse=True)
    def _release(self, _close_store: None) -> Iterator[None]:
        yield
        self._held.close()

    def replica(self, site: str, block: BlockKey = BLOCK) -> BlockReplica:
        """The one replica of a block at a site."""
        with self.store.snapshot() as snapshot:
            (replica,) = snapshot.replicas(block=block, site=site)
            return replica

    def begin(self) -> None:
        """Sites A, B and C, group ``physics``, and DATA: open, with BLOCK of four files, whole at A."""
        sites = [c.PutSite(site(name)) for name in "ABC"]
        self.commit(*sites, c.PutGroup(Group("physics")))
        self.commit(c.CreateDataset(Dataset(DATA, is_open=True)))
        self.commit(c.RegisterFiles(BLOCK, 0, files(4), site="A", verified_us=PROVED_US))

    def copied(self, to: str = "B") -> None:
        """BLOCK whole at one more site."""
        self.commit(copy_request(f"copy to {to}", to=to))
        self.commit(c.FilesArrived(BLOCK, to, None, verified_us=PROVED_US))

    def stage(self, n_files: int = 0) -> None:
        """STAGED at A, with a first block of ``n_files``."""
        self.commit(c.CreateDataset(Dataset(STAGED, staging=Staging("A", "/staged"))))
        if n_files:
            self.commit(c.RegisterFiles(STAGED_BLOCK, 0, files(n_files, directory="/staged"), site="A"))


FOREIGN_CURSORS = {
    "another digest": lambda head: Cursor(head.epoch, head.position, "0" * 64),
    "another epoch": lambda head: Cursor("another", head.position, head.digest),
    "ahead": lambda head: Cursor(head.epoch, head.position + 1, head.digest),
    "far ahead": lambda head: Cursor(head.epoch, 2**70, head.digest),
    "before the beginning": lambda head: Cursor(head.epoch, -1, head.digest),
    "nothing at all": lambda head: Cursor("", head.position + 1, ""),
    "the beginning of another": lambda head: Cursor("another", 0, head.digest),
}
"""Cursors that are not on the history that ends at ``head``."""
