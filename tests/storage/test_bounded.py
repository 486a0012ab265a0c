"""Calls of a file system that does not answer: whoever waits goes on, others are not held up, nothing is closed early.

Method: calls that wait for an event, in real threads and short times.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from holdfast.model.errors import PeerError
from holdfast.storage.bounded import THREADS_MAX, Bounded

LIMIT_S = 0.05


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """Set at the end, so that no thread stays."""
    event = threading.Event()
    yield event
    event.set()


def test_what_is_returned_and_raised_comes_through() -> None:
    calls = Bounded(LIMIT_S)
    assert asyncio.run(calls.act(lambda: 7)) == 7

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(calls.look(fail))


def test_a_silent_call_is_given_up(stuck: threading.Event) -> None:
    with pytest.raises(PeerError, match="has not answered"):
        asyncio.run(Bounded(LIMIT_S).act(stuck.wait))


def test_one_that_gets_on_is_waited_for(stuck: threading.Event) -> None:
    steps: list[int] = []

    def slow() -> str:
        for step in range(8):
            steps.append(step)
            stuck.wait(LIMIT_S / 2)
        return "done"

    assert asyncio.run(Bounded(LIMIT_S).look(slow, moved=lambda: len(steps))) == "done"


def test_patience_is_added_to_the_limit(stuck: threading.Event) -> None:
    calls = Bounded(LIMIT_S)
    slow = lambda: stuck.wait(3 * LIMIT_S)  # noqa: E731
    assert asyncio.run(calls.act(slow, patience_s=lambda: 60.0)) is False
    with pytest.raises(PeerError):
        asyncio.run(calls.act(slow))


def test_who_is_stuck_holds_up_nobody_else(stuck: threading.Event) -> None:
    hung, other = Bounded(60.0), Bounded(60.0)

    async def work() -> int:
        asking = [asyncio.ensure_future(hung.look(stuck.wait)) for _ in range(2 * THREADS_MAX)]
        await asyncio.sleep(0)
        found = await other.look(lambda: 7)
        stuck.set()
        await asyncio.gather(*asking)
        return found

    assert asyncio.run(work()) == 7


def test_what_was_not_begun_in_time_never_is(stuck: threading.Event) -> None:
    calls, done = Bounded(LIMIT_S), []

    async def work() -> None:
        asking = [calls.act(stuck.wait) for _ in range(THREADS_MAX)]
        late = calls.act(lambda: done.append("late"))
        ended = await asyncio.gather(*asking, late, return_exceptions=True)
        assert all(isinstance(each, PeerError) for each in ended)
        stuck.set()
        await calls.act(lambda: done.append("next"))

    asyncio.run(work())
    assert done == ["next"]


def test_a_cancelled_caller_waits_for_the_end_of_what_changes_something(stuck: threading.Event) -> None:
    calls, done = Bounded(60.0), []

    async def work() -> None:
        def change() -> None:
            stuck.wait()
            done.append("changed")

        acting = asyncio.ensure_future(calls.act(change))
        await asyncio.sleep(0.01)
        acting.cancel()
        await asyncio.sleep(0.01)
        assert not acting.done()
        stuck.set()
        with pytest.raises(asyncio.CancelledError):
            await acting
        assert done == ["changed"]

    asyncio.run(work())


def test_but_not_for_longer_than_the_limit(stuck: threading.Event) -> None:
    async def work() -> None:
        acting = asyncio.ensure_future(Bounded(LIMIT_S).act(stuck.wait))
        await asyncio.sleep(0)
        acting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acting

    asyncio.run(work())


def test_a_stuck_thread_lets_go_of_its_file_itself(stuck: threading.Event) -> None:
    done: list[str] = []
    is_over = threading.Event()

    def slow() -> None:
        stuck.wait()
        done.append("came back")

    def let_go() -> None:
        done.append("let go")
        is_over.set()

    async def work() -> None:
        lane = Bounded(LIMIT_S).lane()
        with pytest.raises(PeerError):
            await lane.act(slow)
        await lane.end(let_go)
        assert done == []

    asyncio.run(work())
    stuck.set()
    assert is_over.wait(10)
    assert done == ["came back", "let go"]


def test_a_lane_that_is_free_is_let_go_of_at_once() -> None:
    done: list[str] = []

    async def work() -> None:
        lane = Bounded(LIMIT_S).lane()
        await lane.act(lambda: None)
        await lane.end(lambda: done.append("let go"))

    asyncio.run(work())
    assert done == ["let go"]


def test_opening_is_waited_for_no_longer_than_that(stuck: threading.Event) -> None:
    with pytest.raises(PeerError, match="has not answered"):
        Bounded(60.0).now(stuck.wait, LIMIT_S)
