"""DeletionRules: what may be deleted, and the requirements of a change set. Part of StoreSuite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import BadInput, Conflict, UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import (
    BlockFiles,
    Dataset,
    Door,
    Evidence,
    Group,
    Lock,
    Orphan,
    RequestState,
    Site,
    SiteStatus,
    Staging,
)
from holdfast.testing.store_hooks import (
    BLOCK,
    DATA,
    PROVED_US,
    STAGED,
    START_US,
    StoreHooks,
    copy_request,
    deletion_request,
    files,
    site,
)

KNOWN = "/data/one/file1"
UPPER = PfnRules(((RewriteStep("(/data/.*)", "/x{0}"),),))
"""Rules that cannot be gone back."""


class DeletionRules(StoreHooks):
    """The check that every deletion passes."""

    def check_stays(self, path: str, reason: str, *, at: str = "A") -> None:
        """Check that ``path`` may not go, neither by a request nor by a claim, and that the reason is told."""
        innocent = "/entirely/dark"
        error = self.refused(Conflict, deletion_request(innocent, path, at=at), says=reason)
        assert error.rows == (path,)
        error = self.refused(Conflict, require=[need.StillOrphans(at, (path, innocent))], says=reason)
        assert error.rows == (path,)

    def check_goes(self, path: str, *, at: str = "A") -> None:
        """Check that ``path`` may go."""
        self.commit(require=[need.StillOrphans(at, (path,))])
        id = f"deletion at {self.store.head().position}"
        self.commit(deletion_request(path, at=at, id=id))
        self.commit(c.CloseRequest(id, RequestState.CANCELLED))

    def test_what_nobody_knows_may_go(self) -> None:
        self.begin()
        asked = deletion_request("/dark/1", "/dark/2", reason="found by a check").request
        asked = replace(asked, orphans=(*asked.orphans, Orphan("/dark/3", 2**40, 2**60, "version")))
        self.commit(c.RequestDeletion(asked))
        assert self.view().deletion_requests() == [replace(asked, created_us=START_US)]
        assert self.view().request("deletion") == replace(asked, created_us=START_US)
        self.commit(require=[need.StillOrphans("A", tuple(each.path for each in asked.orphans), request="deletion")])

    def test_a_deletion_of_nothing_is_refused(self) -> None:
        self.begin()
        self.refused(BadInput, deletion_request(), says="nothing")
        self.refused(UnknownName, deletion_request("/dark", at="none"))
        self.refused(UnknownName, require=[need.StillOrphans("none", ("/dark",))])

    def test_a_file_that_is_known_here_stays(self) -> None:
        self.begin()
        self.copied()
        self.check_stays(KNOWN, "has a replica of its block here", at="B")

    def test_a_file_that_is_awaited_here_stays(self) -> None:
        self.begin()
        self.commit(copy_request())
        self.check_stays(KNOWN, "has a replica of its block here", at="B")

    def test_a_file_that_is_gone_from_here_stays_while_it_is_awaited(self) -> None:
        self.begin()
        self.copied()
        self.commit(c.FilesGone(BLOCK, "B", (0, 1, 2, 3), Evidence.STATED))
        self.check_stays(KNOWN, "has a replica of its block here", at="B")

    def test_a_file_that_is_whole_elsewhere_may_go(self) -> None:
        self.begin()
        self.check_goes(KNOWN, at="B")

    def test_the_last_copy_stays(self) -> None:
        self.begin()
        self.commit(c.FilesGone(BLOCK, "A", (1,), Evidence.DECLARED))
        self.check_stays(KNOWN, "last copy", at="B")
        self.check_goes("/data/one/file2", at="B")
        self.commit(copy_request(to="C"))
        self.check_stays(KNOWN, "last copy", at="B")
        self.commit(c.FilesArrived(BLOCK, "C", (1,), PROVED_US))
        self.check_goes(KNOWN, at="B")

    def test_only_copies_at_ready_sites_count(self) -> None:
        self.begin()
        for status in set(SiteStatus) - {SiteStatus.READY}:
            self.commit(c.PutSite(site("A", status=status)))
            self.check_stays(KNOWN, "last copy", at="B")
        self.copied("C")
        self.check_goes(KNOWN, at="B")

    def test_as_many_others_have_it_as_its_dataset_requires(self) -> None:
        self.begin()
        self.commit(c.UpdateDataset(DATA, required_copies=2))
        self.check_stays(KNOWN, "1 of 2 copies that are required", at="B")
        self.copied("C")
        self.check_goes(KNOWN, at="B")
        self.commit(c.FilesGone(BLOCK, "C", (1,), Evidence.DECLARED))
        self.check_stays(KNOWN, "1 of 2 copies", at="B")
        self.check_goes("/data/one/file2", at="B")

    def test_what_is_being_published_stays(self) -> None:
        self.begin()
        self.stage()
        self.check_stays("/staged/new", "being published")
        self.check_stays("/staged/below/new", "being published")
        self.check_goes("/staged/new", at="B")
        self.check_goes("/staged2/new")
        self.commit(c.AbandonStaged(STAGED))
        self.check_goes("/staged/new")

    @pytest.mark.parametrize(
        "path", ["dark", "", "/", "/a//b", "/a/./b", "/a/../data/one/file1", "/a/..", "/a/", "//data/one/file1"]
    )
    @pytest.mark.parametrize("place", ["A", "X"])
    def test_a_path_that_is_not_plain_stays(self, path: str, place: str) -> None:
        self.begin()
        self.commit(c.PutSite(site("X", rules=PfnRules.prefix("/data", "/only/here"))))
        self.check_stays(path, "not a plain path", at=place)

    def test_a_name_that_no_file_can_have_stays(self) -> None:
        self.begin()
        self.check_stays("/dark/new\nline", "do not tell")

    def test_rules_that_do_not_tell_the_file_stop_all(self) -> None:
        self.begin()
        self.commit(c.PutSite(site("X", rules=UPPER)))
        for path in ("/x/data/one/file1", "/y/dark"):
            error = self.refused(Conflict, deletion_request(path, at="X"), says="do not tell")
            assert error.rows == (path,)

    def test_rules_that_give_two_files_one_path_protect_both(self) -> None:
        self.begin()
        flat = PfnRules(((RewriteStep("/data/[a-z]*(/.*)", "/x{0}"),),), ((RewriteStep("/x(/.*)", "/data/none{0}"),),))
        self.commit(c.PutSite(site("X", rules=flat)))
        self.commit(copy_request(to="X"))
        self.check_stays("/x/file1", "/data/one/file1 goes by that path", at="X")
        self.check_goes("/x/dark", at="X")

    def test_two_files_at_one_path_are_refused(self) -> None:
        self.begin()
        flat = PfnRules(((RewriteStep("/data/.*", "/x/same"),),))
        self.commit(c.PutSite(site("X", rules=flat)))
        error = self.refused(Conflict, copy_request(to="X"), says="the same path /x/same")
        assert len(error.rows) == 2
        part = replace(copy_request(to="X").request, scope=(BlockFiles("block", (1,)),))
        self.commit(c.RequestCopy(part))
        other = replace(part, id="other", scope=(BlockFiles("block", (2,)),))
        self.refused(Conflict, c.RequestCopy(other), says="the same path /x/same")

    @pytest.mark.parametrize("root", ["/A", "/A/", "/", "/A/below", "file:///A", "//A/./"])
    def test_the_roots_of_two_sites_do_not_overlap(self, root: str) -> None:
        self.begin()
        self.commit(c.PutSite(Site("A", (Door("posix", "/A"),))))
        inside = Site("X", (Door("posix", root),))
        assert self.refused(Conflict, c.PutSite(inside), says="in one another").rows == ("A",)
        self.commit(c.PutSite(Site("X", (Door("posix", "/AB"),))))
        self.commit(c.PutSite(Site("Y", (Door("other", "/A"),))))

    def test_one_storage_is_one_site_whichever_protocol_is_spoken(self) -> None:
        self.begin()
        self.commit(c.PutSite(Site("A", (Door("xroot", "root://a.example//store"),))))
        same = Door("davs", "davs://A.example:1094/store/below")
        self.refused(Conflict, c.PutSite(Site("X", (Door("posix", "/X"), same))), says="in one another")

    def test_a_directory_with_open_deletions_is_not_published(self) -> None:
        self.begin()
        self.commit(deletion_request("/staged/below/dark", at="A"))
        dataset = Dataset(DatasetKey("new"), staging=Staging("A", "/staged"))
        self.refused(Conflict, c.CreateDataset(dataset), says="is being deleted")
        self.commit(c.CreateDataset(replace(dataset, staging=Staging("A", "/staged/bel"))))
        self.commit(c.CloseRequest("deletion", RequestState.DONE), c.AbandonStaged(dataset.key))
        self.commit(c.CreateDataset(dataset))

    def test_after_a_restore_nothing_goes_until_a_person_has_spoken(self) -> None:
        self.begin()
        self.refused(BadInput, c.ConfirmRestore(self.store.head().epoch), says="nothing was restored")
        self.store = self.restored(self.store, self.clock)
        self.check_stays_all("/dark", "restored from a backup")
        self.refused(Conflict, c.ConfirmRestore("another"), says="not the present one")
        self.commit(c.ConfirmRestore(self.store.head().epoch))
        self.check_goes("/dark")
        self.commit(c.ConfirmRestore(self.store.head().epoch))

    def check_stays_all(self, path: str, reason: str) -> None:
        """Check that ``path`` and whatever is asked with it may not go."""
        self.refused(Conflict, deletion_request(path), says=reason)
        self.refused(Conflict, require=[need.StillOrphans("A", (path,))], says=reason)

    def test_a_lock_counts_by_the_clock_and_not_by_the_time_of_the_journal(self) -> None:
        self.begin()
        self.clock.now_us += 1_000_000
        self.commit(c.PutGroup(Group("ahead")))
        self.clock.now_us -= 1_000_000
        self.commit(c.PutLock(Lock("l", "me", DATA, expires_us=START_US + 10)))
        self.check_stays(KNOWN, "locked by me", at="B")

    def test_doors_stay_while_something_is_being_deleted_behind_them(self) -> None:
        self.begin()
        self.commit(deletion_request("/dark", at="A"))
        moved = site("A", rules=PfnRules.prefix("/data", "/elsewhere"))
        assert self.refused(Conflict, c.PutSite(moved), says="first door cannot change").rows == ("deletion",)
        present = self.view().site("A")
        further = replace(present.first_door, root="/further")
        self.commit(c.PutSite(replace(present, status=SiteStatus.WAITROOM, doors=(*present.doors, further))))
        self.commit(c.CloseRequest("deletion", RequestState.DONE))
        self.commit(c.PutSite(moved))

    def test_rules_lead_from_the_path_to_the_file(self) -> None:
        self.begin()
        self.commit(c.PutSite(site("X", rules=PfnRules.prefix("/data", "/x"))))
        self.commit(copy_request(to="X"))
        self.check_stays("/x/one/file1", "has a replica of its block here", at="X")
        self.check_goes("/x/one/dark", at="X")
        self.check_goes("/data/one/file1", at="X")

    @pytest.mark.parametrize(
        "lock",
        [
            Lock("l", "me", DATA),
            Lock("l", "me", DATA, "block"),
            Lock("l", "me", lfn=KNOWN),
            Lock("l", "me", DATA, sites="B"),
            Lock("l", "me", DATA, groups="physics"),
            Lock("l", "me", DATA, groups="phys*"),
            Lock("l", "me", DATA, expires_us=START_US + 1),
        ],
        ids=repr,
    )
    def test_a_locked_file_stays(self, lock: Lock) -> None:
        self.begin()
        self.commit(c.PutLock(lock))
        self.check_stays(KNOWN, "locked by me (l)", at="B")
        self.commit(c.RemoveLock("l"))
        self.check_goes(KNOWN, at="B")

    @pytest.mark.parametrize(
        "lock",
        [
            Lock("l", "me", lfn="/data/one/file2"),
            Lock("l", "me", DATA, sites="A"),
            Lock("l", "me", DATA, expires_us=START_US),
        ],
        ids=repr,
    )
    def test_a_lock_on_something_else_holds_nothing(self, lock: Lock) -> None:
        self.begin()
        self.commit(c.PutLock(lock))
        self.check_goes(KNOWN, at="B")

    def test_a_locked_path_stays_even_if_nobody_knows_it(self) -> None:
        self.begin()
        self.commit(c.PutLock(Lock("l", "me", lfn="/dark")))
        self.check_stays("/dark", "locked by me")

    def test_all_paths_that_stay_are_named_in_their_order(self) -> None:
        self.begin()
        paths = ["/data/one/file3", "/dark", "/data/one/file0"]
        error = self.refused(Conflict, deletion_request(*paths), says="and 1 more")
        assert error.rows == ("/data/one/file3", "/data/one/file0")

    def test_an_orphan_may_be_known_again_when_it_is_claimed(self) -> None:
        self.begin()
        self.commit(deletion_request("/dark", KNOWN, at="B"))
        claim = need.StillOrphans("B", ("/dark", KNOWN), request="deletion")
        self.commit(require=[claim])
        self.commit(c.PutLock(Lock("l", "me", DATA)))
        error = self.refused(Conflict, require=[claim])
        assert error.rows == (KNOWN,)


class RequirementRules(StoreHooks):
    """What a change set may require."""

    def check_holds(self, requirement: need.Requirement) -> None:
        """Check that a change set with the requirement is accepted."""
        self.commit(c.PutGroup(Group("any")), require=[requirement])

    def check_fails(self, requirement: need.Requirement, *, says: str = "") -> Conflict:
        """Check that a change set with the requirement is refused."""
        return self.refused(Conflict, c.PutGroup(Group("any")), require=[requirement], says=says)

    def test_requirements_know_a_history_that_was_replaced(self) -> None:
        self.begin()
        before = self.store.head()
        self.store = self.restored(self.store, self.clock)
        self.check_holds(need.DatasetUnchanged(DATA, before.position, self.store.head().epoch))
        for requirement in (
            need.DatasetUnchanged(DATA, before.position, before.epoch),
            need.DatasetUnchanged(DATA, before.position, "nonsense"),
            need.DatasetUnchanged(DATA, before.position + 1, before.epoch),
            need.SiteUnchanged("A", before.position + 1, before.epoch),
            need.DatasetUnchanged(DATA, before.position + 100),
        ):
            self.check_fails(requirement, says="not on this history")

    def test_dataset_unchanged(self) -> None:
        self.begin()
        position = self.store.head().position
        self.check_holds(need.DatasetUnchanged(DATA, position))
        self.check_holds(need.DatasetUnchanged(DatasetKey("/none"), 0))
        error = self.check_fails(need.DatasetUnchanged(DATA, position - 1), says="has changed")
        assert error.rows == (str(DATA),)
        touching: list[c.Change] = [
            c.UpdateDataset(DATA),
            copy_request(),
            c.FilesArrived(BLOCK, "B", (), 1),
            c.FilesGone(BLOCK, "B", (), Evidence.STATED),
            c.FilesVerified("A", (BLOCK,), 1),
            c.CloseRequest("copy", RequestState.DONE),
            c.BlocksArrived("B", (BLOCK,)),
            c.AssignReplicas("B", (BLOCK,), ""),
            c.RemoveReplicas("B", (BLOCK,), Evidence.DECLARED),
            c.RegisterFiles(BLOCK, 4, files(2, first=4)),
            c.RenameFiles(BLOCK, (5,), ("/new",), (0,), ("name",)),
            c.RemoveFiles(BLOCK, (4,)),
        ]
        for change in touching:
            position = self.store.head().position
            self.commit(change)
            self.check_fails(need.DatasetUnchanged(DATA, position))
            self.check_holds(need.DatasetUnchanged(DATA, position + 1))

    def test_still_there(self) -> None:
        self.begin()
        self.check_holds(need.StillThere(()))
        self.check_holds(need.StillThere(("/data/one/file3", "/data/one/file0")))
        error = self.check_fails(need.StillThere(("/none", "/data/one/file0", "/no")), says="not registered any more")
        assert error.rows == ("/none", "/no")

    def test_replicas_there(self) -> None:
        self.begin()
        self.commit(copy_request())
        self.check_holds(need.ReplicasThere("A", (BLOCK,)))
        self.check_holds(need.ReplicasThere("B", (BLOCK,)))
        error = self.check_fails(need.ReplicasThere("C", (BLOCK,)), says="no replica at C")
        assert error.rows == (str(BLOCK),)
        unknown = need.ReplicasThere("A", (BlockKey(DATA, "none"),))
        self.refused(UnknownName, c.PutGroup(Group("any")), require=[unknown])

    def test_site_unchanged(self) -> None:
        self.begin()
        position = self.store.head().position
        self.check_holds(need.SiteUnchanged("A", position))
        self.check_holds(need.SiteUnchanged("none", 0))
        error = self.check_fails(need.SiteUnchanged("A", position - 1), says="has changed")
        assert error.rows == ("A",)
        touching: list[c.Change] = [
            c.PutSite(site("B")),
            copy_request(),
            c.FilesArrived(BLOCK, "B", (), 1),
            c.CloseRequest("copy", RequestState.DONE),
            deletion_request("/dark", at="B"),
            c.CloseRequest("deletion", RequestState.DONE),
        ]
        for change in touching:
            position = self.store.head().position
            self.commit(change)
            self.check_fails(need.SiteUnchanged("B", position))
            self.check_holds(need.SiteUnchanged("A", position))

    def test_dataset_visible(self) -> None:
        self.begin()
        self.stage(1)
        self.check_holds(need.DatasetVisible(DATA))
        self.check_fails(need.DatasetVisible(STAGED), says="still being published")
        self.refused(UnknownName, require=[need.DatasetVisible(DatasetKey("/none"))])
        self.commit(c.RevealDataset(STAGED, 1, 10))
        self.check_holds(need.DatasetVisible(STAGED))

    @pytest.mark.parametrize("lock", [{"dataset": DATA}, {"dataset": DATA, "block": "block"}, {"lfn": KNOWN}], ids=str)
    def test_not_locked(self, lock: dict[str, object]) -> None:
        self.begin()
        self.stage(1)
        self.check_holds(need.NotLocked(DATA, "A"))
        self.commit(c.PutLock(Lock("l", "me", **lock)))  # type: ignore[arg-type]
        assert self.check_fails(need.NotLocked(DATA, "A"), says="locked by me").rows == ("l",)
        self.check_holds(need.NotLocked(STAGED, "A"))
        self.refused(UnknownName, require=[need.NotLocked(DatasetKey("/none"), "A")])

    def test_not_locked_for_a_site_and_a_group(self) -> None:
        self.begin()
        self.commit(c.PutLock(Lock("l", "me", DATA, sites="T2_*", groups="phys*", expires_us=START_US + 10)))
        self.check_fails(need.NotLocked(DATA, "T2_X", "physics"))
        self.check_holds(need.NotLocked(DATA, "T1_X", "physics"))
        self.check_holds(need.NotLocked(DATA, "T2_X", "admin"))
        self.check_fails(need.NotLocked(DATA), says="locked by me")
        self.clock.now_us += 10
        self.check_holds(need.NotLocked(DATA, "T2_X", "physics"))
        self.check_holds(need.NotLocked(DATA))

    @pytest.mark.parametrize("pattern", ["[a-z]*", "", "A B", "A,B", "A/B"])
    def test_a_pattern_that_no_name_fits_is_refused(self, pattern: str) -> None:
        self.begin()
        self.refused(BadInput, c.PutLock(Lock("l", "me", DATA, sites=pattern)), says="not a pattern")
        self.refused(BadInput, c.PutLock(Lock("l", "me", DATA, groups=pattern)), says="not a pattern")

    def test_request_is_open(self) -> None:
        self.begin()
        self.commit(copy_request())
        self.check_holds(need.RequestIsOpen("copy"))
        self.commit(c.CloseRequest("copy", RequestState.FAILED))
        assert self.check_fails(need.RequestIsOpen("copy"), says="is failed").rows == ("copy",)
        self.refused(UnknownName, require=[need.RequestIsOpen("none")])

    def test_the_same_history(self) -> None:
        self.begin()
        self.check_holds(need.SameHistory(self.store.head().epoch))
        self.check_fails(need.SameHistory("before the restore"), says="not on this history")

    def test_every_requirement_must_hold(self) -> None:
        self.begin()
        good, bad = need.DatasetVisible(DATA), need.SiteUnchanged("A", 0)
        self.refused(Conflict, c.PutGroup(Group("any")), require=[good, bad])
        self.refused(Conflict, c.PutGroup(Group("any")), require=[bad, good])
