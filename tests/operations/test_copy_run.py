"""Copies from asking to outcome, where nothing or only a storage goes wrong. Crashes are in test_copy_crash."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from operations_world import DATASET, FULL, SETTINGS, SiteStatus, StorageType, World

from holdfast.inventory import backup
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import changes as c
from holdfast.model.errors import BadInput, BrokenInvariant, Conflict, OperatorError, PeerError, UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import BlockFiles, Dataset, Door, FileColumns, Lock, Orphan, RequestState, Site, Staging
from holdfast.operations import requests, tally
from holdfast.operations.batch import BatchState
from holdfast.operations.batches.queue import Queue
from holdfast.operations.progress import RunProgress
from holdfast.operations.work import scheduling, worker_jobs
from holdfast.storage.driver import NoSpace, NotAllowed
from holdfast.testing.memory_driver import MemoryDriver


def test_brings_a_dataset(any_world: World) -> None:
    lfns = any_world.publish(30, n_blocks=3)
    request = any_world.ask("B")
    seen: list[RunProgress] = []
    report = any_world.run(progress=seen.append)
    any_world.assert_copied(lfns)
    assert (report.files_copied, report.files_found, report.files_failed) == (30, 0, 0)
    assert report.bytes_copied == sum(map(len, any_world.data.values()))
    assert any_world.request(request.id).state is RequestState.DONE
    assert seen[-1].files_done == seen[-1].files_total == 30
    assert seen[-1].bytes_done == seen[-1].bytes_total == report.bytes_copied
    assert [each.id for each in report.requests] == [request.id]


def test_asking_again_joins(world: World) -> None:
    world.publish(4)
    first = world.ask("B")
    assert world.ask("B") == first
    assert world.ask("B", scope=[BlockFiles("0", (1, 2))]) == first
    assert world.ask("C").id != first.id


def test_asking_for_more_does_not_join(world: World) -> None:
    world.publish(4)
    first = world.ask("B", scope=[BlockFiles("0", (1, 2))])
    assert world.ask("B", scope=[BlockFiles("0", (2, 1, 2))]) == first
    assert world.ask("B").id != first.id


def test_nothing_to_do_writes_nothing(world: World) -> None:
    world.publish(4, at="AB")
    head = world.store.head()
    assert world.ask("B").state is RequestState.DONE
    assert world.store.head() == head


def test_asking_survives_a_changing_dataset(world: World) -> None:
    world.publish(4)
    commit, calls = world.store.commit, []

    def meddling(change_set: c.ChangeSet, **given: object) -> object:
        if not calls:
            calls.append(1)
            commit(c.ChangeSet((c.UpdateDataset(DATASET, metadata={"a": 1}),), actor="x", cause="x"))
        return commit(change_set, **given)  # type: ignore[arg-type]

    world.store.commit = meddling  # type: ignore[method-assign,assignment]
    assert world.ask("B").state is RequestState.OPEN


def test_refuses_what_cannot_be_asked(world: World) -> None:
    world.publish(4)
    with pytest.raises(UnknownName):
        world.ask("B", dataset=DatasetKey("nope"))
    with pytest.raises(UnknownName):
        world.ask("X")
    with pytest.raises(UnknownName):
        world.ask("B", scope=[BlockFiles("nope")])
    with pytest.raises(BadInput):
        world.ask("B", scope=[BlockFiles("0", (1, 99))])
    world.change_site("B", status=SiteStatus.MORGUE)
    with pytest.raises(Conflict):
        world.ask("B")


def test_only_part_of_a_dataset(world: World) -> None:
    lfns = world.publish(6, n_blocks=2)
    world.ask("B", scope=[BlockFiles("1", (2, 0))])
    world.run()
    assert world.paths("B") == [lfns[3], lfns[5]]
    (replica,) = world.replica("B")
    assert replica.held is not None
    assert list(replica.held) == [0, 2]


def test_two_requests_for_one_file_copy_it_once(world: World) -> None:
    lfns = world.publish(4)
    world.put("B", lfns[1], b"wrong, and to be replaced once")
    world.ask("B", scope=[BlockFiles("0", (0, 1))], may_replace=True)
    world.ask("B", may_replace=True)
    report = world.run()
    world.assert_copied(lfns)
    assert sum(operation == "write" for operation, _ in world.drivers["B"].done) == 4
    assert all(world.drivers["B"].count("rename", lfn) == 1 for lfn in lfns)
    assert [request.state for request in report.requests] == [RequestState.DONE] * 2


def test_a_small_request_does_not_wait_for_a_huge_one(world: World) -> None:
    huge, small = DatasetKey("huge"), DatasetKey("small")
    world.publish(600, dataset=huge, n_blocks=2)
    world.publish(3, dataset=small)
    world.ask("B", dataset=huge)
    world.ask("B", dataset=small)
    world.run()
    order = [path for operation, path in world.drivers["B"].done if operation == "rename"]
    last_small = max(place for place, path in enumerate(order) if path.startswith("/data" + "small"))
    assert last_small < 100
    with world.store.snapshot() as snapshot:
        assert not snapshot.copy_requests()


def test_only_the_named_requests_are_worked_on(world: World) -> None:
    world.publish(3)
    first, second = world.ask("B"), world.ask("C")
    report = world.run(second)
    assert world.paths("B") == []
    assert len(world.paths("C")) == 3
    assert [each.id for each in report.requests] == [second.id]
    assert world.request(first.id).state is RequestState.OPEN


def test_what_is_there_and_good_is_found(any_world: World) -> None:
    lfns = any_world.publish(5)
    any_world.put("B", lfns[2], any_world.data[lfns[2]])
    any_world.ask("B")
    report = any_world.run()
    assert (report.files_copied, report.files_found) == (4, 1)
    assert any_world.drivers["B"].count("rename", lfns[2]) == 0
    any_world.assert_copied(lfns)


@pytest.mark.parametrize("damage", ["size", "byte"])
def test_what_is_there_and_different_is_replaced_if_asked(any_world: World, damage: str) -> None:
    lfns = any_world.publish(5)
    good = any_world.data[lfns[2]]
    any_world.put("B", lfns[2], good[:-3] if damage == "size" else b"X" + good[1:])
    any_world.ask("B", may_replace=True)
    report = any_world.run()
    any_world.assert_copied(lfns)
    assert (report.files_copied, report.files_replaced) == (5, 1)


@pytest.mark.parametrize("damage", ["size", "byte"])
def test_what_is_there_and_different_stays_unless_asked(any_world: World, damage: str) -> None:
    lfns = any_world.publish(5)
    good = any_world.data[lfns[2]]
    foreign = good[:-3] if damage == "size" else b"X" + good[1:]
    any_world.put("B", lfns[2], foreign)
    request = any_world.ask("B")
    report = any_world.run()
    assert any_world.get("B", lfns[2]) == foreign
    assert any_world.paths("B") == lfns
    assert (report.files_copied, report.files_replaced, report.files_failed, report.retries) == (4, 0, 1, 0)
    assert "a different file is in its place (has " in report.errors[0]
    assert any_world.request(request.id).state is RequestState.FAILED
    (replica,) = any_world.replica("B")
    assert not replica.holds(2)


def test_a_request_that_may_replace_is_not_one_that_may_not(world: World) -> None:
    world.publish(4)
    first = world.ask("B")
    second = world.ask("B", may_replace=True)
    assert first.id != second.id
    assert (world.request(first.id).replace, world.request(second.id).replace) == (False, True)
    assert world.ask("B") == first
    assert world.ask("B", may_replace=True) == second


@pytest.mark.parametrize("can_rename", [True, False])
def test_a_locked_file_is_not_replaced(world: World, can_rename: bool) -> None:
    poor = replace(FULL, rename=can_rename, atomic_rename=can_rename)
    world.drivers["B"].inner = MemoryDriver(world.clock, label="B", capabilities=poor)
    lfns = world.publish(3)
    for lfn in lfns:
        world.put("B", lfn, b"precious")
    world.commit(
        c.PutLock(Lock("here", "somebody", lfn=lfns[0], sites="B")),
        c.PutLock(Lock("elsewhere", "somebody", lfn=lfns[1], sites="C")),
        c.PutLock(Lock("over", "somebody", lfn=lfns[1], expires_us=world.clock.now_us - 1)),
        c.PutLock(Lock("dataset", "somebody", dataset=DATASET)),
    )
    world.ask("B", may_replace=True)

    def faults(operation: str, path: str) -> None:
        if operation == "read" and path == lfns[2]:  # Acknowledged while its copy is under way.
            world.commit(c.PutLock(Lock("late", "somebody", lfn=lfns[2])))

    world.memory("A").faults = faults
    report = world.run()
    assert [world.get("B", lfn) for lfn in lfns] == [b"precious", world.data[lfns[1]], b"precious"]
    assert (report.files_replaced, report.files_failed, report.files_held) == (1, 0, 2)
    assert all("locked by somebody" in error for error in report.errors)
    assert world.parts("B") == []


def test_what_is_being_published_is_not_replaced(world: World) -> None:
    (lfn,) = world.publish(1)
    world.put("B", lfn, b"precious")
    world.ask("B", may_replace=True)
    world.commit(c.CreateDataset(Dataset(DatasetKey("new"), staging=Staging("B", "/data"))))
    assert "being published" in world.run().errors[0]
    assert world.get("B", lfn) == b"precious"


def test_another_file_that_comes_meanwhile_is_not_replaced_unseen(world: World) -> None:
    (lfn,) = world.publish(1)
    world.put("B", lfn, b"wrong")
    world.ask("B", may_replace=True)
    good = world.data[lfn]

    def put(path: str) -> None:
        world.drivers["B"].after_write = None
        world.put("B", lfn, good)

    world.drivers["B"].after_write = put
    report = world.run()
    assert (report.files_found, report.files_replaced) == (1, 0)
    assert world.drivers["B"].count("rename", lfn) == 0


def test_two_files_at_one_path_are_not_brought_at_once(world: World) -> None:
    lfns = world.publish(2)
    world.ask("B")
    # The inventory refuses such requests; in earlier releases the site's rules could change after the request.
    one = PfnRules(((RewriteStep("/.*", "/one"),),))
    world.commit(c.PutSite(Site("B", (Door("memory", "memory:B", one),)), kind="put-site"))
    report = world.run()
    assert world.drivers["B"].count("rename", "/one") == 1
    assert world.get("B", "/one") == world.data[lfns[0]]
    assert (report.files_copied, report.files_failed, report.retries) == (1, 1, 0)
    assert "a different file is in its place" in report.errors[0]
    (replica,) = world.replica("B")
    assert list(replica.files(2)) == [0]


def test_what_is_there_and_wrong_stays_until_a_good_part_is_complete(world: World) -> None:
    lfns = world.publish(1)
    world.put("B", lfns[0], b"wrong")
    world.memory("A").flip_byte(lfns[0])
    request = world.ask("B", may_replace=True)
    report = world.run()
    assert world.get("B", lfns[0]) == b"wrong"
    assert (report.files_held, report.files_failed) == (1, 0)
    assert report.held[request.id].startswith("all failed: ")


def test_a_directory_in_the_way_stays(world: World) -> None:
    (lfn,) = world.publish(1)
    world.put("B", f"{lfn}/inner", b"mine")
    request = world.ask("B")
    report = world.run()
    assert world.paths("B") == [f"{lfn}/inner"]
    assert "directory" in report.errors[0]
    assert world.request(request.id).state is RequestState.FAILED


def test_anything_else_in_the_way_stays(world: World) -> None:
    (lfn,) = world.publish(1)
    world.memory("B").tree.put_other(lfn)
    world.ask("B")
    assert world.run().files_failed == 1


# ---- sources ------------------------------------------------------------------


def test_a_wrong_source_is_named_and_another_is_taken(any_world: World) -> None:
    lfns = any_world.publish(5, at="AC")
    any_world.put("A", lfns[1], b"X" + any_world.data[lfns[1]][1:])
    any_world.put("A", lfns[3], any_world.data[lfns[3]] + b"more")
    any_world.put("A", lfns[4], any_world.data[lfns[4]][:-1])
    any_world.ask("B")
    report = any_world.run()
    any_world.assert_copied(lfns)
    assert [fault.site for fault in report.bad_sources] == ["A"] * len(report.bad_sources)
    assert report.bad_sources
    assert all("source is wrong: A" in fault.error for fault in report.bad_sources)


def test_only_wrong_sources_fail_and_leave_nothing(any_world: World) -> None:
    lfns = any_world.publish(5)
    any_world.put("A", lfns[1], b"X" + any_world.data[lfns[1]][1:])
    request = any_world.ask("B")
    report = any_world.run()
    assert any_world.paths("B") == sorted(set(lfns) - {lfns[1]})
    assert any_world.request(request.id).state is RequestState.OPEN
    assert (report.files_copied, report.files_held) == (4, 1)
    assert "source is wrong: A" in report.held[request.id]
    assert lfns[1] in report.errors[0]
    (replica,) = any_world.replica("B")
    assert not replica.is_complete
    assert replica.n_files == 4
    assert report.retries == 0


def test_a_run_tries_what_is_held_once_more(world: World) -> None:
    lfns = world.publish(5)
    good = world.data[lfns[1]]
    world.put("A", lfns[1], b"X" + good[1:])
    first = world.ask("B")
    world.run()
    assert world.run().files_held == 1
    world.put("A", lfns[1], good)
    assert world.ask("B").id == first.id
    report = world.run()
    assert (report.files_copied, report.files_held) == (1, 0)
    world.assert_copied(lfns)


def test_copying_again_after_a_failure_brings_what_lacks(world: World) -> None:
    lfns = world.publish(5)
    world.put("B", lfns[1], b"in the way")
    first = world.ask("B")
    world.run()
    assert world.request(first.id).state is RequestState.FAILED
    assert "4 files" in world.request(first.id).detail
    assert f"1 failed, first B:{lfns[1]}" in world.request(first.id).detail
    asyncio.run(world.memory("B").delete(lfns[1]))
    second = world.ask("B")
    assert second.id != first.id
    assert world.run().files_copied == 1
    world.assert_copied(lfns)


def test_what_is_damaged_on_the_way_is_tried_again(world: World) -> None:
    (lfn,) = world.publish(1)
    memory = world.memory("A")

    def faults(operation: str, path: str) -> None:
        # The bytes are wrong once, though the file is right: read while a byte was flipped.
        if (operation == "read" and not flipped) or (operation == "checksum" and len(flipped) == 1):
            flipped.append(path)
            memory.tree.flip_byte(path)

    flipped: list[str] = []
    memory.faults = faults
    world.ask("B")
    report = world.run()
    assert (report.files_copied, report.retries) == (1, 1)
    assert "damaged on the way" in report.errors[0]
    assert not report.bad_sources
    world.assert_copied([lfn])


def test_disk_goes_before_tape(world: World) -> None:
    lfns = world.publish(3, at="AC")
    world.change_site("A", storage_type=StorageType.TAPE)
    world.drivers["A"].done.clear()
    world.ask("B")
    world.run()
    world.assert_copied(lfns)
    assert not any(operation == "read" for operation, _ in world.drivers["A"].done)


def test_a_site_that_is_not_ready_is_no_source(world: World) -> None:
    world.publish(3)
    world.change_site("A", status=SiteStatus.WAITROOM)
    request = world.ask("B")
    report = world.run()
    assert "no source" in report.held[request.id]
    assert report.held[request.id].startswith("no source")
    assert world.request(request.id).state is RequestState.OPEN


def test_a_source_that_is_gone_is_passed_over(world: World) -> None:
    lfns = world.publish(3, at="AC")
    asyncio.run(world.memory("A").delete(lfns[0]))
    world.ask("B")
    world.run()
    world.assert_copied(lfns)


def test_a_source_without_a_path_or_door_is_passed_over(world: World) -> None:
    lfns = world.publish(3, at="AC")
    world.change_site("A", doors=(Door("memory", "memory:A", PfnRules(((RewriteStep("/elsewhere(/.*)", "{0}"),),))),))
    world.ask("B")
    world.run()
    world.assert_copied(lfns)


def test_a_destination_without_a_path_fails(world: World) -> None:
    world.publish(2)
    world.change_site("B", doors=(Door("memory", "memory:B", PfnRules(((RewriteStep("/elsewhere(/.*)", "{0}"),),))),))
    world.ask("B")
    report = world.run()
    assert report.files_failed == 2
    assert "no path" in report.errors[0]


def test_paths_follow_the_rules_of_each_site(world: World) -> None:
    (lfn,) = world.publish(1)
    world.change_site("B", doors=(Door("memory", "memory:B", PfnRules.prefix("/data", "/mirror")),))
    world.ask("B")
    world.run()
    assert world.paths("B") == [lfn.replace("/data", "/mirror", 1)]


def test_a_file_without_a_known_checksum_is_refused(world: World) -> None:
    world.publish(2, digests=())
    world.ask("B")
    report = world.run()
    assert report.files_failed == 2
    assert "no checksum" in report.errors[0]
    assert world.paths("B") == []


# ---- storages -----------------------------------------------------------------


@pytest.mark.parametrize(
    "capabilities",
    [
        replace(FULL, atomic_rename=False),
        replace(FULL, rename=False, atomic_rename=False),
        replace(FULL, checksums=frozenset()),
        replace(FULL, checksums=frozenset({"adler32"})),
        replace(FULL, directories=False, rename=False, atomic_rename=False, checksums=frozenset()),
    ],
)
def test_poorer_storages(world: World, capabilities: object) -> None:
    world.drivers["B"].inner = MemoryDriver(world.clock, label="B", capabilities=capabilities)  # type: ignore[arg-type]
    lfns = world.publish(4)
    world.put("B", lfns[0], world.data[lfns[0]])
    world.put("B", lfns[1], b"X" + world.data[lfns[1]][1:])
    world.ask("B", may_replace=True)
    report = world.run()
    world.assert_copied(lfns)
    assert (report.files_copied, report.files_found, report.files_replaced) == (3, 1, 1)


def test_a_wrong_file_stays_if_no_good_one_can_be_had_and_nothing_renamed(world: World) -> None:
    poor = replace(FULL, rename=False, atomic_rename=False)
    world.drivers["B"].inner = MemoryDriver(world.clock, label="B", capabilities=poor)
    (lfn,) = world.publish(1)
    world.memory("A").flip_byte(lfn)
    world.put("B", lfn, b"wrong")
    world.ask("B", may_replace=True)
    world.run()
    assert world.get("B", lfn) == b"wrong"


@pytest.mark.parametrize("lie", ["nothing", "truncated", "flipped"])
@pytest.mark.parametrize("can_rename", [True, False])
def test_a_storage_that_says_done_and_lies(world: World, lie: str, can_rename: bool) -> None:
    poor = replace(FULL, rename=can_rename, atomic_rename=can_rename)
    world.drivers["B"].inner = MemoryDriver(world.clock, label="B", capabilities=poor)
    lfns = world.publish(3)
    tree = world.memory("B").tree
    act = {"nothing": tree.remove, "truncated": lambda path: tree.truncate(path, 3), "flipped": tree.flip_byte}[lie]
    world.drivers["B"].after_write = act
    request = world.ask("B")
    report = world.run()
    assert world.paths("B") == []
    assert (report.files_held, report.retries) == (3, 3 * (SETTINGS.attempts_max - 1))
    assert world.request(request.id).state is RequestState.OPEN
    (replica,) = world.replica("B")
    assert replica.n_files == 0
    assert not report.bad_sources
    world.drivers["B"].after_write = None
    world.run()
    world.assert_copied(lfns)


def test_passing_errors_are_tried_again_with_growing_waits(world: World) -> None:
    lfns = world.publish(1)
    failing = iter(range(3))

    def faults(operation: str, path: str) -> None:
        if operation == "write" and next(failing, None) is not None:
            raise PeerError("not now")

    world.memory("B").faults = faults
    world.ask("B")
    before_us = world.clock.now_us
    report = world.run()
    world.assert_copied(lfns)
    assert (report.retries, report.files_copied) == (3, 1)
    # 1 + 2 + 4 s, each less up to half by chance.
    assert 3.5 <= (world.clock.now_us - before_us) / 1e6 <= 8
    assert "B:" in report.errors[0]


def test_a_retry_noted_under_a_clock_that_was_ahead_does_not_wait(world: World) -> None:
    lfns = world.publish(2)
    world.ask("B")
    ahead_us, hits = 30 * 86_400_000_000, []

    def faults(operation: str, path: str) -> None:
        if operation == "write" and not hits:
            hits.append(path)
            world.clock.now_us += ahead_us
            raise PeerError("not now")

    def listen(progress: RunProgress) -> None:
        if progress.retries and len(hits) == 1:
            hits.append("the clock is put right")
            world.clock.now_us -= ahead_us

    world.memory("B").faults = faults
    before_us = world.clock.now_us
    world.run(progress=listen)
    world.assert_copied(lfns)
    assert len(hits) == 2
    assert (world.clock.now_us - before_us) / 1e6 < SETTINGS.retry_delay_s_max


def test_tries_are_bounded(world: World) -> None:
    world.publish(1)

    def faults(operation: str, path: str) -> None:
        if operation == "read":
            raise PeerError("never")

    world.memory("A").faults = faults
    request = world.ask("B")
    report = world.run()
    assert report.retries == SETTINGS.attempts_max - 1
    assert f"given up after {SETTINGS.attempts_max} tries" in report.held[request.id]


def test_a_full_destination_stops_for_itself_only(world: World) -> None:
    lfns = world.publish(300)
    n_written: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation == "write":
            n_written.append(path)
        if operation == "write.finish" and len(n_written) > 10:
            raise NoSpace("no space left")

    world.memory("B").faults = faults
    full, fine = world.ask("B"), world.ask("C")
    report = world.run()
    assert list(report.stopped) == ["B"]
    assert "no space" in report.stopped["B"]
    assert len(n_written) < 20
    assert world.request(full.id).state is RequestState.OPEN
    assert world.request(fine.id).state is RequestState.DONE
    assert world.parts("B") == []
    (replica,) = world.replica("B")
    assert replica.n_files == len(world.paths("B")) <= 10
    world.memory("B").faults = None
    report = world.run()
    assert (report.files_copied, report.files_failed) == (300 - replica.n_files, 0)
    world.assert_copied(lfns)


def test_a_destination_that_lets_nobody_in_is_held_at_once(world: World) -> None:
    lfns = world.publish(20)
    n_tries = 0

    def faults(operation: str, path: str) -> None:
        nonlocal n_tries
        if operation == "write":
            n_tries += 1
            raise NotAllowed("go away", place=f"B:{path}")

    world.memory("B").faults = faults
    request = world.ask("B")
    report = world.run()
    assert n_tries < 10
    assert report.held[request.id].startswith("site unavailable: B")
    assert list(report.stopped) == ["B"]
    assert report.errors == ()
    assert report.stopped["B"].endswith(": go away")
    assert ".holdfast-part-" not in report.stopped["B"]
    world.memory("B").faults = None
    assert world.run().files_copied == 20
    world.assert_copied(lfns)


def test_a_destination_that_does_not_open_stops_for_itself_only(world: World) -> None:
    lfns = world.publish(3)
    drivers = dict(world.drivers)

    def opening(site: Site) -> object:
        if site.name == "B":
            raise OperatorError("not mounted")
        return drivers[site.name]

    world.drivers = opening  # type: ignore[assignment]
    world.ask("B")
    world.ask("C")
    report = world.run()
    assert report.stopped == {"B": "not mounted"}
    world.drivers = drivers
    assert world.paths("C") == lfns


def test_a_site_that_falls_out_of_use_keeps_its_request_open(world: World) -> None:
    world.publish(3)
    request = world.ask("B")
    world.change_site("B", status=SiteStatus.WAITROOM)
    report = world.run()
    assert "waitroom" in report.stopped["B"]
    assert world.request(request.id).state is RequestState.OPEN


def test_a_bug_ends_the_run_at_once(world: World) -> None:
    world.publish(3)

    def faults(operation: str, path: str) -> None:
        if operation == "write":
            raise BrokenInvariant("a bug")

    world.memory("B").faults = faults
    world.ask("B")
    with pytest.raises(BrokenInvariant):
        world.run()


# ---- several executors, cancelling, looking --------------------------------------


def test_cancelling_a_request_stops_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_jobs, "WAKE_S", 0.001)
    monkeypatch.setattr(tally, "TELL_INTERVAL_US", 0)
    world.publish(400)
    request = world.ask("B")

    def listen(progress: RunProgress) -> None:
        if progress.files_done > 100 and world.request(request.id).state is RequestState.OPEN:
            requests.cancel(world.store, request.id, reason="changed my mind", actor="test")

    world.run(progress=listen)
    assert world.request(request.id).state is RequestState.CANCELLED
    n_files = len(world.paths("B"))
    assert 100 < n_files < 400
    assert world.parts("B") == []


@pytest.mark.parametrize("concurrency", [1, 2])
def test_cancelling_stops_a_transfer_that_takes_long(
    world: World, concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_jobs, "WAKE_S", 0.01)
    world.publish(1)
    request = world.ask("B")
    inner = world.drivers["B"].inner
    begun = asyncio.Event()

    async def write(path: str, chunks: object) -> object:
        world.put("B", path, b"begun")
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await inner.delete(path)

    async def cancelled() -> None:
        running = asyncio.ensure_future(
            world.running(settings=SETTINGS.model_copy(update={"concurrency": concurrency}))
        )
        await begun.wait()
        requests.cancel(world.store, request.id, reason="changed my mind", actor="test")
        await asyncio.wait_for(running, 20)

    monkeypatch.setattr(inner, "write", write)
    asyncio.run(cancelled())
    assert world.paths("B") == []
    assert world.request(request.id).state is RequestState.CANCELLED


def test_cancelling_removes_what_could_not_be_removed_before(world: World) -> None:
    world.publish(1)
    request = world.ask("B")

    def faults(operation: str, path: str) -> None:
        if operation in ("rename", "delete"):
            raise PeerError("not now")

    world.memory("B").faults = faults

    def listen(progress: RunProgress) -> None:
        if progress.retries and world.request(request.id).state is RequestState.OPEN:
            assert len(world.parts("B")) == 1
            world.memory("B").faults = None
            requests.cancel(world.store, request.id, reason="changed my mind", actor="test")

    world.run(progress=listen)
    assert world.paths("B") == []


def test_a_dry_run_is_refused_where_the_run_would_be(world: World) -> None:
    world.publish(3)
    head = world.store.head()
    assert world.ask("B", dry_run=True).state is RequestState.OPEN
    assert world.store.head() == head
    with pytest.raises(UnknownName):
        world.ask("B", dry_run=True, group="nobody")
    world.change_site("C", status=SiteStatus.MORGUE)
    with pytest.raises(Conflict):
        world.ask("C", dry_run=True)
    staged = DatasetKey("staged", "1")
    world.commit(
        c.CreateDataset(Dataset(staged, staging=Staging("A", "/staged"))),
        c.RegisterFiles(BlockKey(staged, "0"), 0, FileColumns(("/staged",), (0,), ("f",), (3,)), "A", "", None),
    )
    with pytest.raises(Conflict):
        world.ask("B", dry_run=True, dataset=staged)


def test_asking_survives_a_restore(world: World) -> None:
    world.publish(4)
    commit, calls = world.store.commit, []

    def meddling(change_set: c.ChangeSet, **given: object) -> object:
        if not calls:
            calls.append(1)
            assert isinstance(world.store, SqlStore)
            backup.backup(world.store, world.folder / "backup.db")
            backup.restore(world.folder / "backup.db", world.store.path, clock=world.clock, actor="test")
            raise Conflict("position 5 is not on this history")
        return commit(change_set, **given)  # type: ignore[arg-type]

    world.store.commit = meddling  # type: ignore[method-assign,assignment]
    assert world.ask("B").state is RequestState.OPEN


def test_a_restore_under_a_running_worker_begins_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_jobs, "WAKE_S", 0.001)
    monkeypatch.setattr(tally, "TELL_INTERVAL_US", 0)
    monkeypatch.setattr(scheduling, "ROOM_FILES", 20)
    lfns = world.publish(300)
    kept = world.ask("C")
    assert isinstance(world.store, SqlStore)
    store = world.store
    backup.backup(store, world.folder / "backup.db")
    request = world.ask("B")  # One entry, and StartEpoch is one: the position will be the same.
    position = store.head().position

    def listen(progress: RunProgress) -> None:
        if progress.files_done > 20 and world.n_restores == 0:
            world.n_restores += 1
            backup.restore(world.folder / "backup.db", store.path, clock=world.clock, actor="test")
            world.n_before = len(world.paths("B"))

    world.n_restores = world.n_before = 0
    # Nothing is reported before, so the restored inventory is at the position that the executor knows.
    world.run(progress=listen)
    assert world.n_restores == 1
    with store.snapshot() as snapshot:
        assert snapshot.request(request.id) is None
        assert snapshot.copy_requests() == []
        assert position < snapshot.head.position
    assert len(world.paths("B")) <= world.n_before + scheduling.ROOM_FILES
    assert world.parts("B") == []
    assert world.request(kept.id).state is RequestState.DONE
    world.assert_copied(lfns, "C")


def test_interrupting_gives_everything_back(world: World) -> None:
    lfns = world.publish(200)
    request = world.ask("B")

    async def interrupted() -> None:
        running = asyncio.ensure_future(world.running())
        while not world.paths("B"):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(interrupted())
    assert world.parts("B") == []
    (queued,) = Queue(world.store).known_open()
    assert queued.id == request.id
    assert Queue(world.store).counts(queued).files(BatchState.ACTIVE) == 0
    world.run()
    world.assert_copied(lfns)
    assert all(world.drivers["B"].count("rename", lfn) == 1 for lfn in lfns)


def test_a_request_made_meanwhile_is_taken_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_jobs, "WAKE_S", 0.001)
    monkeypatch.setattr(tally, "TELL_INTERVAL_US", 0)
    world.publish(300)
    world.ask("B")
    later: list[str] = []

    def listen(progress: RunProgress) -> None:
        if progress.files_done > 10 and not later:
            later.append(world.ask("C").id)

    report = world.run(progress=listen)
    assert [each.state for each in report.requests] == [RequestState.DONE] * 2
    assert len(world.paths("C")) == 300


def test_a_copy_is_refused_where_its_paths_are_being_deleted(world: World) -> None:
    world.publish(2, dataset=DatasetKey("open"))
    world.ask_deletion(Orphan("/data" + "open" + "/f0000", 1, 1))
    with pytest.raises(Conflict):
        world.ask("B", dataset=DatasetKey("open"))


def test_large_chunks_are_hashed_beside_the_writing(world: World) -> None:
    lfns = world.publish(2, size=3_000_000)
    world.ask("B")
    world.run()
    world.assert_copied(lfns)


def test_what_the_inventory_refuses_holds_nothing_else_up(world: World) -> None:
    lfns = world.publish(4, n_blocks=2)
    request = world.ask("B")
    commit = world.store.commit

    def refusing(change_set: c.ChangeSet, **given: object) -> object:
        bad = BlockKey(DATASET, "0")
        if any(isinstance(change, c.FilesArrived) and change.block == bad for change in change_set.changes):
            raise Conflict("not this block")
        return commit(change_set, **given)  # type: ignore[arg-type]

    world.store.commit = refusing  # type: ignore[method-assign,assignment]
    world.run()
    assert [replica.n_files for replica in world.replica("B")] == [2]
    assert "the inventory refuses it" in world.request(request.id).detail
    assert world.paths("B") == lfns


def test_a_worker_that_runs_for_ever_tries_a_full_site_again(world: World) -> None:
    settings = SETTINGS.model_copy(update={"held_retry_s": 60.0})
    lfns = world.publish(3)
    world.ask("B")
    full = [True]

    def faults(operation: str, path: str) -> None:
        if operation == "write" and full:
            raise NoSpace("no space left")

    world.memory("B").faults = faults

    async def some_time() -> None:
        running = asyncio.ensure_future(world.running(forever=True, settings=settings))
        while len(world.clock.slept_s) < 10:
            await asyncio.sleep(0)
        full.clear()
        while len(world.clock.slept_s) < 120:
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(some_time())
    world.assert_copied(lfns)
