"""FileRules: files of open datasets removed and renamed. Part of StoreSuite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from holdfast.model import changes as c
from holdfast.model.errors import BadInput, Conflict, InvalidName, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import Block, BlockReplica, Dataset, Evidence, Lock, Permission, RequestState
from holdfast.testing.store_hooks import (
    BLOCK,
    DATA,
    PROVED_US,
    STAGED_BLOCK,
    START_US,
    StoreHooks,
    copy_request,
    deletion_request,
    files,
    site,
)

LOOSE = BlockKey(DATA, "loose")
"""Five files that no site holds, as ``begin_loose`` makes them."""
DIR = "/data/loose"
LOCKS = [
    Lock("a", "me", DATA),
    Lock("a", "me", DATA, block="loose"),
    Lock("a", "me", lfn=f"{DIR}/file1"),
    Lock("a", "me", DATA, sites="C", groups="physics"),
]
NO_LOCKS = [Lock("a", "me", DATA, block="block"), Lock("a", "me", lfn="/a"), Lock("a", "me", DATA, expires_us=START_US)]


def renaming(*new: str, ordinals: tuple[int, ...] = (), block: BlockKey = LOOSE, **more: Any) -> c.RenameFiles:
    """New names in ``DIR`` for the files with these ordinals, or the first ones."""
    rows = ordinals or tuple(range(len(new)))
    return c.RenameFiles(block, rows, (DIR,), (0,) * len(new), new, **more)


class FileHooks(StoreHooks):
    """Files that may change."""

    def begin_loose(self) -> None:
        """As ``begin``, and LOOSE."""
        self.begin()
        self.commit(c.RegisterFiles(LOOSE, 0, files(5, directory=DIR)))

    def lfns(self, block: BlockKey = LOOSE) -> list[str]:
        """The LFNs of a block, which a look-up of them finds there."""
        view = self.view()
        known = list(view.files(block).lfns())
        assert [each and (each.block, each.ordinal) for each in view.lookup(known)] == [
            (block, row) for row in range(len(known))
        ]
        return known

    def owned(self, name: str) -> Permission:
        """What is known of the owner of a file of LOOSE."""
        return Permission(DIR, name, "me", "us", 0o640)


class RemoveFilesRules(FileHooks):
    """Files forgotten."""

    def test_the_files_behind_move_up(self) -> None:
        self.begin_loose()
        before = self.view().files(LOOSE)
        self.commit(c.RemoveFiles(LOOSE, (3, 0, 3), "why"))
        assert self.view().files(LOOSE) == before.chosen([1, 2, 4])
        assert self.lfns() == [f"{DIR}/file{number}" for number in (1, 2, 4)]
        assert self.view().lookup([f"{DIR}/file0", f"{DIR}/file3"]) == [None, None]
        assert self.view().find_blocks([LOOSE]) == {LOOSE: Block(LOOSE, 3, 11 + 12 + 14)}
        self.commit(c.RegisterFiles(LOOSE, 3, files(1, directory=DIR)))
        assert self.lfns()[3] == f"{DIR}/file0"

    def test_replicas_keep_their_files(self) -> None:
        self.begin()
        self.commit(c.RegisterFiles(BLOCK, 4, files(3, first=4)))
        self.commit(copy_request(ordinals=(2,)))
        self.commit(c.FilesArrived(BLOCK, "B", (2, 4), 700), c.CloseRequest("copy", RequestState.DONE))
        self.commit(copy_request("empty", to="C", replace=True), c.CloseRequest("empty", RequestState.FAILED))
        at_a, at_b = self.replica("A"), self.replica("B")
        self.clock.now_us += 5
        self.commit(c.RemoveFiles(BLOCK, (5,)))
        assert (self.replica("A"), self.replica("B")) == (at_a, at_b)
        self.commit(c.FilesGone(BLOCK, "A", (0, 3), Evidence.DECLARED))
        at_a = self.replica("A")
        self.commit(c.RemoveFiles(BLOCK, (0, 3)))
        assert self.replica("A") == replace(at_a, held=FileSet.of([0, 1]))
        assert self.replica("B") == replace(at_b, held=FileSet.of([1, 2]))
        assert self.replica("C").held == FileSet()
        assert [row[-1] for row in self.lfns(BLOCK)] == ["1", "2", "4", "6"]

    def test_a_replica_that_has_all_that_is_left_is_complete(self) -> None:
        self.begin()
        self.commit(c.RegisterFiles(BLOCK, 4, files(2, first=4)))
        before = self.replica("A")
        assert not before.is_complete
        self.commit(c.RemoveFiles(BLOCK, (4, 5)))
        assert self.replica("A") == replace(before, held=None)

    def test_a_block_without_files_stays_and_its_replicas_are_complete(self) -> None:
        self.begin_loose()
        self.commit(copy_request(blocks=["loose"], replace=True), c.CloseRequest("copy", RequestState.FAILED))
        before = self.replica("B", LOOSE)
        self.commit(c.RemoveFiles(LOOSE, (0, 1, 2, 3, 4)))
        assert self.view().find_blocks([LOOSE]) == {LOOSE: Block(LOOSE)}
        assert len(self.view().files(LOOSE)) == 0
        assert self.replica("B", LOOSE) == replace(before, held=None)
        self.alters_nothing(c.FilesVerified("B", (LOOSE,), 9))
        self.clock.now_us += 2
        self.commit(copy_request("more", to="C", blocks=["loose"]), c.BlocksArrived("A", (LOOSE,), verified_us=3))
        for place in "AC":
            assert self.replica(place, LOOSE) == BlockReplica(LOOSE, place, updated_us=START_US + 2)
        self.commit(c.RegisterFiles(LOOSE, 0, files(1, directory=DIR), site="A", verified_us=4))
        assert (self.replica("A", LOOSE).is_complete, self.replica("A", LOOSE).verified_us) == (True, 4)
        assert self.replica("B", LOOSE) == before
        assert self.lfns() == [f"{DIR}/file0"]

    def test_what_is_known_of_their_owners_goes_too(self) -> None:
        self.begin_loose()
        items = (Permission(DIR, "", "me", "us", 0o750), self.owned("file1"), self.owned("file2"))
        self.commit(c.SetPermissions(items))
        self.commit(c.RemoveFiles(LOOSE, (1,)))
        assert self.view().permissions() == [items[0], items[2]]

    def test_files_that_a_site_holds_stay(self) -> None:
        self.begin()
        error = self.refused(Conflict, c.RemoveFiles(BLOCK, (3, 1)), says="held by a site")
        assert error.rows == ("/data/one/file1", "/data/one/file3")
        self.commit(c.FilesGone(BLOCK, "A", (1,), Evidence.DECLARED))
        error = self.refused(Conflict, c.RemoveFiles(BLOCK, (1, 3)))
        assert error.rows == ("/data/one/file3",)
        self.commit(c.RemoveFiles(BLOCK, (1,)))
        assert self.replica("A").is_complete

    def test_a_block_of_which_files_are_awaited_keeps_all(self) -> None:
        self.begin_loose()
        self.commit(copy_request(blocks=["loose"], ordinals=(4,)))
        error = self.refused(Conflict, c.RemoveFiles(LOOSE, (0,)), says="awaited at B, by request copy")
        assert error.rows == ("copy",)
        self.commit(c.CloseRequest("copy", RequestState.FAILED), copy_request("another"))
        self.commit(c.RemoveFiles(LOOSE, (0,)))
        assert len(self.lfns()) == 4

    @pytest.mark.parametrize("lock", LOCKS, ids=repr)
    def test_locked_files_stay(self, lock: Lock) -> None:
        self.begin_loose()
        self.commit(c.PutLock(lock))
        error = self.refused(Conflict, c.RemoveFiles(LOOSE, (1,)), says="locked by me (a)")
        assert error.rows == ("a",)

    @pytest.mark.parametrize("lock", NO_LOCKS, ids=repr)
    def test_other_locks_keep_no_files(self, lock: Lock) -> None:
        self.begin_loose()
        self.commit(c.PutLock(lock))
        self.commit(c.RemoveFiles(LOOSE, (1,)))
        assert len(self.lfns()) == 4

    def test_only_open_datasets_lose_files(self) -> None:
        self.begin_loose()
        self.stage(2)
        self.refused(Conflict, c.RemoveFiles(STAGED_BLOCK, (0,)), says="still being published")
        self.commit(c.UpdateDataset(DATA, is_open=False))
        self.refused(Conflict, c.RemoveFiles(LOOSE, (0,)), says="closed")

    def test_only_files_that_are_there_go(self) -> None:
        self.begin_loose()
        self.refused(BadInput, c.RemoveFiles(LOOSE, ()), says="nothing")
        for ordinals in ((5,), (-1,), (0, 2**62)):
            self.refused(BadInput, c.RemoveFiles(LOOSE, ordinals), says="ordinal")
        self.refused(UnknownName, c.RemoveFiles(BlockKey(DATA, "none"), (0,)))
        self.refused(UnknownName, c.RemoveFiles(BlockKey(DatasetKey("/none"), "x"), (0,)))


class RenameFilesRules(FileHooks):
    """New LFNs."""

    def test_files_get_new_names(self) -> None:
        self.begin_loose()
        before = self.view().files(LOOSE)
        change = c.RenameFiles(LOOSE, (4, 1), ("/new", "/", DIR), (0, 2), ("a", "b"))
        self.commit(change)
        after = self.view().files(LOOSE)
        assert self.lfns() == [f"{DIR}/file0", f"{DIR}/b", f"{DIR}/file2", f"{DIR}/file3", "/new/a"]
        assert (after.sizes, after.checksums) == (before.sizes, before.checksums)
        assert self.view().lookup([f"{DIR}/file1", f"{DIR}/file4"]) == [None, None]
        self.commit(renaming("file1", ordinals=(4,)))
        assert self.lfns()[4] == f"{DIR}/file1"

    def test_what_is_known_of_their_owners_goes_with_them(self) -> None:
        self.begin_loose()
        self.commit(c.SetPermissions((Permission(DIR, "", "me", "us", 0), self.owned("file0"), self.owned("file1"))))
        self.commit(renaming("z"))
        found = [(each.name, each.mode) for each in self.view().permissions()]
        assert found == [("", 0), ("file1", 0o640), ("z", 0o640)]

    def test_a_new_name_brings_no_owner_of_a_file_that_is_gone(self) -> None:
        self.begin_loose()
        self.stage(1)
        stale = Permission("/staged", "file0", "you", "them", 0)
        self.commit(c.SetPermissions((stale, self.owned("file1"))), c.AbandonStaged(STAGED_BLOCK.dataset))
        self.commit(c.RenameFiles(LOOSE, (0,), ("/staged",), (0,), ("file0",)))
        assert self.view().permissions() == [self.owned("file1")]

    def test_new_names_are_free(self) -> None:
        self.begin_loose()
        error = self.refused(Conflict, renaming("new", "file4", "file3"), says="already registered")
        assert error.rows == (f"{DIR}/file3", f"{DIR}/file4")
        self.refused(Conflict, renaming("file1", "file0"), says="already registered")
        self.refused(BadInput, renaming("new", "new"), says="two files")

    def test_new_names_are_names(self) -> None:
        self.begin_loose()
        for bad in ("", "..", "a/b", "a\nb"):
            self.refused(InvalidName, renaming(bad))
        self.refused(InvalidName, c.RenameFiles(LOOSE, (0,), ("relative",), (0,), ("a",)))
        for dir_index in ((1,), (-1,), (), (0, 0)):
            self.refused(BadInput, c.RenameFiles(LOOSE, (0,), (DIR,), dir_index, ("a",)))

    def test_each_file_has_one_new_name(self) -> None:
        self.begin_loose()
        self.refused(BadInput, c.RenameFiles(LOOSE, (), (), (), ()), says="nothing")
        self.refused(BadInput, renaming("a", ordinals=(0, 1)), says="one new name")
        self.refused(BadInput, renaming("a", "b", ordinals=(1, 1)), says="one new name")
        for ordinals in ((5,), (-1,), (2**62,)):
            self.refused(BadInput, renaming("a", ordinals=ordinals), says="ordinal")
        self.refused(UnknownName, renaming("a", block=BlockKey(DATA, "none")))
        self.refused(UnknownName, renaming("a", block=BlockKey(DatasetKey("/none"), "x")))

    def test_only_a_person_renames_what_sites_hold(self) -> None:
        self.begin()
        self.commit(copy_request(ordinals=(3,)), c.FilesArrived(BLOCK, "B", (3,), 700))
        self.commit(c.CloseRequest("copy", RequestState.DONE))
        self.clock.now_us += 9
        for evidence in (Evidence.HEARD, Evidence.STATED):
            change = renaming("a", "b", ordinals=(3, 1), block=BLOCK, evidence=evidence)
            error = self.refused(Conflict, change, says="held by A")
            assert error.rows == ("/data/one/file3", "/data/one/file1")
        before = self.replica("A"), self.replica("B")
        self.commit(renaming("b", ordinals=(1,), block=BLOCK, evidence=Evidence.DECLARED))
        assert self.replica("A") == replace(before[0], verified_us=None)
        assert self.replica("B") == before[1]
        self.commit(c.FilesVerified("A", (BLOCK,), PROVED_US))
        self.commit(c.FilesGone(BLOCK, "A", (2,), Evidence.DECLARED), c.FilesVerified("A", (BLOCK,), PROVED_US))
        self.commit(renaming("c", ordinals=(2,), block=BLOCK))
        assert self.replica("A").verified_us == PROVED_US
        assert self.lfns(BLOCK) == ["/data/one/file0", f"{DIR}/b", f"{DIR}/c", "/data/one/file3"]

    def test_awaited_files_keep_their_names(self) -> None:
        self.begin_loose()
        self.commit(copy_request(blocks=["loose"], ordinals=(0, 4)))
        error = self.refused(Conflict, renaming("a", ordinals=(4,)), says="awaited at B, by request copy")
        assert error.rows == ("copy",)
        self.commit(renaming("a", ordinals=(3,)))
        self.commit(copy_request("all", to="C", blocks=["loose"]))
        self.refused(Conflict, renaming("b", ordinals=(3,)), says="awaited at C")

    @pytest.mark.parametrize("lock", LOCKS, ids=repr)
    def test_locked_files_keep_their_names(self, lock: Lock) -> None:
        self.begin_loose()
        self.commit(c.PutLock(lock))
        for evidence in Evidence:
            self.refused(Conflict, renaming("a", ordinals=(1,), evidence=evidence), says="locked by me (a)")

    @pytest.mark.parametrize("lock", NO_LOCKS, ids=repr)
    def test_other_locks_keep_no_names(self, lock: Lock) -> None:
        self.begin_loose()
        self.commit(c.PutLock(lock))
        self.commit(renaming("a", ordinals=(1,)))
        assert self.lfns()[1] == f"{DIR}/a"

    def test_paths_that_are_being_deleted_keep_their_names(self) -> None:
        self.begin()
        self.commit(c.BlocksArrived("B", (BLOCK,)))
        self.commit(deletion_request("/dark", f"{DIR}/a", "/data/one/file1", at="C"))
        declared = Evidence.DECLARED
        self.refused(Conflict, renaming("a", block=BLOCK, evidence=declared), says="being deleted")
        self.refused(Conflict, renaming("b", ordinals=(1,), block=BLOCK, evidence=declared), says="being deleted")
        self.commit(renaming("c", block=BLOCK, evidence=declared))

    def test_two_files_never_get_one_path(self) -> None:
        self.begin_loose()
        other = BlockKey(DATA, "flat")
        self.commit(c.PutSite(site("C", rules=PfnRules(((RewriteStep("/.*/([a-z0-9]+)", "/{0}"),),)))))
        self.commit(c.RegisterFiles(other, 0, files(1, directory="/flat", stem="x"), site="C"))
        repair = copy_request("held", to="C", blocks=["loose"], replace=True)
        self.commit(repair, c.CloseRequest("held", RequestState.FAILED))
        self.refused(Conflict, renaming("x0"), says="same path")
        self.commit(renaming("x1"))

    def test_only_open_datasets_rename_files(self) -> None:
        self.begin_loose()
        self.stage(2)
        self.refused(Conflict, renaming("a", block=STAGED_BLOCK), says="still being published")
        self.commit(c.UpdateDataset(DATA, is_open=False))
        self.refused(Conflict, renaming("a", evidence=Evidence.DECLARED), says="closed")
        version = DatasetKey("/data/two", "1")
        self.commit(c.CreateDataset(Dataset(version)))
        self.refused(Conflict, renaming("a", block=BlockKey(version, "x")), says="closed")
