"""Files that no other site can give, and that lie where they were to be brought: found, and nothing is moved."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from operations_world import DATASET, SETTINGS, Recorder, World

from holdfast.model import changes as c
from holdfast.model.errors import Conflict, HoldfastError, PeerError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import CopyRequest, Evidence, RequestState, SiteStatus
from holdfast.operations.batch import Held
from holdfast.operations.batches.queue import Queue
from holdfast.operations.codes import Code
from holdfast.operations.engine import Place, Transfer
from holdfast.operations.engines import standing
from holdfast.operations.engines.proving import EngineFault
from holdfast.operations.requesting import steering
from holdfast.operations.showing import link_overview
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import Digest, NotAllowed, Stat
from holdfast.storage.dump import options as dump_options
from holdfast.storage.dump.driver import DumpDriver
from holdfast.storage.dump.plan import plan

HELD_RETRY_S = 300.0


def lose(world: World, site: str, *ordinals: int) -> None:
    """A person says that a site has lost files of the first block, and so it has."""
    world.commit(c.FilesGone(BlockKey(DATASET, "0"), site, ordinals, Evidence.DECLARED, "the disk broke"))


def without_source(world: World, **given: Any) -> CopyRequest:
    """A copy to B of files that only A had, which is not to be used now."""
    world.change_site("A", status=SiteStatus.MORGUE)
    return world.ask("B", **given)


def test_the_last_copy_is_found_where_it_is_wanted(any_world: World) -> None:
    lfns = any_world.publish(4, at="A")
    request = any_world.ask("B")
    lose(any_world, "A", 1)
    asyncio.run(any_world.drivers["A"].delete(lfns[1]))
    any_world.put("B", lfns[1], any_world.data[lfns[1]])
    report = any_world.run(request)
    assert (report.files_copied, report.files_found, report.bad_sources) == (3, 1, ())
    assert any_world.request(request.id).state is RequestState.DONE
    any_world.assert_copied(lfns)
    any_world.ask("A")
    any_world.run()
    any_world.assert_copied(lfns, site="A")


def test_what_is_not_there_either_waits_for_a_source_and_is_looked_for_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lfns = world.publish(3)
    request = without_source(world)
    world.put("B", lfns[1], world.data[lfns[1]])
    looks: list[str] = []
    stat = world.drivers["B"].stat
    monkeypatch.setattr(world.drivers["B"], "stat", lambda path: looks.append(path) or stat(path))
    report = world.run(request)
    assert (report.files_copied, report.files_found, report.files_failed) == (0, 1, 0)
    for ground in (
        "no source: no other ready site holds it; not to be used: A (morgue)",
        "in its place: B:",
        "not there",
    ):
        assert ground in report.held[request.id]
    assert world.paths("B") == [lfns[1]]
    assert sorted(looks) == sorted(lfns)
    world.change_site("A", status=SiteStatus.READY)
    assert world.run(request).files_copied == 2
    world.assert_copied(lfns)


def test_a_different_file_stays_whatever_the_request_may_replace(world: World) -> None:
    lfns = world.publish(2)
    request = without_source(world, may_replace=True)
    wrong = world.data[lfns[0]][:-1] + b"!"
    world.put("B", lfns[0], wrong)
    report = world.run(request)
    assert "a different file is there (has " in report.held[request.id]
    assert world.get("B", lfns[0]) == wrong
    assert not {"write", "rename", "delete"} & {operation for operation, _ in world.drivers["B"].done}
    world.change_site("A", status=SiteStatus.READY)
    world.run(request)
    world.assert_copied(lfns)


Wait = Callable[[float], Awaitable[None]]
"""Lets the worker work for so many seconds."""


def beside_a_worker(world: World, scenario: Callable[[Wait], Awaitable[None]]) -> None:
    """A scenario beside a worker that runs for ever."""

    async def whole() -> None:
        settings = SETTINGS.model_copy(update={"held_retry_s": HELD_RETRY_S})
        working = asyncio.ensure_future(world.running(forever=True, settings=settings))

        async def wait(seconds: float) -> None:
            ends_s = world.clock.waited_s + seconds
            while world.clock.waited_s < ends_s and not working.done():
                await asyncio.sleep(0)
            assert not working.done()

        await scenario(wait)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    asyncio.run(whole())


def many_rounds(world: World) -> None:
    """A worker that runs for ever, until what is held was six times due to be tried again."""
    beside_a_worker(world, lambda wait: wait(6 * HELD_RETRY_S))


class Looks:
    """Counts who looks at files of a site, and refuses or fails some of them."""

    def __init__(self, world: World, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stats: Counter[str] = Counter()
        self.checksums: Counter[str] = Counter()
        self.errors: dict[str, HoldfastError] = {}
        driver = world.drivers[site]
        stat, checksum = driver.stat, driver.checksum

        async def looked(path: str) -> Stat:
            self.stats[path] += 1
            if path in self.errors:
                raise self.errors[path]
            return await stat(path)

        async def read(path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
            self.checksums[path] += 1
            return await checksum(path, algorithms, read=read)

        monkeypatch.setattr(driver, "stat", looked)
        monkeypatch.setattr(driver, "checksum", read)


def test_what_is_not_in_its_place_is_not_looked_for_by_the_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lfns = world.publish(3)
    request = without_source(world)
    world.put("B", lfns[0], world.data[lfns[0]][:-1] + b"!")
    looks = Looks(world, "B", monkeypatch)
    many_rounds(world)
    assert (looks.stats, looks.checksums) == (Counter(lfns), Counter(lfns[:1]))
    world.put("B", lfns[0], world.data[lfns[0]])
    steering.retry(world.store, request.id)
    assert world.run(request).files_found == 1, "somebody says so"


def test_what_could_not_be_looked_at_costs_no_try_and_stops_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lfns = world.publish(2)
    other = DatasetKey("/sky/other", "1")
    brought = world.publish(8, dataset=other, at="AC", n_blocks=4)
    request = without_source(world)
    world.put("B", lfns[0], world.data[lfns[0]])
    looks = Looks(world, "B", monkeypatch)
    looks.errors[lfns[0]] = NotAllowed("permission denied", place=f"B:{lfns[0]}")
    looks.errors[lfns[1]] = PeerError("no answer", place=f"B:{lfns[1]}")
    world.ask("B", dataset=other)
    report = world.run()
    assert (report.files_copied, set(report.held)) == (len(brought), {request.id})
    assert "no source: no other ready site holds it" in report.held[request.id]
    assert any(reason in report.held[request.id] for reason in ("permission denied", "no answer"))
    many_rounds(world)
    assert 4 <= looks.stats[lfns[0]] <= 8, "what could not be seen is tried each time"
    looks.errors.clear()
    world.change_site("A", status=SiteStatus.READY)
    report = world.run(request)
    assert (report.files_found, report.files_copied) == (1, 1)
    assert [world.get("B", lfn) for lfn in lfns] == [world.data[lfn] for lfn in lfns]


def test_what_could_not_be_looked_at_is_tried_again_whatever_has_failed_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lfn,) = world.publish(1)
    request = without_source(world)
    world.put("B", lfn, world.data[lfn])
    looks = Looks(world, "B", monkeypatch)
    looks.errors[lfn] = PeerError("no answer", place=f"B:{lfn}")
    asyncio.run(world.drivers["A"].delete(lfn))

    async def scenario(wait: Wait) -> None:
        await wait(60)
        await asyncio.to_thread(world.change_site, "A", status=SiteStatus.READY)
        await wait(200)
        await asyncio.to_thread(lose, world, "A", 0)
        await wait(60)
        looks.errors.clear()
        await wait(3 * HELD_RETRY_S)

    beside_a_worker(world, scenario)
    assert world.request(request.id).state is RequestState.DONE


def test_looks_leave_nothing_to_be_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each look would ask the storage that is in trouble to delete the parts of all looks before it."""
    lfns = world.publish(2)
    request = without_source(world)
    looks = Looks(world, "B", monkeypatch)
    looks.errors[lfns[0]] = PeerError("no answer", place=f"B:{lfns[0]}")
    many_rounds(world)
    assert looks.stats[lfns[0]] > 3
    assert not [each for each in world.drivers["B"].done if each[0] == "delete"]
    queue = Queue(world.store)
    with queue.read() as connection:
        held = queue.held(connection)
    assert [(batch.request.id, batch.held, batch.left) for batch in held] == [(request.id, Held.NO_SOURCE, ())] * 2
    assert sorted(batch.bad_sources for batch in held) == [(), ("B",)]


def test_what_nothing_could_tell_from_others_is_looked_for_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory lies in one place, and of the other file the inventory knows no checksum."""
    (lfn,) = world.publish(1)
    other = DatasetKey("/sky/other", "1")
    (unproved,) = world.publish(1, dataset=other, digests=())
    requests = [without_source(world), world.ask("B", dataset=other)]
    world.put("B", f"{lfn}/below", b"x")
    world.put("B", unproved, world.data[unproved])
    looks = Looks(world, "B", monkeypatch)
    many_rounds(world)
    assert looks.stats == Counter([lfn])
    report = world.run(*requests)
    assert "is a directory, and stays" in report.held[requests[0].id]
    assert "no checksum" in report.held[requests[1].id]


def test_a_dump_shows_nothing_in_its_place(world: World, tmp_path: Path) -> None:
    """It says that the file is there, as large and with all its checksums; but nobody can look."""
    (lfn,) = world.publish(1)
    data = world.data[lfn]
    digests = digests_of(data, ["adler32", "sha256"])
    dump = tmp_path / "dump.tsv"
    dump.write_text(f"{lfn}\t{len(data)}\t{digests['adler32']}\t{digests['sha256']}\n")
    root = f"{dump}?layout=tsv&columns=path,size,adler32,sha256&taken=2020-01-01"
    world.drivers["B"] = Recorder(DumpDriver(plan(dump_options.parse(root)), label="B"))
    request = without_source(world)
    report = world.run(request)
    assert (report.files_found, world.request(request.id).state) == (0, RequestState.OPEN)
    assert "nothing can be looked at through the door of B" in report.held[request.id]
    assert [each.n_files for each in world.replica("B")] == [0]
    place = Place("B", world.drivers["B"], lfn, "")
    with pytest.raises(EngineFault, match="cannot be looked at through this door") as refused:
        asyncio.run(standing.look(Transfer(0, "token", len(data), digests, place, place)))
    assert refused.value.code is Code.UNSUPPORTED
    world.change_site("A", status=SiteStatus.READY)
    with pytest.raises(Conflict, match="last-copy"):
        world.ask_replica_deletion("A", dataset=DATASET)


@pytest.mark.parametrize("has_source", [True, False], ids=["from A", "in place"])
def test_what_was_called_wrong_is_read_whatever_the_storage_remembers(
    world: World, monkeypatch: pytest.MonkeyPatch, *, has_source: bool
) -> None:
    """The checksum was taken when the file came, and it has rotted since."""
    (lfn,) = world.publish(1, at="AB", digests=("adler32",))
    good = world.data[lfn]
    checksum = world.drivers["B"].checksum

    async def remembers(path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        found = await checksum(path, algorithms, read=read)
        return found if read else replace(found, checksums=digests_of(good, algorithms))

    monkeypatch.setattr(world.drivers["B"], "checksum", remembers)
    world.put("B", lfn, good[:-1] + b"!")
    if not has_source:
        lose(world, "A", 0)
    lose(world, "B", 0)
    request = world.ask("B", may_replace=True)
    report = world.run(request)
    assert report.files_found == 0
    assert (world.get("B", lfn) == good) is has_source
    assert (world.request(request.id).state is RequestState.DONE) is has_source


def test_a_site_has_no_link_to_itself(world: World) -> None:
    lfns = world.publish(2)
    world.put("B", lfns[0], world.data[lfns[0]])
    request = without_source(world)
    assert link_overview.statuses(world.store, SETTINGS, now_us=world.clock()) == []
    world.run(request)
    assert link_overview.statuses(world.store, SETTINGS, now_us=world.clock()) == []
