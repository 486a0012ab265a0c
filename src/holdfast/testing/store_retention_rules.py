"""RetentionRules: what stays when old entries leave the journal. Part of StoreSuite."""

from __future__ import annotations

import pytest

from holdfast.inventory import journal
from holdfast.inventory.image.image import Image, follow, load
from holdfast.inventory.store import Cursor
from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import BadInput, Conflict, ResyncNeeded
from holdfast.model.records import Group
from holdfast.testing.snapshots import assert_same
from holdfast.testing.store_hooks import DATA, StoreHooks


class RetentionRules(StoreHooks):
    """How old entries go."""

    def begun(self) -> list[Cursor]:
        """A small inventory; the points of its history, its beginning first."""
        self.begin()
        self.copied("B")
        self.commit(c.PutGroup(Group("late")))
        return [self.store.start(), *(entry.cursor for entry in self.store.entries())]

    def test_at_first_all_is_kept(self) -> None:
        epoch = self.store.head().epoch
        assert self.store.start() == Cursor(epoch, 0, journal.genesis(epoch))
        self.begin()
        assert self.store.start().position == 0
        assert self.store.trim(0) == self.store.start()

    def test_what_is_trimmed_is_gone_and_the_rest_stays(self) -> None:
        points = self.begun()
        entries = list(self.store.entries())
        assert self.store.trim(3) == points[3] == self.store.start()
        assert list(self.store.entries()) == entries[3:]
        assert list(self.store.entries(limit=1)) == entries[3:4]
        assert self.store.head().cursor == points[-1]

    def test_no_snapshot_is_altered(self) -> None:
        self.begun()
        before = self.described()
        self.store.trim(3)
        assert self.described() == before
        self.store.trim(4)
        assert self.described() == before

    def test_positions_and_digests_go_on(self) -> None:
        points = self.begun()
        self.store.trim(points[-1].position - 1)
        head = self.commit(c.PutGroup(Group("new")))
        assert head.position == points[-1].position + 1
        assert [entry.cursor for entry in self.store.entries()] == [points[-1], head.cursor]
        (entry,) = self.store.entries(points[-1])
        body = journal.encode(c.ChangeSet(entry.changes, entry.actor, entry.cause))
        assert entry.digest == journal.digest(
            points[-1].digest,
            body,
            epoch=entry.epoch,
            position=entry.position,
            at_us=entry.at_us,
            actor=entry.actor,
            cause=entry.cause,
            origin=entry.origin,
        )

    def test_a_reader_goes_on_from_the_start_and_not_from_before(self) -> None:
        points = self.begun()
        self.store.trim(3)
        for at in points[3:]:
            assert [entry.cursor for entry in self.store.entries(at)] == points[at.position + 1 :]
            self.store.advance("reader", at)
        for at in points[:3]:
            with pytest.raises(ResyncNeeded, match="are gone up to 3") as caught:
                list(self.store.entries(at))
            assert f"from a snapshot at {points[-1].position}" in caught.value.hint
            with pytest.raises(ResyncNeeded):
                self.store.advance("reader", at)
        with pytest.raises(ResyncNeeded, match="not on this history"):
            list(self.store.entries(Cursor(points[3].epoch, 3, "0" * 64)))
        assert self.store.cursor("reader") == points[-1]

    def test_the_last_entry_always_stays(self) -> None:
        points = self.begun()
        for through in (points[-1].position, points[-1].position + 1, 2**62):
            with pytest.raises(BadInput, match="ends at position"):
                self.store.trim(through)
        assert self.store.start() == points[0]
        self.store.trim(points[-1].position - 1)
        assert [entry.cursor for entry in self.store.entries()] == points[-1:]

    def test_what_is_gone_already_is_not_trimmed_again(self) -> None:
        points = self.begun()
        self.store.trim(3)
        for through in (-1, 0, 2, 3):
            assert self.store.trim(through) == points[3]
        assert len(list(self.store.entries())) == len(points) - 4

    def test_a_named_reader_is_not_cut_off_unasked(self) -> None:
        points = self.begun()
        for name, position in (("slow", 1), ("slower", 0), ("there", 3), ("ahead", 4)):
            self.store.advance(name, points[position])
        with pytest.raises(Conflict, match="slow and 1 more") as caught:
            self.store.trim(3)
        assert caught.value.rows == ("slow", "slower")
        assert "--drop-cursors" in caught.value.hint
        assert (self.store.start(), len(self.store.cursors())) == (points[0], 4)
        assert self.store.trim(3, drop_cursors=True) == points[3]
        assert self.store.cursors() == {"ahead": points[4], "there": points[3]}

    def test_requirements_about_what_is_gone_are_answered_truly(self) -> None:
        """DATA was touched at 2, 3, 4 and 5, site C at 1 only."""
        points = self.begun()
        self.store.trim(points[-1].position - 1)
        for position in range(points[-1].position + 1):
            unchanged = need.DatasetUnchanged(DATA, position)
            if position < 5:
                self.refused(Conflict, require=[unchanged], says=f"after position {position}")
            else:
                self.commit(require=[unchanged])
        self.refused(Conflict, require=[need.SiteUnchanged("C", 0)])
        self.commit(require=[need.SiteUnchanged("C", 1)])

    def test_images_are_the_same_however_they_came_about(self) -> None:
        self.begun()
        replayed = Image.empty()
        follow(self.store, replayed)
        behind = Image.empty()
        follow(self.store, behind, limit=1)
        at_start = Image.empty()
        follow(self.store, at_start, limit=3)
        self.store.trim(3)
        follow(self.store, at_start)
        self.commit(c.UpdateDataset(DATA, required_copies=2))
        follow(self.store, replayed)
        follow(self.store, at_start)
        with self.store.snapshot() as snapshot:
            for image in (replayed, at_start, load(snapshot)):
                assert_same(snapshot, image.snapshot())
        for image in (behind, Image.empty()):
            with pytest.raises(ResyncNeeded):
                follow(self.store, image)

    def test_a_new_process_finds_it_trimmed(self) -> None:
        points = self.begun()
        self.store.trim(3)
        before = self.described()
        again = self.reopen(self.store, self.clock)
        assert again.start() == points[3]
        with again.snapshot() as snapshot:
            replayed = load(snapshot)
        assert replayed.head.cursor == points[-1]
        assert [entry.cursor for entry in again.entries()] == points[4:]
        again.trim(4)
        assert again.start() == points[4]
        again.close()
        assert before["head"] == replayed.head

    def test_a_restored_store_begins_where_the_backup_does(self) -> None:
        points = self.begun()
        self.store.trim(3)
        again = self.restored(self.store, self.clock)
        assert again.start() == points[3]
        assert [entry.position for entry in again.entries(points[3])] == list(range(4, again.head().position + 1))
        with pytest.raises(ResyncNeeded):
            list(again.entries(points[2]))
        assert again.trim(again.head().position - 1).position == points[-1].position
        again.close()
