"""Accompanying: when the other end of a copy is looked at, and what becomes of the copy then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from holdfast.model.errors import BrokenInvariant, HoldfastError, PeerError
from holdfast.operations.engines.accompanying import Silent, accompanied
from holdfast.storage.driver import NotAllowed, NotThere

EVERY_S = 0.01


class Copy:
    """A copy that goes on until it is let go, and that grows by one byte whenever it is asked if it ``grows``."""

    def __init__(self, *, grows: bool = False, error: Exception | None = None) -> None:
        self.over = asyncio.Event()
        self.looks = 0
        self.asked = 0
        self.is_cleaned_up = False
        self._grows = grows
        self._error = error

    async def run(self) -> str:
        try:
            await self.over.wait()
            return "copied"
        finally:
            await asyncio.sleep(0)
            self.is_cleaned_up = True

    def done(self) -> int:
        self.asked += 1
        if self.asked > 6:
            self.over.set()
        return self.asked if self._grows else 0

    async def look(self) -> None:
        self.looks += 1
        if self._error is not None:
            raise self._error

    async def accompanied(self) -> str:
        return await accompanied(self.run(), self.done, self.look, every_s=EVERY_S)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_nobody_is_asked_as_long_as_bytes_come() -> None:
    async def scenario() -> None:
        copy = Copy(grows=True, error=PeerError("no answer"))
        assert await copy.accompanied() == "copied"
        assert copy.looks == 0

    run(scenario)


@pytest.mark.parametrize("error", [None, NotThere("no such file"), NotAllowed("permission denied")])
def test_who_answers_is_waited_for_whatever_it_answers(error: HoldfastError | None) -> None:
    async def scenario() -> None:
        copy = Copy(error=error)
        assert await copy.accompanied() == "copied"
        assert copy.looks > 1

    run(scenario)


def test_a_copy_from_who_does_not_answer_is_given_up() -> None:
    async def scenario() -> None:
        copy = Copy(error=PeerError("no answer"))
        with pytest.raises(Silent, match="no answer") as caught:
            await copy.accompanied()
        assert caught.value.error.message == "no answer"
        assert copy.looks == 1
        assert copy.is_cleaned_up

    run(scenario)


@pytest.mark.parametrize("error", [BrokenInvariant("closed"), KeyError("bug")])
def test_bugs_come_through(error: Exception) -> None:
    async def scenario() -> None:
        copy = Copy(error=error)
        with pytest.raises(type(error)):
            await copy.accompanied()
        assert copy.is_cleaned_up

    run(scenario)


def test_what_the_copy_raises_comes_through() -> None:
    async def failing() -> str:
        raise PeerError("broken")

    async def scenario() -> None:
        copy = Copy()
        with pytest.raises(PeerError, match="broken"):
            await accompanied(failing(), copy.done, copy.look, every_s=EVERY_S)

    run(scenario)


def test_who_cancels_cancels_the_copy_and_waits_until_it_has_cleaned_up() -> None:
    async def scenario() -> None:
        copy = Copy(grows=True)
        running = asyncio.ensure_future(copy.accompanied())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert copy.is_cleaned_up

    run(scenario)
