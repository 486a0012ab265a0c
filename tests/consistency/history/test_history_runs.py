"""Runs: how they begin and end, what is known of those that were killed, and what was asked for because of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from history_world import NOW_US, POSTGRES, HistoryWorld, a_report
from sqlalchemy import update

from holdfast.consistency.classes import DIFFERING, Class
from holdfast.consistency.history import kept_report, tables
from holdfast.consistency.history.alive import is_held
from holdfast.consistency.history.runs import LOOKED_BACK_MAX, Action, History, RunState
from holdfast.consistency.resumable import LOCK
from holdfast.inventory import backup as backups
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.changes import ChangeSet, PutGroup
from holdfast.model.clock import SECOND_US
from holdfast.model.errors import BrokenInvariant, Conflict, OperatorError, UnknownName
from holdfast.model.records import Group


def states(world: HistoryWorld, site: str | None = None) -> dict[str, RunState]:
    return {run.run: run.state for run in world.history.runs(site)}


def test_a_run_is_done_with_its_report(world: HistoryWorld) -> None:
    told = world.done(missing=3, orphan=2)
    (run,) = world.history.runs()
    assert (run.run, run.site, run.state, run.started_us, run.seconds) == ("run1", "A", RunState.DONE, NOW_US, 1.0)
    assert run.report == told
    assert run == world.history.run("run1")
    assert world.history.unfinished() == []


def test_the_newest_comes_first_of_one_site_or_of_all(world: HistoryWorld) -> None:
    for run, site in (("run1", "A"), ("run2", "B"), ("run3", "A")):
        world.done(run, site)
    assert [each.run for each in world.history.runs()] == ["run3", "run2", "run1"]
    assert [each.run for each in world.history.runs("A")] == ["run3", "run1"]
    assert [each.run for each in world.history.runs(limit=1)] == ["run3"]
    assert {site: run.run for site, run in world.history.last("A", "B", "C").items()} == {"A": "run3", "B": "run2"}


def test_a_run_that_was_given_up_says_why(world: HistoryWorld) -> None:
    world.begin()
    world.history.fail("run1", "the site is down")
    (run,) = world.history.runs()
    assert (run.state, run.reason, run.ended_us, run.report) == (RunState.FAILED, "the site is down", NOW_US, None)


def test_a_run_that_is_gone_on_with_is_the_same_run(world: HistoryWorld) -> None:
    world.begin()
    world.history.fail("run1", "the site is down")
    world.now_us += 60 * SECOND_US
    told = world.done()
    (run,) = world.history.runs()
    assert (run.state, run.reason, run.report) == (RunState.DONE, "", told)
    assert (run.started_us, run.seconds) == (NOW_US, 61.0)


@pytest.mark.parametrize("site", ["A", "B"])
def test_a_run_that_is_done_does_not_begin_again(world: HistoryWorld, site: str) -> None:
    world.done()
    with pytest.raises(Conflict, match="there is a run run1 of A already"):
        world.begin("run1", site)


def test_what_never_began_does_not_end(world: HistoryWorld) -> None:
    with pytest.raises(BrokenInvariant, match="never begun"):
        world.history.finish("run1", a_report())
    with pytest.raises(BrokenInvariant, match="never begun"):
        world.history.fail("run1", "why")


def test_a_run_that_is_not_there_is_named_with_its_likes(world: HistoryWorld) -> None:
    world.done("2026-11-21T152100Z-ab12cd")
    with pytest.raises(UnknownName, match="did you mean 2026-11-21T152100Z-ab12cd"):
        world.history.run("2026-11-21T152100Z-ab12ce")


# ---- those that told nothing -----------------------------------------------------------


def test_a_run_is_running_while_its_lock_is_held_and_then_interrupted(world: HistoryWorld) -> None:
    lock = world.lock()
    world.begin()
    assert states(world) == {"run1": RunState.RUNNING}
    assert [run.run for run in world.history.unfinished("A")] == ["run1"]
    lock.release()
    assert states(world) == {"run1": RunState.INTERRUPTED}
    assert world.history.run("run1").seconds is None


def test_a_run_on_another_machine_is_not_known(world: HistoryWorld) -> None:
    lock = world.lock()
    world.begin()
    world.host = "elsewhere"
    run = world.history.run("run1")
    assert (run.state, run.host) == (RunState.UNKNOWN, "here")
    lock.release()


def test_a_run_whose_lock_cannot_be_looked_at_is_not_known(world: HistoryWorld) -> None:
    world.begin()
    history = History(world.store, host="here", is_locked=lambda folder: None)
    assert history.run("run1").state is RunState.UNKNOWN


def test_a_run_that_was_killed_with_its_report_whole_is_done(world: HistoryWorld) -> None:
    world.begin()
    world.report_folder("run1")
    run = world.history.run("run1")
    assert (run.state, run.ended_us) == (RunState.DONE, NOW_US + 2_500_000)
    assert run.report is not None
    assert run.report.counts[Class.MISSING] == 7
    assert world.history.unfinished() == []


def test_the_next_run_puts_down_what_became_of_those_before(world: HistoryWorld) -> None:
    for run in ("run1", "run2"):
        world.begin(run)
        world.now_us += SECOND_US
    world.begin("other", "B")
    world.now_us -= SECOND_US
    world.report_folder("run2")
    world.now_us += 2 * SECOND_US
    lock = world.lock()
    world.begin("run3")
    assert states(world, "A") == {"run3": RunState.RUNNING, "run2": RunState.DONE, "run1": RunState.INTERRUPTED}
    lock.release()
    # What was put down holds wherever one looks from.
    world.host = "elsewhere"
    found = {run.run: run for run in world.history.runs()}
    assert found["run2"].state is RunState.DONE
    assert (found["run1"].state, found["run1"].reason) == (RunState.INTERRUPTED, "another check has begun since")
    assert found["other"].state is RunState.UNKNOWN


def test_the_next_run_says_nothing_of_those_of_other_machines_or_folders(world: HistoryWorld) -> None:
    world.begin("run1")
    world.host = "elsewhere"
    world.begin("run2")
    world.history.begin("run3", "A", NOW_US, world.reports / "more" / "A" / "run3")
    world.host = "here"
    assert states(world) == {"run1": RunState.INTERRUPTED, "run2": RunState.UNKNOWN, "run3": RunState.UNKNOWN}
    assert len(world.history.unfinished("A")) == 3


def test_a_lock_is_looked_at_without_taking_it(tmp_path: Path) -> None:
    assert is_held(tmp_path) is False
    assert not (tmp_path / LOCK).exists()
    (tmp_path / LOCK).write_text("somebody died here\n")
    assert is_held(tmp_path) is False
    os.unlink(tmp_path / LOCK)
    (tmp_path / LOCK).symlink_to(LOCK)
    assert is_held(tmp_path) is None


# ---- the report before -----------------------------------------------------------------


def test_the_reports_before_are_those_of_runs_that_are_done(world: HistoryWorld) -> None:
    assert world.history.earlier("A", "run1") == []
    first = world.done("run1", actual=5)
    world.done("other", "B")
    world.begin("run2")
    world.history.fail("run2", "why")
    world.begin("run3")
    assert world.history.earlier("A", "run3") == [first]
    assert world.history.earlier("A", "run1") == []
    assert world.history.earlier("C", "run1") == []


def test_what_came_later_is_not_before(world: HistoryWorld) -> None:
    first, second, third = (world.done(f"run{number}", actual=number) for number in range(3))
    assert [world.history.earlier("A", run) for run in ("run0", "run1", "run2")] == [[], [first], [first, second]]
    assert world.history.earlier("A", "a run of which nothing is known") == [first, second, third]


def test_the_last_report_is_that_of_the_last_check_that_is_done(world: HistoryWorld) -> None:
    assert world.history.last_report("A") is None
    with pytest.raises(UnknownName, match="A has not been checked yet"):
        world.history.require_last_report("A")
    world.done("run1")
    second = world.done("run2", dry_run=True)
    world.begin("run3")
    world.history.fail("run3", "why")
    world.begin("run4")
    assert world.history.last_report("A") == world.history.require_last_report("A") == second
    world.host = "there"
    assert world.history.last_report("A") == second


def test_no_number_of_runs_that_were_killed_elsewhere_hides_the_last_report(world: HistoryWorld) -> None:
    good = world.done("run-good")
    for number in range(2 * LOOKED_BACK_MAX):
        world.now_us += SECOND_US
        world.host = f"pod-{number}"
        world.begin(f"killed-{number:03}")
    world.host = "here"
    assert world.history.last_report("A") == good
    assert world.history.earlier("A", f"killed-{number:03}") == [good]


def test_a_last_report_that_cannot_be_read_is_not_passed_over(world: HistoryWorld) -> None:
    world.done("run1")
    world.done("run2")
    with world.store.room(tables.metadata).write() as connection:
        connection.execute(update(tables.run).where(tables.run.c.run == "run2").values(report="{}"))
    with pytest.raises(OperatorError, match="the report of run2 cannot be read"):
        world.history.last_report("A")


def test_a_report_of_another_release_is_read_as_far_as_it_goes() -> None:
    kept = kept_report.report_of(kept_report.text_of(a_report(missing=2)).replace('"empty_directory"', '"unheard_of"'))
    assert kept is not None
    assert kept.counts[Class.MISSING] == 2
    assert Class.EMPTY_DIRECTORY not in kept.counts


@pytest.mark.parametrize("cls", list(Class))
def test_a_report_that_knows_nothing_of_a_class_does_not_say_that_all_is_well(cls: Class) -> None:
    assert a_report().agrees
    kept = kept_report.report_of(kept_report.text_of(a_report()).replace(f'"{cls.value}"', '"unheard_of"'))
    assert kept is not None
    assert kept.agrees is (cls not in DIFFERING)
    assert kept.to_json()[cls.value] is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sizes": {}}', "not json", "null"])
def test_what_is_no_report_is_none(text: str) -> None:
    assert kept_report.report_of(text) is None


def test_a_report_without_one_of_its_numbers_is_none() -> None:
    assert kept_report.report_of(kept_report.text_of(a_report()).replace('"actual"', '"actually"')) is None


# ---- what was asked for ----------------------------------------------------------------


def test_what_was_asked_for_is_written_with_the_asking(world: HistoryWorld) -> None:
    world.done()
    world.done("run2", "B")
    history = world.history
    record = history.recorder("run1", Class.MISSING, "request1", 3, 30, NOW_US)
    world.store.commit(ChangeSet((PutGroup(Group("g")),), "me", "why"), also=record)
    with world.store.room(tables.metadata).write() as connection:
        history.recorder("run2", Class.ORPHAN, "request2", 1, 5, NOW_US)(connection)
    first = Action("run1", "A", "request1", Class.MISSING, 3, 30, NOW_US)
    second = Action("run2", "B", "request2", Class.ORPHAN, 1, 5, NOW_US)
    assert history.actions() == [first, second]
    assert history.actions(run="run1") == history.actions(site="A") == [first]
    assert history.actions(run="run2", site="A") == []


def test_what_is_undone_was_not_asked_for(world: HistoryWorld) -> None:
    world.done()
    record = world.history.recorder("run1", Class.MISSING, "request1", 3, 30, NOW_US)

    def undone(connection: object) -> None:
        record(connection)  # type: ignore[arg-type]
        raise KeyError

    with pytest.raises(KeyError):
        world.store.commit(ChangeSet((PutGroup(Group("g")),), "me", "why"), also=undone)
    assert world.history.actions() == []


def test_a_commit_that_is_tried_again_notes_it_once(world: HistoryWorld) -> None:
    world.done()
    record = world.history.recorder("run1", Class.MISSING, "request1", 3, 30, NOW_US)
    for _ in range(2):
        world.store.commit(ChangeSet((PutGroup(Group("g")),), "me", "why"), also=record)
    assert [action.n_files for action in world.history.actions()] == [3]


def test_one_request_may_be_for_several_classes(world: HistoryWorld) -> None:
    world.done()
    for cls in (Class.MISSING, Class.SIZE_MISMATCH):
        record = world.history.recorder("run1", cls, "request1", 3, 30, NOW_US)
        world.store.commit(ChangeSet((PutGroup(Group(cls.value)),), "me", "why"), also=record)
    assert [action.cls for action in world.history.actions(run="run1")] == [Class.MISSING, Class.SIZE_MISMATCH]


@pytest.mark.parametrize("store", ["sqlite", POSTGRES], indirect=True)
def test_a_backup_has_the_history(world: HistoryWorld, tmp_path: Path) -> None:
    assert isinstance(world.store, SqlStore)
    world.done()
    world.states.set("A", state="halted", by="anna", at_us=NOW_US, reason="why")
    backups.backup(world.store, tmp_path / "saved.db", rooms=[tables.metadata])
    place = tmp_path / "restored.db"
    backups.restore(tmp_path / "saved.db", place, clock=world.clock, actor="test", rooms=[tables.metadata])
    restored = SqlStore.open(place)
    again = HistoryWorld(restored, world.reports)
    assert again.history.runs() == world.history.runs()
    assert again.states.get("A") == world.states.get("A")
    restored.close()
