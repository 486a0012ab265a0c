"""ProofRules: when a replica counts as proved, and which sites may move. Part of StoreSuite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import Conflict
from holdfast.model.names import BlockKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import Dataset, Evidence, RequestState, Site, SiteStatus, Staging
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
    replica_deletion,
    site,
)

AHEAD_US = START_US + 1_000_000
"""What a clock says that is ahead of the store's."""
OTHER = BlockKey(DATA, "other")


def _moved(present: Site) -> Site:
    """The same site, its files somewhere else."""
    return replace(present, doors=(replace(present.first_door, root="/elsewhere"), *present.doors[1:]))


class ProofRules(StoreHooks):
    """Proofs are no later than the moment in which they are told, and hold behind the door they were made."""

    def test_files_are_not_proved_after_somebody_has_said_so(self) -> None:
        self.begin()
        self.commit(copy_request())
        self.commit(c.FilesArrived(BLOCK, "B", (1,), AHEAD_US))
        assert self.replica("B").verified_us == START_US
        *_, entry = self.store.entries()
        assert entry.changes[0] == c.FilesArrived(BLOCK, "B", (1,), START_US)
        self.clock.now_us += 5
        self.commit(c.FilesVerified("B", (BLOCK,), AHEAD_US), c.FilesVerified("A", (BLOCK,), START_US + 5))
        assert (self.replica("B").verified_us, self.replica("A").verified_us) == (START_US + 5, START_US + 5)

    def test_nor_are_blocks_or_registered_files(self) -> None:
        self.begin()
        self.commit(c.RegisterFiles(OTHER, 0, files(2, directory="/other"), site="A", verified_us=AHEAD_US))
        self.commit(copy_request(to="C", ordinals=(1,)), c.FilesArrived(BLOCK, "C", (1,), START_US))
        self.commit(c.BlocksArrived("B", (BLOCK, OTHER), verified_us=AHEAD_US))
        self.commit(c.BlocksArrived("C", (BLOCK,), verified_us=AHEAD_US))
        found = [self.replica("A", OTHER), self.replica("B"), self.replica("B", OTHER), self.replica("C")]
        assert {each.verified_us for each in found} == {START_US}

    def test_behind_another_door_nothing_is_proved(self) -> None:
        self.begin()
        self.copied()
        self.commit(c.RegisterFiles(OTHER, 0, files(2, directory="/other"), site="A", verified_us=PROVED_US))
        before = self.replica("A"), self.replica("A", OTHER)
        self.commit(c.PutSite(_moved(self.view().site("A"))))
        assert (self.replica("A"), self.replica("A", OTHER)) == tuple(
            replace(each, verified_us=None) for each in before
        )
        assert self.replica("B").verified_us == PROVED_US
        self.commit(c.FilesVerified("A", (BLOCK,), START_US))
        self.alters_nothing(c.PutSite(self.view().site("A")))

    def test_other_rules_are_another_door(self) -> None:
        self.begin()
        self.commit(c.PutSite(site("A", rules=PfnRules.prefix("/data", "/elsewhere"))))
        assert self.replica("A").verified_us is None

    def test_a_door_that_leads_to_the_same_files_keeps_what_was_proved(self) -> None:
        self.begin()
        before, present = self.replica("A"), self.view().site("A")
        further = replace(present.first_door, root="/further")
        same = replace(present.first_door, root=f"file://{present.first_door.root}/")
        inverse = replace(same, rules=PfnRules(inverse=PfnRules.prefix("/data", "/data").inverse))
        for doors in ((present.first_door, further), (same, further), (inverse,)):
            self.commit(c.PutSite(replace(present, doors=doors, status=SiteStatus.WAITROOM)))
            assert self.replica("A") == before

    def test_earlier_releases_left_what_was_proved(self) -> None:
        self.begin()
        self.commit(copy_request(to="A"))
        self.commit(c.PutSite(_moved(self.view().site("A")), kind="put-site"))
        assert self.replica("A").verified_us == PROVED_US


class MovedSiteRules(StoreHooks):
    """The first door of a site stays while anything is brought to it, deleted or published there."""

    def check_door_stays(self, name: str, *rows: str, says: str = "first door cannot change") -> None:
        present = self.view().site(name)
        assert self.refused(Conflict, c.PutSite(_moved(present)), says=says).rows == rows
        further = replace(present.first_door, root="/further")
        self.alters_nothing(c.PutSite(present))
        self.commit(c.PutSite(replace(present, status=SiteStatus.WAITROOM, doors=(*present.doors, further))))

    def check_door_moves(self, name: str) -> None:
        self.commit(c.PutSite(_moved(self.view().site(name))))

    @pytest.mark.parametrize("what", ["copy", "deletion", "removal"])
    def test_while_something_is_asked_for_there(self, what: str) -> None:
        self.begin()
        self.copied()
        name = "A" if what == "removal" else "C"
        asked: dict[str, c.Change] = {"copy": copy_request(to=name), "deletion": deletion_request("/dark", at=name)}
        self.commit(asked.get(what, replica_deletion()))
        self.check_door_stays(name, what)
        self.commit(c.CloseRequest(what, RequestState.CANCELLED))
        self.check_door_moves(name)

    def test_while_a_dataset_is_being_published_from_there(self) -> None:
        self.begin()
        self.commit(c.CreateDataset(Dataset(STAGED, staging=Staging("C", "/staged"))))
        self.check_door_stays("C", str(STAGED))
        self.commit(c.AbandonStaged(STAGED))
        self.check_door_moves("C")

    def test_but_not_while_others_copy_from_there(self) -> None:
        self.begin()
        self.commit(copy_request())
        self.check_door_moves("A")

    def test_what_was_seen_behind_a_door_counts_only_behind_it(self) -> None:
        self.begin()
        present = self.view().site("A")
        required = need.SameDoor("A", present.first_door)
        self.commit(c.PutSite(replace(present, doors=(*present.doors, replace(present.first_door, root="/further")))))
        self.commit(c.FilesVerified("A", (BLOCK,), START_US), require=[required])
        self.commit(c.FilesGone(BLOCK, "A", (1,), Evidence.DECLARED), c.PutSite(_moved(present)))
        error = self.refused(Conflict, c.FilesVerified("A", (BLOCK,), START_US), require=[required], says="door")
        assert error.rows == ("A",)
