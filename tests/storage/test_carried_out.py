"""carried_out and settled: done once and to the end, whoever loses interest."""

from __future__ import annotations

import asyncio
import threading

import pytest

from holdfast.model.errors import PeerError
from holdfast.storage.carried_out import carried_out, settled


def test_an_ended_future_gives_its_error() -> None:
    async def scenario() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_exception(PeerError("no"))
        with pytest.raises(PeerError):
            await carried_out(future)

    asyncio.run(scenario())


def test_whoever_is_cancelled_hears_of_it_at_the_end() -> None:
    async def scenario() -> None:
        goes_on, ended = asyncio.Event(), []

        async def work() -> None:
            await goes_on.wait()
            ended.append(True)

        caller = asyncio.ensure_future(carried_out(work()))
        for _ in range(3):  # However often it is said.
            await asyncio.sleep(0)
            caller.cancel()
        await asyncio.sleep(0)
        assert not caller.done()
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert ended == [True]

    asyncio.run(scenario())


def test_a_cancellation_comes_before_the_error_of_the_work(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        goes_on = asyncio.Event()

        async def work() -> None:
            await goes_on.wait()
            raise PeerError("no")

        caller = asyncio.ensure_future(carried_out(work()))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(scenario())
    assert caplog.text == ""


def test_a_thread_is_waited_for() -> None:
    async def scenario() -> None:
        began, goes_on, ended = threading.Event(), threading.Event(), []

        def work(word: str) -> None:
            began.set()
            assert goes_on.wait(30)
            ended.append(word)

        caller = asyncio.ensure_future(settled(work, "done"))
        while not began.is_set():
            await asyncio.sleep(0.001)
        caller.cancel()
        await asyncio.sleep(0)
        assert not caller.done()
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert ended == ["done"]

    asyncio.run(scenario())
