"""S3Driver: a bucket of an object store, or a prefix of one, as a storage.

Amazon's and whatever speaks its protocol: Ceph, MinIO, Swift, dCache. What a
root looks like is in ``door``; requests are made in ``requests``, objects
looked at and read in ``objects``, prefixes listed in ``prefix`` and
``crew``, objects uploaded and copied in ``upload``.

Rules, beside those of the contract
  * There are no directories: one is there while a key below it is.
    ``make_directory`` has nothing to do, and an object and a directory of one
    name may be there together: listings have both, ``stat`` tells the object.
  * Times are whole seconds, which is what all replies have in common; none is
    told of a directory;
    ``version`` is the ETag.
  * A bucket that is not there is OperatorError, never NotThere.
  * Moving is copying and then deleting. A failure in between leaves both; with
    ``replace`` the same call may simply be made again.
  * ``delete`` and ``rename`` ask the store to see to it that the object is the
    one that was looked at, and are as safe as the store's answer to that.
  * What was written is looked at; where the storage has not all of it, that is
    PeerError, and what is there is removed if its ETag is the acknowledged one.
  * An answer that is lost after the store has done what was asked is PeerError;
    a repeated ``write`` then says AlreadyThere.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import suppress
from operator import itemgetter
from weakref import WeakValueDictionary

from holdfast.model import names
from holdfast.model.clock import Clock, system_clock
from holdfast.model.errors import HoldfastError, InvalidName, PeerError
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
    NotAllowed,
    Stat,
    StorageDriver,
    Unsupported,
)
from holdfast.storage.s3 import crew as s3_crew
from holdfast.storage.s3 import door as s3_door
from holdfast.storage.s3 import upload as s3_upload
from holdfast.storage.s3.door import S3Door
from holdfast.storage.s3.errors import ConditionFailed
from holdfast.storage.s3.listing import DIRECTORY, listing_of
from holdfast.storage.s3.objects import TOLD, S3Objects
from holdfast.storage.s3.replies import SECOND_NS
from holdfast.storage.s3.requests import CALLS_MAX, S3Client
from holdfast.storage.s3.upload import NewName

_CHECKSUMS = {"x-amz-checksum-mode": "ENABLED"}


def open_door(root: str, *, site: str, access: Access) -> StorageDriver:
    """The driver of a door; called inside a running event loop."""
    try:
        door = s3_door.parse(root)
    except HoldfastError as error:
        error.place = error.place or site
        raise
    return S3Driver(door, access, label=f"{site}:{door.shown}")


class S3Driver:
    """The objects below the prefix of ``door``; ``label`` names it in errors."""

    def __init__(self, door: S3Door, access: Access, *, label: str = "", clock: Clock = system_clock) -> None:
        self._door = door
        self._label = label or door.shown
        self._client = S3Client(door, access, clock=clock)
        self._objects = S3Objects(self._client, door)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def capabilities(self) -> Capabilities:
        """All but directories; copying to and fro is not atomic."""
        return Capabilities(
            atomic_rename=False,
            directories=False,
            checksums=ALGORITHMS,
            told=TOLD | {"md5"} if self._door.etag_is_md5 else TOLD,
            second_look=True,
            pages=True,
            calls_max=CALLS_MAX,
            mtime_resolution_ns=SECOND_NS,
        )

    @property
    def label(self) -> str:
        """The label given, or bucket and prefix."""
        return self._label

    async def list(self, path: str) -> DirectoryListing:
        """Everything directly below a prefix."""
        pieces = [piece async for piece in self.pages(path)]
        if len(pieces) == 1:
            return pieces[0]
        # Text sorts by code points, as do the bytes of UTF-8.
        entries = sorted((entry for piece in pieces for entry in piece.entries), key=itemgetter(0))
        unnameable = sorted((each for piece in pieces for each in piece.unnameable), key=lambda each: each.raw)
        doubts = dict.fromkeys(piece.doubt for piece in pieces if piece.doubt)
        return DirectoryListing(tuple(entries), tuple(unnameable), "; ".join(doubts))

    async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
        """The same page by page; a large prefix several pages at once, in no order."""
        place = self._checked(path)
        below = self._objects.below(path, place)
        anything = False
        async for page in s3_crew.pages(below, self._door.ranges):
            anything = anything or bool(page.objects or page.prefixes)
            if page.more is None and not anything and path != "/":
                await self._objects.refuse_nothing(path, place)
            yield listing_of(page, self._door.keys_below(path), path)

    async def names(self, path: str) -> DirectoryNames:
        """The names below a prefix, by the older kind of request, which starts anew on every page."""
        place = self._checked(path)
        below = self._objects.below(path, place)
        pieces: builtins.list[DirectoryListing] = []
        anything = False
        async for page in below.old_pages():
            anything = anything or bool(page.objects or page.prefixes)
            pieces.append(listing_of(page, self._door.keys_below(path), path))
        if not anything and path != "/":
            await self._objects.refuse_nothing(path, place)
        found = sorted(entry.name for piece in pieces for entry in piece.entries)
        unnameable = sorted((each for piece in pieces for each in piece.unnameable), key=lambda each: each.raw)
        return DirectoryNames(tuple(found), tuple(unnameable))

    async def stat(self, path: str) -> Stat:
        """What ``path`` is: an object, else a prefix of one."""
        place = self._checked(path)
        if path == "/":
            await self._objects.first(path, place)
            return DIRECTORY
        return (await self._objects.look(path, place))[0]

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """What the store knows of the whole object; the rest is read in one pass, from that same object."""
        place = self._checked(path)
        Hasher(algorithms)  # Refuses what it does not know before anything is asked.
        stat, headers = await self._objects.require_object(path, place, _CHECKSUMS)
        known = (
            {} if read else {name: value for name, value in self._objects.told(headers).items() if name in algorithms}
        )
        unknown = [name for name in algorithms if name not in known]
        if not unknown and algorithms:
            return Digest(known, stat, frozenset(known))
        hasher = Hasher(unknown)
        async for chunk in self._objects.read(path, place, stat):
            await asyncio.to_thread(hasher.update, chunk)
        return Digest({**known, **hasher.hexdigests()}, stat, frozenset(known))

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of an object, in one request."""
        place = self._checked(path)
        async for chunk in self._objects.read(path, place, None):
            yield chunk

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        """Make a new object; a large one in parts, which are bound together at the end."""
        place = self._checked(path)
        key = self._objects.key(path, place)
        await self._objects.refuse_taken(path, place)
        try:
            sent = await s3_upload.upload(self._client, key, chunks, name=self._new(path, place), place=place)
        except ConditionFailed as error:
            raise AlreadyThere("somebody else has made it meanwhile", place=place) from error
        stat, _ = await self._objects.require_object(path, place)
        is_ours = bool(sent.etag) and stat.version == sent.etag
        # Of what came in parts stores may tell another ETag than they acknowledged.
        if not is_ours and not sent.in_parts and sent.etag and stat.version:
            raise ChangedWhileRead("was replaced as soon as it was written", place=place)
        if stat.size != sent.size:
            await self._refuse_damaged(path, place, stat, sent.size, is_ours=is_ours)
        return stat

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        """Copy an object within the store, then delete it where it was."""
        self._checked(target)
        place = f"{self._checked(source)} -> {target}"
        stat, _ = await self._objects.require_object(source, place)
        if replace:
            if source == target:
                return
            await self._objects.refuse_directory(target, place)
        else:
            await self._objects.refuse_taken(target, place)
        name = None if replace else self._new(target, place)
        try:
            await self._copy(source, target, place, stat, name)
        except ConditionFailed:
            if not replace:
                await self._objects.refuse_taken(target, place)
            # Some stores do not know ETags of their own making, of uploads in parts.
            await self._objects.require_same(source, place, stat)
            await self._copy(source, target, place, stat._replace(version=""), name)
            await self._objects.require_same(source, place, stat)
        copied, _ = await self._objects.require_object(target, place)
        if copied.size != stat.size:
            raise ChangedWhileRead("the copy is not as large as what it was made of", place=place)
        await self._delete(source, place, stat)

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        """Remove one object, looked at right before."""
        place = self._checked(path)
        stat, _ = await self._objects.require_object(path, place)
        if expected is not None and not stat.is_still(expected):
            raise ChangedWhileRead("is not the file any more that was to be deleted", place=place)
        await self._delete(path, place, stat)

    async def make_directory(self, path: str) -> None:
        """Nothing: a directory is there as soon as something is in it."""
        self._checked(path)
        self._client.require_open()

    async def remove_directory(self, path: str) -> None:
        """Nothing to remove but the empty object by which some tools mark a directory."""
        place = self._checked(path)
        if path == "/":
            raise NotAllowed("the root directory is never removed", place=place)
        page = await self._objects.first(path, place, keys_max=2)
        marker = self._door.keys_below(path)
        if not page.objects and not page.prefixes:
            await self._objects.refuse_nothing(path, place)
        if page.prefixes or [(key, stat.size) for key, stat in page.objects] != [(marker.encode(), 0)]:
            raise DirectoryNotEmpty("is not empty", place=place)
        await self._client.call("DELETE", marker, place=place)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.close()

    # Paths and keys.

    def _checked(self, path: str) -> str:
        """Refuse a path that is none; else how errors name it."""
        try:
            names.directory(path)
        except InvalidName as error:
            error.place = error.place or self._label
            raise
        return f"{self._label}:{path}"

    def _new(self, path: str, place: str) -> NewName:
        return NewName(
            refuse=lambda: self._objects.refuse_object(path, place),
            turn=self._turns.setdefault(path, asyncio.Lock()),
            conditional=self._door.conditional,
        )

    async def _refuse_damaged(self, path: str, place: str, stat: Stat, sent: int, *, is_ours: bool) -> None:
        """PeerError for what arrived as something else; it is removed if nobody else can have put it there."""
        left = "it is still there"
        if is_ours:
            with suppress(HoldfastError):
                await self._delete(path, place, stat)
                left = "it was removed"
        raise PeerError(f"the storage has {stat.size} bytes of the {sent} that it took; {left}", place=place)

    async def _copy(self, source: str, target: str, place: str, stat: Stat, name: NewName | None) -> None:
        await s3_upload.copy(
            self._client,
            self._objects.key(source, place),
            self._objects.key(target, place),
            etag=stat.version,
            size=stat.size,
            name=name,
            place=place,
        )

    async def _delete(self, path: str, place: str, stat: Stat) -> None:
        key = self._objects.key(path, place)
        if self._door.conditional and stat.version:
            try:
                await self._client.call("DELETE", key, headers={"if-match": f'"{stat.version}"'}, place=place)
            except Unsupported:
                pass
            except ConditionFailed:
                # See ``rename``: it may be the store that is mistaken.
                await self._objects.require_same(path, place, stat)
            else:
                return
        await self._client.call("DELETE", key, place=place)
