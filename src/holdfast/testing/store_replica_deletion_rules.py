"""ReplicaDeletionRules: which files of replicas may be deleted, by request and by claim. Part of StoreSuite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.inventory import deletion
from holdfast.inventory.deletion import Ground, ReplicaObstacle
from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import BadInput, Conflict, InvalidName, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    BlockFiles,
    DeletionRequest,
    Evidence,
    Group,
    Lock,
    Orphan,
    RequestState,
    SiteStatus,
    StorageType,
)
from holdfast.testing.store_hooks import (
    BLOCK,
    DATA,
    PROVED_US,
    STAGED,
    STAGED_BLOCK,
    START_US,
    StoreHooks,
    copy_request,
    deletion_request,
    files,
    replica_deletion,
    site,
)

LFNS = tuple(f"/data/one/file{number}" for number in range(4))
OTHER = BlockKey(DATA, "other")
ALL = (0, 1, 2, 3)


class ReplicaDeletionRules(StoreHooks):
    """The check of files of replicas. A holds BLOCK, and so does B."""

    def begin_held(self) -> None:
        """BLOCK whole at A and B."""
        self.begin()
        self.copied()
        self.commit(c.CloseRequest("copy to B", RequestState.DONE))

    def obstacles(self, ordinals: tuple[int, ...] = ALL, *, at: str = "A") -> list[ReplicaObstacle]:
        """What the check finds."""
        return deletion.replica_obstacles(self.view(), at, BLOCK, FileSet.of(ordinals), now_us=self.clock.now_us)

    def check_stay(self, ordinals: tuple[int, ...], ground: Ground, says: str, *, at: str = "A") -> None:
        """Check that these files of BLOCK must stay, the others may go; asked by request, claim and question."""
        rows = tuple(LFNS[ordinal] for ordinal in ordinals)
        error = self.refused(Conflict, replica_deletion("refused", at=at), says=says)
        assert (error.rows, ground.value in str(error)) == (rows, True)
        assert [each.ground for each in self.obstacles(at=at)] == [ground]
        assert FileSet.of(ordinals) == self.obstacles(at=at)[0].files
        self.check_go(tuple(set(ALL) - set(ordinals)), at=at)

    def check_go(self, ordinals: tuple[int, ...] = ALL, *, at: str = "A") -> None:
        """Check that these files of BLOCK may go; then they are not asked for any more."""
        if ordinals:
            id = f"removal at {self.store.head().position}"
            self.commit(replica_deletion(id, at=at, ordinals=ordinals))
            self.commit(require=[need.StillDeletable(id, BLOCK, ordinals)])
            self.commit(c.CloseRequest(id, RequestState.CANCELLED))
        assert self.obstacles(ordinals, at=at) == []

    def test_what_others_hold_may_go(self) -> None:
        self.begin_held()
        asked = replica_deletion(reason="no room", owner="physics", priority=5).request
        self.commit(c.RequestDeletion(asked))
        assert self.view().deletion_requests() == [replace(asked, created_us=START_US)]
        assert self.view().request("removal") == replace(asked, created_us=START_US)
        assert self.view().deletion_requests(dataset=DATA) == self.view().deletion_requests(site="A")
        assert self.view().deletion_requests(dataset=STAGED) == self.view().deletion_requests(site="B") == []
        assert self.view().changed_since(self.store.head().position - 1) == (frozenset({DATA}), frozenset({"A"}))

    def test_a_deletion_is_of_orphans_or_of_replicas(self) -> None:
        self.begin_held()
        both = replace(replica_deletion().request, orphans=(Orphan("/dark", 1, 1),))
        self.refused(BadInput, c.RequestDeletion(both), says="of orphans and of replicas")
        loose = DeletionRequest("x", "A", (Orphan("/dark", 1, 1),), scope=(BlockFiles("block"),))
        self.refused(BadInput, c.RequestDeletion(loose), says="of orphans and of replicas")
        self.refused(BadInput, c.RequestDeletion(DeletionRequest("x", "A", dataset=DATA)), says="nothing")
        self.refused(BadInput, c.RequestDeletion(DeletionRequest("x", "A", scope=(BlockFiles("block"),))))

    def test_what_is_asked_for_is_there(self) -> None:
        self.begin_held()
        self.stage(1)
        self.refused(UnknownName, replica_deletion(dataset=DatasetKey("/none")))
        self.refused(UnknownName, replica_deletion(blocks=["block", "none"]), says="no block")
        self.refused(UnknownName, replica_deletion(at="none"))
        self.refused(Conflict, replica_deletion(dataset=STAGED), says="still being published")
        for ordinals in ((0, 4), (-1,), (2**62,)):
            self.refused(BadInput, replica_deletion(ordinals=ordinals), says="ordinal")
        for priority in (0, 6):
            self.refused(BadInput, replica_deletion(priority=priority), says="priority")
            self.refused(BadInput, copy_request(to="C", priority=priority), says="priority")
        for owner in ("two\nlines", "x" * 256):
            self.refused(InvalidName, replica_deletion(owner=owner), says="owner")
            self.refused(InvalidName, copy_request(to="C", owner=owner), says="owner")
        self.refused(BadInput, copy_request(to="C", deadline_us=-1), says="time")
        self.commit(copy_request(to="C", deadline_us=7, owner="me", priority=1))

    def test_what_is_not_held_is_passed_over_but_not_all_of_it(self) -> None:
        self.begin_held()
        self.refused(BadInput, replica_deletion(at="C"), says="C holds none")
        self.commit(copy_request(to="C"))
        self.refused(BadInput, replica_deletion(at="C"), says="C holds none")
        self.commit(c.FilesArrived(BLOCK, "C", (1,), PROVED_US), c.CloseRequest("copy", RequestState.FAILED))
        self.refused(BadInput, replica_deletion(at="C", ordinals=(0, 2)), says="C holds none")
        self.commit(replica_deletion(at="C"))
        assert self.obstacles((0,), at="C") == []
        self.commit(require=[need.StillDeletable("removal", BLOCK, ALL)])

    def test_a_replica_without_another_stays(self) -> None:
        self.begin_held()
        self.commit(c.FilesGone(BLOCK, "B", (1, 3), Evidence.STATED))
        self.check_stay((1, 3), Ground.LAST_COPY, "fewer than 1 other ready site")
        self.check_go(at="B", ordinals=(0, 2))

    def test_as_many_copies_stay_as_the_dataset_requires(self) -> None:
        self.begin_held()
        self.commit(copy_request(to="C"), c.FilesArrived(BLOCK, "C", (0, 2), PROVED_US))
        self.commit(c.CloseRequest("copy", RequestState.FAILED))
        self.check_go()
        self.commit(c.UpdateDataset(DATA, required_copies=2))
        self.check_stay((1, 3), Ground.LAST_COPY, "fewer than 2 other ready sites")
        self.commit(c.UpdateDataset(DATA, required_copies=2**40))
        self.check_stay(ALL, Ground.LAST_COPY, "fewer than")

    @pytest.mark.parametrize("status", sorted(set(SiteStatus) - {SiteStatus.READY}))
    def test_only_a_site_that_is_ready_counts(self, status: SiteStatus) -> None:
        self.begin_held()
        self.commit(c.PutSite(site("B", status=status)))
        self.check_stay(ALL, Ground.LAST_COPY, "other ready site")
        self.commit(c.PutSite(site("B")), c.PutSite(site("A", status=status)))
        self.check_go()

    def test_two_deletions_do_not_take_the_last_copy_together(self) -> None:
        self.begin_held()
        self.refused(Conflict, replica_deletion("one"), replica_deletion("two", at="B"), says="last-copy")
        self.commit(replica_deletion("one", ordinals=(0, 1)))
        self.check_stay((0, 1), Ground.LAST_COPY, "that is to stay", at="B")
        self.commit(c.CloseRequest("one", RequestState.CANCELLED))
        self.check_go(at="B")

    def test_one_that_is_condemned_elsewhere_is_no_copy_when_it_is_claimed(self) -> None:
        self.begin_held()
        self.commit(replica_deletion("one"))
        self.commit(require=[need.StillDeletable("one", BLOCK, ALL)])
        self.commit(c.FilesGone(BLOCK, "B", (2,), Evidence.STATED))
        error = self.refused(Conflict, require=[need.StillDeletable("one", BLOCK, ALL)], says="last-copy")
        assert error.rows == (LFNS[2],)
        self.commit(require=[need.StillDeletable("one", BLOCK, (0, 1, 3))])

    def test_an_orphan_is_not_safe_where_its_only_copy_is_condemned(self) -> None:
        self.begin_held()
        self.commit(replica_deletion("one", ordinals=(1,)))
        self.commit(c.FilesGone(BLOCK, "B", (1,), Evidence.STATED))
        error = self.refused(Conflict, deletion_request(LFNS[1], LFNS[2], at="C"), says="last copy")
        assert error.rows == (LFNS[1],)
        self.commit(c.CloseRequest("one", RequestState.CANCELLED))
        self.commit(deletion_request(LFNS[1], LFNS[2], at="C"))

    def test_a_second_request_for_the_same_is_no_obstacle(self) -> None:
        self.begin_held()
        self.commit(replica_deletion("one"), replica_deletion("two", ordinals=(1,)))
        self.commit(require=[need.StillDeletable("one", BLOCK, ALL), need.StillDeletable("two", BLOCK, (1,))])
        assert [each.id for each in self.view().deletion_requests(dataset=DATA, site="A")] == ["one", "two"]

    def test_what_is_custodial_stays(self) -> None:
        self.begin_held()
        self.commit(c.AssignReplicas("A", (BLOCK,), is_custodial=True))
        self.check_stay(ALL, Ground.CUSTODIAL, "custody")
        self.check_go(at="B")

    @pytest.mark.parametrize(
        ("lock", "ordinals"),
        [
            (Lock("l", "me", DATA), ALL),
            (Lock("l", "me", DATA, "block"), ALL),
            (Lock("l", "me", lfn=LFNS[2]), (2,)),
            (Lock("l", "me", DATA, sites="A"), ALL),
            (Lock("l", "me", DATA, groups="phys*"), ALL),
            (Lock("l", "me", DATA, expires_us=START_US + 1), ALL),
        ],
        ids=repr,
    )
    def test_what_is_locked_stays(self, lock: Lock, ordinals: tuple[int, ...]) -> None:
        self.begin_held()
        self.commit(c.AssignReplicas("A", (BLOCK,), "physics"), c.PutLock(lock))
        self.check_stay(ordinals, Ground.LOCKED, "locked by me (l)")
        self.commit(c.RemoveLock("l"))
        self.check_go()

    @pytest.mark.parametrize(
        "lock",
        [
            Lock("l", "me", lfn="/data/one/none"),
            Lock("l", "me", DATA, "other"),
            Lock("l", "me", DATA, sites="B"),
            Lock("l", "me", DATA, groups="physics"),
            Lock("l", "me", lfn=LFNS[2], sites="B"),
            Lock("l", "me", DATA, expires_us=START_US),
        ],
        ids=repr,
    )
    def test_a_lock_on_something_else_holds_no_replica(self, lock: Lock) -> None:
        self.begin_held()
        self.commit(c.RegisterFiles(OTHER, 0, files(1, directory="/other"), site="A"), c.PutLock(lock))
        self.check_go()

    def test_a_lock_that_comes_later_still_holds(self) -> None:
        self.begin_held()
        self.commit(replica_deletion())
        self.commit(c.PutLock(Lock("l", "me", lfn=LFNS[1])))
        claim = need.StillDeletable("removal", BLOCK, (0, 1))
        assert self.refused(Conflict, require=[claim], says="locked").rows == (LFNS[1],)

    def test_the_last_source_on_disk_stays_while_a_copy_needs_it(self) -> None:
        self.begin_held()
        self.commit(c.PutSite(replace(site("B"), storage_type=StorageType.TAPE)))
        self.check_go()
        self.commit(copy_request(to="C", ordinals=(0, 1)))
        self.check_stay((0, 1), Ground.NEEDED, "request copy is to copy it to C")
        self.commit(c.FilesArrived(BLOCK, "C", (1,), PROVED_US))
        self.check_stay((0,), Ground.NEEDED, "request copy")
        self.check_go(at="B")
        self.commit(c.CloseRequest("copy", RequestState.FAILED))
        self.check_go()

    @pytest.mark.parametrize("kind", [StorageType.BUFFER, StorageType.UNKNOWN, StorageType.DISK])
    def test_a_copy_has_another_source_on_anything_but_tape(self, kind: StorageType) -> None:
        self.begin_held()
        self.commit(c.PutSite(replace(site("B"), storage_type=kind)), copy_request(to="C"))
        self.check_go()

    def test_a_copy_needs_its_source_where_its_own_is_condemned(self) -> None:
        self.begin_held()
        self.commit(c.PutSite(replace(site("B"), storage_type=StorageType.TAPE)))
        self.commit(copy_request("first", to="C"), c.FilesArrived(BLOCK, "C", None, PROVED_US))
        self.commit(c.CloseRequest("first", RequestState.DONE))
        self.commit(replica_deletion("one", at="C", ordinals=(2,)), copy_request("again", to="C", ordinals=(1, 2)))
        self.check_stay((2,), Ground.NEEDED, "request again")

    def test_a_copy_to_the_same_site_is_no_obstacle(self) -> None:
        self.begin_held()
        self.commit(c.PutSite(replace(site("B"), storage_type=StorageType.TAPE)), copy_request(to="A"))
        self.check_go()

    def test_after_a_restore_no_replica_goes_until_a_person_has_spoken(self) -> None:
        self.begin_held()
        self.store = self.restored(self.store, self.clock)
        self.refused(Conflict, replica_deletion(), says="restored from a backup")
        assert [each.ground for each in self.obstacles()] == [Ground.UNKNOWN]
        self.commit(c.ConfirmRestore(self.store.head().epoch))
        self.check_go()

    def test_what_is_staged_is_wanted(self) -> None:
        self.begin_held()
        self.stage(2)
        found = deletion.replica_obstacles(self.view(), "A", STAGED_BLOCK, FileSet.full(2), now_us=0)
        assert [(each.files, each.ground) for each in found] == [(FileSet.full(2), Ground.WANTED)]

    def test_each_file_stays_on_one_ground(self) -> None:
        self.begin_held()
        self.commit(c.FilesGone(BLOCK, "B", (1, 2), Evidence.STATED), c.PutLock(Lock("l", "me", lfn=LFNS[1])))
        found = self.obstacles((0, 1, 2))
        assert [(each.files, each.ground) for each in found] == [
            (FileSet.of([1]), Ground.LOCKED),
            (FileSet.of([2]), Ground.LAST_COPY),
        ]
        error = self.refused(Conflict, replica_deletion(), says=f"{LFNS[1]}: locked: locked by me (l), and 1 more")
        assert error.rows == LFNS[1:3]

    def test_a_refusal_names_some_of_many_and_a_claim_all(self) -> None:
        self.begin_held()
        many = BlockKey(DATA, "many")
        self.commit(c.RegisterFiles(many, 0, files(300, directory="/many"), site="A"))
        error = self.refused(Conflict, replica_deletion(blocks=["block", "many"]), says="and 299 more")
        assert error.rows == tuple(f"/many/file{number}" for number in range(200))
        self.commit(copy_request(to="B", blocks=["many"]), c.FilesArrived(many, "B", None, PROVED_US))
        self.commit(replica_deletion(blocks=["block", "many"]))
        self.commit(c.FilesGone(many, "B", tuple(range(300)), Evidence.STATED))
        error = self.refused(Conflict, require=[need.StillDeletable("removal", many, tuple(range(300)))])
        assert len(error.rows) == 300

    def test_a_claim_may_say_which_files_it_means(self) -> None:
        self.begin_held()
        self.commit(replica_deletion())
        self.commit(require=[need.StillDeletable("removal", BLOCK, (2, 0), (LFNS[2], LFNS[0]))])
        others = need.StillDeletable("removal", BLOCK, (0, 1, 2), (LFNS[0], "/other", LFNS[3]))
        error = self.refused(Conflict, require=[others], says="/other is not that file")
        assert error.rows == ("/other", LFNS[3])

    def test_a_claim_is_of_what_an_open_request_asks_for(self) -> None:
        self.begin_held()
        self.commit(replica_deletion(ordinals=(0, 1)), deletion_request("/dark"), copy_request(to="C"))
        self.refused(UnknownName, require=[need.StillDeletable("none", BLOCK, (0,))])
        for id in ("copy", "deletion"):
            self.refused(BadInput, require=[need.StillDeletable(id, BLOCK, (0,))], says="no files of")
        self.refused(BadInput, require=[need.StillDeletable("removal", STAGED_BLOCK, (0,))], says="no files of")
        self.refused(BadInput, require=[need.StillDeletable("removal", BLOCK, (2**62,))], says="ordinal")
        error = self.refused(Conflict, require=[need.StillDeletable("removal", BLOCK, (0, 2))], says="not ask for")
        assert error.rows == (LFNS[2],)
        self.commit(require=[need.StillDeletable("removal", BLOCK, ())])
        self.commit(c.CloseRequest("removal", RequestState.DONE))
        self.refused(Conflict, require=[need.StillDeletable("removal", BLOCK, (0,))], says="removal is done")

    def test_condemned_files_are_told_by_block_and_site(self) -> None:
        self.begin_held()
        self.commit(c.RegisterFiles(OTHER, 0, files(2, directory="/other"), site="A"))
        self.commit(copy_request(to="B", blocks=["other"]), c.FilesArrived(OTHER, "B", None, PROVED_US))
        self.commit(replica_deletion("1", ordinals=(0,)), replica_deletion("2", ordinals=(0, 2)))
        self.commit(replica_deletion("3", at="B", blocks=["other"]), replica_deletion("4", at="B", ordinals=(1,)))
        self.commit(replica_deletion("5", at="B", ordinals=(3,)), c.CloseRequest("5", RequestState.FAILED))
        expected = {
            ("block", "A"): FileSet.of([0, 2]),
            ("block", "B"): FileSet.of([1]),
            ("other", "B"): FileSet.full(2),
        }
        assert deletion.condemned(self.view(), DATA) == expected
        assert deletion.condemned(self.view(), DATA, blocks={"other"}) == {("other", "B"): FileSet.full(2)}
        assert deletion.condemned(self.view(), DatasetKey("/none")) == {}

    def test_the_site_and_its_door_stay_while_its_replicas_are_deleted(self) -> None:
        self.begin_held()
        self.commit(replica_deletion())
        moved = replace(site("A"), doors=(replace(site("A").first_door, root="/elsewhere"),))
        assert self.refused(Conflict, c.PutSite(moved), says="first door cannot change").rows == ("removal",)
        self.commit(c.RemoveReplicas("A", (BLOCK,), Evidence.STATED))
        assert self.refused(Conflict, c.RemoveSite("A"), says="open requests").rows == ("removal",)
        self.commit(c.CloseRequest("removal", RequestState.DONE), c.RemoveSite("A"))

    def test_nothing_new_comes_onto_what_is_being_deleted(self) -> None:
        self.begin_held()
        self.commit(c.RegisterFiles(OTHER, 0, files(2, directory="/other"), site="A"))
        self.commit(copy_request(to="B", blocks=["other"]), c.FilesArrived(OTHER, "B", None, PROVED_US))
        self.commit(replica_deletion("part", ordinals=(1,)), replica_deletion("whole", blocks=["other"]))
        for key in (BLOCK, OTHER):
            error = self.refused(Conflict, c.BlocksArrived("A", (key,)), says="being deleted")
            assert error.rows == (str(key),)
        more = files(1, directory="/more")
        self.refused(Conflict, c.RegisterFiles(OTHER, 2, more, site="A"), says="being deleted, by request whole")
        self.commit(c.RegisterFiles(BLOCK, 4, more, site="A"), c.BlocksArrived("C", (BLOCK, OTHER)))
        self.commit(c.RegisterFiles(OTHER, 2, files(1, directory="/third"), site="B"))

    def test_a_copy_that_was_under_way_may_still_arrive(self) -> None:
        self.begin_held()
        self.commit(copy_request(to="C"), c.FilesArrived(BLOCK, "C", (1,), PROVED_US))
        self.commit(replica_deletion("one", at="C"))
        self.commit(c.FilesArrived(BLOCK, "C", (2,), PROVED_US))
        assert self.replica("C").held == FileSet.of([1, 2])

    def test_files_that_are_being_deleted_keep_their_names_and_places(self) -> None:
        self.begin_held()
        self.commit(c.RegisterFiles(OTHER, 0, files(3, directory="/other"), site="A"))
        self.commit(c.FilesGone(OTHER, "A", (1,), Evidence.DECLARED))
        self.commit(copy_request(to="B", blocks=["other"]), c.FilesArrived(OTHER, "B", (0, 2), PROVED_US))
        self.commit(c.CloseRequest("copy", RequestState.FAILED))
        self.commit(replica_deletion(blocks=["other"], ordinals=(2,)), c.PutGroup(Group("any")))
        error = self.refused(Conflict, c.RemoveFiles(OTHER, (1,)), says="deleted at A, by request removal")
        assert error.rows == ("removal",)
        names = c.RenameFiles(OTHER, (2,), ("/new",), (0,), ("x",), Evidence.DECLARED)
        self.refused(Conflict, names, says="deleted at A, by request removal")
        self.commit(replace(names, ordinals=(0,), names=("y",)))
        self.commit(c.CloseRequest("removal", RequestState.CANCELLED), names, c.RemoveFiles(OTHER, (1,)))
