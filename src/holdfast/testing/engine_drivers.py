"""Drivers between an engine and a storage, for what storages do behind an engine's back.

Rules
  * Whatever is not meddled with goes through unchanged, optional abilities
    among it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

from holdfast.model.checksums import Checksums
from holdfast.storage.abilities import FarFile, Progress, ThirdPartyCopyDriver
from holdfast.storage.driver import Capabilities, Digest, DirectoryListing, Stat, StorageDriver

Meddle = Callable[[str, str], object]
"""Hears of the operation and the path before it is carried out; may raise, and may be awaitable."""


class MeddledDriver:
    """The driver ``inner``, whose every call ``meddle`` hears of first."""

    def __init__(self, inner: StorageDriver, meddle: Meddle) -> None:
        self.inner = inner
        self._meddle = meddle

    @property
    def capabilities(self) -> Capabilities:
        """Those of ``inner``, but what would pass by here."""
        return replace(self.inner.capabilities, blocking=False)

    @property
    def label(self) -> str:
        """That of ``inner``."""
        return self.inner.label

    @property
    def copies_over(self) -> str:
        """That of ``inner``, if it copies."""
        return self._copying.copies_over

    async def list(self, path: str) -> DirectoryListing:
        """The entries of one directory."""
        await self._hear("list", path)
        return await self.inner.list(path)

    async def stat(self, path: str) -> Stat:
        """What ``path`` is."""
        await self._hear("stat", path)
        return await self.inner.stat(path)

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """Digests of a file."""
        await self._hear("checksum", path)
        return await self.inner.checksum(path, algorithms, read=read)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of a file; ``read.chunk`` is heard of before each."""
        await self._hear("read", path)
        async for chunk in self.inner.read(path):
            await self._hear("read.chunk", path)
            yield chunk

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        """Make a new file."""
        await self._hear("write", path)
        stat = await self.inner.write(path, chunks)
        await self._hear("write.done", path)
        return stat

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        """Move a file."""
        await self._hear("rename", source)
        await self.inner.rename(source, target, replace=replace)
        await self._hear("rename.done", target)

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        """Remove one file."""
        await self._hear("delete", path)
        await self.inner.delete(path, expected=expected)

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents."""
        await self._hear("make_directory", path)
        await self.inner.make_directory(path)

    async def remove_directory(self, path: str) -> None:
        """Remove one empty directory."""
        await self._hear("remove_directory", path)
        await self.inner.remove_directory(path)

    async def far_file(self, path: str) -> FarFile:
        """A file as another door takes it."""
        return await self._copying.far_file(path)

    async def told(self, path: str, algorithms: Sequence[str], *, size: int = 0) -> Digest:
        """What the storage says of a file."""
        await self._hear("told", path)
        return await self._copying.told(path, algorithms, size=size)

    async def pull(
        self,
        path: str,
        source: FarFile,
        *,
        size: int | None = None,
        wanted: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Digest:
        """Let the storage fetch a file."""
        await self._hear("pull", path)
        digest = await self._copying.pull(path, source, size=size, wanted=wanted, progress=progress)
        await self._hear("pull.done", path)
        return digest

    async def push(self, path: str, destination: FarFile, *, progress: Progress | None = None) -> None:
        """Let the storage send a file."""
        await self._hear("push", path)
        await self._copying.push(path, destination, progress=progress)
        await self._hear("push.done", path)

    async def close(self) -> None:
        """Close ``inner``."""
        await self.inner.close()

    @property
    def _copying(self) -> ThirdPartyCopyDriver:
        assert isinstance(self.inner, ThirdPartyCopyDriver)
        return self.inner

    async def _hear(self, operation: str, path: str) -> None:
        heard = self._meddle(operation, path)
        if inspect.isawaitable(heard):
            await heard


class RememberingDriver(MeddledDriver):
    """The driver ``inner`` of a storage that tells what it has noted of some files, by path, whatever their bytes are.

    Who reads a file gets its bytes, and their checksums.
    """

    def __init__(self, inner: StorageDriver, meddle: Meddle, noted: Mapping[str, Checksums]) -> None:
        super().__init__(inner, meddle)
        self._noted = noted

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """What was noted, unless it is to be read."""
        digest = await super().checksum(path, algorithms, read=read)
        return digest if read else self._as_noted(path, digest)

    async def told(self, path: str, algorithms: Sequence[str], *, size: int = 0) -> Digest:
        """What was noted."""
        return self._as_noted(path, await super().told(path, algorithms, size=size))

    def _as_noted(self, path: str, digest: Digest) -> Digest:
        noted = self._noted.get(path, {})
        return replace(digest, checksums={name: noted.get(name, value) for name, value in digest.checksums.items()})


CHANGING = frozenset({"write", "rename", "delete", "make_directory", "remove_directory", "pull", "push"})
"""Operations that change something."""

PROVING = frozenset({"stat", "checksum", "read", "told", "list"})
"""Operations that look at what is there."""
