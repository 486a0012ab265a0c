"""Replicas go as they were asked to, and never what has to stay: asked when claimed, and again before each file."""

from __future__ import annotations

import asyncio

import pytest
from operations_world import DATASET, SETTINGS, Crash, World, crashing_at

from holdfast.model import changes as c
from holdfast.model.errors import Conflict, PeerError
from holdfast.model.names import BlockKey
from holdfast.model.pfn import PfnRules
from holdfast.model.records import BlockFiles, Door, Evidence, Lock, RequestState, StorageType
from holdfast.operations import requests
from holdfast.operations.deletion_report import PathState
from holdfast.operations.work import scheduling

DAY_US = 86_400_000_000
ONE_BY_ONE = SETTINGS.model_copy(update={"deletions_per_site": 1})


def n_deleted(world: World, site: str = "B") -> int:
    return sum(operation == "delete" for operation, _ in world.drivers[site].done)


def test_a_replica_goes(any_world: World) -> None:
    lfns = any_world.publish(9, n_blocks=3, at="AB")
    id = any_world.ask_replica_deletion()
    (report,) = any_world.delete()
    assert any_world.paths("B") == []
    assert any_world.paths("A") == lfns
    assert any_world.replica("B") == []
    assert report.count(PathState.DELETED) == 9
    assert report.outcomes == ()
    outcome = any_world.request(id)
    assert (outcome.state, outcome.detail) == (RequestState.DONE, "deleted 9, already gone 0, skipped 0")
    assert n_deleted(any_world) == 9


def test_only_what_was_asked_for_goes(world: World) -> None:
    lfns = world.publish(6, n_blocks=2, at="AB")
    world.ask_replica_deletion(scope=[BlockFiles("1", (0, 2))])
    world.delete()
    assert world.paths("B") == [*lfns[:3], lfns[4]]
    first, second = world.replica("B")
    assert first.is_complete
    assert second.held is not None
    assert list(second.held) == [1]


def test_what_is_gone_already_is_told_of(world: World) -> None:
    lfns = world.publish(3, at="AB")
    asyncio.run(world.memory("B").delete(lfns[1]))
    id = world.ask_replica_deletion()
    (report,) = world.delete()
    assert (report.count(PathState.DELETED), report.count(PathState.GONE)) == (2, 1)
    assert world.request(id).detail.startswith("deleted 2, already gone 1")
    assert world.replica("B") == []


def test_what_is_another_file_now_stays(any_world: World) -> None:
    lfns = any_world.publish(3, at="AB")
    any_world.put("B", lfns[1], b"somebody's own")
    id = any_world.ask_replica_deletion()
    (report,) = any_world.delete()
    assert any_world.paths("B") == [lfns[1]]
    (left,) = report.outcomes
    assert (left.path, left.state) == (lfns[1], PathState.FAILED)
    assert "it has 14 bytes now" in left.reason
    assert any_world.request(id).state is RequestState.OPEN
    (replica,) = any_world.replica("B")
    assert replica.holds(1)


def test_the_last_copy_is_not_asked_to_go(world: World) -> None:
    world.publish(3)
    with pytest.raises(Conflict):
        world.ask_replica_deletion("A")


def lose(world: World, site: str, *ordinals: int) -> None:
    """The inventory hears that files are not at a site."""
    world.commit(c.FilesGone(BlockKey(DATASET, "0"), site, ordinals, Evidence.STATED, "lost"))


def test_what_has_become_a_last_copy_since_it_was_asked_for_stays(world: World) -> None:
    lfns = world.publish(4, at="AB")
    world.ask_replica_deletion()
    lose(world, "A", 1, 3)
    (report,) = world.delete()
    assert world.paths("B") == [lfns[1], lfns[3]]
    assert {each.path for each in report.outcomes} == {lfns[1], lfns[3]}
    assert all("fewer than 1" in each.reason for each in report.outcomes)


def test_what_becomes_a_last_copy_between_two_deletions_stays(world: World) -> None:
    lfns = world.publish(4, at="AB")
    world.ask_replica_deletion()
    happened: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation == "delete.done" and not happened:
            happened.append(path)
            lose(world, "A", 2)

    world.memory("B").faults = faults
    world.delete(settings=ONE_BY_ONE)
    assert happened
    assert world.paths("B") == [lfns[2]]


def test_what_is_locked_between_two_deletions_stays(world: World) -> None:
    lfns = world.publish(4, at="AB")
    world.ask_replica_deletion()

    def faults(operation: str, path: str) -> None:
        if operation == "delete.done" and path == lfns[0]:
            world.commit(c.PutLock(Lock("late", "somebody", lfn=lfns[3])))

    world.memory("B").faults = faults
    world.delete(settings=ONE_BY_ONE)
    assert world.paths("B") == [lfns[3]]


def test_two_deletions_do_not_count_each_others_copies(world: World) -> None:
    world.publish(4, at="ABC")
    world.ask_replica_deletion("B")
    world.ask_replica_deletion("C")
    with pytest.raises(Conflict):
        world.ask_replica_deletion("A")
    world.delete()
    assert world.paths("B") == world.paths("C") == []
    assert len(world.paths("A")) == 4


def test_required_copies_that_were_raised_since_count(world: World) -> None:
    lfns = world.publish(3, at="ABC")
    world.ask_replica_deletion("B")
    world.commit(c.UpdateDataset(DATASET, required_copies=3))
    (report,) = world.delete()
    assert world.paths("B") == lfns
    assert report.count(PathState.FAILED) == 3


# ---- other copies are looked at -----------------------------------------------------


def test_a_copy_that_was_proved_lately_is_not_looked_at(world: World) -> None:
    lfns = world.publish(3, at="AB")
    asyncio.run(world.memory("A").delete(lfns[0]))  # Which nobody has noticed yet.
    world.ask_replica_deletion()
    world.delete()
    assert world.paths("B") == []


def test_a_copy_that_was_proved_long_ago_is_looked_at(world: World) -> None:
    lfns = world.publish(4, at="AB")
    world.clock.now_us += 100 * DAY_US
    asyncio.run(world.memory("A").delete(lfns[0]))
    world.put("A", lfns[1], b"short")
    world.ask_replica_deletion()
    (report,) = world.delete()
    assert world.paths("B") == lfns[:2]
    reasons = {each.path: each.reason for each in report.outcomes}
    assert "A: it is not there" in reasons[lfns[0]]
    assert "A: it has 5 bytes" in reasons[lfns[1]]
    assert report.count(PathState.DELETED) == 2


def test_if_another_site_cannot_be_asked_the_file_stays_for_now(world: World) -> None:
    lfns = world.publish(2, at="AB")
    world.clock.now_us += 100 * DAY_US
    id = world.ask_replica_deletion()

    def away(operation: str, path: str) -> None:
        raise PeerError("does not answer")

    world.memory("A").faults = away
    (report,) = world.delete()
    assert world.paths("B") == lfns
    assert world.request(id).state is RequestState.OPEN
    assert "does not answer" in report.error
    world.memory("A").faults = None
    world.delete()
    assert world.paths("B") == []


# ---- directories ---------------------------------------------------------------------


@pytest.mark.parametrize("is_wanted", [True, False])
def test_empty_directories_go_where_the_site_says_so(any_world: World, is_wanted: bool) -> None:
    world = any_world
    world.publish(3, at="AB")
    world.put("B", "/data/other", b"mine")
    world.ask_replica_deletion()
    world.delete(settings=SETTINGS.model_copy(update={"remove_empty_directories": is_wanted}))
    listing = asyncio.run(world.drivers["B"].list("/data"))
    assert [entry.name for entry in listing.entries] == (["other"] if is_wanted else ["other", "sky"])


def test_what_all_files_of_a_site_have_in_common_stays(world: World) -> None:
    rules = PfnRules.prefix("/data", "/vol/store")
    world.change_site("B", doors=(Door("memory", "memory:B", rules),))
    world.publish(3, at="AB")
    assert world.paths("B")[0].startswith("/vol/store/sky/")
    world.ask_replica_deletion()
    world.delete(settings=SETTINGS.model_copy(update={"remove_empty_directories": True}))
    assert asyncio.run(world.drivers["B"].list("/vol/store")).entries == ()


# ---- the opposite --------------------------------------------------------------------


def test_a_copy_that_is_asked_for_later_takes_back_what_is_not_claimed(world: World) -> None:
    lfns = world.publish(4, at="AB")
    id = world.ask_replica_deletion()
    world.ask("B")
    assert world.request(id).state is RequestState.CANCELLED
    world.run(kinds=None)
    world.assert_copied(lfns)
    assert n_deleted(world) == 0


def test_a_copy_waits_for_a_deletion_that_is_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lfns = world.publish(6, at="AB")
    monkeypatch.setattr(scheduling, "ROOM_FILES", 3)
    id = world.ask_replica_deletion()
    happened: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation == "delete" and not happened:
            happened.append(world.ask("B").id)

    world.memory("B").faults = faults
    world.run(kinds=None, settings=ONE_BY_ONE)
    (copy,) = happened
    assert world.request(id).state is RequestState.DONE
    assert world.request(copy).state is RequestState.DONE
    # The three that were being deleted came back; the others never went.
    assert n_deleted(world) == 3
    world.assert_copied(lfns)


def test_a_source_that_is_needed_goes_when_it_is_not_needed_any_more(world: World) -> None:
    world.publish(4, at="AB")
    world.change_site("A", storage_type=StorageType.TAPE)
    id = world.ask_replica_deletion("B")
    copy = world.ask("C")
    world.run(kinds=None)
    assert world.request(copy.id).state is RequestState.DONE
    assert world.request(id).state is RequestState.DONE
    assert world.paths("B") == []
    # It came from the disk, before that was let go; or from tape, if nothing on disk was left to be had.
    assert len(world.paths("C")) == 4


# ---- crashes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "nth"),
    [
        ("deletion.planned", 1),
        ("deletion.claimed", 1),
        ("deletion.claimed", 2),
        ("deletion.deleted", 1),
        ("deletion.deleted", 4),
        ("deletion.reported", 1),
        ("deletion.reported", 2),
    ],
)
def test_dying_at_a_step(any_world: World, step: str, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world = any_world
    monkeypatch.setattr(scheduling, "ROOM_FILES", 2)
    lfns = world.publish(6, n_blocks=2, at="AB")
    id = world.ask_replica_deletion()
    with crashing_at(step, nth), pytest.raises(Crash):
        world.delete(settings=ONE_BY_ONE)
    world.reopen()
    (report,) = world.delete(settings=ONE_BY_ONE)
    assert world.paths("B") == []
    assert world.paths("A") == lfns
    assert world.replica("B") == []
    assert report.count(PathState.DELETED, PathState.GONE) == 6
    assert world.request(id).state is RequestState.DONE
    assert n_deleted(world) == 6


def test_reporting_twice_changes_nothing(world: World) -> None:
    world.publish(4, at="AB")
    world.ask_replica_deletion()
    commit = world.store.commit

    def dying(change_set: c.ChangeSet, **given: object) -> object:
        head = commit(change_set, **given)  # type: ignore[arg-type]
        if any(isinstance(change, c.FilesDeleted) for change in change_set.changes):
            raise Crash(str(head))
        return head

    world.store.commit = dying  # type: ignore[method-assign,assignment]
    with pytest.raises(Crash):
        world.delete()
    head = world.store.head()
    world.reopen()
    assert world.delete() == ()
    assert world.store.head().position == head.position


def test_cancelling_stops_a_deletion(world: World) -> None:
    lfns = world.publish(4, at="AB")
    id = world.ask_replica_deletion()

    def faults(operation: str, path: str) -> None:
        if operation == "delete.done" and path == lfns[0]:
            requests.cancel(world.store, id, reason="stop", actor="test")

    world.memory("B").faults = faults
    (report,) = world.delete(settings=ONE_BY_ONE)
    assert "cancelled" in report.error
    assert world.paths("B") == lfns[1:]
