"""The engine ``fts`` against a service that really moves files: what comes of jobs and of each file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fts_world import OSLO, FtsWorld, MemoryDesk, fts_world, job, place

from holdfast.operations.codes import Code
from holdfast.operations.engine import ClaimLost, Transfer
from holdfast.operations.engines import standing
from holdfast.operations.engines.fts.engine import FtsEngine
from holdfast.storage import parts
from holdfast.storage.posix.driver import PosixDriver

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtsWorld]:
    with fts_world(tmp_path_factory.mktemp("fts")) as made:
        yield made


@pytest.fixture
def world(running: FtsWorld) -> FtsWorld:
    running.server.reset()
    return running


async def carried(
    engine: FtsEngine, transfers: list[Transfer], desk: MemoryDesk | None = None, **options: Any
) -> MemoryDesk:
    """The desk after a job was carried."""
    desk = desk or MemoryDesk()
    try:
        await engine.carry(job(transfers, **options), desk)
    finally:
        await engine.close()
    return desk


def carry(
    world: FtsWorld, transfers: list[Transfer], desk: MemoryDesk | None = None, *, claim: str = "c1", **changed: Any
) -> MemoryDesk:
    return asyncio.run(carried(world.engine(**changed), transfers, desk, claim=claim))


def test_files_are_brought_proved_and_named(world: FtsWorld) -> None:
    transfers = world.transfers(5)
    desk = carry(world, transfers)
    assert desk.verdicts == dict.fromkeys(range(5), "copied")
    assert all(outcome.verified_us for outcome in desk.outcomes.values())
    assert world.left() == [f"d/f{number}" for number in range(5)]
    assert (world.oslo / "d/f3").read_bytes() == b"data 3"
    assert desk.moved_bytes == dict.fromkeys(range(5), 6)


def test_the_job_says_what_was_asked_for(world: FtsWorld) -> None:
    desk = carry(world, world.transfers(2), activity="production", retries=2)
    (made,) = world.server.jobs()
    assert desk.handles == [f"{made['job_id']}/c1"]
    assert made["job_metadata"]["claim"] == "c1"
    assert (made["priority"], made["retry"], made["overwrite_flag"]) == (3, 2, None)
    assert [file["file_metadata"] for file in made["files"]] == [{"ordinal": 0}, {"ordinal": 1}]
    assert {file["activity"] for file in made["files"]} == {"production"}
    assert made["files"][0]["dest_surl"] == f"{OSLO}/d/{parts.part_name('c1t0')}"


@pytest.mark.parametrize("name", ["with blank", "50%25", "sch\u00f6n/\u6587", "a+b&c=d", "a?b#c"])
def test_names_arrive_as_they_are(world: FtsWorld, name: str) -> None:
    assert carry(world, [world.transfer(0, name, b"x")]).verdicts == {0: "copied"}
    assert world.left() == [name]


def test_an_empty_file(world: FtsWorld) -> None:
    assert carry(world, [world.transfer(0, "empty", b"")]).verdicts == {0: "copied"}


def test_what_is_there_is_found_and_no_job_is_made(world: FtsWorld) -> None:
    transfer = world.transfer(0, "x", b"data")
    (world.oslo / "x").write_bytes(b"data")
    assert carry(world, [transfer]).verdicts == {0: "found"}
    assert world.server.jobs() == []


def test_a_different_file_stays(world: FtsWorld) -> None:
    transfers = [world.transfer(0, "x", b"data"), world.transfer(1, "y", b"more")]
    (world.oslo / "x").write_bytes(b"DATA")
    desk = carry(world, transfers)
    assert desk.verdicts == {0: "failed", 1: "copied"}
    assert desk.outcomes[0].code is Code.DESTINATION_OCCUPIED
    assert (world.oslo / "x").read_bytes() == b"DATA"


def test_a_different_file_goes_where_it_may(world: FtsWorld) -> None:
    transfer = world.transfer(0, "x", b"data", replaceable=lambda: "")
    (world.oslo / "x").write_bytes(b"DATA")
    desk = carry(world, [transfer])
    assert desk.outcomes[0].has_replaced
    assert (world.oslo / "x").read_bytes() == b"data"
    assert world.left() == ["x"]


def test_a_file_that_comes_into_the_place_meanwhile_is_found(world: FtsWorld) -> None:
    transfer = _without_renaming(world, world.transfer(0, "x", b"data"))
    world.server.faults({"do": "fail", "reason": "DESTINATION [17] Destination file exists", "match": "/x"})

    class Desk(MemoryDesk):
        async def keep(self, handle: str) -> None:
            (world.oslo / "x").write_bytes(b"data")
            await super().keep(handle)

    assert carry(world, [transfer], Desk()).verdicts == {0: "found"}


def test_a_source_that_is_gone(world: FtsWorld) -> None:
    transfers = world.transfers(2)
    (world.bern / "d/f0").unlink()
    desk = carry(world, transfers)
    assert desk.verdicts == {0: "failed", 1: "copied"}
    assert desk.outcomes[0].code is Code.SOURCE_MISSING


def test_a_wrong_source_is_called_wrong(world: FtsWorld) -> None:
    transfer = world.transfer(0, "x", b"data")
    (world.bern / "x").write_bytes(b"DATA")
    desk = carry(world, [transfer])
    assert desk.outcomes[0].code is Code.SOURCE_WRONG
    assert world.left() == []


def test_bytes_that_are_damaged_on_the_way(world: FtsWorld) -> None:
    world.server.faults({"do": "damage", "match": "/x"})
    desk = carry(world, [world.transfer(0, "x", b"data")])
    assert desk.outcomes[0].code is Code.DAMAGED
    assert world.left() == []


def test_a_service_that_says_finished_and_has_nothing(world: FtsWorld) -> None:
    world.server.faults({"do": "hollow", "match": "/f0"})
    desk = carry(world, world.transfers(2))
    assert desk.verdicts == {0: "failed", 1: "copied"}
    assert desk.outcomes[0].code is Code.DESTINATION_EMPTY


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("DESTINATION [28] No space left on device", Code.DESTINATION_FULL),
        ("TRANSFER [122] Disk quota exceeded", Code.DESTINATION_FULL),
        ("SOURCE [13] Permission denied", Code.SOURCE_REFUSED),
        ("DESTINATION [13] Permission denied", Code.DESTINATION_REFUSED),
        ("TRANSFER [110] TRANSFER Operation timed out", Code.ENGINE_FAILED),
        ("no number, though it says No such file or directory", Code.ENGINE_FAILED),
    ],
)
def test_failures_have_the_code_of_their_number(world: FtsWorld, reason: str, code: Code) -> None:
    world.server.faults({"do": "half", "reason": reason})
    desk = carry(world, [world.transfer(0, "x", b"data")])
    assert desk.outcomes[0].code is code
    assert reason in desk.outcomes[0].error
    assert world.left() == [], "the half that was left is gone"


def test_what_has_the_name_of_our_part_goes(world: FtsWorld) -> None:
    part = world.oslo / parts.part_name("c1t0")
    part.write_bytes(b"nobody's")
    desk = carry(world, [world.transfer(0, "x", b"data")])
    assert desk.outcomes[0].code is Code.DESTINATION_FAILED
    assert world.left() == []
    assert carry(world, [world.transfer(0, "x", b"data")], claim="c2").verdicts == {0: "copied"}


def test_a_file_on_tape_is_staged_first(world: FtsWorld) -> None:
    desk = carry(world, [world.transfer(0, "x", b"data", site="tape")], bring_online_s=100, pin_lifetime_s=200)
    assert desk.verdicts == {0: "copied"}
    (made,) = world.server.jobs()
    assert (made["bring_online"], made["copy_pin_lifetime"]) == (100, 200)
    assert made["files"][0]["staging_finished"]


def test_a_storage_that_cannot_rename_gets_the_final_name(world: FtsWorld) -> None:
    transfers = [_without_renaming(world, each) for each in world.transfers(2)]
    desk = carry(world, transfers)
    assert desk.verdicts == {0: "copied", 1: "copied"}
    (made,) = world.server.jobs()
    assert [file["dest_surl"] for file in made["files"]] == [f"{OSLO}/d/f0", f"{OSLO}/d/f1"]


def test_there_a_wrong_file_makes_room_when_the_source_is_proved(world: FtsWorld) -> None:
    good = _without_renaming(world, world.transfer(0, "x", b"data", replaceable=lambda: ""))
    bad = _without_renaming(world, world.transfer(1, "y", b"data", replaceable=lambda: ""))
    for name in ("x", "y"):
        (world.oslo / name).write_bytes(b"WRONG")
    (world.bern / "y").write_bytes(b"DATA")
    desk = carry(world, [good, bad])
    assert desk.outcomes[0].has_replaced
    assert desk.outcomes[1].code is Code.SOURCE_WRONG
    assert (world.oslo / "y").read_bytes() == b"WRONG"


def test_who_takes_the_job_up_after_a_repair_was_named_finds_it(
    world: FtsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker was killed before it could tell; the files are large."""
    monkeypatch.setattr(standing, "READ_FOUND_BYTES_MAX", 1)
    transfers = [replace(each, replaceable=lambda: "") for each in world.transfers(2)]
    desk = carry(world, transfers)
    assert desk.verdicts == dict.fromkeys(range(2), "copied")
    again = [replace(each, token=f"c2t{each.ordinal}") for each in transfers]
    desk = asyncio.run(carried(world.engine(), again, claim="c2", handle=desk.handles[-1]))
    assert desk.verdicts == dict.fromkeys(range(2), "found")


def test_a_job_that_takes_too_long_is_cancelled_and_tried_again(world: FtsWorld) -> None:
    world.server.faults({"do": "stall", "match": "/f1"})
    desk = carry(world, world.transfers(2), job_timeout_s=1.0)
    assert desk.verdicts == {0: "copied", 1: "failed"}
    assert desk.outcomes[1].code is Code.STOPPED
    assert world.server.jobs()[0]["job_state"] == "CANCELED"


def test_files_are_proved_while_others_of_their_job_go_on(world: FtsWorld) -> None:
    world.server.faults({"do": "stall", "match": "/f1"})

    async def run() -> MemoryDesk:
        engine, desk = world.engine(), MemoryDesk()
        carrying = asyncio.create_task(engine.carry(job(world.transfers(3)), desk))
        while len(desk.outcomes) < 2:
            await asyncio.sleep(0.02)
        assert desk.verdicts == {0: "copied", 2: "copied"}
        await engine.cancel(desk.handles[0])
        await carrying
        await engine.close()
        return desk

    desk = asyncio.run(run())
    assert desk.outcomes[1].code is Code.STOPPED


def test_a_job_that_the_service_forgets_has_stopped(world: FtsWorld) -> None:
    world.server.faults({"do": "stall"})

    async def run() -> MemoryDesk:
        engine, desk = world.engine(), MemoryDesk()
        carrying = asyncio.create_task(engine.carry(job(world.transfers(1)), desk))
        while not world.server.jobs():
            await asyncio.sleep(0.02)
        await asyncio.to_thread(world.server.forget, desk.handles[0].split("/")[0])
        await carrying
        await engine.close()
        return desk

    assert asyncio.run(run()).outcomes[0].code is Code.STOPPED


def test_a_lost_claim_ends_all_and_changes_nothing(world: FtsWorld) -> None:
    desk = MemoryDesk(is_lost=True)
    with pytest.raises(ClaimLost):
        carry(world, world.transfers(3), desk)
    assert world.server.jobs() == []
    assert desk.outcomes == {}


def test_a_claim_that_is_lost_while_the_job_runs_leaves_the_job(world: FtsWorld) -> None:
    class Desk(MemoryDesk):
        async def keep(self, handle: str) -> None:
            await super().keep(handle)
            world.server.faults({"do": "slow", "seconds": 0.3})

        def moved(self, ordinal: int, n_bytes: int) -> None:
            self.is_lost = True

    with pytest.raises(ClaimLost):
        carry(world, world.transfers(1), Desk())
    assert world.left() == [f"d/{parts.part_name('c1t0')}"], "whoever has the claim now finds the part"


def test_what_no_server_has_cannot_be_served(world: FtsWorld) -> None:
    engine = world.engine()
    served = world.transfer(0, "x", b"")
    local = place("here", PosixDriver(world.bern, label="here"), "file:///data", "/x")
    plain = place("here", PosixDriver(world.bern, label="here"), "/data", "/x")
    assert engine.can(served.source, served.destination) == ""
    for each in (local, plain):
        assert "here" in engine.can(each, served.destination)
        assert "here" in engine.can(served.source, each)


def _without_renaming(world: FtsWorld, transfer: Transfer) -> Transfer:
    class Driver(PosixDriver):
        @property
        def capabilities(self):  # type: ignore[no-untyped-def]
            return replace(super().capabilities, rename=False)

    driver = Driver(world.oslo, label="oslo")
    return replace(transfer, destination=replace(transfer.destination, driver=driver))
