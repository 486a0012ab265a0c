"""GfalProcess: gfal2's bindings, asked in a process of their own (``child``).

Rules
  * The process is started when something is asked, and again when it has died;
    what was being asked then is PeerError.
  * A call that gets no answer in time is PeerError. Its thread over there
    cannot be ended, so that process is asked nothing more and is killed as
    soon as nobody waits for it; others have their answers from it meanwhile.
  * The token goes through the pipe, when it has changed, and stands in no
    environment and no argument.
  * Closed, it is gone; and it goes by itself if this process dies.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from holdfast.model.errors import BrokenInvariant, PeerError
from holdfast.storage import program
from holdfast.storage.carried_out import carried_out
from holdfast.storage.driver import CHUNK_BYTES
from holdfast.storage.gfal.calls import GfalRefusal, Seen
from holdfast.storage.program import Program, Running, within

CHILD = Path(__file__).with_name("child.py")
PACKAGE = "python3-gfal2"
THREADS = 8
"""How many requests are answered at once over there."""
MODE = 0o755

_T = TypeVar("_T")
_LENGTHS = struct.Struct("!II")
_DIED = "the process that speaks to gfal2 has ended"

Option = tuple[str, str, bool | int | str]
Settings = Callable[[], Awaitable[tuple[Mapping[str, str], str]]]
"""What gives the environment and the token of the moment."""


class Child:
    """One process and what it has been asked."""

    def __init__(self, running: Running, environment: Mapping[str, str]) -> None:
        self._running = running
        self.environment = environment
        self.configured = asyncio.Lock()
        self.token: str | None = None
        self.retired = False
        self._waiting: dict[int, asyncio.Future[tuple[Any, bytes]]] = {}
        self._ids = itertools.count(1)
        self._tasks = [asyncio.ensure_future(self._hear()), asyncio.ensure_future(self._ignore_complaints())]

    @property
    def pid(self) -> int:
        """Its number."""
        return self._running.pid

    @property
    def is_usable(self) -> bool:
        """Whether it may be asked something new."""
        return not self.retired and self._running.is_alive and not self._tasks[0].done()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for it."""
        return not self._waiting

    def new_id(self) -> int:
        """A number that was not used for it before."""
        return next(self._ids)

    def tell(self, op: str, data: bytes = b"", **arguments: object) -> int:
        """Ask something of which nobody wants to hear again; the number of the request."""
        number = self.new_id()
        head = json.dumps({"id": number, "op": op, **arguments}).encode()
        self._running.stdin.write(_LENGTHS.pack(len(head), len(data)) + head + data)
        return number

    async def ask(self, op: str, data: bytes = b"", *, limit_s: float, **arguments: object) -> tuple[Any, bytes]:
        """Ask, and wait for the answer, no longer than that."""
        if self._tasks[0].done():
            raise PeerError(_DIED)
        number = self.tell(op, data, **arguments)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            return await within(limit_s, answer)
        finally:
            del self._waiting[number]

    async def end(self) -> None:
        """Kill it; who waits for it gets an error."""
        self.retired = True
        await self._running.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._abandon()

    async def _hear(self) -> None:
        """Hand out answers until there are no more."""
        stream = self._running.stdout
        try:
            while True:
                n_head, n_data = _LENGTHS.unpack(await stream.readexactly(_LENGTHS.size))
                answer = json.loads(await stream.readexactly(n_head))
                data = await stream.readexactly(n_data)
                self._hand_out(answer, data)
        except (asyncio.IncompleteReadError, OSError, ValueError):
            pass
        finally:
            self._abandon()

    def _hand_out(self, answer: dict[str, Any], data: bytes) -> None:
        waiting = self._waiting.get(answer["id"])
        if waiting is None or waiting.done():
            return  # Whoever asked has gone.
        if "ok" in answer:
            waiting.set_result((answer["ok"], data))
        else:
            waiting.set_exception(GfalRefusal(answer["errno"], answer["text"]))

    async def _ignore_complaints(self) -> None:
        # The libraries log there, and would wait for a reader.
        while await self._running.stderr.read(CHUNK_BYTES):
            pass

    def _abandon(self) -> None:
        for waiting in [*self._waiting.values()]:
            if not waiting.done():
                waiting.set_exception(PeerError(_DIED))


class GfalProcess:
    """GfalCalls over the bindings in ``interpreter``, which is what to run and its PYTHONPATH ("" for none)."""

    can_remove_directories = True

    def __init__(
        self,
        interpreter: tuple[str, str],
        *,
        url: str,
        settings: Settings,
        options: Sequence[Option],
        limit_s: float,
    ) -> None:
        self._interpreter = interpreter
        self._url = url
        self._settings = settings
        self._options = options
        self._limit_s = limit_s
        self._child: Child | None = None
        self._children: set[Child] = set()
        self._starting = asyncio.Lock()
        self._free = asyncio.Semaphore(THREADS)
        self._closed = False

    @property
    def pids(self) -> set[int]:
        """The processes there are."""
        return {child.pid for child in self._children}

    async def list(self, url: str) -> Sequence[tuple[bytes, Seen]]:
        """opendir and readpp."""
        found, _ = await self._ask("list", url=url)
        return [(_raw(name), Seen(mode, size, mtime)) for name, mode, size, mtime in found]

    async def names(self, url: str) -> Sequence[bytes]:
        """opendir and readdir."""
        found, _ = await self._ask("names", url=url)
        return [_raw(name) for name in found]

    async def stat(self, url: str) -> Seen:
        """lstat."""
        found, _ = await self._ask("stat", url=url)
        return Seen(*found)

    async def checksum(self, url: str, algorithm: str) -> str:
        """checksum."""
        found, _ = await self._ask("checksum", url=url, algorithm=algorithm)
        return str(found)

    async def rename(self, url: str, target: str) -> None:
        """rename."""
        await self._ask("rename", url=url, target=target)

    async def unlink(self, url: str) -> None:
        """unlink."""
        await self._ask("unlink", url=url)

    async def mkdir(self, url: str) -> None:
        """mkdir_rec."""
        await self._ask("mkdir", url=url, mode=MODE)

    async def rmdir(self, url: str) -> None:
        """rmdir."""
        await self._ask("rmdir", url=url)

    async def read(self, url: str) -> AsyncGenerator[bytes, None]:
        """open and read."""
        async with self._free:
            child = await self._ready()
            handle = child.new_id()
            try:
                await self._on(child, "open", handle=handle, url=url, write=False)
                while data := (await self._on(child, "read", handle=handle, size=CHUNK_BYTES))[1]:
                    yield data
            finally:
                self._let_go(child, handle)

    async def write(self, url: str, chunks: AsyncIterable[bytes]) -> None:
        """open, write, and the close in which many protocols do the work."""
        async with self._free:
            child = await self._ready()
            handle = child.new_id()
            try:
                await self._on(child, "open", handle=handle, url=url, write=True)
                async for chunk in chunks:
                    for start in range(0, len(chunk), CHUNK_BYTES):
                        await self._on(child, "write", chunk[start : start + CHUNK_BYTES], handle=handle)
            except BaseException:
                await carried_out(self._close_file(child, handle))
                raise
            await self._on(child, "close", handle=handle, opening=False)

    async def close(self) -> None:
        """Kill the processes."""
        self._closed = True
        while self._children:
            await self._children.pop().end()

    # Asking.

    async def _ask(self, op: str, **arguments: str | int) -> tuple[Any, bytes]:
        async with self._free:
            return await self._on(await self._ready(), op, b"", **arguments)

    async def _on(self, child: Child, op: str, data: bytes = b"", **arguments: object) -> tuple[Any, bytes]:
        try:
            return await child.ask(op, data, limit_s=self._limit_s, **arguments)
        except GfalRefusal:
            raise
        except (PeerError, asyncio.CancelledError) as error:
            # Cancelled calls go on over there; only one that is overdue is known to hang.
            if isinstance(error, PeerError):
                child.retired = True
            raise
        finally:
            if child.retired and child.is_idle:
                await carried_out(self._bury(child))

    async def _bury(self, child: Child) -> None:
        self._children.discard(child)
        await child.end()

    def _let_go(self, child: Child, handle: int) -> None:
        if child.is_usable:
            child.tell("close", handle=handle, opening=True)

    async def _close_file(self, child: Child, handle: int) -> None:
        """Close a file that is not wanted, if that can be done; what is written to a storage is then over."""
        if child.is_usable:
            try:
                await self._on(child, "close", handle=handle, opening=True)
            except PeerError:
                return

    async def _ready(self) -> Child:
        """A process that knows what to show to the storage."""
        environment, token = await self._settings()
        async with self._starting:
            if self._closed:
                raise BrokenInvariant("the driver has been closed")
            child = self._child
            if child is None or not child.is_usable or child.environment != environment:
                child = self._child = await self._replaced(child, environment)
        async with child.configured:
            if child.token != token:
                options = self._options if child.token is None else []
                await self._on(child, "configure", options=[*options], url=self._url, token=token)
                child.token = token
        return child

    async def _replaced(self, old: Child | None, environment: Mapping[str, str]) -> Child:
        if old is not None:
            old.retired = True
            if old.is_idle:
                await self._bury(old)
        python, path = self._interpreter
        found = {**environment, "PYTHONPATH": path} if path else dict(environment)
        running = await program.start(Program(python, PACKAGE, found), ["-B", str(CHILD)], feed=True)
        child = Child(running, environment)
        self._children.add(child)
        return child


def _raw(name: str | dict[str, str]) -> bytes:
    return name.encode() if isinstance(name, str) else bytes.fromhex(name["hex"])
