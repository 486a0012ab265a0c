"""ReplicaRules: copies asked for, files that arrive, go and are proved, locks, permissions. Part of StoreSuite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.model import changes as c
from holdfast.model.errors import BadInput, Conflict, InvalidName, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, BlockReplica, Evidence, Lock, Permission, RequestState, SiteStatus
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

HUGE = (2**62,)
"""An ordinal for which no bitmap can be made."""


class RequestRules(StoreHooks):
    """Copies, and how requests end."""

    def test_a_copy_makes_the_replicas_it_will_fill(self) -> None:
        self.begin()
        other, third = BlockKey(DATA, "other"), BlockKey(DATA, "third")
        self.commit(c.RegisterFiles(other, 0, files(2, directory="/other"), site="B"))
        self.commit(c.RegisterFiles(third, 0, files(2, directory="/third"), site="A"))
        self.clock.now_us += 3
        asked = copy_request(blocks=["block", "other"], group="physics", reason="a rule").request
        self.commit(c.RequestCopy(asked))
        assert self.replica("B") == BlockReplica(BLOCK, "B", "physics", held=FileSet(), updated_us=START_US + 3)
        assert self.replica("B", other).is_complete
        assert self.view().replicas(block=third, site="B") == []
        assert self.view().request("copy") == replace(asked, created_us=START_US + 3)
        assert self.view().copy_requests() == [replace(asked, created_us=START_US + 3)]
        assert self.view().deletion_requests() == []

    def test_a_copy_of_nothing_is_refused(self) -> None:
        self.begin()
        self.refused(BadInput, copy_request(blocks=[]), says="nothing")
        self.refused(UnknownName, copy_request(blocks=["block", "none"]), says="no block")
        for ordinals in ((0, 4), (-1,), HUGE):
            self.refused(BadInput, copy_request(ordinals=ordinals), says="ordinal")
        self.commit(copy_request(ordinals=(0, 3)))
        assert self.view().copy_requests()[0].scope == (BlockFiles("block", (0, 3)),)

    def test_a_copy_needs_a_dataset_a_site_and_a_group_that_are_there(self) -> None:
        self.begin()
        self.stage(1)
        self.refused(UnknownName, copy_request(dataset=DatasetKey("/none")))
        self.refused(Conflict, copy_request(dataset=STAGED), says="still being published")
        self.refused(UnknownName, copy_request(to="none"))
        self.refused(UnknownName, copy_request(group="none"))
        for status in (SiteStatus.MORGUE, SiteStatus.UNKNOWN):
            self.commit(c.PutSite(site("B", status=status)))
            self.refused(Conflict, copy_request(), says=status.value)
        self.commit(c.PutSite(site("B", status=SiteStatus.WAITROOM)))
        self.commit(copy_request())

    def test_a_copy_to_paths_that_are_being_deleted_is_refused(self) -> None:
        self.begin()
        self.copied()
        self.commit(deletion_request("/data/one/file1", at="C"))
        self.refused(Conflict, copy_request(to="C"), says="being deleted")
        self.refused(Conflict, copy_request(to="C", ordinals=(0, 1)), says="being deleted")
        self.commit(copy_request(to="C", ordinals=(0, 2)))

    def test_a_request_has_an_id_of_its_own(self) -> None:
        self.begin()
        for bad in ("", "two\nlines"):
            self.refused(InvalidName, copy_request(bad), says="id")
            self.refused(InvalidName, deletion_request("/dark", id=bad), says="id")
        self.refused(BadInput, copy_request(state=RequestState.DONE), says="already done")
        self.refused(BadInput, deletion_request("/dark", state=RequestState.DONE), says="already done")
        self.commit(copy_request("one"), deletion_request("/dark", id="two"))
        self.refused(Conflict, copy_request("two"), says="already a request")
        self.refused(Conflict, deletion_request("/dark", id="one"), says="already a request")
        self.commit(c.CloseRequest("one", RequestState.DONE))
        self.refused(Conflict, copy_request("one"), says="already a request")

    @pytest.mark.parametrize("state", [RequestState.DONE, RequestState.FAILED, RequestState.CANCELLED])
    def test_a_request_is_closed_once(self, state: RequestState) -> None:
        self.begin()
        self.commit(copy_request("copy"), deletion_request("/dark", id="deletion"))
        for id in ("copy", "deletion"):
            before = self.view().request(id)
            assert before is not None
            self.commit(c.CloseRequest(id, state, "as it went"))
            assert self.view().request(id) == replace(before, state=state, detail="as it went")
            self.alters_nothing(c.CloseRequest(id, state, "told again"))
            other = next(each for each in RequestState if each not in (state, RequestState.OPEN))
            self.refused(Conflict, c.CloseRequest(id, other), says=f"already {state.value}")
        assert (self.view().copy_requests(), self.view().deletion_requests()) == ([], [])
        assert len(self.view().copy_requests(only_open=False)) == 1
        assert len(self.view().deletion_requests(only_open=False)) == 1

    def test_a_request_is_not_closed_as_open(self) -> None:
        self.begin()
        self.commit(copy_request())
        self.refused(BadInput, c.CloseRequest("copy", RequestState.OPEN))
        self.refused(UnknownName, c.CloseRequest("none", RequestState.DONE))


class ReplicaRules(StoreHooks):
    """What is where."""

    def test_files_arrive(self) -> None:
        self.begin()
        self.commit(copy_request())
        self.clock.now_us += 1
        self.commit(c.FilesArrived(BLOCK, "B", (1, 3), verified_us=700))
        expected = BlockReplica(
            BLOCK, "B", held=FileSet.of([1, 3]), n_files=2, size=24, verified_us=700, updated_us=START_US + 1
        )
        assert self.replica("B") == expected
        self.commit(c.FilesArrived(BLOCK, "B", None, verified_us=600))
        assert self.replica("B") == replace(expected, held=None, n_files=4, size=46, verified_us=600)

    def test_a_replica_with_all_files_is_complete(self) -> None:
        self.begin()
        self.commit(copy_request())
        for ordinal in (2, 0, 3, 1):
            assert not self.replica("B").is_complete
            self.commit(c.FilesArrived(BLOCK, "B", (ordinal,), verified_us=700))
        assert self.replica("B").held is None

    def test_files_that_arrive_again_alter_nothing(self) -> None:
        self.begin()
        self.commit(copy_request())
        self.commit(c.FilesArrived(BLOCK, "B", (1, 3), verified_us=700))
        self.clock.now_us += 5
        for ordinals in ((1, 3), (3,), (3, 3), ()):
            self.alters_nothing(c.FilesArrived(BLOCK, "B", ordinals, verified_us=900))
        self.alters_nothing(c.FilesArrived(BLOCK, "A", None, verified_us=900))

    def test_an_unproved_replica_stays_unproved_when_files_arrive(self) -> None:
        self.begin()
        other = BlockKey(DATA, "other")
        self.commit(c.RegisterFiles(other, 0, files(1, directory="/other"), site="A"))
        self.commit(c.RegisterFiles(other, 1, files(1, directory="/other", first=1), site="B"))
        self.commit(c.FilesArrived(other, "A", (1,), verified_us=700))
        assert self.replica("A", other).is_complete
        assert self.replica("A", other).verified_us is None

    def test_files_arrive_where_they_were_asked_for(self) -> None:
        self.begin()
        self.refused(Conflict, c.FilesArrived(BLOCK, "B", None, 1), says="no replica at B")
        self.refused(UnknownName, c.FilesArrived(BLOCK, "none", None, 1))
        self.refused(UnknownName, c.FilesArrived(BlockKey(DATA, "none"), "A", None, 1))
        self.refused(UnknownName, c.FilesArrived(BlockKey(DatasetKey("/none"), "block"), "A", None, 1))
        for ordinals in ((4,), (-1,), HUGE):
            self.refused(BadInput, c.FilesArrived(BLOCK, "A", ordinals, 1), says="ordinal")
        for verified_us in (-1, 2**63):
            self.refused(BadInput, c.FilesArrived(BLOCK, "A", None, verified_us), says="time")

    def test_files_go(self) -> None:
        self.begin()
        self.copied()
        self.clock.now_us += 9
        before = self.replica("A")
        self.commit(c.FilesGone(BLOCK, "A", (0, 2), Evidence.STATED))
        expected = replace(before, held=FileSet.of([1, 3]), n_files=2, size=24, updated_us=START_US + 9)
        assert self.replica("A") == expected
        self.clock.now_us += 9
        self.alters_nothing(c.FilesGone(BLOCK, "A", (0, 2), Evidence.STATED))
        self.commit(c.FilesGone(BLOCK, "A", (0, 1, 3), Evidence.STATED))
        empty = replace(expected, held=FileSet(), n_files=0, size=0, verified_us=None, updated_us=START_US + 18)
        assert self.replica("A") == empty

    def test_hearsay_is_not_evidence(self) -> None:
        self.begin()
        self.copied()
        self.refused(Conflict, c.FilesGone(BLOCK, "A", (0,), Evidence.HEARD), says="hearsay")

    def test_only_a_person_takes_the_last_copy(self) -> None:
        self.begin()
        error = self.refused(Conflict, c.FilesGone(BLOCK, "A", (1, 3), Evidence.STATED), says="last known copy")
        assert error.rows == ("/data/one/file1", "/data/one/file3")
        self.commit(copy_request())
        self.refused(Conflict, c.FilesGone(BLOCK, "A", (1,), Evidence.STATED), says="last known copy")
        self.commit(c.FilesArrived(BLOCK, "B", (1,), verified_us=1))
        self.commit(c.FilesGone(BLOCK, "A", (1,), Evidence.STATED))
        self.refused(Conflict, c.FilesGone(BLOCK, "B", (1,), Evidence.STATED), says="last known copy")
        self.commit(c.FilesGone(BLOCK, "A", (0, 1, 2, 3), Evidence.DECLARED))
        assert self.replica("A").held == FileSet()

    def test_two_changes_do_not_take_the_last_copy_together(self) -> None:
        self.begin()
        self.copied()
        gone = [c.FilesGone(BLOCK, place, (1,), Evidence.STATED) for place in "AB"]
        self.refused(Conflict, *gone, says="last known copy")

    def test_files_go_only_where_they_may_be(self) -> None:
        self.begin()
        for evidence in (Evidence.STATED, Evidence.DECLARED):
            self.refused(Conflict, c.FilesGone(BLOCK, "B", (0,), evidence), says="no replica at B")
            self.refused(UnknownName, c.FilesGone(BLOCK, "none", (0,), evidence))
            self.refused(UnknownName, c.FilesGone(BlockKey(DATA, "none"), "A", (0,), evidence))
            for ordinals in ((4,), (-1,), HUGE):
                self.refused(BadInput, c.FilesGone(BLOCK, "A", ordinals, evidence), says="ordinal")

    def test_replicas_are_proved(self) -> None:
        self.begin()
        self.copied()
        before = self.replica("A")
        self.commit(c.FilesVerified("A", (BLOCK,), verified_us=PROVED_US + 10))
        assert self.replica("A") == replace(before, verified_us=PROVED_US + 10)
        assert self.replica("B").verified_us == PROVED_US
        self.alters_nothing(c.FilesVerified("A", (BLOCK,), verified_us=PROVED_US + 10))

    def test_a_proof_that_comes_late_alters_nothing(self) -> None:
        self.begin()
        self.commit(c.FilesVerified("A", (BLOCK,), verified_us=PROVED_US + 10))
        self.alters_nothing(c.FilesVerified("A", (BLOCK,), verified_us=PROVED_US + 5))

    def test_a_replica_without_files_cannot_be_proved(self) -> None:
        self.begin()
        self.commit(copy_request())
        self.alters_nothing(c.FilesVerified("B", (BLOCK,), verified_us=PROVED_US))
        assert self.replica("B").verified_us is None

    def test_only_replicas_that_are_there_are_proved(self) -> None:
        self.begin()
        self.refused(Conflict, c.FilesVerified("B", (BLOCK,), 1), says="no replica at B")
        self.refused(UnknownName, c.FilesVerified("none", (BLOCK,), 1))
        self.refused(UnknownName, c.FilesVerified("none", (), 1))
        self.refused(UnknownName, c.FilesVerified("A", (BLOCK, BlockKey(DATA, "none")), 1))
        self.refused(BadInput, c.FilesVerified("A", (BLOCK,), -1), says="time")


class LockRules(StoreHooks):
    """Locks and permissions."""

    def test_locks_are_put_replaced_and_lifted(self) -> None:
        self.begin()
        locks = [
            Lock("a", "me", DATA, reason="why", sites="T2_*", groups="?", expires_us=5),
            Lock("b", "you", DATA, block="block"),
            Lock("c", "they", lfn="/not/registered"),
        ]
        self.commit(*(c.PutLock(lock) for lock in reversed(locks)))
        assert self.view().locks() == locks
        self.commit(c.PutLock(replace(locks[0], owner="another")), c.RemoveLock("b"))
        assert self.view().locks() == [replace(locks[0], owner="another"), locks[2]]
        self.refused(UnknownName, c.RemoveLock("b"))

    @pytest.mark.parametrize(
        "bad",
        [
            Lock("a", "me"),
            Lock("a", "me", block="block"),
            Lock("a", "me", DATA, lfn="/a"),
        ],
        ids=repr,
    )
    def test_a_lock_without_a_clear_item_is_refused(self, bad: Lock) -> None:
        self.begin()
        self.refused(BadInput, c.PutLock(bad))

    @pytest.mark.parametrize("bad", ["", "two\nlines", "x" * 256])
    def test_a_lock_has_an_id_and_an_owner_of_one_line(self, bad: str) -> None:
        self.begin()
        self.refused(InvalidName, c.PutLock(Lock(bad, "me", DATA)))
        self.refused(InvalidName, c.PutLock(Lock("a", bad, DATA)))

    def test_what_is_locked_is_there(self) -> None:
        self.begin()
        self.refused(InvalidName, c.PutLock(Lock("a", "me", lfn="not/absolute")))
        self.refused(UnknownName, c.PutLock(Lock("a", "me", DatasetKey("/none"))))
        self.refused(UnknownName, c.PutLock(Lock("a", "me", DATA, block="none")))

    def test_permissions_are_set_and_replaced(self) -> None:
        self.begin()
        items = [
            Permission("/data", "", "root", "physics", 0o755),
            Permission("/data/one", "", "me", "physics", 0o2775, "user::rwx"),
            Permission("/data/one", "file1", "me", "physics", 0o640),
        ]
        self.commit(c.SetPermissions(tuple(reversed(items))))
        assert self.view().permissions() == items
        changed = replace(items[1], mode=0, acl="")
        self.commit(c.SetPermissions((changed,)))
        assert self.view().permissions() == [items[0], changed, items[2]]

    def test_permissions_that_cannot_be_are_refused(self) -> None:
        self.begin()
        good = Permission("/data", "", "me", "us", 0o755)
        self.refused(BadInput, c.SetPermissions(()), says="nothing")
        for mode in (-1, 0o10000):
            self.refused(BadInput, c.SetPermissions((good, replace(good, mode=mode))), says="not a mode")
        self.refused(InvalidName, c.SetPermissions((good, replace(good, dir="data"))))
        self.refused(UnknownName, c.SetPermissions((good, replace(good, name="none"))), says="/data/none")
