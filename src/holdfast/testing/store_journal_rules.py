"""JournalRules: positions, digests, time, atomic commits, cursors and epochs. Part of StoreSuite."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.inventory import journal
from holdfast.inventory.store import Cursor, Store
from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model.errors import BadInput, Conflict, InvalidName, ResyncNeeded, UnknownName
from holdfast.model.names import DatasetKey
from holdfast.model.records import Dataset, Group, Lock, Permission
from holdfast.testing.snapshots import described
from holdfast.testing.store_hooks import BLOCK, DATA, FOREIGN_CURSORS, START_US, StoreHooks, files, site


def assert_chained(store: Store) -> None:
    """Check positions, digests and times of a whole journal."""
    entries = list(store.entries(limit=1_000_000))
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.at_us for entry in entries] == sorted(entry.at_us for entry in entries)
    if not entries:
        return
    starts = [change for change in entries[0].changes if isinstance(change, c.StartEpoch)]
    before = journal.genesis(starts[0].previous_epoch if starts else entries[0].epoch)
    for entry in entries:
        body = journal.encode(c.ChangeSet(entry.changes, entry.actor, entry.cause))
        before = journal.digest(
            before,
            body,
            epoch=entry.epoch,
            position=entry.position,
            at_us=entry.at_us,
            actor=entry.actor,
            cause=entry.cause,
            origin=entry.origin,
        )
        assert entry.digest == before
    assert store.head().cursor == entries[-1].cursor


class JournalRules(StoreHooks):
    """How changes become history."""

    def test_a_new_store_is_empty(self) -> None:
        head = self.store.head()
        assert (head.position, head.digest, head.at_us) == (0, journal.genesis(head.epoch), 0)
        assert list(self.store.entries()) == []
        assert (self.view().sites(), self.view().datasets(staged=True), self.store.cursors()) == ([], [], {})

    def test_positions_have_no_gap(self) -> None:
        heads = [self.commit(c.PutGroup(Group(name))) for name in "abc"]
        self.refused(InvalidName, c.PutGroup(Group("no name")))
        heads.append(self.commit(c.PutGroup(Group("d"))))
        assert [head.position for head in heads] == [1, 2, 3, 4]
        assert [entry.cursor for entry in self.store.entries()] == [head.cursor for head in heads]
        assert self.store.head() == heads[-1]

    def test_digests_form_a_chain(self) -> None:
        self.begin()
        self.commit(c.PutLock(Lock("lock", "me", DATA, reason="naïve 'quotes' \"\\\n")))
        assert_chained(self.store)

    def test_an_entry_keeps_what_was_committed(self) -> None:
        origin = c.Origin("far.example", "message-1")
        changes = (c.PutSite(site("A")), c.PutGroup(Group("physics")))
        head = self.store.commit(c.ChangeSet(changes, "me", "because", origin=origin))
        (entry,) = self.store.entries()
        assert (entry.changes, entry.actor, entry.cause, entry.origin) == (changes, "me", "because", origin)
        assert (entry.epoch, entry.position, entry.digest, entry.at_us) == (head.epoch, 1, head.digest, START_US)

    def test_what_was_committed_is_not_the_callers_any_more(self) -> None:
        metadata = {"list": [1]}
        self.commit(c.CreateDataset(Dataset(DATA, metadata=metadata)))
        metadata["list"].append(2)
        assert self.view().dataset(DATA).metadata == {"list": [1]}
        assert_chained(self.store)

    def test_time_does_not_run_backwards(self) -> None:
        self.commit(c.PutGroup(Group("a")))
        self.clock.now_us = START_US - 10
        assert self.commit(c.PutGroup(Group("b"))).at_us == START_US
        self.clock.now_us = START_US + 10
        assert self.commit(c.PutGroup(Group("c"))).at_us == START_US + 10

    def test_all_or_nothing(self) -> None:
        self.begin()
        good = (c.PutSite(site("D")), c.RegisterFiles(BLOCK, 4, files(2, first=4), site="A"))
        self.refused(UnknownName, *good, c.RemoveLock("none"))
        self.refused(Conflict, *good, c.RegisterFiles(BLOCK, 6, files(1)), says="already registered")
        self.commit(*good)

    def test_a_change_sees_those_before_it(self) -> None:
        lock = Lock("lock", "me", DATA)
        self.commit(
            c.PutSite(site("A")),
            c.CreateDataset(Dataset(DATA, is_open=True)),
            c.RegisterFiles(BLOCK, 0, files(2), site="A"),
            c.RegisterFiles(BLOCK, 2, files(2, first=2), site="A"),
            c.PutLock(lock),
            c.RemoveLock("lock"),
        )
        assert self.view().blocks(DATA)[0].n_files == 4
        assert self.view().locks() == []
        assert self.replica("A").is_complete

    def test_requirements_are_of_the_state_before(self) -> None:
        self.begin()
        new = DatasetKey("/new")
        self.refused(UnknownName, c.CreateDataset(Dataset(new)), require=[need.DatasetVisible(new)])
        position = self.store.head().position
        self.commit(c.UpdateDataset(DATA, required_copies=2), require=[need.DatasetUnchanged(DATA, position)])

    def test_an_empty_change_set_takes_no_position(self) -> None:
        self.begin()
        before = self.store.head()
        self.clock.now_us += 5
        assert self.commit(require=[need.DatasetVisible(DATA)]) == before
        assert self.store.head() == before
        self.refused(UnknownName, require=[need.DatasetVisible(DatasetKey("/none"))])

    def test_an_epoch_is_not_started_by_a_commit(self) -> None:
        self.refused(BadInput, c.StartEpoch("old", 0, ""), says="restore only")

    def test_too_many_rows_are_refused_whole(self) -> None:
        self.begin()
        items = tuple(Permission(f"/d{number}", "", "me", "us", 0o755) for number in range(c.ROWS_MAX + 1))
        self.refused(BadInput, c.PutSite(site("D")), c.SetPermissions(items), says="split")

    def test_too_many_bytes_are_refused_whole(self) -> None:
        self.begin()
        lock = Lock("lock", "me", DATA, reason="x" * c.BYTES_MAX)
        self.refused(BadInput, c.PutSite(site("D")), c.PutLock(lock), says="split")

    @pytest.mark.parametrize("where", ["actor", "cause", "endpoint", "message_id", "reason"])
    def test_text_that_is_not_utf8_is_refused(self, where: str) -> None:
        text = dict.fromkeys(("actor", "cause", "endpoint", "message_id", "reason"), "good") | {where: "bad \udcff"}
        lock = c.PutLock(Lock("lock", "me", lfn="/a", reason=text["reason"]))
        origin = c.Origin(text["endpoint"], text["message_id"])
        with pytest.raises(BadInput, match="cannot be written"):
            self.store.commit(c.ChangeSet((lock,), text["actor"], text["cause"], origin=origin))
        assert self.store.head().position == 0

    @pytest.mark.parametrize("where", ["actor", "cause", "endpoint", "message_id", "reason"])
    def test_text_with_a_nul_is_refused(self, where: str) -> None:
        text = dict.fromkeys(("actor", "cause", "endpoint", "message_id", "reason"), "\\u0000") | {where: "bad \0"}
        lock = c.PutLock(Lock("lock", "me", lfn="/a", reason=text["reason"]))
        origin = c.Origin(text["endpoint"], text["message_id"])
        with pytest.raises(BadInput, match="NUL"):
            self.store.commit(c.ChangeSet((lock,), text["actor"], text["cause"], origin=origin))
        assert self.store.head().position == 0

    def test_odd_text_comes_back_exactly(self) -> None:
        odd = "\\u0000 \\\\u0000 tab\t quote' \" backslash\\ é e\u0301 \U0001f4be \u202e {0} %s --"
        label = odd.replace("\t", "")
        self.store.commit(c.ChangeSet((c.PutLock(Lock(label, label, lfn="/a", reason=odd)),), odd, odd))
        (entry,) = self.store.entries()
        assert (entry.actor, entry.cause) == (odd, odd)
        assert self.view().locks() == [Lock(label, label, lfn="/a", reason=odd)]
        assert_chained(self.store)

    def test_entries_come_in_portions(self) -> None:
        heads = [self.commit(c.PutGroup(Group(name))) for name in "abcde"]
        assert [entry.position for entry in self.store.entries(limit=2)] == [1, 2]
        assert [entry.position for entry in self.store.entries(heads[1].cursor, limit=2)] == [3, 4]
        assert list(self.store.entries(heads[-1].cursor)) == []

    def test_the_beginning_is_a_cursor(self) -> None:
        beginning = self.store.head().cursor
        assert list(self.store.entries(beginning)) == []
        self.commit(c.PutGroup(Group("a")))
        assert [entry.position for entry in self.store.entries(beginning)] == [1]
        self.store.advance("reader", beginning)
        assert self.store.cursor("reader") == beginning

    @pytest.mark.parametrize("kind", FOREIGN_CURSORS)
    def test_a_cursor_that_is_not_on_our_history_is_told(self, kind: str) -> None:
        self.begin()
        cursor = FOREIGN_CURSORS[kind](self.store.head())
        with pytest.raises(ResyncNeeded):
            list(self.store.entries(cursor))
        with pytest.raises(ResyncNeeded):
            self.store.advance("reader", cursor)
        assert self.store.cursor("reader") is None

    def test_cursors_are_kept_by_name(self) -> None:
        heads = [self.commit(c.PutGroup(Group(name))) for name in "abc"]
        assert self.store.cursor("reader") is None
        self.store.advance("reader", heads[0].cursor)
        self.store.advance("another", heads[1].cursor)
        self.store.advance("reader", heads[2].cursor)
        assert self.store.cursors() == {"another": heads[1].cursor, "reader": heads[2].cursor}
        assert self.store.cursor("reader") == heads[2].cursor
        assert self.store.head() == heads[2]

    def test_everything_is_there_after_opening_again(self) -> None:
        self.begin()
        self.stage(2)
        self.store.advance("reader", self.store.head().cursor)
        entries, before = list(self.store.entries()), self.described()
        again = self.reopen(self.store, self.clock)
        assert list(again.entries()) == entries
        assert list(again.cursors()) == ["reader"]
        with again.snapshot() as snapshot:
            assert described(snapshot) == before
        assert again.commit(c.ChangeSet((c.PutGroup(Group("a")),), "me", "why")).position == len(entries) + 1
        assert_chained(again)
        again.close()

    def test_closing_twice_does_no_harm(self) -> None:
        self.begin()
        self.store.close()
        self.store.close()
        again = self.reopen(self.store, self.clock)
        assert again.head().position > 0
        again.close()


class NewsRules(StoreHooks):
    """Waiting for the next entry."""

    def test_what_is_there_already_is_not_waited_for(self) -> None:
        self.begin()
        assert self.store.wait(self.store.head().position - 1, 60)
        assert self.store.wait(0, 0)

    def test_when_nothing_comes_the_time_runs_out(self) -> None:
        self.begin()
        position = self.store.head().position
        assert not self.store.wait(position, 0)
        assert not self.store.wait(position, 0.05)

    def test_a_commit_wakes_everybody_who_waits(self) -> None:
        self.begin()
        position = self.store.head().position
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(self.store.wait, position, 60) for _ in range(2)]
            patient = pool.submit(self.store.wait, position + 1, 60)
            self.commit(c.PutGroup(Group("a")))
            assert all(each.result() for each in waiting)
            self.commit(c.PutGroup(Group("b")))
            assert patient.result()

    def test_what_takes_no_position_is_no_news(self) -> None:
        self.begin()
        position = self.store.head().position
        self.refused(UnknownName, c.RemoveLock("none"))
        self.commit(require=[need.DatasetVisible(DATA)])
        self.store.advance("reader", self.store.head().cursor)
        assert not self.store.wait(position, 0)


class EpochRules(StoreHooks):
    """What a restore does to readers."""

    def test_a_restored_store_says_so_first(self) -> None:
        self.begin()
        head = self.store.head()
        self.clock.now_us -= 1000
        again = self.restored(self.store, self.clock)
        (entry,) = again.entries(head.cursor)
        assert entry.changes == (c.StartEpoch(head.epoch, head.position, head.digest),)
        assert again.head().epoch == entry.epoch != head.epoch
        assert again.head().position == head.position + 1
        again.commit(c.ChangeSet((c.PutGroup(Group("a")),), "me", "why"))
        assert_chained(again)
        again.close()

    def test_a_restored_store_has_all_that_was_there(self) -> None:
        self.begin()
        self.stage(2)
        again = self.restored(self.store, self.clock)
        with self.store.snapshot() as old, again.snapshot() as new:
            before, after = described(old), described(new)
        assert before.pop("head") != after.pop("head")
        changed = {key for key in before | after if key.startswith("changed since")}
        assert {key: before[key] for key in before.keys() - changed} == {
            key: after[key] for key in after.keys() - changed
        }
        again.close()

    def test_a_reader_that_saw_less_goes_on(self) -> None:
        self.begin()
        readers = [Cursor(self.store.head().epoch, 0, journal.genesis(self.store.head().epoch))]
        readers += [entry.cursor for entry in self.store.entries()]
        again = self.restored(self.store, self.clock)
        for cursor in [*readers, again.head().cursor]:
            positions = [entry.position for entry in again.entries(cursor)]
            assert positions == list(range(cursor.position + 1, again.head().position + 1))
        again.close()

    def test_a_reader_that_saw_more_must_begin_anew(self) -> None:
        self.begin()
        again = self.restored(self.store, self.clock)
        seen = [self.commit(c.PutGroup(Group(name))).cursor for name in "abc"]
        again.commit(c.ChangeSet((c.PutGroup(Group("a")),), "me", "why"))
        for cursor in seen:
            with pytest.raises(ResyncNeeded):
                list(again.entries(cursor))
            with pytest.raises(ResyncNeeded):
                again.advance("reader", cursor)
        with pytest.raises(ResyncNeeded):
            list(self.store.entries(again.head().cursor))
        again.close()

    def test_a_restored_store_can_be_restored(self) -> None:
        self.begin()
        once = self.restored(self.store, self.clock)
        twice = self.restored(once, self.clock)
        assert twice.head().position == once.head().position + 1
        assert len({self.store.head().epoch, once.head().epoch, twice.head().epoch}) == 3
        assert_chained(twice)
        once.close()
        twice.close()
