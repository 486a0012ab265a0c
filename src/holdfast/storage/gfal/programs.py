"""GfalPrograms: gfal2 by its command-line programs, where its bindings are not to be had.

Slow: every request starts a program, which takes a fifth of a second.

Rules
  * Errors are known by the exit code, which is an errno.
  * There is no program that removes one empty directory; the one that removes
    whole trees is never run. So directories are not removed.
  * Bytes that are written pass through a file in a folder of temporary files:
    the program that takes them from a pipe takes them for text. It is the
    user's own and is gone at the end.
  * ``gfal-copy`` may say that it has copied when it has not: the callers of
    ``write`` look what there is.
  * ``gfal-ls`` gives up at a name that is not UTF-8: Unsupported.
"""

from __future__ import annotations

import asyncio
import calendar
import errno
import os
import re
import shutil
import stat as modes
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast.model.errors import PeerError
from holdfast.storage import program
from holdfast.storage.carried_out import settled
from holdfast.storage.driver import Unsupported
from holdfast.storage.gfal.calls import GfalRefusal, Seen
from holdfast.storage.gfal.process import Option, Settings
from holdfast.storage.program import Program, Running, gathered, within

PACKAGE = "gfal2-util-scripts"
CALLS_MAX = 4
COPY_FACTOR = 60
"""How much longer than a call a copy of a whole file may take: its progress cannot be seen."""

_TIME = r"(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\.\d+"
# The last column, of attributes nobody asked for, is empty: a tab and a line feed end an entry.
_ENTRY = re.compile(rf"([-dlbcpsD?])[rwxsStT-]{{9}} +\d+ +-?\d+ +-?\d+ +(-?\d+) {_TIME} \+0000 (.*)", re.DOTALL)
_END = "\t\n"
_SIZE = re.compile(r"^  Size: (-?\d+)\t(.+)$", re.MULTILINE)
_MODIFY = re.compile(rf"^Modify: {_TIME}$", re.MULTILINE)
_TYPES = {"d": modes.S_IFDIR, "-": modes.S_IFREG}
_WORDS = {"directory": modes.S_IFDIR, "regular file": modes.S_IFREG, "unknown": 0}
_NOT_TEXT = b"UnicodeDecodeError"
_PROGRAM_FAILED = 255


class GfalPrograms:
    """GfalCalls by programs; ``python`` is the interpreter that they run in, "" for what they find."""

    can_remove_directories = False

    def __init__(self, *, settings: Settings, options: Sequence[Option], limit_s: float, python: str = "") -> None:
        self._settings = settings
        self._python = python
        self._limit_s = limit_s
        self._free = asyncio.Semaphore(CALLS_MAX)
        self._options = ["-t", str(max(1, int(limit_s)))]
        for group, name, value in options:
            self._options += ["-D", f"{group}:{name}={value}"]

    async def list(self, url: str) -> Sequence[tuple[bytes, Seen]]:
        """gfal-ls in long form."""
        out = await self._run("gfal-ls", "--all", "--long", "--time-style", "full-iso", "--color", "never", url)
        *entries, rest = out.decode().split(_END)
        if rest:
            raise PeerError("the answer of gfal-ls breaks off")
        found = [_entry(entry) for entry in entries]
        if [name for name, _ in found] == [url.encode()]:
            raise _no_directory()
        return found

    async def names(self, url: str) -> Sequence[bytes]:
        """gfal-ls in short form; names with a line feed come in pieces."""
        out = await self._run("gfal-ls", "--all", "--color", "never", url)
        found = out.removesuffix(b"\n").split(b"\n") if out else []
        if found == [url.encode()]:
            raise _no_directory()
        return found

    async def stat(self, url: str) -> Seen:
        """gfal-stat, which follows links."""
        text = (await self._run("gfal-stat", url)).decode()
        size, modify = _SIZE.search(text), _MODIFY.search(text)
        if not size or not modify:
            raise PeerError("gfal-stat answers in an unknown way")
        return Seen(_WORDS.get(size[2], modes.S_IFIFO), int(size[1]), _seconds(modify.groups()))

    async def checksum(self, url: str, algorithm: str) -> str:
        """gfal-sum."""
        return (await self._run("gfal-sum", url, algorithm)).decode().rpartition(" ")[2].strip()

    async def read(self, url: str) -> AsyncGenerator[bytes, None]:
        """gfal-cat, told not to take bytes for text."""
        async with self._running("gfal-cat", "--bytes", url) as running:
            complaints = asyncio.ensure_future(running.stderr.read())
            try:
                while data := await within(self._limit_s, gathered(running.stdout)):
                    yield data
                code = await within(self._limit_s, running.ended())
                self._require_success("gfal-cat", code, await within(self._limit_s, complaints))
            finally:
                complaints.cancel()

    async def write(self, url: str, chunks: AsyncIterable[bytes]) -> None:
        """gfal-copy from a temporary file; it replaces nothing."""
        async with _temporary_file() as path:
            with await settled(path.open, "wb") as file:
                async for chunk in chunks:
                    await settled(file.write, chunk)
            await self._run("gfal-copy", path.as_uri(), url, limit_s=self._limit_s * COPY_FACTOR)

    async def rename(self, url: str, target: str) -> None:
        """gfal-rename."""
        await self._run("gfal-rename", url, target)

    async def unlink(self, url: str) -> None:
        """gfal-rm of exactly that, without a look of its own."""
        await self._run("gfal-rm", "--just-delete", url)

    async def mkdir(self, url: str) -> None:
        """gfal-mkdir with parents."""
        await self._run("gfal-mkdir", "--parents", url)

    async def rmdir(self, url: str) -> None:
        """Nothing does that."""
        raise Unsupported("gfal2's programs can only remove directories with all that is in them")

    async def close(self) -> None:
        """Nothing is kept."""

    async def _run(self, name: str, *arguments: str, limit_s: float = 0) -> bytes:
        """What a program prints; an error if it fails."""
        limit_s = limit_s or self._limit_s
        async with self._running(name, *arguments) as running:
            out, err = await within(limit_s, asyncio.gather(running.stdout.read(), running.stderr.read()))
            self._require_success(name, await within(limit_s, running.ended()), err)
        return out

    @asynccontextmanager
    async def _running(self, name: str, *arguments: str) -> AsyncIterator[Running]:
        async with self._free:
            environment, token = await self._settings()
            found = dict(environment) | {"PYTHONUTF8": "1"}
            if self._python:
                found["GFAL_PYTHONBIN"] = self._python
            if token:
                found["BEARER_TOKEN"] = token
            async with program.running(Program(name, PACKAGE, found), [*self._options, *arguments]) as running:
                yield running

    @staticmethod
    def _require_success(name: str, code: int, complaints: bytes) -> None:
        if code == 0:
            return
        if _NOT_TEXT in complaints:
            raise Unsupported("a name in this directory is not UTF-8, which gfal2's programs cannot show")
        said = complaints.decode(errors="replace").rpartition(f"{name} error: ")[2]
        if code == _PROGRAM_FAILED or not said:
            raise PeerError(f"{name} ended with {code} and did not say why")
        raise GfalRefusal(code, said.partition(" - ")[2].strip())


@asynccontextmanager
async def _temporary_file() -> AsyncIterator[Path]:
    """The name of a file that is not there yet, in a folder that only we may enter."""
    folder = await settled(tempfile.mkdtemp, prefix="holdfast-gfal-")
    try:
        yield Path(folder, "bytes")
    finally:
        await settled(shutil.rmtree, folder, ignore_errors=True)


def _no_directory() -> GfalRefusal:
    return GfalRefusal(errno.ENOTDIR, f"is a file ({os.strerror(errno.ENOTDIR)})")


def _entry(text: str) -> tuple[bytes, Seen]:
    found = _ENTRY.fullmatch(text)
    if not found:
        raise PeerError(f"gfal-ls answers in an unknown way: {text[:80]!a}")
    kind, size, *moment, name = found.groups()
    return name.encode(), Seen(_TYPES.get(kind, modes.S_IFIFO), int(size), _seconds(moment))


def _seconds(moment: Sequence[str]) -> int:
    try:
        return calendar.timegm(tuple(int(part) for part in moment))
    except ValueError as error:
        raise PeerError(f"gfal2's programs tell an impossible time: {moment}") from error
