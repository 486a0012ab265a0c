"""A folder whose file system stops answering: its calls end, others' are not held up, and nothing is left in the end.

Method: the system's own fsync waits below one folder, as it does on a mount whose server has gone.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from holdfast.model.clock import system_clock
from holdfast.model.errors import PeerError
from holdfast.operations.codes import Code
from holdfast.operations.engine import Job, Place, Transfer
from holdfast.operations.engines.local import LocalEngine
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.storage.bounded import THREADS_MAX
from holdfast.storage.digest import digests_of
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.engine_hooks import MemoryDesk

SILENCE_S = 0.2


class Folders:
    """``hung`` does not answer until ``answers`` is set, ``good`` does."""

    def __init__(self, folder: Path, answers: threading.Event) -> None:
        self.answers = answers
        self.hung, self.good = folder / "hung", folder / "good"
        for each in (self.hung, self.good):
            each.mkdir()

    def driver(self, root: Path) -> PosixDriver:
        return PosixDriver(root, label=root.name, silence_s=SILENCE_S)

    def left(self) -> list[str]:
        return [path.name for path in self.hung.rglob("*") if path.is_file()]

    def assert_nothing_is_left(self) -> None:
        self.answers.set()
        end_s = time.monotonic() + 10
        while self.left() and time.monotonic() < end_s:
            time.sleep(0.01)
        assert self.left() == []


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folders]:
    folders = Folders(tmp_path, threading.Event())
    fsync = os.fsync

    def hanging(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").startswith(str(folders.hung)):
            folders.answers.wait()
        fsync(handle)

    monkeypatch.setattr(os, "fsync", hanging)
    yield folders
    folders.answers.set()


async def chunks() -> AsyncIterator[bytes]:
    yield b"data"


def test_a_write_ends_and_takes_itself_back_when_the_system_answers(folders: Folders) -> None:
    async def write() -> None:
        driver = folders.driver(folders.hung)
        with pytest.raises(PeerError, match="hung:/f: the file system has not answered"):
            await driver.write("/f", chunks())
        await driver.close()

    asyncio.run(write())
    assert len(folders.left()) == 1
    folders.assert_nothing_is_left()


def test_other_folders_are_not_held_up(folders: Folders) -> None:
    async def write() -> None:
        hung, good = folders.driver(folders.hung), folders.driver(folders.good)
        stuck = [asyncio.ensure_future(hung.write(f"/f{number}", chunks())) for number in range(2 * THREADS_MAX)]
        await asyncio.sleep(0.05)
        for number in range(20):
            await good.write(f"/f{number}", chunks())
        assert not any(each.done() for each in stuck)
        ends = await asyncio.gather(*stuck, return_exceptions=True)
        assert all(isinstance(end, PeerError) for end in ends)

    asyncio.run(write())


def test_the_local_engine_goes_on_too(folders: Folders) -> None:
    data = b"bytes" * 1000
    (folders.good / "f").write_bytes(data)

    async def bring() -> MemoryDesk:
        good, hung = folders.driver(folders.good), folders.driver(folders.hung)
        ends = Place("GOOD", good, "/f", "/f"), Place("HUNG", hung, "/f", "/f")
        transfer = Transfer(0, "token", len(data), digests_of(data, ["adler32", "sha256"]), *ends)
        desk, engine = MemoryDesk(), OneByOne(LocalEngine(system_clock))
        await engine.carry(Job("claim", [transfer]), desk)
        await engine.close()
        return desk

    desk = asyncio.run(bring())
    assert desk.outcomes[0].code is Code.DESTINATION_FAILED
    assert "has not answered" in desk.outcomes[0].error
    folders.assert_nothing_is_left()
