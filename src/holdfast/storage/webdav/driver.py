"""WebdavDriver: storages that speak HTTP and WebDAV, as a storage.

XRootD, dCache, StoRM, EOS, DPM, Apache, nginx, rclone and their like; protocols
http, https, dav and davs, which are four words for the same.

Rules, beside those of the contract
  * DELETE of a collection takes everything in it along. So a file is looked at
    right before it is removed, and a directory listed. What remains: a file
    that somebody exchanges for a directory, or puts into a directory that was
    empty, within that one request; XRootD refuses in both cases.
  * MOVE likewise replaces collections, and is not known to be atomic where it
    replaces anything.
  * Times are whole seconds; ``version`` is the ETag, where there is one (XRootD
    has none: of two files of one size and one second there is one Stat).
  * Links that the server follows look like what they point to: nobody here can
    see them.
  * Digests that the server tells count if it names that very algorithm.

Requests are in ``door``, what servers do in their own way in
``habits``, looking in ``looks``, contents in ``files``,
copies between storages in ``copy``.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace as changed
from itertools import chain

from holdfast.model import names
from holdfast.model.errors import BrokenInvariant, HoldfastError, PeerError
from holdfast.storage.abilities import FarFile, Progress
from holdfast.storage.access import Access
from holdfast.storage.digest import ALGORITHMS, Hasher
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
    StorageDriver,
)
from holdfast.storage.webdav import copy as webdav_copy
from holdfast.storage.webdav import telling as webdav_telling
from holdfast.storage.webdav.body import Body
from holdfast.storage.webdav.door import CONNECTIONS_MAX, WebDavDoor, root_of
from holdfast.storage.webdav.files import Files
from holdfast.storage.webdav.habits import SHORTENED_BYTES, Habits
from holdfast.storage.webdav.looks import WebDavLooks
from holdfast.storage.webdav.times import SECOND_NS

CAPABILITIES = Capabilities(
    atomic_rename=False,
    follows_links=True,
    checksums=ALGORITHMS,
    told=frozenset(webdav_telling.NAMES),
    second_look=True,
    pages=True,
    third_party_copy=True,
    calls_max=CONNECTIONS_MAX,
    mtime_resolution_ns=SECOND_NS,
)


@functools.cache
def _capabilities(is_cut: bool, is_shortened: bool, takes_all: bool) -> Capabilities:
    return changed(
        CAPABILITIES,
        not_in_paths="?" if is_cut else "",
        listed_bytes_max=SHORTENED_BYTES if is_shortened else CAPABILITIES.listed_bytes_max,
        removes_directories=not takes_all,
    )


def open_door(root: str, *, site: str, access: Access) -> StorageDriver:
    """The driver of a door whose root is a URL."""
    return WebdavDriver(root, site=site, access=access)


class WebdavDriver:
    """One door: ``root`` is the URL of a directory. Made inside a running event loop."""

    def __init__(self, root: str, *, site: str = "", access: Access | None = None) -> None:
        label = f"{site}:{root}" if site else root
        self._door = WebDavDoor(root_of(root, site=site), access or Access(site=site), label=label)
        self._habits = Habits(self._door)
        self._looks = WebDavLooks(self._door, self._habits)
        self._files = Files(self._door, self._habits, self._looks)
        self._telling = webdav_telling.Telling(self._door)
        self._copies = webdav_copy.WebDavCopies(self._door, self._looks, self._files, self._telling)

    @property
    def capabilities(self) -> Capabilities:
        """What the protocol can do, as far as is known of this server.

        Whether it removes directories without a risk is known once it was asked to, all else once something was
        listed. Not every server copies to others.
        """
        habits = self._habits
        return _capabilities(bool(habits.cut or habits.cut_unsaid), habits.shortened, bool(habits.takes_all))

    @property
    def label(self) -> str:
        """The site and the root."""
        return self._door.label

    async def list(self, path: str) -> DirectoryListing:
        """The entries of one directory."""
        return _joined([page async for page in self.pages(path)])

    async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
        """The same in pieces, as they come in."""
        with self._errors_at(path):
            async with aclosing(self._looks.pages(path)) as pages:
                async for page in pages:
                    yield page

    async def names(self, path: str) -> DirectoryNames:
        """The names in a directory, asked for with another request, on a connection of its own."""
        with self._errors_at(path):
            listing = _joined([page async for page in self._looks.pages(path, another_way=True)])
        return DirectoryNames(tuple(entry.name for entry in listing.entries), listing.unnameable)

    async def stat(self, path: str) -> Stat:
        """What ``path`` is."""
        with self._errors_at(path):
            return await self._looks.stat(path)

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """Digests that the storage tells, and those of the bytes for the rest."""
        Hasher(algorithms)  # Refuses what nobody knows, before anything is asked.
        with self._errors_at(path):
            stat = await self._files.file(path)
            known = {} if read else await self._telling.all(path, algorithms, stat.size)
            hasher = Hasher([each for each in algorithms if each not in known])
            if set(known) != set(algorithms):
                async with aclosing(self._files.read(path, stat)) as chunks:
                    async for chunk in chunks:
                        await asyncio.to_thread(hasher.update, chunk)
            elif await self._looks.stat(path) != stat:
                raise ChangedWhileRead("changed while its checksum was asked for")
            return Digest(known | hasher.hexdigests(), stat, frozenset(known))

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of a file."""
        with self._errors_at(path):
            stat = await self._files.file(path)
            async with aclosing(self._files.read(path, stat)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        """Make a new file; its bytes are collected before they are sent."""
        body = Body()
        try:
            with self._errors_at(path):
                await self._files.require_free(path, self.make_directory)
            await body.collect(chunks)
            with self._errors_at(path):
                return await self._files.arrive(path, lambda part: self._files.put(part, body))
        finally:
            body.close()

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        """Move a file; the target's directory has to be there."""
        self._checked(target)
        with self._errors_at(source):
            made = self._files.made(source)
            moved = made or await self._proved_file(source)
            beside = made is not None and names.split(source)[0] == names.split(target)[0]
            await self._prepare(target, replace, is_beside=beside)
            if source != target:
                await self._files.move(source, target, moved, replace=replace)

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        """Remove one file, looked at right before."""
        with self._errors_at(path):
            found = await self._proved_file(path)
            if expected is not None and not found.is_still(expected):
                raise ChangedWhileRead("is not the file any more that was to be deleted")
            await self._files.remove(path)

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents."""
        with self._errors_at(path):
            missing: list[str] = []
            above = path
            while not await self._is_directory(above):
                if above == "/":
                    raise NotThere("the root of the door is not there")
                missing.append(above)
                above = names.split(above)[0]
            for each in reversed(missing):
                async with self._files.naming(each):
                    await self._make_one(each)

    async def remove_directory(self, path: str) -> None:
        """Remove one empty directory, listed before, where the server refuses a full one; never the root."""
        with self._errors_at(path):
            if path == "/":
                raise NotAllowed("the root directory is never removed")
            await self._require_empty(path)
            # What comes into it from here on has to keep it: that is the server's business, if it minds.
            is_asked_now = self._habits.takes_all is None
            await self._habits.spare(path)
            if is_asked_now:
                await self._require_empty(path)  # The question took a while.
            await self._files.remove(path)

    async def _require_empty(self, path: str) -> None:
        async with aclosing(self._looks.pages(path)) as pages:
            async for page in pages:
                if page.entries or page.unnameable:
                    raise DirectoryNotEmpty("is not empty")
                if page.doubt:
                    raise PeerError(f"it cannot be told whether it is empty: {page.doubt}")

    @property
    def copies_over(self) -> str:
        """HTTP, with TLS or without."""
        return "http"

    async def far_file(self, path: str) -> FarFile:
        """A file here with its address, and our token where it may be shown."""
        self._checked(path)
        shown = await self._door.authorization()
        return FarFile(self._door.url(path), shown.get("Authorization", "").removeprefix("Bearer "))

    async def told(self, path: str, algorithms: Sequence[str], *, size: int = 0) -> Digest:
        """What the storage says of a file, in one request if we have just made it."""
        with self._errors_at(path):
            stat = self._files.seen(path) or await self._files.file(path)
            return await self._telling.first(path, algorithms, stat, size)

    async def pull(
        self,
        path: str,
        source: FarFile,
        *,
        size: int | None = None,
        wanted: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Digest:
        """Let this storage fetch a file from another one."""
        with self._errors_at(path):
            return await self._copies.pull(path, source, self.make_directory, size, wanted, progress)

    async def push(self, path: str, destination: FarFile, *, progress: Progress | None = None) -> None:
        """Let this storage send a file to another one."""
        with self._errors_at(path):
            await self._copies.push(path, destination, progress)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._door.close()

    def _checked(self, path: str) -> str:
        """Refuse a path that is none, and a driver that was closed; else how errors name it."""
        place = self._door.place(path)
        if self._door.closed:
            raise BrokenInvariant("the driver has been closed", place=place)
        try:
            names.directory(path)
        except HoldfastError as error:
            error.place = error.place or self._door.label
            raise
        return place

    @contextmanager
    def _errors_at(self, path: str) -> Iterator[None]:
        place = self._checked(path)
        try:
            yield
        except HoldfastError as error:
            error.place = error.place or place
            raise

    async def _proved_file(self, path: str) -> Stat:
        found = await self._looks.stat(path, proved=True)
        if found.kind is not Kind.FILE:
            raise NotAFile("is a directory or something else, not a file")
        return found

    async def _prepare(self, target: str, replace: bool, *, is_beside: bool) -> None:
        """An error if the target cannot be had. ``is_beside``: its directory is known to be there."""
        try:
            found = await self._looks.stat(target, proved=True)
        except NotThere:
            above = names.split(target)[0]
            if not is_beside and not await self._is_directory(above):
                raise NotThere(f"there is no directory {above}") from None
            return
        if not replace:
            raise AlreadyThere(f"{target} is there already")
        if found.kind is not Kind.FILE:
            raise NotAFile(f"{target} is a directory or something else, not a file")

    async def _is_directory(self, path: str) -> bool:
        """Whether it is there; NotADirectory if it is something else."""
        try:
            found = await self._looks.stat(path)
        except NotThere:
            return False
        if found.kind is not Kind.DIRECTORY:
            raise NotADirectory(f"{path} is no directory")
        return True

    async def _make_one(self, path: str) -> None:
        async with self._door.ask("MKCOL", path) as reply:
            if reply.status in (200, 201, 204):
                return
            refusal = self._door.refusal(reply, path)
        # Somebody may have made it, or put something else there, in the meantime.
        if not await self._is_directory(path):
            raise refusal


def _joined(pages: Sequence[DirectoryListing]) -> DirectoryListing:
    if len(pages) == 1:
        return pages[0]
    return DirectoryListing(
        tuple(sorted(chain.from_iterable(page.entries for page in pages), key=lambda entry: entry.name)),
        tuple(chain.from_iterable(page.unnameable for page in pages)),
        "; ".join(filter(None, (page.doubt for page in pages))),
    )
