"""The engine ``fts`` and its service: away, busy, refusing, taken up again; who we are there; how often it is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fts_world import FtsWorld, MemoryDesk, fts_world, job

from holdfast.model.clock import system_clock
from holdfast.operations.codes import Code
from holdfast.operations.engine import EngineDown
from holdfast.operations.engines.fts.engine import FtsEngine
from holdfast.operations.engines.fts.submission import Handle
from holdfast.testing.servers.test_authority import TestAuthority
from holdfast.testing.servers.token_issuer import AUDIENCE, token_issuer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtsWorld]:
    with fts_world(tmp_path_factory.mktemp("fts")) as made:
        yield made


@pytest.fixture
def world(running: FtsWorld) -> FtsWorld:
    running.server.reset()
    return running


def carry(engine: FtsEngine, desk: MemoryDesk, **values: Any) -> MemoryDesk:
    async def run() -> None:
        try:
            await engine.carry(job(**values), desk)
        finally:
            await engine.close()

    asyncio.run(run())
    return desk


SLOW = {"do": "slow", "seconds": 0.3}
STALLED = {"do": "stall"}


def begun(world: FtsWorld, count: int, *, claim: str = "c1", fault: dict[str, Any] = SLOW) -> str:
    """The handle of a job that somebody has begun, and left before any of it was seen to be over."""
    desk = MemoryDesk()
    world.server.faults(fault)

    async def run() -> None:
        engine = world.engine(poll_interval_s=60.0)
        carrying = asyncio.create_task(engine.carry(job(world.transfers(count), claim=claim), desk))
        while not any(file["file_state"] == "ACTIVE" for made in world.server.jobs() for file in made["files"]):
            await asyncio.sleep(0.01)
        carrying.cancel()
        await asyncio.wait([carrying])
        assert carrying.cancelled()
        await engine.close()

    asyncio.run(run())
    world.server.faults()
    assert world.server.jobs()[-1]["job_id"] == Handle.parse(desk.handles[0]).job_id
    return desk.handles[0]


def other_claim(world: FtsWorld, count: int) -> list[Any]:
    """The same files for whoever takes the job up: with tokens of his own."""
    from dataclasses import replace

    return [replace(each, token=f"c2t{each.ordinal}") for each in world.transfers(count)]


# Taken up.


@pytest.mark.parametrize("is_over", [True, False], ids=["over", "under way"])
def test_a_job_is_taken_up_by_its_handle(world: FtsWorld, is_over: bool) -> None:
    handle = begun(world, 3)
    while is_over and world.server.jobs()[0]["job_state"] != "FINISHED":
        time.sleep(0.02)
    desk = carry(world.engine(), MemoryDesk(), transfers=other_claim(world, 3), claim="c2", handle=handle)
    assert desk.verdicts == dict.fromkeys(range(3), "copied")
    assert world.left() == ["d/f0", "d/f1", "d/f2"]
    assert len(world.server.jobs()) == 1
    assert desk.handles == [], "it is kept already"


def test_a_handle_of_a_job_that_was_never_made_makes_it(world: FtsWorld) -> None:
    handle = begun(world, 1)
    world.server.reset()
    desk = carry(world.engine(), MemoryDesk(), transfers=other_claim(world, 1), claim="c2", handle=handle)
    assert desk.verdicts == {0: "copied"}
    assert [made["job_id"] for made in world.server.jobs()] == [Handle.parse(handle).job_id]


def test_a_job_that_appears_while_we_are_about_to_make_it_is_taken_up(world: FtsWorld) -> None:
    handle = begun(world, 2)
    world.server.reset()

    class Desk(MemoryDesk):
        async def check(self) -> None:
            await super().check()
            if self.n_checks == 3:  # All wait for the job; the one who began it was only slow.
                assert await asyncio.to_thread(begun, world, 2) == handle

    desk = carry(world.engine(), Desk(), transfers=other_claim(world, 2), claim="c2", handle=handle)
    assert desk.verdicts == {0: "copied", 1: "copied"}
    assert len(world.server.jobs()) == 1
    assert world.left() == ["d/f0", "d/f1"]


def test_of_a_job_that_was_taken_up_only_what_is_wanted_counts(world: FtsWorld) -> None:
    handle = begun(world, 3)
    desk = carry(world.engine(), MemoryDesk(), transfers=other_claim(world, 3)[1:2], claim="c2", handle=handle)
    assert desk.verdicts == {1: "copied"}


def test_a_job_that_nobody_needs_any_more_is_cancelled(world: FtsWorld) -> None:
    handle = begun(world, 1, fault=STALLED)
    (world.oslo / "d").mkdir(exist_ok=True)
    (world.oslo / "d/f0").write_bytes(b"data 0")
    desk = carry(world.engine(), MemoryDesk(), transfers=other_claim(world, 1), claim="c2", handle=handle)
    assert desk.verdicts == {0: "found"}
    assert world.server.jobs()[0]["job_state"] == "CANCELED"


def test_a_job_outlives_its_service(world: FtsWorld) -> None:
    handle = begun(world, 2, fault=STALLED)
    world.server.restart()
    desk = carry(world.engine(), MemoryDesk(), transfers=other_claim(world, 2), claim="c2", handle=handle)
    assert desk.verdicts == {0: "copied", 1: "copied"}


def test_a_cancelled_job_is_over(world: FtsWorld) -> None:
    handle = begun(world, 1, fault=STALLED)

    async def run() -> None:
        engine = world.engine()
        await engine.cancel(handle)
        await engine.cancel(handle)
        await engine.cancel(str(Handle(Handle.parse(handle).job_id[::-1], "x")))
        await engine.close()

    asyncio.run(run())
    assert world.server.jobs()[0]["job_state"] == "CANCELED"


# Lost answers, faults, and absence.


def test_an_answer_that_is_lost_makes_no_second_job(world: FtsWorld) -> None:
    world.server.faults({"do": "lose", "match": "POST /jobs", "times": 1})
    desk = carry(world.engine(), MemoryDesk(), transfers=world.transfers(2))
    assert desk.verdicts == {0: "copied", 1: "copied"}
    assert len(world.server.jobs()) == 1
    assert len([each for each in world.server.asked() if each.startswith("POST /jobs")]) == 2


@pytest.mark.parametrize("where", ["POST /jobs", "GET /jobs", "GET /whoami", "GET /delegation"])
def test_a_busy_service_is_asked_again(world: FtsWorld, where: str) -> None:
    world.server.undelegate()
    world.server.faults({"do": "answer", "status": 503, "match": where, "times": 2})
    desk = carry(world.engine(), MemoryDesk(), transfers=world.transfers(1))
    assert desk.verdicts == {0: "copied"}


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_one_that_stays_busy_is_down(world: FtsWorld, status: int) -> None:
    world.server.faults({"do": "answer", "status": status})
    desk = MemoryDesk()
    with pytest.raises(EngineDown, match=str(status)):
        carry(world.engine(), desk, transfers=world.transfers(1))
    assert desk.outcomes == {}


def test_one_that_is_silent_is_down(world: FtsWorld) -> None:
    world.server.faults({"do": "hang", "match": "POST /jobs"})
    with pytest.raises(EngineDown, match="does not answer"):
        carry(world.engine(call_timeout_s=0.3), MemoryDesk(), transfers=world.transfers(1))


def test_one_that_is_not_there_is_down_within_seconds(world: FtsWorld) -> None:
    world.server.kill()
    try:
        began_s = time.monotonic()
        with pytest.raises(EngineDown, match="cannot be reached"):
            carry(world.engine(), MemoryDesk(), transfers=world.transfers(1))
        assert time.monotonic() - began_s < 10
    finally:
        world.server.start()


def test_one_that_goes_away_for_a_moment_is_waited_for(world: FtsWorld) -> None:
    world.server.faults({"do": "slow", "seconds": 0.5})

    async def run() -> MemoryDesk:
        engine, desk = FtsEngine(world.settings(), system_clock, away_s=30.0), MemoryDesk()
        carrying = asyncio.create_task(engine.carry(job(world.transfers(1)), desk))
        while not world.server.jobs():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(world.server.restart)
        await carrying
        await engine.close()
        return desk

    assert asyncio.run(run()).verdicts == {0: "copied"}


def test_one_that_goes_away_for_long_is_down_and_settles_nothing(world: FtsWorld) -> None:
    world.server.faults({"do": "stall"})

    async def run() -> MemoryDesk:
        engine, desk = FtsEngine(world.settings(), system_clock, away_s=0.5), MemoryDesk()
        carrying = asyncio.create_task(engine.carry(job(world.transfers(2)), desk))
        while not world.server.jobs():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(world.server.kill)
        with pytest.raises(EngineDown):
            await carrying
        await engine.close()
        return desk

    try:
        assert asyncio.run(run()).outcomes == {}
    finally:
        world.server.start()


def test_a_job_that_is_refused_is_no_fault_of_the_service(world: FtsWorld) -> None:
    world.server.faults({"do": "answer", "status": 403, "match": "POST /jobs"})
    desk = carry(world.engine(), MemoryDesk(), transfers=world.transfers(1))
    assert desk.outcomes[0].code is Code.ENGINE_FAILED
    assert "403" in desk.outcomes[0].error


# Who we are there.


def test_a_service_with_another_certificate_is_not_spoken_to(world: FtsWorld, tmp_path: Path) -> None:
    stranger = TestAuthority(tmp_path / "stranger")
    began_s = time.monotonic()
    with pytest.raises(EngineDown, match="not who it should be"):
        carry(world.engine(authorities=stranger.certs), MemoryDesk(), transfers=world.transfers(1))
    assert time.monotonic() - began_s < 3, "nothing gets better by asking again"
    assert world.server.asked() == []


def test_a_service_of_another_name_is_not_spoken_to(world: FtsWorld) -> None:
    address = f"https://127.0.0.2:{world.server.port}"
    with pytest.raises(EngineDown):
        carry(world.engine(url=address), MemoryDesk(), transfers=world.transfers(1))
    assert world.server.asked() == []


def test_an_expired_proxy_is_shown_to_nobody(world: FtsWorld, tmp_path: Path) -> None:
    proxy = world.user.proxy(tmp_path / "expired", lifetime_s=-60)
    with pytest.raises(EngineDown, match="expired"):
        carry(world.engine(proxy=proxy), MemoryDesk(), transfers=world.transfers(1))
    assert world.server.asked() == []


def test_nobody_is_refused_without_credentials(world: FtsWorld) -> None:
    with pytest.raises(EngineDown, match="403"):
        carry(world.engine(proxy=None), MemoryDesk(), transfers=world.transfers(1))


def test_a_proxy_is_delegated_once_and_anew_when_it_is_lost(world: FtsWorld) -> None:
    world.server.undelegate()
    carry(world.engine(), MemoryDesk(), transfers=world.transfers(1))

    def given() -> int:
        return len([each for each in world.server.asked() if each.startswith("PUT /delegation")])

    first = given()

    async def run() -> None:
        engine = world.engine()
        await engine.carry(job(world.transfers(1, prefix="a"), claim="c2"), MemoryDesk())
        assert given() == first
        await asyncio.to_thread(world.server.undelegate)
        desk = MemoryDesk()
        await engine.carry(job(world.transfers(1, prefix="b"), claim="c3"), desk)
        assert desk.verdicts == {0: "copied"}
        assert given() == first + 1
        await engine.close()

    asyncio.run(run())


def test_a_proxy_that_ends_soon_is_told_of(world: FtsWorld, tmp_path: Path) -> None:
    world.server.undelegate()
    proxy = TestUserOf(world, "Bob").proxy(tmp_path / "short", lifetime_s=1800)
    with pytest.raises(EngineDown, match="less than one hour") as told:
        carry(world.engine(proxy=proxy), MemoryDesk(), transfers=world.transfers(1))
    assert "renew the proxy" in told.value.hint


def TestUserOf(world: FtsWorld, name: str) -> Any:  # noqa: N802
    from holdfast.testing.servers.test_user import TestUser

    return TestUser(world.authority, name)


def test_a_job_of_somebody_else_is_left_alone_and_one_of_our_own_made(world: FtsWorld, tmp_path: Path) -> None:
    handle = begun(world, 1)
    proxy = TestUserOf(world, "Bob").proxy(tmp_path / "bob")
    desk = carry(world.engine(proxy=proxy), MemoryDesk(), transfers=other_claim(world, 1), claim="c2", handle=handle)
    assert desk.verdicts == {0: "copied"}
    assert len(desk.handles) == 1
    assert desk.handles[0] != handle


def test_a_token_instead_of_a_proxy(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path / "issuing")
    with token_issuer(authority) as issuer, fts_world(tmp_path, issuers=[issuer.url]) as world:
        token = issuer.write(tmp_path / "token")
        engine = world.engine(proxy=None, token=token)
        desk = carry(engine, MemoryDesk(), transfers=world.transfers(2))
        assert desk.verdicts == {0: "copied", 1: "copied"}
        (made,) = world.server.jobs()
        assert made["job_metadata"]["auth_method"] == "oauth2"
        assert not any("delegation" in each for each in world.server.asked())
        tape = world.transfer(0, "x", b"", site="tape")
        assert "proxy" in world.engine(proxy=None, token=token).can(tape.source, tape.destination)
        expired = issuer.write(tmp_path / "expired", lifetime_s=-60)
        with pytest.raises(EngineDown, match="expired"):
            carry(world.engine(proxy=None, token=expired), MemoryDesk(), transfers=world.transfers(1))
        stranger = tmp_path / "stranger"
        stranger.write_text(issuer.token(iss="https://elsewhere.test/", aud=AUDIENCE))
        stranger.chmod(0o600)
        with pytest.raises(EngineDown, match="Invalid"):
            carry(world.engine(proxy=None, token=stranger), MemoryDesk(), transfers=world.transfers(1))


# How often it is asked.


def test_the_number_of_polls_does_not_grow_with_the_jobs(world: FtsWorld) -> None:
    def polls() -> int:
        return len([each for each in world.server.asked() if each.startswith("GET /jobs/")])

    async def run(count: int) -> int:
        world.server.reset()
        world.server.faults({"do": "slow", "seconds": 1.5})
        engine = world.engine()
        desks = [MemoryDesk() for _ in range(count)]
        await asyncio.gather(
            *(
                engine.carry(job(world.transfers(1, prefix=f"j{number}/"), claim=f"n{count}j{number}"), desk)
                for number, desk in enumerate(desks)
            )
        )
        await engine.close()
        assert all(desk.verdicts == {0: "copied"} for desk in desks)
        return polls()

    one, many = asyncio.run(run(1)), asyncio.run(run(15))
    assert one > 10
    assert many < 1.5 * one
