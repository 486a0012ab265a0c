"""Calls and what their answers mean: a library of the test's own answers, from other threads, as the real one does."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pytest

from holdfast.model.errors import BadInput, HoldfastError, InvalidName, OperatorError, PeerError
from holdfast.storage.driver import AlreadyThere, NoSpace, NotAFile, NotAllowed, NotThere, Unsupported
from holdfast.storage.xroot import errors as xroot_errors
from holdfast.storage.xroot.address import parse
from holdfast.storage.xroot.calls import Calls
from holdfast.storage.xroot.errors import EXPIRED, Garbled, Unclear, Unreachable, meaning, text_of

GOOD = {"ok": True, "code": 0, "errno": 0, "message": "[SUCCESS] "}


def status(code: int, errno: int = 0, message: str = "[ERROR] something") -> dict[str, Any]:
    return {"ok": False, "code": code, "errno": errno, "message": message}


def answers(response: object, *, after_s: float = 0.0, told: dict[str, Any] = GOOD) -> Callable[..., dict[str, Any]]:
    """A call of a library that answers from a thread of its own."""

    def start(*arguments: Any) -> dict[str, Any]:
        callback = arguments[-1]
        threading.Timer(after_s, callback, (told, response, [])).start()
        return GOOD

    return start


def test_answers_come_back_to_who_asked() -> None:
    def echo(number: int, _timeout: int, callback: Callable[..., None]) -> dict[str, Any]:
        threading.Thread(target=callback, args=(GOOD, number, [])).start()
        return GOOD

    async def scenario() -> None:
        calls = Calls(10)
        asked = await asyncio.gather(*(calls.ask(echo, number) for number in range(200)))
        assert [answer.response for answer in asked] == list(range(200))

    asyncio.run(scenario())


def test_a_call_that_is_refused_at_once_is_an_answer() -> None:
    async def scenario() -> None:
        answer = await Calls(10).ask(lambda *_: status(101))
        assert (answer.ok, answer.status["code"]) == (False, 101)

    asyncio.run(scenario())


def test_a_file_that_is_no_more_open_is_an_answer_as_well() -> None:
    def closed(*_: object) -> dict[str, Any]:
        raise ValueError("I/O operation on closed file")

    async def scenario() -> None:
        answer = await Calls(10).ask(closed)
        assert isinstance(meaning(answer.status, "SITE:/"), Unreachable)

    asyncio.run(scenario())


def test_a_call_that_cannot_be_made_is_an_error_of_its_own() -> None:
    def broken(*_: object) -> dict[str, Any]:
        raise TypeError("three arguments")

    async def scenario() -> None:
        with pytest.raises(TypeError, match="three"):
            await Calls(10).ask(broken)

    asyncio.run(scenario())


def test_what_begins_without_a_connection_does_not_hold_the_loop() -> None:
    def resolving(_timeout: int, callback: Callable[..., None]) -> dict[str, Any]:
        time.sleep(0.3)
        callback(GOOD, "at last", [])
        return GOOD

    async def scenario() -> None:
        asking = asyncio.ensure_future(Calls(10).ask(resolving))
        begun = time.monotonic()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert time.monotonic() - begun < 0.25
        assert (await asking).response == "at last"

    asyncio.run(scenario())


def test_no_answer_is_one_after_the_limit_and_the_late_one_is_dropped() -> None:
    closed = threading.Event()

    async def scenario() -> None:
        calls = Calls(10)
        begun = time.monotonic()
        answer = await calls.ask(answers("late", after_s=0.4), limit_s=0.1, late=closed.set)
        assert (answer.status["code"], answer.response) == (EXPIRED, None)
        assert time.monotonic() - begun < 0.35
        assert not closed.is_set()
        while not closed.is_set():
            await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_a_cancelled_change_is_heard_of_when_it_is_over() -> None:
    async def scenario() -> None:
        calls = Calls(10)
        begun = time.monotonic()
        acting = asyncio.ensure_future(calls.act(answers("done", after_s=0.3)))
        await asyncio.sleep(0.05)
        acting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acting
        assert time.monotonic() - begun > 0.25

    asyncio.run(scenario())


def test_a_cancelled_question_is_over_at_once() -> None:
    async def scenario() -> None:
        asking = asyncio.ensure_future(Calls(10).ask(answers("done", after_s=0.3)))
        await asyncio.sleep(0.05)
        asking.cancel()
        begun = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert time.monotonic() - begun < 0.2
        await asyncio.sleep(0.4)  # The answer comes, and harms nobody.

    asyncio.run(scenario())


def test_an_answer_after_the_loop_has_ended_harms_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    answered = threading.Event()

    def late(_timeout: int, callback: Callable[..., None]) -> dict[str, Any]:
        def answer() -> None:
            callback(GOOD, "late", [])
            answered.set()

        threading.Timer(0.3, answer).start()
        return GOOD

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Calls(10).ask(late), 0.1)

    asyncio.run(scenario())
    assert answered.wait(5)
    assert capfd.readouterr().err == ""


def test_a_driver_may_be_used_in_one_loop_after_the_other() -> None:
    calls = Calls(10)

    async def leaving() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(calls.ask(answers("late", after_s=0.2)), 0.05)

    async def staying() -> None:
        assert (await calls.ask(answers("first"))).response == "first"
        await asyncio.sleep(0.3)
        assert (await calls.ask(answers("second"))).response == "second"

    for _ in range(3):
        asyncio.run(leaving())
        asyncio.run(staying())


def test_a_listing_is_asked_for_again_when_an_answer_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.storage.xroot.calls.SUSPECT_S", 0.1)
    asked: list[str] = []

    def listing(path: str, _flags: int, _timeout: int, callback: Callable[..., None] | None = None) -> Any:
        asked.append(path)
        if callback is None:
            raise SystemError("a result with an exception set") from UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")
        if path == "/bad":
            error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")
            threading.Thread(target=sys.excepthook, args=(UnicodeDecodeError, error, None)).start()
        else:
            threading.Timer(0.0, callback, (GOOD, path, [])).start()
        return GOOD

    async def scenario() -> None:
        calls = Calls(10)
        outcomes = await asyncio.gather(
            *(calls.ask_listing(listing, path, 0) for path in ("/a", "/bad", "/b")), return_exceptions=True
        )
        assert [getattr(outcome, "response", None) for outcome in outcomes] == ["/a", None, "/b"]
        assert isinstance(outcomes[1], UnicodeDecodeError)

    asyncio.run(scenario())
    assert sorted(asked) == ["/a", "/b", "/bad", "/bad"]


def test_other_errors_still_reach_whoever_had_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[type[BaseException]] = []
    Calls(10)
    ours = sys.excepthook

    def theirs(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        heard.append(kind)
        if kind is KeyError:
            ours(kind, error, trace)

    monkeypatch.setattr(sys, "excepthook", theirs)
    Calls(10)
    assert sys.excepthook not in (ours, theirs)
    sys.excepthook(ValueError, ValueError(), None)
    sys.excepthook(UnicodeDecodeError, UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), None)
    sys.excepthook(KeyError, KeyError("handed on, and not in a circle"), None)
    assert heard == [ValueError, KeyError]


@pytest.mark.parametrize(
    ("code", "errno", "family"),
    [
        (400, 3000, BadInput),
        (400, 3002, InvalidName),
        (400, 3005, Unclear),
        (400, 3007, PeerError),
        (400, 3009, NoSpace),
        (400, 3010, NotAllowed),
        (400, 3011, NotThere),
        (400, 3012, Unclear),
        (400, 3013, Unsupported),
        (400, 3016, NotAFile),
        (400, 3018, AlreadyThere),
        (400, 3021, NoSpace),
        (400, 3024, PeerError),
        (400, 3025, NoSpace),
        (400, 3028, OperatorError),
        (400, 3030, NotAllowed),
        (400, 3999, PeerError),
        (101, 0, Unreachable),
        (108, 0, Unreachable),
        (110, 0, PeerError),
        (204, 0, NotAllowed),
        (206, 0, PeerError),
        (303, 0, Garbled),
        (12345, 0, PeerError),
    ],
)
def test_numbers_decide_what_an_answer_means(code: int, errno: int, family: type[HoldfastError]) -> None:
    # The text speaks of something else, and is not listened to.
    error = meaning(status(code, errno, "[ERROR] No such file or directory"), "SITE:/a")
    assert type(error) is family
    assert error.place == "SITE:/a"
    assert error.retryable == issubclass(family, PeerError)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            "[ERROR] Server responded with an error: [3010] Unable to open /a; permission denied\n",
            "Unable to open /a; permission denied",
        ),
        ("[FATAL] Connection error", "Connection error"),
        ("", "no reason given"),
        ("two\nlines", "two lines"),
        ("[ERROR] cannot open /a?authz=Bearer%20SECRET&x=SECRET now", "cannot open /a?... now"),
        ("[ERROR] bad authz=SECRET", "bad ?..."),
        ("[ERROR] bad Bearer SECRET", "bad ?..."),
    ],
)
def test_texts_are_one_line_without_secrets(message: str, text: str) -> None:
    assert text_of(status(400, 3005, message)) == text


def test_words_of_ours_stand_where_the_meaning_is_clear() -> None:
    assert meaning(status(400, 3011, "gibberish"), "SITE:/a").message == "no such file or directory"
    assert set(xroot_errors.UNREACHABLE) >= {101, 102, 103, 104, 108}


@pytest.mark.parametrize(
    ("root", "scheme", "host", "base"),
    [
        ("root://host", "root", "host", ""),
        ("root://host/", "root", "host", ""),
        ("root://host//", "root", "host", ""),
        ("root://host:1094//a/b", "root", "host:1094", "/a/b"),
        ("root://host//a/b/", "root", "host", "/a/b"),
        ("xroots://[::1]:1094//a", "roots", "[::1]:1094", "/a"),
        ("root://host//with blank/per%41cent", "root", "host", "/with blank/per%41cent"),
    ],
)
def test_roots_say_where_a_door_is(root: str, scheme: str, host: str, base: str) -> None:
    address = parse(root)
    assert (address.scheme, address.host, address.base) == (scheme, host, base)
    assert address.path("/x") == f"{base}/x"
    assert address.path("/") == (base or "/")
