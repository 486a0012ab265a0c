"""GfalHands: a storage that gfal2 reaches, whatever its protocol.

Rules
  * Path and URL are one to one: gfal2 wants the paths of some protocols
    encoded and those of others as they are. A character that would be lost or
    change the request is in no path (``capabilities.not_in_paths``).
  * What is neither a file nor a directory is OTHER where gfal2 tells mode
    bits; where it tells none it is a file.
  * Sizes of directories are 0: plug-ins say this and that.
"""

from __future__ import annotations

import builtins
import stat as modes
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Sequence
from typing import TypeVar

from holdfast.model.checksums import Checksums
from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage import told
from holdfast.storage.driver import (
    Capabilities,
    DirectoryNames,
    Entry,
    Kind,
    NotAFile,
    NotAllowed,
    NotThere,
    Stat,
    Unnameable,
)
from holdfast.storage.gfal import errors as gfal_errors
from holdfast.storage.gfal.calls import GfalCalls, GfalRefusal, Seen
from holdfast.storage.gfal.moves import MoveTargets
from holdfast.storage.gfal.root import GfalRoot
from holdfast.storage.guarded.hands import Heard, Unreadable, heard_names, named

_T = TypeVar("_T")

SECOND_NS = 1_000_000_000
_SELF_AND_PARENT = frozenset({b".", b".."})
_ALGORITHMS = {"adler32": "ADLER32", "crc32c": "CRC32C", "md5": "MD5", "sha256": "SHA256"}
_FINAL = (NotThere, NotAllowed, NotAFile)


class GfalHands:
    """The folder that ``root`` names, asked by ``calls``."""

    def __init__(self, root: GfalRoot, calls: GfalCalls, capabilities: Capabilities) -> None:
        self._root = root
        self._calls = calls
        self._targets = MoveTargets(root, calls)
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Capabilities:
        """What the protocol and the way to ask allow."""
        return self._capabilities

    async def list(self, path: str) -> Heard:
        """Names and stats."""
        entries: builtins.list[Entry] = []
        unnameable: builtins.list[Unnameable] = []
        for raw, seen in await self._listed(path):
            if raw in _SELF_AND_PARENT:
                continue
            name, reason = named(raw)
            if reason:
                unnameable.append(Unnameable(raw, reason))
            else:
                entries.append(Entry(name, _stat(seen)))
        return Heard(tuple(entries), (), tuple(unnameable))

    async def names(self, path: str) -> DirectoryNames:
        """Names only."""
        found = await self._meant(self._calls.names(self._root.url(path)))
        return heard_names(raw for raw in found if raw not in _SELF_AND_PARENT)

    async def stat(self, path: str) -> Stat:
        """What is there."""
        return _stat(await self._meant(self._calls.stat(self._root.url(path))))

    async def told(self, path: str, algorithm: str) -> Checksums:
        """What the storage tells; gfal2 hands on what WebDAV servers say in base64."""
        try:
            text = await self._calls.checksum(self._root.url(path), _ALGORITHMS[algorithm])
        except GfalRefusal as refusal:
            error = self._meaning(refusal)
            if isinstance(error, _FINAL):
                raise error from refusal
            return {}  # Plug-ins have many numbers for what a storage does not have.
        said = told.from_column(text, algorithm)
        if said.refusals:
            raise PeerError(f"the storage told no digest: {said.why_not}")
        return said.checksums

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file."""
        try:
            async for chunk in self._calls.read(self._root.url(path)):
                yield chunk
        except GfalRefusal as refusal:
            raise self._meaning(refusal) from refusal

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> None:
        """Make a file."""
        await self._meant(self._calls.write(self._root.url(path), chunks))

    async def move(self, source: str, target: str) -> None:
        """rename, which replaces."""
        url = await self._meant(self._targets.url(target))
        await self._meant(self._calls.rename(self._root.url(source), url))

    async def remove(self, path: str) -> None:
        """unlink."""
        await self._meant(self._calls.unlink(self._root.url(path)))

    async def make_directories(self, path: str) -> None:
        """mkdir with parents."""
        await self._meant(self._calls.mkdir(self._root.url(path)))

    async def remove_directory(self, path: str) -> None:
        """rmdir."""
        await self._meant(self._calls.rmdir(self._root.url(path)))

    async def _listed(self, path: str) -> Sequence[tuple[bytes, Seen]]:
        try:
            return await self._meant(self._calls.list(self._root.url(path)))
        except NotThere as error:
            # Some plug-ins say this of a directory in which one name leads nowhere.
            if (await self.stat(path)).kind is Kind.DIRECTORY:
                raise Unreadable("a name in it leads nowhere") from error
            raise

    async def _meant(self, call: Awaitable[_T]) -> _T:
        try:
            return await call
        except GfalRefusal as refusal:
            raise self._meaning(refusal) from refusal

    def _meaning(self, refusal: GfalRefusal) -> HoldfastError:
        return gfal_errors.meaning(refusal, by_words=self._root.is_xrootd)

    async def close(self) -> None:
        """End what runs."""
        await self._calls.close()


def _stat(seen: Seen) -> Stat:
    if modes.S_ISDIR(seen.mode):
        return Stat(Kind.DIRECTORY, 0, seen.mtime_s * SECOND_NS)
    if seen.size < 0:
        raise PeerError(f"the storage tells a size of {seen.size}")
    is_file = modes.S_ISREG(seen.mode) or not modes.S_IFMT(seen.mode)
    return Stat(Kind.FILE if is_file else Kind.OTHER, seen.size, seen.mtime_s * SECOND_NS)
