"""Entries leave the journal only behind a proved checkpoint, and a trimmed inventory is as good as a whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.inventory import backup, checkpoints, retention
from holdfast.inventory.image.image import Image, follow
from holdfast.inventory.image.sql_load import load
from holdfast.inventory.invariants import Violation
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Cursor
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.model import requirements as need
from holdfast.model import steps
from holdfast.model.errors import BadInput, Conflict, OperatorError, ResyncNeeded
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, Group
from holdfast.testing.snapshots import assert_same, described
from holdfast.testing.store_hooks import ManualClock, copy_request, files, site
from inventory.places import Places, execute, places

__all__ = ["places"]

DAY_US = 86_400_000_000


class Kept:
    """An inventory of some entries, an hour apart, and its folder of checkpoints."""

    def __init__(self, places: Places) -> None:
        self.clock = ManualClock()
        self.store = places.create(self.clock)
        self.folder = places.folder / "checkpoints"
        self.n_datasets = 0
        self.commit(*(c.PutSite(site(name)) for name in "AB"))
        self.grow(3)

    def commit(self, *changes: c.Change) -> None:
        self.clock.now_us += DAY_US // 24
        self.store.commit(c.ChangeSet(changes, "me", "why"))

    def grow(self, n_datasets: int) -> None:
        """Three entries for each dataset."""
        for _ in range(n_datasets):
            self.n_datasets += 1
            key = DatasetKey(f"/data/{self.n_datasets}")
            block = BlockKey(key, "block")
            self.commit(c.CreateDataset(Dataset(key, is_open=True)))
            self.commit(c.RegisterFiles(block, 0, files(3, directory=key.name), site="A", verified_us=5))
            self.commit(copy_request(str(key), dataset=key), c.FilesArrived(block, "B", (0,), 7))

    def trim(self, keep_entries: int, **more: bool) -> retention.Trimmed:
        plan = retention.plan(self.store, self.folder, keep_entries=keep_entries)
        return retention.trim(self.store, self.folder, plan, clock=self.clock, actor="me", **more)

    def verify(self, **more: bool) -> list[Violation]:
        return verify(self.store, folder=self.folder, **more)

    def numbers(self) -> set[str]:
        return {finding.invariant for finding in self.verify()}

    def files(self) -> list[str]:
        return sorted(each.name for each in self.folder.iterdir()) if self.folder.exists() else []

    def described(self) -> object:
        with self.store.snapshot() as snapshot:
            return described(snapshot)


@pytest.fixture
def kept(places: Places) -> Kept:
    return Kept(places)


def test_a_trim_leaves_all_but_the_old_entries(kept: Kept) -> None:
    before, entries = kept.described(), list(kept.store.entries())
    trimmed = kept.trim(4)
    assert (trimmed.start, trimmed.n_entries) == (entries[5].cursor, 6)
    assert list(kept.store.entries()) == entries[6:]
    assert kept.described() == before
    assert kept.verify() == []
    kept.grow(1)
    assert kept.verify() == []


def test_the_checkpoint_is_the_inventory_as_it_was(kept: Kept) -> None:
    trimmed = kept.trim(4)
    assert trimmed.checkpoint is not None
    assert trimmed.checkpoint.cursor == kept.store.head().cursor
    assert kept.files() == [trimmed.checkpoint.file]
    before = (kept.folder / trimmed.checkpoint.file).read_bytes()
    path = checkpoints.check_whole(trimmed.checkpoint, kept.folder)
    with checkpoints.opened(path) as content:
        image = load(content)
    with kept.store.snapshot() as snapshot:
        assert_same(image.snapshot(), snapshot)
    kept.grow(1)
    follow(kept.store, image)
    with kept.store.snapshot() as snapshot:
        assert_same(image.snapshot(), snapshot)
    assert path.read_bytes() == before
    assert kept.files() == [path.name]


def test_a_checkpoint_can_be_restored(kept: Kept, tmp_path: Path) -> None:
    trimmed = kept.trim(4)
    assert trimmed.checkpoint is not None
    place = tmp_path / "restored.db"
    backup.restore(kept.folder / trimmed.checkpoint.file, place, clock=kept.clock, actor="me")
    store = SqlStore.open(place)
    with store.snapshot() as again, kept.store.snapshot() as snapshot:
        assert again.datasets() == snapshot.datasets()
    assert verify(store) == []
    store.close()


def test_a_backup_of_a_trimmed_inventory_can_be_restored(kept: Kept, tmp_path: Path) -> None:
    kept.trim(4)
    kept.grow(1)
    saved, place = tmp_path / "saved.db", tmp_path / "restored.db"
    backup.backup(kept.store, saved)
    backup.restore(saved, place, clock=kept.clock, actor="me")
    store = SqlStore.open(place)
    assert store.start() == kept.store.start()
    assert verify(store, folder=kept.folder) == []
    (finding,) = verify(store, folder=tmp_path / "none")
    assert finding.invariant == "I12"
    assert finding.message.startswith(f"the checkpoint is not there: it was made on {checkpoints.this_host()}; ")
    store.close()


def test_one_checkpoint_serves_several_trims(kept: Kept) -> None:
    first = kept.trim(8).checkpoint
    assert kept.trim(4).checkpoint == first
    kept.grow(1)
    assert kept.trim(4).checkpoint == first
    assert kept.verify() == []
    kept.grow(1)
    second = kept.trim(3).checkpoint
    assert second is not None
    assert kept.files() == [second.file] != [first and first.file]
    assert kept.verify() == []


def test_what_is_to_be_kept_by_time(kept: Kept) -> None:
    """Ten entries, an hour apart, the last one now."""
    plan = retention.plan(kept.store, kept.folder, keep_since_us=kept.clock() - DAY_US // 24 * 3)
    assert (plan.through, plan.n_entries) == (6, 6)
    both = retention.plan(kept.store, kept.folder, keep_entries=7, keep_since_us=kept.clock())
    assert both.through == 3
    assert retention.plan(kept.store, kept.folder, keep_since_us=kept.clock() + 1).through == 9
    assert retention.plan(kept.store, kept.folder, keep_since_us=0).n_entries == 0
    with pytest.raises(BadInput, match="what to keep"):
        retention.plan(kept.store, kept.folder)


def test_nothing_to_trim_makes_no_checkpoint(kept: Kept) -> None:
    assert kept.trim(100).n_entries == 0
    assert kept.trim(10).n_entries == 0
    assert kept.files() == []


def test_an_inventory_that_is_not_sound_keeps_its_history(kept: Kept) -> None:
    execute(kept.store, "UPDATE block SET n_files = n_files + 1 WHERE name = 'block'")
    with pytest.raises(OperatorError, match="not sound, so its history is kept: I3"):
        kept.trim(4)
    assert (kept.store.start().position, kept.files()) == (0, [])
    kept.trim(4, replay=False)
    assert kept.store.start().position == 6
    assert "I3" in kept.numbers()


def test_named_readers_stop_a_trim(kept: Kept) -> None:
    kept.store.advance("slow", next(iter(kept.store.entries())).cursor)
    assert retention.plan(kept.store, kept.folder, keep_entries=4).cut_off == ("slow",)
    with pytest.raises(Conflict, match="reader slow"):
        kept.trim(4)
    assert (kept.store.start().position, kept.files()) == (0, [])
    assert kept.trim(4, drop_cursors=True).dropped == ("slow",)
    assert "slow" not in kept.store.cursors()


def test_verifys_own_cursor_stops_no_trim(kept: Kept) -> None:
    assert kept.verify() == []
    kept.grow(1)
    head = kept.store.head().cursor
    assert kept.trim(2).dropped == ()
    assert kept.store.cursors() == {"verify": head}
    kept.grow(2)
    kept.trim(2, replay=False)
    assert kept.store.cursors() == {}


def test_who_plans_on_what_another_has_trimmed_looks_again(kept: Kept) -> None:
    plan = retention.plan(kept.store, kept.folder, keep_entries=4)
    kept.trim(6)
    with pytest.raises(Conflict, match="trimmed or replaced meanwhile"):
        retention.trim(kept.store, kept.folder, plan, clock=kept.clock, actor="me")
    assert kept.store.start().position == 4
    assert kept.verify() == []


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("step", steps.STEPS["trim"])
def test_killed_anywhere_it_is_as_before_or_done(kept: Kept, step: str) -> None:
    def die(name: str) -> None:
        if name == step:
            raise Killed

    kept.trim(8)
    kept.grow(1)
    before = kept.described()
    with steps.observed(die), pytest.raises(Killed):
        kept.trim(1)
    assert kept.store.start().position == {"trim.checkpointed": 2, "trim.trimmed": 12}[step]
    assert kept.described() == before
    assert kept.verify() == []
    kept.grow(1)
    kept.trim(1)
    assert kept.store.start().position == 15
    assert kept.verify() == []


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "not the file that was made"),
        (lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), "not the file that was made"),
    ],
)
def test_a_checkpoint_that_does_not_hold_is_found_and_can_be_replaced(kept: Kept, damage: object, says: str) -> None:
    made = kept.trim(4).checkpoint
    assert made is not None
    assert callable(damage)
    damage(kept.folder / made.file)
    (finding,) = kept.verify()
    assert finding.invariant == "I12"
    assert says in finding.message
    kept.grow(1)
    with pytest.raises(OperatorError, match="I12"):
        kept.trim(2)
    kept.trim(2, replay=False)
    assert kept.verify() == []


def test_a_trim_that_removes_nothing_replaces_a_lost_or_damaged_checkpoint(kept: Kept) -> None:
    made = kept.trim(4).checkpoint
    assert made is not None
    assert not kept.trim(4).made
    path = kept.folder / made.file
    path.unlink()
    kept.grow(1)
    again = kept.trim(100)
    assert (again.n_entries, again.made) == (0, True)
    assert again.checkpoint is not None
    assert kept.files() == [again.checkpoint.file]
    assert (again.checkpoint.is_replayed, kept.verify()) == (False, [])
    (kept.folder / again.checkpoint.file).write_bytes(b"x")
    with pytest.raises(OperatorError, match="I12"):
        kept.trim(100)
    last = kept.trim(100, replay=False)
    assert last.checkpoint is not None
    assert kept.verify() == []


def test_each_machine_trims_behind_a_checkpoint_of_its_own(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first machine's file is not in the second one's folder; later each of them finds its own."""
    kept.trim(4)
    first = kept.folder
    kept.folder = first.with_name("elsewhere")
    monkeypatch.setattr(checkpoints, "this_host", lambda: "other")
    kept.grow(1)
    (finding,) = kept.verify()
    assert finding.invariant == "I12"
    assert "it was made on" in finding.message
    assert "`holdfast journal trim --checkpoint`" in finding.message
    trimmed = kept.trim(5)
    assert (trimmed.n_entries, trimmed.made) == (2, True)
    assert trimmed.checkpoint is not None
    assert (trimmed.checkpoint.host, trimmed.checkpoint.is_replayed) == ("other", False)
    assert kept.verify() == []
    kept.folder = first
    assert kept.verify() == []


def test_damage_stops_the_trim_of_another_machine_too(kept: Kept) -> None:
    kept.trim(4)
    kept.folder = kept.folder.with_name("elsewhere")
    execute(kept.store, "UPDATE block SET n_files = n_files + 1 WHERE name = 'block'")
    with pytest.raises(OperatorError, match="not sound, so its history is kept: I3"):
        kept.trim(3)
    assert kept.files() == []


def test_an_unproved_checkpoint_serves_no_trim_with_replay(kept: Kept) -> None:
    unproved = kept.trim(6, replay=False).checkpoint
    assert unproved is not None
    kept.grow(1)
    assert retention.plan(kept.store, kept.folder, keep_entries=8, replay=False).checkpoint == unproved
    plan = retention.plan(kept.store, kept.folder, keep_entries=8)
    assert (plan.checkpoint, plan.lacks_checkpoint) == (None, True)
    made = kept.trim(8)
    assert made.checkpoint is not None
    assert (made.made, made.checkpoint.is_replayed) == (True, True)
    assert kept.files() == [made.checkpoint.file]
    assert kept.verify() == []


def test_what_an_unproved_checkpoint_lets_be_found_still_stops_a_trim_with_replay(kept: Kept) -> None:
    kept.trim(6, replay=False)
    kept.grow(1)
    execute(kept.store, "UPDATE file SET adler32 = 7 WHERE ordinal = 0")
    with pytest.raises(OperatorError, match="I11"):
        kept.trim(8)
    planned = retention.plan(kept.store, kept.folder, keep_entries=8, replay=False)
    with pytest.raises(OperatorError, match="I11"):
        retention.trim(kept.store, kept.folder, planned, clock=kept.clock, actor="me")


def test_a_damaged_record_of_a_checkpoint_removes_nobody_elses_file(kept: Kept) -> None:
    kept.trim(6)
    other = kept.folder.parent / "precious"
    other.write_text("mine")
    execute(kept.store, "UPDATE journal_checkpoint SET file = '../precious'")
    kept.trim(4, replay=False)
    assert other.read_text() == "mine"


def test_damage_after_the_checkpoint_is_found_by_replay(kept: Kept) -> None:
    kept.trim(4)
    kept.grow(1)
    assert kept.verify() == []
    execute(kept.store, "UPDATE file SET adler32 = 7 WHERE ordinal = 0")
    assert kept.numbers() == {"I11"}
    execute(kept.store, "INSERT INTO owner_group VALUES ('nobody-asked')")
    assert len([each for each in kept.verify() if each.place == "groups"]) == 1


def test_what_came_after_the_checkpoint_is_replayed(kept: Kept) -> None:
    kept.trim(4)
    kept.commit(c.PutGroup(Group("late")))
    execute(kept.store, "DELETE FROM owner_group WHERE name = 'late'")
    assert kept.numbers() == {"I11"}


@pytest.mark.parametrize(
    ("invariants", "statements"),
    [
        ({"I1"}, ["UPDATE journal_start SET digest = (SELECT digest FROM journal WHERE position = 8)"]),
        ({"I1", "I12"}, ["UPDATE journal_start SET position = 5"]),
        ({"I1", "I12"}, ["DELETE FROM journal_start"]),
        ({"I12"}, ["DELETE FROM journal_checkpoint"]),
        ({"I12"}, ["UPDATE journal_checkpoint SET digest = (SELECT digest FROM journal WHERE position = 8)"]),
        ({"I12"}, ["UPDATE journal_checkpoint SET position = 9"]),
        ({"I12"}, ["UPDATE journal_touched_before SET position = 8 WHERE item = '/data/1'"]),
        ({"I2"}, ["UPDATE journal_touched_before SET position = 2 WHERE item = '/data/1'"]),
        ({"I2"}, ["DELETE FROM journal_touched_before WHERE item = '/data/1'"]),
        ({"I2"}, ["INSERT INTO journal_touched_before VALUES ('site', 'Z', 2)"]),
        ({"I9"}, ["UPDATE cursor SET position = 3"]),
        ({"I1"}, ["DELETE FROM journal_touched WHERE position = 7", "DELETE FROM journal WHERE position = 7"]),
    ],
)
def test_damage_to_the_beginning_is_found(kept: Kept, invariants: set[str], statements: list[str]) -> None:
    kept.trim(4)
    execute(kept.store, *statements)
    assert invariants <= kept.numbers()


def test_a_reader_of_what_is_gone_starts_again_from_a_snapshot(kept: Kept) -> None:
    image = Image.empty()
    follow(kept.store, image, limit=2)
    kept.trim(4)
    with pytest.raises(ResyncNeeded, match="are gone up to 6"):
        follow(kept.store, image)
    with kept.store.reading() as connection:
        again = load(connection)
    kept.grow(1)
    follow(kept.store, again)
    with kept.store.snapshot() as snapshot:
        assert_same(again.snapshot(), snapshot)


def test_requirements_about_what_is_gone_hold_exactly(kept: Kept) -> None:
    kept.trim(1)
    key = DatasetKey("/data/1")
    kept.store.commit(c.ChangeSet((), "me", "why", (need.DatasetUnchanged(key, 4),)))
    with pytest.raises(Conflict):
        kept.store.commit(c.ChangeSet((), "me", "why", (need.DatasetUnchanged(key, 3),)))
    assert kept.store.start() == Cursor(kept.store.head().epoch, 9, kept.store.start().digest)
