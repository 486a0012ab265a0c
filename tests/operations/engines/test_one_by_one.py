"""OneByOne: how many files are under way, and how a job ends when one of them ends it. Files here take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from holdfast.model.errors import BrokenInvariant
from holdfast.operations.engine import Check, ClaimLost, Job, Note, Outcome, Place, Transfer, Verdict
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.testing.engine_hooks import MemoryDesk
from holdfast.testing.memory_driver import MemoryDriver

COPIED = Outcome(Verdict.COPIED, 1)


class Files:
    """A FileEngine whose files take some turns of the loop each, the later the more, and end as ``ends`` says."""

    name = "files"

    def __init__(
        self, ends: dict[int, BaseException] | None = None, *, turns: int = 10, apart: int = 10, cleaning: int = 5
    ) -> None:
        self._ends = ends or {}
        self._turns, self._apart, self._cleaning = turns, apart, cleaning
        self.under_way = self.most_under_way = 0
        self.begun: list[int] = []
        self.cleaned: list[int] = []
        self.discarded: list[str] = []
        self.is_closed = False

    def can(self, source: Place, destination: Place) -> str:
        return "cannot"

    async def transfer(self, transfer: Transfer, check: Check, note: Note) -> Outcome:
        self.begun.append(transfer.ordinal)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            for _ in range(self._turns + self._apart * transfer.ordinal):
                await asyncio.sleep(0)
            note(transfer.ordinal)
            await check()
            if transfer.ordinal in self._ends:
                raise self._ends[transfer.ordinal]
            return COPIED
        except asyncio.CancelledError:
            for _ in range(self._cleaning):
                await asyncio.sleep(0)
            self.cleaned.append(transfer.ordinal)
            raise
        finally:
            self.under_way -= 1

    async def discard(self, destination: Place, token: str) -> None:
        self.discarded.append(token)

    async def close(self) -> None:
        self.is_closed = True


def job(count: int, *, streams: int = 3) -> Job:
    driver = MemoryDriver()
    place = Place("SITE", driver, "/file", "")
    return Job("c", [Transfer(number, f"c{number}", 1, {}, place, place) for number in range(count)], streams=streams)


def ended(files: Files, what: Job, desk: MemoryDesk | None = None) -> MemoryDesk:
    desk = desk or MemoryDesk()
    asyncio.run(OneByOne(files).carry(what, desk))
    return desk


@pytest.mark.parametrize(("streams", "most"), [(1, 1), (3, 3), (100, 10), (0, 1)])
def test_no_more_files_are_under_way_than_there_are_streams(streams: int, most: int) -> None:
    files = Files()
    desk = ended(files, job(10, streams=streams))
    assert files.most_under_way == most
    assert files.begun == list(range(10))
    assert desk.outcomes == dict.fromkeys(range(10), COPIED)
    assert desk.n_bytes == {number: number for number in range(10)}


def test_a_job_without_files_is_over_at_once() -> None:
    assert ended(Files(), job(0)).outcomes == {}


@pytest.mark.parametrize("error", [RuntimeError("bug"), BrokenInvariant("bug"), ClaimLost("lost")])
def test_what_one_file_raises_ends_the_others_when_they_have_cleaned_up(error: Exception) -> None:
    files, desk = Files({1: error}, turns=10), MemoryDesk()
    with pytest.raises(type(error)):
        ended(files, job(10), desk)
    assert files.under_way == 0
    assert sorted(files.cleaned) == [2, 3]
    assert 9 not in files.begun
    assert set(desk.outcomes) == {0}


def test_a_bug_counts_more_than_a_lost_claim() -> None:
    files = Files({0: ClaimLost("lost"), 1: RuntimeError("bug")}, apart=0)
    with pytest.raises(RuntimeError):
        ended(files, job(2))


def test_a_lost_claim_begins_no_file() -> None:
    files, desk = Files(), MemoryDesk(checks=0)
    with pytest.raises(ClaimLost):
        ended(files, job(3), desk)
    assert files.begun == []
    assert desk.outcomes == {}


def test_a_cancellation_goes_on_when_all_have_cleaned_up_however_often_it_comes() -> None:
    files = Files(turns=50, cleaning=20)

    async def scenario() -> None:
        carrying = asyncio.ensure_future(OneByOne(files).carry(job(3), MemoryDesk()))
        for _ in range(10):
            await asyncio.sleep(0)
        for _ in range(3):
            carrying.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await carrying

    asyncio.run(scenario())
    assert sorted(files.cleaned) == [0, 1, 2]
    assert files.under_way == 0


def test_all_else_is_the_engines() -> None:
    files = Files()
    engine = OneByOne(files)
    place = job(1).transfers[0].source
    calls: list[Callable[[], Awaitable[None]]] = [
        lambda: engine.cancel("handle"),
        lambda: engine.discard(place, "token"),
        engine.close,
    ]

    async def scenario() -> None:
        for call in calls:
            await call()

    asyncio.run(scenario())
    assert (engine.name, engine.can(place, place)) == ("files", "cannot")
    assert files.discarded == ["token"]
    assert files.is_closed
