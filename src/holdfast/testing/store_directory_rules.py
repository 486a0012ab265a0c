"""DirectoryRules, IntoRules: which empty directories may go, and where orphans may be moved. Part of StoreSuite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import BadInput, Conflict, UnknownName
from holdfast.model.names import BlockKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import DeletionRequest, EmptyDirectory, Evidence, Lock, Orphan, RequestState
from holdfast.testing.store_hooks import (
    BLOCK,
    DATA,
    START_US,
    StoreHooks,
    copy_request,
    deletion_request,
    files,
    replica_deletion,
    site,
)

DAY = "/.holdfast-quarantine/2026-11-21"
SWAPPED = PfnRules(
    ((RewriteStep("/(data)/([^/]*)/(.*)", "/pool/{1}/{0}/{2}"),),), ((RewriteStep("/none(/.*)", "{0}"),),)
)
"""Rules of which nobody can say what lies below a directory but by going forth from every file."""


def removal(*paths: str, id: str = "removal of directories", at: str = "A", **more: Any) -> c.RequestDeletion:
    """Ask for the removal of directories."""
    directories = tuple(EmptyDirectory(path, 7) for path in paths)
    return c.RequestDeletion(DeletionRequest(id, at, directories=directories, **more))


class DirectoryRules(StoreHooks):
    """The check that every removal of a directory passes."""

    def check_directory_stays(self, path: str, reason: str, *, at: str = "A") -> None:
        """Check that ``path`` may not go, neither by a request nor by a claim, and that the reason is told."""
        error = self.refused(Conflict, removal("/entirely/empty", path, at=at), says=reason)
        assert error.rows == (path,)
        error = self.refused(Conflict, require=[need.StillNeedless(at, (path, "/entirely/empty"))], says=reason)
        assert error.rows == (path,)

    def check_directories_go(self, *paths: str, at: str = "A") -> None:
        """Check that ``paths`` may go."""
        self.commit(require=[need.StillNeedless(at, paths)])
        id = f"removal at {self.store.head().position}"
        self.commit(removal(*paths, at=at, id=id))
        self.commit(c.CloseRequest(id, RequestState.CANCELLED))

    def test_of_directories_what_nobody_knows_may_go(self) -> None:
        self.begin()
        asked = removal("/empty/below", "/empty", reason="found by a check").request
        asked = replace(asked, orphans=(Orphan("/dark", 1, 2),))
        self.commit(c.RequestDeletion(asked))
        assert self.view().deletion_requests() == [replace(asked, created_us=START_US)]
        assert self.view().request(asked.id) == replace(asked, created_us=START_US)
        self.commit(require=[need.StillNeedless("A", ("/empty/below", "/empty"))])
        self.refused(UnknownName, require=[need.StillNeedless("none", ("/empty",))])

    def test_nobody_has_asked_for_other_removals(self) -> None:
        self.begin()
        self.copied()
        self.commit(require=[need.NoOtherRemovals("A", ())])
        self.commit(removal("/empty"), deletion_request("/dark"), replica_deletion())
        known = ("removal of directories", "deletion")
        self.commit(require=[need.NoOtherRemovals("A", known), need.NoOtherRemovals("B", ())])
        for seen, other in ((known[:1], "deletion"), (known[1:], "removal of directories")):
            error = self.refused(Conflict, require=[need.NoOtherRemovals("A", seen)], says="meanwhile")
            assert error.rows == (other,)
        self.commit(*(c.CloseRequest(id, RequestState.CANCELLED) for id in known))
        self.commit(require=[need.NoOtherRemovals("A", ())])
        self.refused(UnknownName, require=[need.NoOtherRemovals("none", ())])

    def test_of_directories_a_request_says_once_what_a_path_is(self) -> None:
        self.begin()
        both = replace(deletion_request("/dark", "/empty").request, directories=(EmptyDirectory("/empty"),))
        self.refused(BadInput, c.RequestDeletion(both), says="a file and a directory")
        mixed = replace(removal("/empty").request, dataset=DATA)
        self.refused(BadInput, c.RequestDeletion(mixed), says="of orphans and of replicas")

    def test_of_directories_where_files_are_held_or_awaited_it_stays(self) -> None:
        self.begin()
        for path in ("/data/one", "/data"):
            self.check_directory_stays(path, "has a replica here")
            self.check_directories_go(path, "/data/one/below", at="B")
        self.check_directories_go("/data/one/below", "/data/on", "/data/one2", "/dat")
        self.commit(copy_request())
        self.check_directory_stays("/data", "has a replica here", at="B")
        self.commit(c.CloseRequest("copy", RequestState.CANCELLED))
        self.check_directories_go("/data", at="B")

    def test_of_directories_where_files_are_gone_and_not_given_up_it_stays(self) -> None:
        self.begin()
        self.copied()
        self.commit(c.FilesGone(BLOCK, "B", (0, 1, 2, 3), Evidence.STATED))
        self.check_directory_stays("/data/one", "has a replica here", at="B")

    def test_of_directories_what_all_files_lie_in_stays(self) -> None:
        self.begin()
        self.commit(c.PutSite(site("X", rules=PfnRules.prefix("/data", "/pool/data"))))
        for path in ("/pool", "/pool/data"):
            self.check_directory_stays(path, "all files of the site", at="X")
        self.check_directories_go("/pool/data/one", "/pool/dat", "/elsewhere", at="X")

    @pytest.mark.parametrize("path", ["empty", "", "/a//b", "/a/..", "/a/", "//data"])
    @pytest.mark.parametrize("place", ["A", "X"])
    def test_of_directories_a_path_that_is_not_plain_stays(self, path: str, place: str) -> None:
        self.begin()
        self.commit(c.PutSite(site("X", rules=PfnRules.prefix("/data", "/only/here"))))
        self.check_directory_stays(path, "not a plain path", at=place)

    @pytest.mark.parametrize("place", ["A", "X"])
    def test_of_directories_the_root_stays(self, place: str) -> None:
        self.begin()
        self.commit(c.PutSite(site("X", rules=SWAPPED)))
        self.refused(Conflict, removal("/", at=place))

    def test_of_directories_rules_lead_to_the_files(self) -> None:
        self.begin()
        self.commit(c.PutSite(site("X", rules=PfnRules.prefix("/data", "/pool"))))
        self.commit(copy_request(to="X"))
        self.check_directory_stays("/pool/one", "has a replica here", at="X")
        self.check_directories_go("/pool/two", "/data/one", at="X")
        self.commit(c.PutSite(site("Y", rules=PfnRules.prefix("/data/one", ""))))
        self.commit(copy_request("another", to="Y"))
        self.check_directories_go("/data/one", "/data", at="Y")
        self.commit(c.RegisterFiles(BLOCK, 4, files(1, directory="/data/one/deep/er")))
        self.check_directory_stays("/deep", "has a replica here", at="Y")
        self.check_directories_go("/data", at="Y")

    def test_of_directories_rules_that_are_no_prefix_are_gone_forth_by(self) -> None:
        self.begin()
        self.commit(c.PutSite(site("X", rules=SWAPPED)))
        self.check_directories_go("/pool/one", at="X")
        self.commit(copy_request(to="X"))
        for path in ("/pool/one", "/pool/one/data"):
            self.check_directory_stays(path, "has a replica here", at="X")
        self.check_directories_go("/pool/two", "/data/one", at="X")
        self.commit(c.PutLock(Lock("l", "me", lfn="/data/two/x")))
        self.check_directory_stays("/pool/two", "locked by me", at="X")

    @pytest.mark.parametrize(
        "lock",
        [
            Lock("l", "me", DATA),
            Lock("l", "me", DATA, block="block"),
            Lock("l", "me", lfn="/data/one/file9"),
            Lock("l", "me", DATA, sites="[A-B]", groups="none"),
        ],
        ids=["dataset", "block", "file", "sites"],
    )
    @pytest.mark.parametrize("rules", [PfnRules(), SWAPPED], ids=["plain", "swapped"])
    def test_of_directories_what_is_locked_stays(self, lock: Lock, rules: PfnRules) -> None:
        self.begin()
        lock = replace(lock, sites="*")
        self.commit(c.PutSite(site("B", rules=rules)))
        place = "/pool/one" if rules.chains else "/data/one"
        self.check_directories_go(place, at="B")
        self.commit(c.PutLock(lock))
        self.check_directory_stays(place, "locked by me", at="B")
        self.check_directories_go("/data/two", f"{place}2", at="B")
        self.commit(c.PutLock(replace(lock, sites="A*")))
        self.check_directories_go(place, at="B")
        self.commit(c.PutLock(replace(lock, expires_us=START_US + 10)))
        self.check_directory_stays(place, "locked by me", at="B")
        self.clock.now_us += 10
        self.check_directories_go(place, at="B")

    def test_of_directories_another_block_that_is_not_locked_locks_nothing(self) -> None:
        self.begin()
        self.commit(c.RegisterFiles(BlockKey(DATA, "other"), 0, files(1, directory="/data/two"), site="A"))
        self.commit(c.PutLock(Lock("l", "me", DATA, block="other")))
        self.check_directories_go("/data/one", at="B")
        self.check_directory_stays("/data", "locked by me", at="B")

    def test_of_directories_where_a_dataset_is_being_published_it_stays(self) -> None:
        self.begin()
        self.stage()
        for path in ("/staged", "/staged/below"):
            self.check_directory_stays(path, "being published")
            self.check_directories_go(path, at="B")
        self.check_directories_go("/stage", "/staged2")

    def test_of_directories_after_a_restore_nothing_goes_until_a_person_has_spoken(self) -> None:
        self.begin()
        self.store = self.restored(self.store, self.clock)
        self.refused(Conflict, removal("/empty"), says="restored from a backup")
        self.commit(c.ConfirmRestore(self.store.head().epoch))
        self.check_directories_go("/empty")

    def test_of_directories_who_asks_for_files_there_later_is_not_refused(self) -> None:
        self.begin()
        self.commit(removal("/data/one", at="B"))
        self.commit(copy_request())
        error = self.refused(Conflict, require=[need.StillNeedless("B", ("/data/one",))], says="has a replica here")
        assert error.rows == ("/data/one",)

    def test_of_directories_blocks_are_found_by_the_directories_of_their_files(self) -> None:
        self.begin()
        other, deep = BlockKey(DATA, "other"), BlockKey(DATA, "deep")
        self.commit(c.RegisterFiles(other, 0, files(2, directory="/data/onetwo"), site="A"))
        self.commit(c.RegisterFiles(deep, 0, files(1, directory="/data/one/a/b"), site="A"))
        self.commit(c.RegisterFiles(BlockKey(DATA, "top"), 0, files(1, directory="/"), site="A"))
        view, top = self.view(), BlockKey(DATA, "top")
        assert view.blocks_below(["/data/one", "/data/one/a", "/data/one/a/b", "/data", "/", "/data/one"]) == {
            "/data/one": [BLOCK, deep],
            "/data/one/a": [deep],
            "/data/one/a/b": [deep],
            "/data": [BLOCK, deep, other],
            "/": [BLOCK, deep, other, top],
        }
        assert view.blocks_below(["/data/on", "/data/one/file0", "/none"]) == view.blocks_below([]) == {}
        self.commit(c.FilesGone(deep, "A", (0,), Evidence.DECLARED), c.RemoveReplicas("A", (deep,), Evidence.DECLARED))
        self.commit(c.RemoveFiles(deep, (0,)))
        assert self.view().blocks_below(["/data/one", "/data/one/a"]) == {"/data/one": [BLOCK]}


class IntoRules(StoreHooks):
    """Where orphans may be moved."""

    def moving(self, *paths: str, into: str = DAY) -> c.RequestDeletion:
        """Ask that orphans are moved."""
        return deletion_request(*paths, into=into)

    def test_of_moves_a_day_of_the_quarantine_is_kept_with_the_request(self) -> None:
        self.begin()
        asked = self.moving("/dark/1", "/dark/2")
        self.commit(asked)
        assert self.view().request("deletion") == replace(asked.request, created_us=START_US)

    @pytest.mark.parametrize(
        "into",
        [
            "/",
            "/data",
            "/.holdfast-quarantine",
            "/.holdfast-quarantine/",
            "/.holdfast-quarantine/2026-13-01",
            "/.holdfast-quarantine/lost",
            f"{DAY}/",
            f"{DAY}/below",
            f"{DAY}/../../data",
            f"/a{DAY}",
        ],
    )
    def test_of_moves_nothing_is_moved_anywhere_else(self, into: str) -> None:
        self.begin()
        self.refused(BadInput, self.moving("/dark", into=into), says="no day of the quarantine")

    def test_of_moves_only_orphans_are_moved(self) -> None:
        self.begin()
        of_replicas = DeletionRequest("d", "A", dataset=DATA, into=DAY)
        self.refused(BadInput, c.RequestDeletion(of_replicas), says="moves nothing")
        self.refused(BadInput, removal("/empty", into=DAY), says="moves nothing")
        both = replace(self.moving("/dark").request, directories=(EmptyDirectory("/empty"),))
        self.refused(BadInput, c.RequestDeletion(both), says="make two")

    def test_of_moves_what_lies_there_is_deleted_and_not_moved_again(self) -> None:
        self.begin()
        there = f"{DAY}/dark"
        self.refused(BadInput, self.moving("/dark", there), says="in the quarantine already")
        self.commit(deletion_request(there))

    def test_of_moves_what_is_wanted_is_not_moved(self) -> None:
        self.begin()
        error = self.refused(Conflict, self.moving("/dark", "/data/one/file1"), says="has a replica of its block here")
        assert error.rows == ("/data/one/file1",)
