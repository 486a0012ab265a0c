"""CarelessHands: hands in memory that do whatever they are told, as the tools do.

They replace, make directories on the way, remove empty directories as if they
were files, and call it a success when there was nothing to remove. At what
happens between two requests a test can put a deed of somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from dataclasses import replace

from holdfast.model import names
from holdfast.model.checksums import Checksums
from holdfast.model.clock import system_clock
from holdfast.model.errors import HoldfastError
from holdfast.storage.digest import ALGORITHMS, digests_of
from holdfast.storage.driver import CHUNK_BYTES, Capabilities, DirectoryNames, Entry, Kind, NotAFile, NotThere, Stat
from holdfast.storage.guarded.hands import Heard, Unclear
from holdfast.testing.memory_tree import MemoryTree

FULL = Capabilities(checksums=ALGORITHMS, told=frozenset({"adler32"}), second_look=True)


class CarelessHands:
    """Hands on a tree; ``before(operation, path)`` is called before each request and may raise."""

    def __init__(self, tree: MemoryTree | None = None, capabilities: Capabilities = FULL) -> None:
        self.tree = tree or MemoryTree(system_clock)
        self.capabilities = capabilities
        self.before: Callable[[str, str], None] = lambda operation, path: None
        self.calls: list[str] = []
        self.busy = 0
        self.unreadable: HoldfastError | None = None
        self.closed = False

    async def list(self, path: str) -> Heard:
        await self._asked("list", path)
        if self.unreadable:
            raise self.unreadable
        found = self.tree.entries(self._directory(path))
        return Heard(tuple(Entry(self._cut(name), node.stat) for name, node in reversed(found.items())))

    async def names(self, path: str) -> DirectoryNames:
        await self._asked("names", path)
        return DirectoryNames(tuple(self._cut(name) for name in reversed(self.tree.entries(self._directory(path)))))

    async def stat(self, path: str) -> Stat:
        await self._asked("stat", path)
        self._way_to(path)
        return self.tree.find(path).stat

    async def told(self, path: str, algorithm: str) -> Checksums:
        await self._asked("told", path)
        return digests_of(self.tree.find_file(path).data, [algorithm])

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        await self._asked("read", path)
        data = self.tree.find_file(path).data
        for start in range(0, len(data), CHUNK_BYTES):
            await self._asked("read.chunk", path)
            yield data[start : start + CHUNK_BYTES]

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> None:
        await self._asked("write", path)
        data = b""
        async for chunk in chunks:
            data += chunk
            self.tree.put(path, data)
            await self._asked("write.chunk", path)
        self.tree.put(path, data)

    async def move(self, source: str, target: str) -> None:
        await self._asked("move", source)
        self._way_to(target)
        self.tree.make_directory(names.split(target)[0])
        node = self.tree.find(source)
        if self.tree.has(target):
            if self.tree.find(target).kind is Kind.DIRECTORY:
                raise NotAFile("is a directory")
            self.tree.remove(target)
        self.tree.put_node(target, self.tree.touched(node))
        self.tree.remove(source)

    async def remove(self, path: str) -> None:
        await self._asked("remove", path)
        if not self.tree.has(path):
            raise NotThere("no such file")
        self._remove(path)

    async def make_directories(self, path: str) -> None:
        await self._asked("make_directories", path)
        self._way_to(path)
        self.tree.make_directory(path)

    async def remove_directory(self, path: str) -> None:
        await self._asked("remove_directory", path)
        if self.tree.has(path):
            self._remove(path)

    async def close(self) -> None:
        self.closed = True

    async def _asked(self, operation: str, path: str) -> None:
        self.calls.append(operation)
        self.busy += 1
        try:
            await asyncio.sleep(0)
            self.before(operation, path)
        finally:
            self.busy -= 1

    def _remove(self, path: str) -> None:
        if self.tree.find(path).kind is Kind.DIRECTORY and not self.tree.is_empty(path):
            raise Unclear("file system error")
        self.tree.remove(path)

    def _directory(self, path: str) -> str:
        self._way_to(path)
        if self.tree.find(path).kind is not Kind.DIRECTORY:
            raise Unclear("file system error")
        return path

    def _cut(self, name: str) -> str:
        return name.encode()[: self.capabilities.listed_bytes_max].decode()

    def _way_to(self, path: str) -> None:
        """Whatever is wrong on the way is one and the same number."""
        above = names.split(path)[0]
        while above != "/":
            if self.tree.has(above) and self.tree.find(above).kind is not Kind.DIRECTORY:
                raise Unclear("file system error")
            above = names.split(above)[0]


def poorer(**changes: object) -> Capabilities:
    """What the hands can do, but for that."""
    return replace(FULL, **changes)  # type: ignore[arg-type]
