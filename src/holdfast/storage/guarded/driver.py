"""GuardedDriver: the StorageDriver contract over hands that keep little of it.

Rules
  * Nothing is replaced, removed or made before a look has shown that it may
    be: what is removed as a file was one, what is removed as a directory was
    empty, what is moved was moved to a free name in a directory that was there.
  * Between that look and the deed somebody else may act. Callers of the same
    driver cannot: names are locked. Others can, since the tools have no request
    that does both; of two processes that write one name both may succeed, and
    the name then holds the bytes of one of them, whole.
  * What is written gets its name when it is whole and of the right size.
  * What is read or digested counts if the file was the same before and after.
  * A call that changes something is carried out, even if its caller is
    cancelled meanwhile.
  * Where the far side is unclear, one more look says whether the path leads
    through something that is no directory.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from typing import TypeVar

from holdfast.model import names
from holdfast.model.errors import BrokenInvariant, HoldfastError, InvalidName, PeerError
from holdfast.storage import parts
from holdfast.storage.carried_out import carried_out
from holdfast.storage.digest import Hasher
from holdfast.storage.driver import (
    AlreadyThere,
    Capabilities,
    ChangedWhileRead,
    Digest,
    DirectoryListing,
    DirectoryNames,
    DirectoryNotEmpty,
    Kind,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    Stat,
    Unsupported,
)
from holdfast.storage.guarded.hands import Hands, Unclear
from holdfast.storage.guarded.listing import whole_listing, whole_names
from holdfast.storage.name_locks import NameLocks

_T = TypeVar("_T")


class GuardedDriver:
    """A door that is reached with ``hands``; ``label`` names it in errors."""

    def __init__(self, hands: Hands, *, label: str) -> None:
        self._hands = hands
        self._label = label
        self._locks = NameLocks()
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        """Those of the hands."""
        return self._hands.capabilities

    @property
    def label(self) -> str:
        """The label given."""
        return self._label

    async def list(self, path: str) -> DirectoryListing:
        """The entries of one directory."""
        with self._errors_at(self._checked(path)):
            return await self._clearly(whole_listing(self._hands, path), path, itself=True)

    async def names(self, path: str) -> DirectoryNames:
        """The names in a directory, asked without stats."""
        with self._errors_at(self._checked(path)):
            return await self._clearly(whole_names(self._hands, path), path, itself=True)

    async def stat(self, path: str) -> Stat:
        """What ``path`` is."""
        with self._errors_at(self._checked(path)):
            return await self._look(path)

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """What the storage tells, and of the rest what the bytes say."""
        hasher = Hasher(algorithms)
        with self._errors_at(self._checked(path)):
            self._require("checksums", algorithms)
            before = await self._file(path)
            digests: dict[str, str] = {}
            if not read:
                for algorithm in algorithms:
                    if algorithm in self.capabilities.told:
                        digests |= await self._clearly(self._hands.told(path, algorithm), path)
            told = frozenset(digests)
            lacking = [algorithm for algorithm in algorithms if algorithm not in digests]
            if lacking:
                hasher = Hasher(lacking)
                async with aclosing(self._bytes(path, before)) as chunks:
                    async for chunk in chunks:
                        await asyncio.to_thread(hasher.update, chunk)
                digests |= hasher.hexdigests()
            else:
                await self._require_unchanged(path, before, before.size)
            return Digest(digests, before, told)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of a file."""
        with self._errors_at(self._checked(path)):
            async with aclosing(self._bytes(path, await self._file(path))) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        """Make a new file, under a part's name until it is whole."""
        source = _Source(chunks)
        with self._errors_at(self._checked(path), source):
            self._require_writable()
            await self._require_free(path)
            above, name = names.split(path)
            await carried_out(self._make(above))
            if parts.is_part_name(name):
                async with self._locks.held(path):
                    await self._require_free(path)
                    return await self._put(path, source)
            part = parts.part_path(path)
            await self._put(part, source)
            return await carried_out(self._reveal(part, path))

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        """Move a file; the target's directory has to be there."""
        self._checked(target)
        with self._errors_at(f"{self._checked(source)} -> {target}"):
            self._require_writable()
            if not self.capabilities.rename:
                raise Unsupported("cannot be done by this way of asking: renaming")
            await carried_out(self._rename(source, target, replace))

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        """Remove one file; what is ``expected`` is looked at right before."""
        with self._errors_at(self._checked(path)):
            self._require_writable()
            await carried_out(self._delete(path, expected))

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents."""
        with self._errors_at(self._checked(path)):
            self._require_writable()
            await carried_out(self._make(path))

    async def remove_directory(self, path: str) -> None:
        """Remove one empty directory, never the root."""
        with self._errors_at(self._checked(path)):
            self._require_writable()
            if path == "/":
                raise NotAllowed("the root directory is never removed")
            if not self.capabilities.removes_directories:
                raise Unsupported("directories cannot be removed by this way of asking")
            await carried_out(self._remove_directory(path))

    async def close(self) -> None:
        """End what the hands have started."""
        self._closed = True
        await self._hands.close()

    # What the calls consist of.

    async def _look(self, path: str) -> Stat:
        return await self._clearly(self._hands.stat(path), path)

    async def _file(self, path: str) -> Stat:
        found = await self._look(path)
        if found.kind is not Kind.FILE:
            raise NotAFile(f"is {_a(found.kind)}, not a file")
        return found

    async def _require_free(self, path: str) -> None:
        with suppress(NotThere):
            if path != "/":
                await self._look(path)
            raise AlreadyThere("is there already")

    async def _bytes(self, path: str, before: Stat) -> AsyncGenerator[bytes, None]:
        """The bytes of the file that was ``before``; an error at the end if it is not that file any more."""
        seen = 0
        if before.size:
            async with aclosing(self._hands.read(path)) as chunks:
                try:
                    async for chunk in chunks:
                        seen += len(chunk)
                        yield chunk
                except PeerError:
                    # Some stumble over a file that is exchanged under them, and say only that they stumbled.
                    await self._require_still(path, before)
                    raise
        await self._require_unchanged(path, before, seen)

    async def _require_unchanged(self, path: str, before: Stat, seen: int) -> None:
        await self._require_still(path, before)
        if seen != before.size:
            raise PeerError(f"the storage gave {seen} bytes of a file that has {before.size}")

    async def _require_still(self, path: str, before: Stat) -> None:
        try:
            after = await self._look(path)
        except NotThere as error:
            raise ChangedWhileRead("went away while it was read") from error
        if not after.is_still(before):
            raise ChangedWhileRead("changed while it was read")

    async def _put(self, path: str, source: _Source) -> Stat:
        """Make the file ``path`` of all that ``source`` gives; nothing of it stays if that fails."""
        try:
            await self._hands.write(path, source)
            there = await self._look(path)
            if (there.kind, there.size) != (Kind.FILE, source.size):
                raise PeerError(f"has {there.size} bytes after {source.size} were written")
        except AlreadyThere:
            raise  # It is somebody else's.
        except BaseException:
            await carried_out(self._discard(path))
            raise
        return there

    async def _discard(self, path: str) -> None:
        # What made us give up is what is told. A part that cannot be removed either is found by cleaners.
        with suppress(HoldfastError):
            await self._hands.remove(path)

    async def _reveal(self, part: str, path: str) -> Stat:
        try:
            async with self._locks.held(path):
                await self._require_free(path)
                await self._hands.move(part, path)
                return await self._look(path)
        except BaseException:
            await self._discard(part)
            raise

    async def _rename(self, source: str, target: str, replace: bool) -> None:
        async with self._locks.held(target):
            await self._file(source)
            try:
                there = await self._look(target)
            except NotThere:
                await self._require_directory(names.split(target)[0])
            else:
                if not replace:
                    raise AlreadyThere("is there already")
                if there.kind is not Kind.FILE:
                    raise NotAFile(f"what would be replaced is {_a(there.kind)}, not a file")
                if source == target:
                    return
            await self._clearly(self._hands.move(source, target), source)

    async def _delete(self, path: str, expected: Stat | None) -> None:
        async with self._locks.held(path):
            found = await self._file(path)
            if expected is not None and not found.is_still(expected):
                raise ChangedWhileRead("is not the file any more that was to be deleted")
            await self._clearly(self._hands.remove(path), path)

    async def _make(self, path: str) -> None:
        try:
            await self._require_directory(path)
        except NotThere:
            # Somebody else may make it, or a file of its name, at the same moment.
            with suppress(AlreadyThere):
                await self._clearly(self._hands.make_directories(path), path)
            await self._require_directory(path)

    async def _require_directory(self, path: str) -> None:
        if (await self._look(path)).kind is not Kind.DIRECTORY:
            raise NotADirectory("is not a directory")

    async def _remove_directory(self, path: str) -> None:
        async with self._locks.held(path):
            await self._require_directory(path)
            inside = await self._clearly(self._hands.names(path), path)
            if inside.names or inside.unnameable:
                raise DirectoryNotEmpty("is not empty")
            await self._clearly(self._hands.remove_directory(path), path)

    # What every call begins with, and how it fails.

    def _checked(self, path: str) -> str:
        """Refuse a path that is none, or that cannot be asked for; else how errors name it."""
        if self._closed:
            raise BrokenInvariant("the driver has been closed", place=self._label)
        place = f"{self._label}:{path}"
        try:
            names.directory(path)
        except InvalidName as error:
            error.place = error.place or self._label
            raise
        unspeakable = set(path) & set(self.capabilities.not_in_paths)
        if unspeakable:
            raise InvalidName(
                f"a path with {min(unspeakable)!r} cannot be asked for by this protocol",
                place=place,
                hint="rename it, or use another door of the site",
            )
        return place

    def _require_writable(self) -> None:
        if not self.capabilities.writable:
            raise Unsupported("is only read by this way of asking")

    def _require(self, what: str, algorithms: Sequence[str]) -> None:
        declared: builtins.frozenset[str] = getattr(self.capabilities, what)
        lacking = [algorithm for algorithm in algorithms if algorithm not in declared]
        if lacking:
            raise Unsupported(f"cannot compute {', '.join(lacking)}")

    async def _clearly(self, call: Awaitable[_T], path: str, *, itself: bool = False) -> _T:
        """What ``call`` gives; if the far side was unclear, the reason found by looking at what is above ``path``.

        ``itself``: the call wanted a directory at ``path``.
        """
        try:
            return await call
        except Unclear as error:
            place = path if itself else names.split(path)[0]
            while place != "/":
                with suppress(Unclear):
                    try:
                        found = await self._hands.stat(place)
                    except NotThere as gone:
                        raise NotThere("no such file or directory") from gone
                    if found.kind is not Kind.DIRECTORY:
                        what = "is" if place == path else "leads through what is"
                        raise NotADirectory(f"{what} not a directory") from error
                    break
                place = names.split(place)[0]
            raise

    @contextmanager
    def _errors_at(self, place: str, source: _Source | None = None) -> Iterator[None]:
        try:
            yield
        except HoldfastError as error:
            if source is None or error is not source.error:
                error.place = error.place or place
            raise


class _Source:
    """Somebody's chunks: how many bytes they were, and the exception they ended with."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks
        self.size = 0
        self.error: BaseException | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                self.size += len(chunk)
                if chunk:
                    yield chunk
        except BaseException as error:
            self.error = error
            raise


def _a(kind: Kind) -> str:
    return "a directory" if kind is Kind.DIRECTORY else "neither a file nor a directory"
