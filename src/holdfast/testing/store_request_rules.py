"""Part of StoreSuite: how requests lose files: taken back, deleted, closed; and which replicas go with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import BadInput, Conflict, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, DeletionRequest, Evidence, Request, RequestState
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
    replica_deletion,
)

OTHER = BlockKey(DATA, "other")
HUGE = (2**62,)
"""An ordinal for which no bitmap can be made."""


class Asking(StoreHooks):
    """Two blocks, whole at A and B, and requests for them."""

    def begin_asking(self) -> None:
        """BLOCK of four files and OTHER of two, both whole at A and B; nothing is open."""
        self.begin()
        self.commit(c.RegisterFiles(OTHER, 0, files(2, directory="/other"), site="A", verified_us=PROVED_US))
        arrived = [c.FilesArrived(key, "B", None, PROVED_US) for key in (BLOCK, OTHER)]
        self.commit(copy_request("begin", blocks=["block", "other"]), *arrived)
        self.commit(c.CloseRequest("begin", RequestState.DONE))

    def asked(self, id: str) -> Request:
        """A request as it is now."""
        request = self.view().request(id)
        assert request is not None
        return request

    def scope(self, id: str = "removal") -> dict[str, tuple[int, ...] | None]:
        """What a request asks for, by block."""
        return {part.block: part.ordinals for part in self.asked(id).scope}

    def there(self, site: str) -> dict[str, FileSet | None]:
        """The replicas of DATA at a site: what each holds, None for all."""
        return {each.block.block: each.held for each in self.view().replicas(dataset=DATA, site=site)}


class ReduceRequestRules(Asking):
    """Files that are not asked for any more."""

    @pytest.mark.parametrize("id", ["copy", "removal"])
    def test_files_are_taken_back(self, id: str) -> None:
        self.begin_asking()
        self.commit(copy_request(to="C", blocks=["block", "other"]), replica_deletion(blocks=["block", "other"]))
        before = self.asked(id)
        self.commit(c.ReduceRequest(id, (BlockFiles("block", (1, 3, 1)),), "not these"))
        scope = (BlockFiles("block", (0, 2)), BlockFiles("other"))
        assert self.asked(id) == replace(before, scope=scope)
        self.commit(c.ReduceRequest(id, (BlockFiles("block"),)))
        assert self.asked(id) == replace(before, scope=scope[1:])
        assert self.view().changed_since(self.store.head().position - 1)[0] == {DATA}
        assert self.view().changed_since(self.store.head().position - 1)[1] == {before.site}

    @pytest.mark.parametrize("id", ["copy", "removal"])
    def test_a_request_that_loses_all_is_cancelled(self, id: str) -> None:
        self.begin_asking()
        self.commit(copy_request(to="C"), replica_deletion())
        before = self.asked(id)
        self.commit(c.ReduceRequest(id, (BlockFiles("block", (0, 1, 2, 3)),), "all taken back"))
        assert self.asked(id) == replace(before, scope=(), state=RequestState.CANCELLED, detail="all taken back")
        self.alters_nothing(c.ReduceRequest(id, (BlockFiles("block"),), "again"))
        open_ones: list[Request] = [*self.view().copy_requests(), *self.view().deletion_requests()]
        assert id not in {each.id for each in open_ones}

    @pytest.mark.parametrize("id", ["copy", "removal"])
    def test_what_is_not_asked_for_is_passed_over(self, id: str) -> None:
        self.begin_asking()
        self.commit(copy_request(to="C", ordinals=(0, 1)), replica_deletion(ordinals=(0, 1)))
        for part in (
            BlockFiles("block", (2, 3)),
            BlockFiles("block", ()),
            BlockFiles("other"),
            BlockFiles("other", HUGE),
            BlockFiles("none", (1,)),
        ):
            self.alters_nothing(c.ReduceRequest(id, (part,)))
        self.commit(c.ReduceRequest(id, (BlockFiles("block", (1, 2)), BlockFiles("none"))))
        assert self.scope(id) == {"block": (0,)}

    def test_a_block_may_be_named_twice(self) -> None:
        self.begin_asking()
        parts = (BlockFiles("block", (0, 1)), BlockFiles("other"), BlockFiles("block", (1, 2)))
        self.commit(c.RequestDeletion(DeletionRequest("removal", "A", dataset=DATA, scope=parts)))
        self.alters_nothing(c.ReduceRequest("removal", (BlockFiles("block", (3,)),)))
        self.commit(c.ReduceRequest("removal", (BlockFiles("block", (1,)), BlockFiles("block", (3,)))))
        assert self.asked("removal").scope == (BlockFiles("block", (0, 2)), BlockFiles("other"))

    def test_a_reduction_that_cannot_be_is_refused(self) -> None:
        self.begin_asking()
        self.commit(copy_request(to="C"), deletion_request("/dark"))
        self.refused(UnknownName, c.ReduceRequest("none", (BlockFiles("block"),)))
        self.refused(BadInput, c.ReduceRequest("copy", ()), says="nothing")
        self.refused(BadInput, c.ReduceRequest("deletion", (BlockFiles("block"),)), says="orphans")
        for ordinals in ((0, 4), (-1,), HUGE):
            self.refused(BadInput, c.ReduceRequest("copy", (BlockFiles("block", ordinals),)), says="ordinal")

    def test_a_copy_takes_back_a_deletion_in_one_change_set(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion(at="B"))
        taken_back = c.ReduceRequest("removal", (BlockFiles("block", (0, 1, 2)),), "wanted again")
        self.commit(taken_back, copy_request(to="B"))
        assert self.scope() == {"block": (3,)}
        assert self.scope("copy") == {"block": None}
        self.commit(c.FilesDeleted(BLOCK, "B", (3,), "removal"), c.CloseRequest("removal", RequestState.DONE))
        self.commit(c.FilesArrived(BLOCK, "B", (3,), PROVED_US))
        assert self.there("B")["block"] is None

    def test_a_deletion_takes_back_a_copy_in_one_change_set(self) -> None:
        self.begin_asking()
        self.commit(copy_request(to="C", blocks=["block", "other"]), c.FilesArrived(BLOCK, "C", (0,), PROVED_US))
        taken_back = c.ReduceRequest("copy", (BlockFiles("block"), BlockFiles("other", (0,))), "not any more")
        self.commit(taken_back, replica_deletion(at="C"))
        assert self.scope("copy") == {"other": (1,)}
        assert self.there("C") == {"block": FileSet.of([0]), "other": FileSet()}


class FilesDeletedRules(Asking):
    """Files that are gone because a request asked for it."""

    def test_files_leave_the_replica_and_the_request(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion(blocks=["block", "other"]))
        self.clock.now_us += 7
        before = self.replica("A")
        self.commit(c.FilesDeleted(BLOCK, "A", (3, 1), "removal"))
        expected = replace(before, held=FileSet.of([0, 2]), n_files=2, size=22, updated_us=START_US + 7)
        assert self.replica("A") == expected
        assert self.asked("removal").scope == (BlockFiles("block", (0, 2)), BlockFiles("other"))
        assert self.asked("removal").state is RequestState.OPEN
        assert self.view().changed_since(self.store.head().position - 1) == (frozenset({DATA}), frozenset({"A"}))

    def test_a_replica_that_holds_nothing_is_forgotten(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion(blocks=["block", "other"]))
        self.commit(c.FilesDeleted(BLOCK, "A", (0, 1, 2), "removal"), c.FilesDeleted(OTHER, "A", (0, 1), "removal"))
        assert (self.there("A"), self.scope()) == ({"block": FileSet.of([3])}, {"block": (3,)})
        self.commit(c.FilesDeleted(BLOCK, "A", (3,), "removal"))
        assert (self.there("A"), self.scope()) == ({}, {})
        assert self.asked("removal").state is RequestState.OPEN
        self.commit(c.CloseRequest("removal", RequestState.DONE))
        assert self.there("B") == {"block": None, "other": None}

    def test_a_replica_that_is_awaited_stays(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion(blocks=["block", "other"]), copy_request(to="A", ordinals=(2,)))
        self.commit(c.FilesDeleted(BLOCK, "A", (0, 1, 2, 3), "removal"), c.FilesDeleted(OTHER, "A", (0, 1), "removal"))
        assert self.there("A") == {"block": FileSet()}
        assert self.replica("A").verified_us is None

    def test_a_second_or_late_delivery_alters_nothing(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion())
        told = c.FilesDeleted(BLOCK, "A", (0, 1), "removal")
        self.commit(told)
        self.clock.now_us += 3
        self.alters_nothing(told)
        self.commit(copy_request(to="A", ordinals=(0,)), c.FilesArrived(BLOCK, "A", (0,), PROVED_US))
        self.alters_nothing(told)
        self.commit(c.CloseRequest("removal", RequestState.CANCELLED))
        self.alters_nothing(c.FilesDeleted(BLOCK, "A", (2, 3), "removal"))
        self.commit(c.CloseRequest("copy", RequestState.DONE), c.FilesGone(BLOCK, "A", (1, 2), Evidence.STATED))
        self.commit(c.FilesGone(BLOCK, "B", (1, 2), Evidence.DECLARED), c.RemoveFiles(BLOCK, (1, 2)))
        self.alters_nothing(c.FilesDeleted(BLOCK, "A", (3,), "removal"))

    def test_what_was_taken_back_is_passed_over(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion(blocks=["block", "other"]))
        self.commit(c.ReduceRequest("removal", (BlockFiles("block", (0, 1)), BlockFiles("other"))))
        self.commit(c.FilesDeleted(BLOCK, "A", (1, 2), "removal"), c.FilesDeleted(OTHER, "A", (0,), "removal"))
        assert self.there("A") == {"block": FileSet.of([0, 1, 3]), "other": None}
        assert self.scope() == {"block": (3,)}

    def test_only_the_request_that_asked_loses_its_files(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion("one"), replica_deletion("two", ordinals=(1, 2)))
        self.commit(c.FilesDeleted(BLOCK, "A", (0, 1), "one"))
        assert (self.scope("one"), self.scope("two")) == ({"block": (2, 3)}, {"block": (1, 2)})
        self.commit(c.FilesDeleted(BLOCK, "A", (1,), "two"))
        assert self.scope("two") == {"block": (2,)}
        assert self.there("A")["block"] == FileSet.of([2, 3])

    def test_files_that_are_gone_from_the_replica_leave_the_request(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion(blocks=["block", "other"]))
        self.commit(c.FilesGone(BLOCK, "A", (0, 1), Evidence.STATED), c.RemoveReplicas("A", (OTHER,), Evidence.STATED))
        before = self.replica("A")
        self.clock.now_us += 3
        self.commit(c.FilesDeleted(BLOCK, "A", (0, 1), "removal"), c.FilesDeleted(OTHER, "A", (1,), "removal"))
        assert self.replica("A") == before
        assert self.scope() == {"block": (2, 3), "other": (0,)}

    def test_the_last_copy_that_is_gone_is_gone(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion())
        self.commit(c.FilesGone(BLOCK, "B", (1,), Evidence.STATED))
        self.commit(c.FilesDeleted(BLOCK, "A", (1,), "removal"))
        assert self.there("A")["block"] == FileSet.of([0, 2, 3])

    def test_a_deletion_that_nobody_asked_for_is_refused(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion(), copy_request(to="C"), deletion_request("/dark"))
        self.refused(UnknownName, c.FilesDeleted(BLOCK, "A", (0,), "none"))
        for block, site, id in (
            (BLOCK, "B", "removal"),
            (BLOCK, "none", "removal"),
            (STAGED_BLOCK, "A", "removal"),
            (BlockKey(DatasetKey("/none"), "block"), "A", "removal"),
            (BLOCK, "C", "copy"),
            (BLOCK, "A", "deletion"),
        ):
            self.refused(BadInput, c.FilesDeleted(block, site, (0,), id), says="no files of")
        for ordinals in ((0, 4), (-1,), HUGE):
            self.refused(BadInput, c.FilesDeleted(BLOCK, "A", ordinals, "removal"), says="ordinal")
        self.alters_nothing(c.FilesDeleted(OTHER, "A", (0,), "removal"))
        self.alters_nothing(c.FilesDeleted(BLOCK, "A", (), "removal"))


class EndOfCopyRules(Asking):
    """What a copy leaves behind when it ends."""

    @pytest.mark.parametrize("state", [RequestState.DONE, RequestState.FAILED, RequestState.CANCELLED])
    def test_replicas_that_hold_nothing_are_forgotten_with_their_request(self, state: RequestState) -> None:
        self.begin_asking()
        self.commit(copy_request(to="C", blocks=["block", "other"]), c.FilesArrived(OTHER, "C", (1,), PROVED_US))
        self.commit(c.CloseRequest("copy", state))
        assert self.there("C") == {"other": FileSet.of([1])}
        self.alters_nothing(c.CloseRequest("copy", state))

    @pytest.mark.parametrize("state", [RequestState.DONE, RequestState.FAILED])
    def test_what_a_failed_repair_was_to_bring_is_still_wanted(self, state: RequestState) -> None:
        self.begin_asking()
        lost = c.FilesGone(OTHER, "B", (0, 1), Evidence.STATED)
        self.commit(lost, copy_request(blocks=["other"], replace=True))
        self.commit(c.CloseRequest("copy", state))
        assert self.there("B") == {"block": None, "other": FileSet()}
        self.commit(copy_request("again", blocks=["other"], replace=True))
        self.commit(c.CloseRequest("again", RequestState.CANCELLED))
        assert self.there("B") == {"block": None}

    def test_a_copy_is_done_when_all_of_it_is_there(self) -> None:
        self.begin_asking()
        self.commit(copy_request(to="C", blocks=["block", "other"]), c.FilesArrived(BLOCK, "C", None, PROVED_US))
        coming = (BlockFiles("other", (0, 1)), BlockFiles("none"))
        arrived, done = c.FilesArrived(OTHER, "C", (0, 1), PROVED_US), c.CloseRequest("copy", RequestState.DONE)
        for lacking in (need.CopyIsThere("copy"), need.CopyIsThere("copy", (BlockFiles("other", (0,)),))):
            self.refused(Conflict, arrived, done, require=[lacking], says="C does not hold /other/file")
        self.commit(c.FilesGone(BLOCK, "C", (2,), Evidence.STATED))
        error = self.refused(Conflict, arrived, done, require=[need.CopyIsThere("copy", coming)])
        assert error.rows == ("/data/one/file2",)
        self.commit(c.FilesArrived(BLOCK, "C", (2,), PROVED_US))
        self.commit(arrived, done, require=[need.CopyIsThere("copy", coming)])
        self.commit(replica_deletion(at="C"))
        for id, kind in (("removal", BadInput), ("none", UnknownName)):
            self.refused(kind, require=[need.CopyIsThere(id)], says=id)

    def test_what_another_copy_awaits_stays(self) -> None:
        self.begin_asking()
        self.commit(copy_request("one", to="C", blocks=["block", "other"]), copy_request("two", to="C", ordinals=(2,)))
        self.commit(c.CloseRequest("one", RequestState.CANCELLED))
        assert self.there("C") == {"block": FileSet()}
        self.commit(c.CloseRequest("two", RequestState.CANCELLED))
        assert self.there("C") == {}

    def test_a_replica_of_a_block_without_files_stays(self) -> None:
        self.begin_asking()
        gone = [c.FilesGone(OTHER, site, (0, 1), Evidence.DECLARED) for site in "AB"]
        self.commit(*gone, c.RemoveFiles(OTHER, (0, 1)), copy_request(to="C", blocks=["other"]))
        self.commit(c.CloseRequest("copy", RequestState.DONE))
        assert self.there("C") == {"other": None}

    def test_a_deletion_that_ends_forgets_no_replica(self) -> None:
        self.begin_asking()
        self.commit(replica_deletion(at="B"), c.FilesGone(BLOCK, "B", (0, 1, 2, 3), Evidence.STATED))
        self.commit(c.CloseRequest("removal", RequestState.CANCELLED))
        assert self.there("B") == {"block": FileSet(), "other": None}

    def test_the_replicas_of_blocks_that_are_taken_back_go(self) -> None:
        self.begin_asking()
        self.commit(copy_request(to="C", blocks=["block", "other"], replace=True))
        self.commit(c.ReduceRequest("copy", (BlockFiles("block", (0, 1)), BlockFiles("other"))))
        assert self.there("C") == {"block": FileSet()}
        self.commit(c.ReduceRequest("copy", (BlockFiles("block"),)))
        assert self.there("C") == {}
        self.refused(Conflict, c.FilesArrived(BLOCK, "C", (0,), PROVED_US), says="no replica at C")

    def test_the_first_release_left_them(self) -> None:
        """Its entries are replayed as it carried them out."""
        self.begin_asking()
        self.commit(copy_request(to="C"))
        self.commit(c.CloseRequest("copy", RequestState.CANCELLED, kind="close-request"))
        assert self.there("C") == {"block": FileSet()}
        assert isinstance(self.asked("copy"), CopyRequest)
        assert self.asked("copy").state is RequestState.CANCELLED
