"""BulkRules: many block replicas in one change: arrived, removed, assigned. Part of StoreSuite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.model import changes as c
from holdfast.model.errors import BadInput, Conflict, InvalidName, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import BlockReplica, Dataset, Evidence, FileColumns, Lock, RequestState
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

OTHER = BlockKey(DATA, "other")
LONG = BlockKey(DATA, "long")
NOWHERE = (BlockKey(DATA, "none"), BlockKey(DatasetKey("/none"), "block"))


class BulkHooks(StoreHooks):
    """Two blocks to work with."""

    def begin_two(self) -> None:
        """As ``begin``, and OTHER of two files at A."""
        self.begin()
        self.commit(c.RegisterFiles(OTHER, 0, files(2, directory="/other"), site="A"))


class BlocksArrivedRules(BulkHooks):
    """Replicas registered, and made whole, in bulk."""

    def test_replicas_are_made_whole_in_bulk(self) -> None:
        self.begin_two()
        self.clock.now_us += 3
        self.commit(c.BlocksArrived("B", (BLOCK, OTHER, BLOCK), "physics", 700, is_custodial=True))
        made = BlockReplica(BLOCK, "B", "physics", True, None, 4, 46, 700, START_US + 3)
        assert self.replica("B") == made
        assert self.replica("B", OTHER) == replace(made, block=OTHER, n_files=2, size=21)

    def test_blocks_that_arrive_fill_what_is_there_and_leave_its_owner(self) -> None:
        self.begin_two()
        self.commit(copy_request(blocks=["block", "other"]))
        self.commit(c.FilesArrived(BLOCK, "B", (1, 3), verified_us=700))
        self.clock.now_us += 3
        self.commit(c.BlocksArrived("B", (BLOCK, OTHER), "physics", 900, is_custodial=True))
        filled = BlockReplica(BLOCK, "B", "", False, None, 4, 46, 700, START_US + 3)
        assert self.replica("B") == filled
        assert self.replica("B", OTHER) == replace(filled, block=OTHER, n_files=2, size=21, verified_us=900)

    @pytest.mark.parametrize("verified_us", [None, 900])
    def test_blocks_that_arrive_again_alter_nothing(self, verified_us: int | None) -> None:
        self.begin_two()
        self.commit(c.BlocksArrived("B", (BLOCK,), verified_us=800))
        self.clock.now_us += 3
        self.alters_nothing(c.BlocksArrived("B", (BLOCK,), "physics", verified_us, is_custodial=True))
        self.alters_nothing(c.BlocksArrived("A", (BLOCK, OTHER), "physics", verified_us))

    def test_an_unproved_arrival_takes_the_proof_of_the_whole(self) -> None:
        self.begin_two()
        self.commit(copy_request())
        self.commit(c.FilesArrived(BLOCK, "B", (1, 3), verified_us=700))
        self.commit(c.BlocksArrived("B", (BLOCK, OTHER)))
        assert (self.replica("B").verified_us, self.replica("B", OTHER).verified_us) == (None, None)

    def test_blocks_of_closed_and_of_staged_datasets_arrive(self) -> None:
        self.begin()
        self.stage(2)
        self.commit(c.UpdateDataset(DATA, is_open=False))
        self.commit(c.BlocksArrived("B", (BLOCK, STAGED_BLOCK)))
        assert self.replica("B", STAGED_BLOCK).is_complete

    def test_only_what_is_known_arrives(self) -> None:
        self.begin()
        self.refused(BadInput, c.BlocksArrived("B", ()), says="nothing")
        self.refused(BadInput, c.BlocksArrived("B", (BLOCK,), verified_us=-1), says="time")
        self.refused(UnknownName, c.BlocksArrived("none", (BLOCK,)))
        self.refused(UnknownName, c.BlocksArrived("B", (BLOCK,), "none"))
        for key in NOWHERE:
            self.refused(UnknownName, c.BlocksArrived("B", (BLOCK, key)))

    def test_blocks_do_not_arrive_on_paths_that_are_being_deleted(self) -> None:
        self.begin_two()
        self.copied()
        self.commit(deletion_request("/data/one/file1", at="C"))
        self.refused(Conflict, c.BlocksArrived("C", (OTHER, BLOCK)), says="being deleted")
        self.commit(c.BlocksArrived("C", (OTHER,)))

    def test_blocks_do_not_arrive_on_paths_of_others(self) -> None:
        self.begin_two()
        flat = PfnRules(((RewriteStep("/.*/([a-z0-9]+)", "/{0}"),),))
        self.commit(c.PutSite(site("C", rules=flat)))
        self.commit(c.BlocksArrived("C", (OTHER,)))
        self.refused(Conflict, c.BlocksArrived("C", (BLOCK,)), says="same path")

    @pytest.mark.parametrize(
        "rules",
        [
            PfnRules.prefix("", "/" + "p" * 240),
            PfnRules.prefix("/long", "pool"),
            PfnRules(((RewriteStep("/(l.*)/([^/]*)", "/" + "p" * 240 + "/{0}/{1}"),), (RewriteStep("(/.*)", "{0}"),))),
        ],
    )
    def test_what_would_have_no_valid_path_does_not_come_to_a_site(self, rules: PfnRules) -> None:
        self.begin_two()
        directory = "/long" + "/\u00e9".ljust(220, "d") * 4
        self.commit(c.RegisterFiles(LONG, 0, files(2, directory=directory)))
        assert self.view().longest_directory() >= len(directory.encode())
        self.commit(c.PutSite(site("C", rules=rules)))
        self.commit(c.BlocksArrived("B", (LONG, BLOCK)), c.BlocksArrived("C", (OTHER, BLOCK)))
        for change in (
            c.BlocksArrived("C", (OTHER, LONG)),
            copy_request(to="C", blocks=["long"]),
            c.RegisterFiles(OTHER, 2, files(1, directory=f"{directory}/x"), site="C"),
            c.RenameFiles(OTHER, (0,), (directory,), (0,), ("new",), Evidence.DECLARED),
        ):
            self.refused(InvalidName, change, says="which is no path")
        # What was there before the rules is in nobody's way.
        self.commit(c.PutSite(site("B", rules=rules)))
        self.commit(c.BlocksArrived("B", (OTHER,)))

    def test_a_file_without_a_valid_path_hides_no_deletion(self) -> None:
        self.begin_two()
        directory = "/long" + ("/" + "d" * 220) * 4
        self.commit(c.RegisterFiles(LONG, 0, files(2, directory=directory)), c.BlocksArrived("B", (LONG,)))
        self.commit(c.PutSite(site("B", rules=PfnRules.prefix("", "/" + "p" * 240))))
        self.commit(deletion_request(f"/{'p' * 240}/other/file1", at="B"))
        self.commit(c.FilesArrived(LONG, "B", None, PROVED_US))
        self.refused(Conflict, c.BlocksArrived("B", (LONG, OTHER)), says="/other/file1 is being deleted")

    def test_files_do_not_arrive_on_paths_that_are_being_deleted(self) -> None:
        self.begin()
        self.copied()
        self.commit(deletion_request("/data/one/file1", at="C"))
        self.commit(copy_request("more", to="C", ordinals=(0,)))
        self.refused(Conflict, c.FilesArrived(BLOCK, "C", None, 1), says="being deleted")
        self.refused(Conflict, c.FilesArrived(BLOCK, "C", (1,), 1), says="being deleted")
        self.commit(c.FilesArrived(BLOCK, "C", (0,), 1))

    def test_thousands_of_blocks_arrive_at_once(self) -> None:
        self.begin()
        keys = [DatasetKey(f"/many/{number}") for number in range(2)]
        self.commit(*(c.CreateDataset(Dataset(key, is_open=True)) for key in keys))
        blocks = tuple(BlockKey(key, f"{number:03d}") for key in keys for number in range(600))
        one = FileColumns(("/many",), (0,), ("",), (5,))
        new = [replace(one, names=(f"f{number}",)) for number in range(len(blocks))]
        for start in range(0, len(blocks), 600):
            part = zip(blocks[start : start + 600], new[start : start + 600], strict=True)
            self.commit(*(c.RegisterFiles(block, 0, columns) for block, columns in part))
        self.commit(c.BlocksArrived("A", blocks[::2], verified_us=5), c.BlocksArrived("B", blocks))
        self.commit(c.FilesVerified("B", blocks, verified_us=8), c.AssignReplicas("B", blocks[1::2], "physics"))
        view = self.view()
        assert set(view.find_blocks(blocks)) == set(blocks)
        at_a, at_b = view.find_replicas(blocks, "A"), view.find_replicas(blocks, "B")
        assert {key: each.verified_us for key, each in at_a.items()} == dict.fromkeys(blocks[::2], 5)
        assert {key: each.group for key, each in at_b.items()} == {
            key: "physics" if number % 2 else "" for number, key in enumerate(blocks)
        }
        assert {each.verified_us for each in at_b.values()} == {8}
        self.commit(c.RemoveReplicas("A", blocks, Evidence.STATED))
        assert not self.view().find_replicas(blocks, "A")


class RemoveReplicasRules(BulkHooks):
    """Replicas forgotten in bulk."""

    def test_replicas_are_forgotten(self) -> None:
        self.begin_two()
        self.copied()
        self.commit(c.RemoveReplicas("A", (BLOCK,), Evidence.STATED, "why"))
        assert [(each.block, each.site) for each in self.view().replicas()] == [(BLOCK, "B"), (OTHER, "A")]
        assert self.view().sums()[0].n_replicas == 1

    def test_a_replica_that_is_not_there_alters_nothing(self) -> None:
        self.begin_two()
        for evidence in (Evidence.STATED, Evidence.DECLARED):
            self.alters_nothing(c.RemoveReplicas("B", (BLOCK, OTHER), evidence))

    def test_replicas_do_not_go_on_hearsay(self) -> None:
        self.begin_two()
        self.copied()
        for place in "ABC":
            self.refused(Conflict, c.RemoveReplicas(place, (BLOCK,), Evidence.HEARD), says="hearsay")

    def test_only_a_person_takes_the_last_replica(self) -> None:
        self.begin_two()
        self.commit(c.BlocksArrived("B", (BLOCK,)))
        error = self.refused(Conflict, c.RemoveReplicas("A", (BLOCK, OTHER), Evidence.STATED), says="last known copy")
        assert error.rows == ("/other/file0", "/other/file1")
        self.commit(c.FilesGone(BLOCK, "B", (1,), Evidence.STATED))
        error = self.refused(Conflict, c.RemoveReplicas("A", (BLOCK,), Evidence.STATED), says="last known copy")
        assert error.rows == ("/data/one/file1",)
        gone = [c.RemoveReplicas(place, (BLOCK,), Evidence.STATED) for place in "BA"]
        self.refused(Conflict, *gone, says="last known copy")
        self.commit(c.RemoveReplicas("A", (BLOCK, OTHER), Evidence.DECLARED))
        assert [each.site for each in self.view().replicas()] == ["B"]

    def test_what_several_sites_hold_together_may_go(self) -> None:
        self.begin()
        self.commit(c.BlocksArrived("B", (BLOCK,)), c.BlocksArrived("C", (BLOCK,)))
        self.commit(c.FilesGone(BLOCK, "B", (0, 1), Evidence.STATED), c.FilesGone(BLOCK, "C", (2, 3), Evidence.STATED))
        self.commit(c.RemoveReplicas("A", (BLOCK,), Evidence.STATED))
        self.refused(Conflict, c.RemoveReplicas("B", (BLOCK,), Evidence.STATED), says="last known copy")

    def test_a_replica_that_holds_nothing_may_go(self) -> None:
        self.begin()
        self.commit(copy_request(replace=True))
        self.refused(Conflict, c.RemoveReplicas("B", (BLOCK,), Evidence.DECLARED), says="by request copy")
        self.commit(c.CloseRequest("copy", RequestState.FAILED))
        assert self.replica("B").held == FileSet()
        self.commit(c.RemoveReplicas("B", (BLOCK,), Evidence.STATED))
        assert [each.site for each in self.view().replicas()] == ["A"]

    def test_an_awaited_replica_stays(self) -> None:
        self.begin_two()
        self.copied()
        self.commit(copy_request("more", blocks=["other"]))
        error = self.refused(Conflict, c.RemoveReplicas("B", (OTHER,), Evidence.DECLARED), says="awaits")
        assert error.rows == ("more",)
        self.commit(c.CloseRequest("copy to B", RequestState.DONE))
        self.commit(c.RemoveReplicas("B", (BLOCK,), Evidence.STATED))

    @pytest.mark.parametrize(
        "lock",
        [
            Lock("a", "me", DATA),
            Lock("a", "me", DATA, block="block"),
            Lock("a", "me", DATA, sites="A", groups="*"),
            Lock("a", "me", lfn="/data/one/file3"),
            Lock("a", "me", DATA, expires_us=START_US + 1),
        ],
        ids=lambda lock: f"{lock.item} {lock.sites}",
    )
    def test_only_a_person_takes_what_is_locked(self, lock: Lock) -> None:
        self.begin()
        self.copied()
        self.commit(c.PutLock(lock))
        error = self.refused(Conflict, c.RemoveReplicas("A", (BLOCK,), Evidence.STATED), says="locked by me (a)")
        assert error.rows == ("a",)
        self.commit(c.RemoveReplicas("A", (BLOCK,), Evidence.DECLARED))

    @pytest.mark.parametrize(
        "lock",
        [
            Lock("a", "me", DATA, sites="B"),
            Lock("a", "me", DATA, groups="physics"),
            Lock("a", "me", DATA, block="other"),
            Lock("a", "me", lfn="/other/file0"),
            Lock("a", "me", lfn="/not/there"),
            Lock("a", "me", DATA, expires_us=START_US),
        ],
        ids=lambda lock: f"{lock.item} {lock.sites} {lock.groups}",
    )
    def test_locks_on_other_things_keep_nothing(self, lock: Lock) -> None:
        self.begin_two()
        self.copied()
        self.commit(c.PutLock(lock))
        self.commit(c.RemoveReplicas("A", (BLOCK,), Evidence.STATED))
        assert [each.site for each in self.view().replicas(block=BLOCK)] == ["B"]

    def test_only_known_replicas_are_spoken_of(self) -> None:
        self.begin()
        for evidence in Evidence:
            self.refused(BadInput, c.RemoveReplicas("A", (), evidence), says="nothing")
            self.refused(UnknownName, c.RemoveReplicas("none", (BLOCK,), evidence))
            for key in NOWHERE:
                self.refused(UnknownName, c.RemoveReplicas("A", (key,), evidence))


class AssignReplicasRules(BulkHooks):
    """Whose replicas are."""

    def test_replicas_are_assigned(self) -> None:
        self.begin_two()
        before = self.replica("A"), self.replica("A", OTHER)
        self.clock.now_us += 3
        self.commit(c.AssignReplicas("A", (BLOCK, OTHER), "physics"))
        assert self.replica("A") == replace(before[0], group="physics")
        assert self.replica("A", OTHER) == replace(before[1], group="physics")
        self.commit(c.AssignReplicas("A", (BLOCK,), is_custodial=True))
        assert self.replica("A") == replace(before[0], group="physics", is_custodial=True)
        self.commit(c.AssignReplicas("A", (BLOCK, OTHER), "", is_custodial=False))
        assert (self.replica("A"), self.replica("A", OTHER)) == before
        self.alters_nothing(c.AssignReplicas("A", (BLOCK, OTHER), "", is_custodial=False))

    def test_values_of_the_wrong_type_never_get_in(self) -> None:
        self.begin()
        before = self.store.head()
        for change in (
            c.BlocksArrived("B", (BLOCK,), verified_us=5.5),  # type: ignore[arg-type]
            c.BlocksArrived("B", (BLOCK,), is_custodial=2),  # type: ignore[arg-type]
            c.BlocksArrived("B", (BLOCK,), group=None),  # type: ignore[arg-type]
            c.BlocksArrived("B", (str(BLOCK),)),  # type: ignore[arg-type]
            c.BlocksArrived("B", None),  # type: ignore[arg-type]
            c.BlocksArrived("B", [BLOCK]),  # type: ignore[arg-type]
            c.UpdateDataset(DATA, required_copies="2"),  # type: ignore[arg-type]
            c.RemoveReplicas("A", (BLOCK,), "hearsay"),  # type: ignore[arg-type]
            c.RegisterFiles(BLOCK, 4, FileColumns(("/d",), (0,), ("x",), (1.5,))),  # type: ignore[arg-type]
            object(),
        ):
            self.refused(BadInput, change)  # type: ignore[arg-type]
        self.refused(Conflict, c.RemoveReplicas("A", (BLOCK,), "heard"), says="hearsay")  # type: ignore[arg-type]
        self.refused(Conflict, c.FilesGone(BLOCK, "A", (0,), "heard"), says="hearsay")  # type: ignore[arg-type]
        assert self.store.head() == before

    def test_no_replica_leaves_the_reach_of_a_lock(self) -> None:
        self.begin_two()
        self.commit(c.AssignReplicas("A", (BLOCK, OTHER), "physics"))
        self.commit(c.PutLock(Lock("l1", "me", DATA, BLOCK.block, groups="phys*", expires_us=self.clock.now_us + 10)))
        error = self.refused(Conflict, c.AssignReplicas("A", (BLOCK, OTHER), ""), says="locked")
        assert error.rows == ("l1",)
        self.commit(c.AssignReplicas("A", (BLOCK,), "physics", is_custodial=True))
        self.commit(c.AssignReplicas("A", (OTHER,), ""))
        self.clock.now_us += 10
        self.commit(c.AssignReplicas("A", (BLOCK,), ""))

    def test_only_what_is_there_is_assigned(self) -> None:
        self.begin()
        self.refused(BadInput, c.AssignReplicas("A", (), "physics"), says="nothing")
        self.refused(BadInput, c.AssignReplicas("A", (BLOCK,)), says="neither")
        self.refused(UnknownName, c.AssignReplicas("A", (BLOCK,), "none"))
        self.refused(UnknownName, c.AssignReplicas("none", (BLOCK,), "physics"))
        for key in NOWHERE:
            self.refused(UnknownName, c.AssignReplicas("A", (BLOCK, key), "physics"))
        error = self.refused(Conflict, c.AssignReplicas("B", (BLOCK,), "physics"), says="no replica at B")
        assert error.rows == (str(BLOCK),)
        assert self.replica("A").verified_us == PROVED_US
