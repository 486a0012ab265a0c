"""Orphans go, and nothing else: what has changed, is wanted, locked, a directory or a link stays, with its reason."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from late_locks import deleted_with_a_late_lock
from operations_world import SETTINGS, Crash, DatasetKey, World, crashing_at

from holdfast.model import changes as c
from holdfast.model.errors import BadInput, Conflict, OperatorError, PeerError
from holdfast.model.names import BlockKey
from holdfast.model.records import Lock, RequestState, Site
from holdfast.operations import requests
from holdfast.operations.batches.queue import Queue
from holdfast.operations.deletion_report import DeletionReport, PathState
from holdfast.operations.progress import RunProgress
from holdfast.operations.work import scheduling
from holdfast.storage import parts

ONE_BY_ONE = SETTINGS.model_copy(update={"deletions_per_site": 1})


def states(report: DeletionReport) -> dict[str, str]:
    return {outcome.path: outcome.state.value for outcome in report.outcomes}


def test_orphans_go(any_world: World) -> None:
    keep = any_world.publish(2, at="AB")
    orphans = [any_world.orphan("B", f"/dark/o{number}") for number in range(5)]
    id = any_world.ask_deletion(*orphans)
    told: list[RunProgress] = []
    (report,) = any_world.delete(progress=told.append)
    assert any_world.paths("B") == keep
    assert report.count(PathState.DELETED) == 5
    assert (told[-1].deletions_done, told[-1].deletions_total) == (5, 5)
    outcome = any_world.request(id)
    assert outcome.state is RequestState.DONE
    assert outcome.detail == "deleted 5, already gone 0, skipped 0"
    assert any_world.delete() == ()


def test_more_than_one_claim(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "ROOM_FILES", 3)
    world.ask_deletion(*[world.orphan("B", f"/dark/o{number}") for number in range(8)])
    with crashing_at("deletion.claimed", 99) as claims:
        world.delete()
    assert len(claims) == 3
    assert world.paths("B") == []


def test_what_has_changed_stays(any_world: World) -> None:
    size, time, gone = (any_world.orphan("B", f"/dark/{name}") for name in ("size", "time", "gone"))
    id = any_world.ask_deletion(size, time, gone)
    any_world.put("B", size.path, b"something longer")
    any_world.put("B", time.path, b"DARK")
    asyncio.run(any_world.drivers["B"].inner.delete(gone.path))
    (report,) = any_world.delete()
    assert states(report) == {"/dark/size": "skipped", "/dark/time": "skipped", "/dark/gone": "gone"}
    assert any_world.paths("B") == ["/dark/size", "/dark/time"]
    detail = any_world.request(id).detail
    assert detail.startswith("deleted 0, already gone 1, skipped 2: ")
    assert "/dark/size: it has 16 bytes now, 4 when it was listed" in detail


def test_versions_are_compared_where_both_are_known(world: World) -> None:
    orphan = world.orphan("B", "/dark/o")
    world.ask_deletion(replace(orphan, version="another"))
    (report,) = world.delete()
    assert states(report) == {"/dark/o": "skipped"}
    world.ask_deletion(replace(orphan, version=""))
    (report,) = world.delete()
    assert states(report) == {"/dark/o": "deleted"}


def test_a_time_that_the_listing_did_not_know_is_not_compared(world: World) -> None:
    world.ask_deletion(replace(world.orphan("B", "/dark/o"), mtime_ns=0, version=""))
    (report,) = world.delete()
    assert states(report) == {"/dark/o": "deleted"}


def test_directories_and_links_stay(any_world: World) -> None:
    directory, link = any_world.orphan("B", "/dark/directory"), any_world.orphan("B", "/dark/link")
    any_world.ask_deletion(directory, link)
    for orphan in (directory, link):
        asyncio.run(any_world.drivers["B"].inner.delete(orphan.path))
    any_world.put("B", "/dark/directory/inner", b"dark")
    if hasattr(any_world.drivers["B"].inner, "tree"):
        any_world.memory("B").tree.put_other("/dark/link")
    else:
        (any_world.folder / "B/dark/link").symlink_to(any_world.folder / "B/dark/directory/inner")
    (report,) = any_world.delete()
    assert states(report) == {"/dark/directory": "skipped", "/dark/link": "skipped"}
    assert "/dark/directory/inner" in any_world.paths("B")


def test_what_was_locked_meanwhile_stays(world: World) -> None:
    first, second = world.orphan("B", "/dark/first"), world.orphan("B", "/dark/second")
    world.ask_deletion(first, second)
    world.commit(c.PutLock(Lock("lock", "somebody", lfn=first.path)))
    (report,) = world.delete()
    assert states(report) == {"/dark/first": "skipped", "/dark/second": "deleted"}
    assert "locked by somebody" in report.outcomes[0].reason


def test_what_is_asked_to_go_is_not_published_meanwhile(world: World) -> None:
    from holdfast.model.records import Dataset, Staging

    orphans = [world.orphan("B", "/dark/first"), world.orphan("B", "/other/second")]
    world.ask_deletion(*orphans)
    with pytest.raises(Conflict):  # The publisher hears of it, not the one who deletes: he was first.
        world.commit(c.CreateDataset(Dataset(DatasetKey("new"), staging=Staging("B", "/dark"))))
    (report,) = world.delete()
    assert states(report) == {"/dark/first": "deleted", "/other/second": "deleted"}


def test_what_was_registered_and_awaited_is_refused(world: World) -> None:
    lfns = world.publish(3)
    world.ask("B")
    with pytest.raises(Conflict) as caught:
        world.ask_deletion(world.orphan("B", lfns[0]), world.orphan("B", "/dark/o"))
    assert caught.value.rows == (lfns[0],)


def test_part_of_a_live_transfer_stays(world: World) -> None:
    world.publish(2)
    request = world.ask("B")
    with crashing_at("copy.part-written"), pytest.raises(Crash):
        world.run()
    (part,) = world.parts("B")
    foreign = parts.part_path("/dark/o", "foreign")
    world.ask_deletion(world.orphan("B", part, world.get("B", part) or b""), world.orphan("B", foreign))
    (report,) = world.delete()
    assert states(report) == {part: "skipped", foreign: "deleted"}
    requests.cancel(world.store, request.id, reason="no", actor="test")
    world.run()
    assert world.paths("B") == []


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("step", ["deletion.claimed", "deletion.deleted"])
def test_dying_at_a_step(any_world: World, step: str, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "ROOM_FILES", 2)
    id = any_world.ask_deletion(*[any_world.orphan("B", f"/dark/o{number}") for number in range(5)])
    with crashing_at(step, nth), pytest.raises(Crash):
        any_world.delete(settings=ONE_BY_ONE)
    any_world.reopen()
    (report,) = any_world.delete(settings=ONE_BY_ONE)
    assert any_world.paths("B") == []
    assert report.count(PathState.DELETED, PathState.GONE) == 5
    assert any_world.request(id).state is RequestState.DONE
    deleted = [path for operation, path in any_world.drivers["B"].done if operation == "delete"]
    assert len(deleted) == len(set(deleted)) == 5


def test_a_file_that_came_back_after_a_crash_stays(world: World) -> None:
    orphan = world.orphan("B", "/dark/o")
    world.ask_deletion(orphan)
    with crashing_at("deletion.deleted"), pytest.raises(Crash):
        world.delete()
    world.put("B", orphan.path, b"new!")
    world.reopen()
    (report,) = world.delete()
    assert states(report) == {orphan.path: "skipped"}
    assert world.paths("B") == [orphan.path]


def test_a_worker_that_slept_past_its_lease_asks_again(world: World) -> None:
    first, second = world.orphan("B", "/dark/first"), world.orphan("B", "/dark/second")
    world.ask_deletion(first, second)

    def faults(operation: str, path: str) -> None:
        if operation == "delete" and path == first.path:
            world.clock.waited_s += SETTINGS.lease_s
            world.commit(c.PutLock(Lock("lock", "somebody", lfn=second.path)))

    world.memory("B").faults = faults
    (report,) = world.delete(settings=ONE_BY_ONE)
    assert states(report) == {"/dark/first": "deleted", "/dark/second": "skipped"}


@pytest.mark.parametrize("moment", ["deletion.claimed", "stat", "deletion.deleted"])
def test_what_is_locked_after_the_claim_stays(world: World, moment: str) -> None:
    orphans = [world.orphan("B", f"/dark/o{number}") for number in range(4)]
    world.ask_deletion(*orphans)
    report = deleted_with_a_late_lock(world, moment, orphans)
    assert [outcome.state.value for outcome in report.outcomes] == ["deleted", "skipped", "skipped", "deleted"]
    assert world.paths("B") == ["/dark/o1", "/dark/o2"]
    assert "locked by somebody" in report.outcomes[1].reason


def test_a_file_that_changes_between_the_look_and_the_deletion_stays(any_world: World) -> None:
    orphan = any_world.orphan("B", "/dark/o")
    any_world.ask_deletion(orphan)
    head, queue = any_world.store.head, Queue(any_world.store)

    def changing() -> object:
        with queue.read() as connection:
            if queue.active(connection):
                any_world.put("B", orphan.path, b"something else")
        return head()

    any_world.store.head = changing  # type: ignore[method-assign,assignment]
    (report,) = any_world.delete()
    assert states(report) == {orphan.path: "skipped"}
    assert any_world.get("B", orphan.path) == b"something else"
    assert "about to go" in report.outcomes[0].reason


def test_a_request_that_is_cancelled_meanwhile_stops(world: World) -> None:
    first, second = world.orphan("B", "/dark/first"), world.orphan("B", "/dark/second")
    id = world.ask_deletion(first, second)

    def faults(operation: str, path: str) -> None:
        if operation == "delete":
            requests.cancel(world.store, id, reason="stop", actor="test")

    world.memory("B").faults = faults
    (report,) = world.delete(settings=ONE_BY_ONE)
    assert "cancelled" in report.error
    assert world.paths("B") == [second.path]
    assert world.request(id).state is RequestState.CANCELLED


def test_what_the_storage_does_not_let_go_is_a_failure(world: World) -> None:
    id = world.ask_deletion(world.orphan("B", "/dark/o"), world.orphan("B", "/dark/p"))

    def faults(operation: str, path: str) -> None:
        if operation == "delete" and path == "/dark/o":
            raise PeerError("busy")

    world.memory("B").faults = faults
    (report,) = world.delete()
    assert states(report) == {"/dark/o": "failed", "/dark/p": "deleted"}
    assert world.request(id).state is RequestState.OPEN
    assert report.error.startswith("all failed: given up after 4 tries: ")
    assert "busy" in report.outcomes[0].reason
    world.memory("B").faults = None
    (report,) = world.delete()
    assert states(report) == {"/dark/o": "deleted", "/dark/p": "deleted"}
    assert world.request(id).state is RequestState.DONE


def test_a_site_that_does_not_open_keeps_its_request(world: World) -> None:
    id = world.ask_deletion(world.orphan("B", "/dark/o"))

    def closed(site: Site) -> object:
        raise OperatorError("not mounted")

    drivers, world.drivers = world.drivers, closed  # type: ignore[assignment]
    (report,) = world.delete()
    world.drivers = drivers
    assert report.error == "not mounted"
    assert world.request(id).state is RequestState.OPEN


def test_too_much_at_once_is_refused(world: World) -> None:
    orphan = world.orphan("B", "/dark/o")
    with pytest.raises(BadInput):
        world.ask_deletion(*[orphan] * (c.ROWS_MAX + 1))


def test_a_file_registered_elsewhere_and_dark_here_may_go(world: World) -> None:
    lfns = world.publish(2)
    world.ask_deletion(world.orphan("B", lfns[0]))
    with world.store.snapshot() as snapshot:
        assert snapshot.replicas(block=BlockKey(DatasetKey("/sky/survey", "1"), "0"), site="B") == []
    world.delete()
    assert world.paths("B") == []
    assert world.paths("A") == lfns
