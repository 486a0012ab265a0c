"""Running: another program, in a group of its own, that never outlives its use.

Rules
  * Its environment is exactly what it is given: it inherits no secret, and finds
    none in the home of its user.
  * Whatever happens - an error, a limit, a cancellation - at the end the
    program and all it has started are gone.
  * A program that is not installed is OperatorError that names the package.
  * A limit that passes is PeerError: the far side of the program is silent. It
    may be one on all that the program does, or on the time without a word.
  * What it writes is kept up to a limit. Beyond, it is an error, or only the
    end is kept, as the caller likes.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from holdfast.model.errors import OperatorError, PeerError
from holdfast.storage.carried_out import carried_out
from holdfast.storage.driver import CHUNK_BYTES

_T = TypeVar("_T")

BUFFER_BYTES = 1 << 30
"""The longest that a reader may grow while it looks for an end; what is read is bounded by the far side only."""
OUTPUT_BYTES_MAX = 64 << 20
"""How much of what a program writes is kept at most, unless the caller says otherwise."""
AFTER_S = 2.0
"""How long the outputs of a program that has ended are still read, if they do not end with it."""
LOOK_S = 0.2
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
"""Where programs, libraries and room for them are; nothing of this is a secret."""


NOWHERE = "/nonexistent"
"""A path that is not there: for what a program would else look for in usual places."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and all it has written."""

    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: its name or path, the package it comes in, and all of its environment."""

    name: str
    package: str
    environment: Mapping[str, str]


def environment(**settings: str) -> dict[str, str]:
    """The environment of a program: where things are, no language, no home, no time zone, and ``settings``."""
    found = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**found, "LANG": "C", "LC_ALL": "C", "TZ": "UTC", "HOME": NOWHERE, **settings}


class Running:
    """A program that has been started."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """What it reads."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """What it writes."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def stderr(self) -> asyncio.StreamReader:
        """What it complains of."""
        assert self._process.stderr is not None
        return self._process.stderr

    @property
    def pid(self) -> int:
        """Its number, and that of its group."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self._process.returncode is None

    @property
    def code(self) -> int | None:
        """Its exit code; None if it has not ended, as far as is known."""
        return self._process.returncode

    async def ended(self) -> int:
        """Wait for its end; its exit code."""
        return await self._process.wait()

    async def end(self) -> None:
        """Kill it with all it has started, and wait until it is gone."""
        await carried_out(self._end())

    async def _end(self) -> None:
        # The group may outlive its leader, whose number stays taken until it has been waited for.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        # Pipes that still hold something stay open until somebody reads them, or says that nobody will.
        transport: asyncio.SubprocessTransport = self._process._transport  # type: ignore[attr-defined]
        transport.close()
        await asyncio.sleep(0)


async def start(program: Program, arguments: Sequence[str | bytes], *, feed: bool = False) -> Running:
    """Start a program; ``feed``: its standard input is a pipe, else it is empty."""
    starting = asyncio.ensure_future(_start(program, arguments, feed))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await carried_out(_end_unused(starting))
        raise


async def _end_unused(starting: asyncio.Future[Running]) -> None:
    with suppress(OperatorError):
        await (await starting).end()


async def _start(program: Program, arguments: Sequence[str | bytes], feed: bool) -> Running:
    try:
        process = await asyncio.create_subprocess_exec(
            program.name,
            *arguments,
            stdin=asyncio.subprocess.PIPE if feed else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(program.environment),
            cwd="/",
            start_new_session=True,
            limit=BUFFER_BYTES,
        )
    except OSError as error:
        raise OperatorError(
            f"the program {program.name} cannot be run: {os.strerror(error.errno or 0).lower()}",
            hint=f"install {program.package}",
        ) from error
    return Running(process)


@asynccontextmanager
async def running(program: Program, arguments: Sequence[str | bytes], *, feed: bool = False) -> AsyncIterator[Running]:
    """A program that runs, and is gone afterwards."""
    started = await start(program, arguments, feed=feed)
    try:
        yield started
    finally:
        await started.end()


async def run(
    program: Program,
    arguments: Sequence[str | bytes],
    *,
    limit_s: float,
    silence_s: float | None = None,
    output_bytes_max: int = OUTPUT_BYTES_MAX,
    keeps_end: bool = False,
) -> Ended:
    """Run a program to its end; PeerError if that takes longer than ``limit_s``, or it says nothing for ``silence_s``.

    Of each of its two outputs ``output_bytes_max`` are kept at most: with ``keeps_end`` the last of them, else writing
    more is PeerError. What others that it has left behind write afterwards is not waited for.
    """
    async with running(program, arguments) as started:
        outputs = [_Output(stream, output_bytes_max, keeps_end) for stream in (started.stdout, started.stderr)]
        try:
            async with asyncio.timeout(limit_s):
                code = await _listened(program.name, started, outputs, silence_s)
        except TimeoutError as error:
            raise PeerError(f"{program.name} was ended because it took longer than {limit_s:g} s") from error
        return Ended(code, *(bytes(output.kept) for output in outputs))


async def _listened(name: str, started: Running, outputs: Sequence[_Output], silence_s: float | None) -> int:
    """Its exit code, once all that it has written has been read."""
    try:
        async with asyncio.timeout(silence_s) as silence:
            loop = asyncio.get_running_loop()

            def note() -> None:
                if silence_s is not None:
                    silence.reschedule(loop.time() + silence_s)

            reading = asyncio.gather(*(output.read(note) for output in outputs))
            try:
                # Its pipes may be held open by what it has started, and waiting for its end means waiting for them.
                while not reading.done() and started.is_alive:
                    await asyncio.wait([reading], timeout=LOOK_S)
                await asyncio.wait([reading], timeout=None if started.is_alive else AFTER_S)
                if not reading.done() and started.code is not None:
                    return started.code
                await reading
                return await started.ended()
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
    except TimeoutError as error:
        raise PeerError(f"{name} was ended because it said nothing for {silence_s:g} s") from error


class _Output:
    """One of a program's two outputs, read until its end, as far as it is kept."""

    def __init__(self, stream: asyncio.StreamReader, bytes_max: int, keeps_end: bool) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._keeps_end = keeps_end
        self.kept = bytearray()

    async def read(self, note: Callable[[], None]) -> None:
        """Read all of it; ``note`` is called whenever there is something."""
        while data := await self._stream.read(CHUNK_BYTES):
            note()
            self.kept += data
            if len(self.kept) > self._bytes_max:
                if not self._keeps_end:
                    raise PeerError(f"a program's output has more than {self._bytes_max} bytes")
                del self.kept[: len(self.kept) - self._bytes_max]


async def within(limit_s: float, waiting: Awaitable[_T]) -> _T:
    """What ``waiting`` gives; PeerError if it takes longer than ``limit_s``."""
    try:
        async with asyncio.timeout(limit_s):
            return await waiting
    except TimeoutError as error:
        raise PeerError(f"the storage gave no answer within {limit_s:g} s") from error


async def gathered(stream: asyncio.StreamReader) -> bytes:
    """The next chunk, whole unless it is the last: pipes hand over little pieces."""
    held = bytearray()
    while len(held) < CHUNK_BYTES and (data := await stream.read(CHUNK_BYTES - len(held))):
        held += data
    return bytes(held)
