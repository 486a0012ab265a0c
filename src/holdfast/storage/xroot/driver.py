"""XrootDriver: storages that speak the XRootD protocol, through its client library.

Rules, beside those of the contract
  * All calls are asynchronous (``calls``); hundreds may be on their way
    over one connection.
  * Nothing is replaced unasked: the protocol's rename replaces, and nothing in
    it is exclusive. So writers of ours claim the name (``claims``); whoever has
    it makes an empty file of that name, which keeps out everybody else who
    looks before he writes, and renames over that. Others may see it for an
    instant; if this process or the server dies in that instant it stays.
  * What a call looked at before it acted may have changed in between: the
    protocol has no call that removes or replaces only what it was shown.
  * Symbolic links are the server's business: it follows them, and lists what
    they lead to under their names. One that leads nowhere is only in ``names``.
  * A name with a question mark is listed, but no path can have one.
  * A token is never shown in plain: with one, the root is written ``roots://``.
  * A directory with a name that is not UTF-8 is Unsupported: the library
    cannot hand such a listing over. One that the library cannot parse (a line
    break in a name) is looked at name by name.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import suppress

from XRootD.client.flags import DirListFlags, MkDirFlags

from holdfast.model import names
from holdfast.model.errors import BadInput, HoldfastError, InvalidName, PeerError
from holdfast.storage import parts
from holdfast.storage.abilities import FarFile, Permissions, Progress
from holdfast.storage.access import Access
from holdfast.storage.carried_out import carried_out
from holdfast.storage.digest import ALGORITHMS, Hasher
from holdfast.storage.driver import (
    AlreadyThere,
    Capabilities,
    ChangedWhileRead,
    Digest,
    DirectoryListing,
    DirectoryNames,
    DirectoryNotEmpty,
    Entry,
    Kind,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    Stat,
    StorageDriver,
    Unnameable,
    Unsupported,
)
from holdfast.storage.xroot.address import MARK, parse, require_encryption
from holdfast.storage.xroot.claims import NameClaim
from holdfast.storage.xroot.copying import XrootCopies
from holdfast.storage.xroot.door import XrootDoor
from holdfast.storage.xroot.errors import Garbled, Unclear, Unreachable
from holdfast.storage.xroot.files import Part, Placeholder, Reading
from holdfast.storage.xroot.listing import CUT_AT_BYTES, SECOND_NS, permissions_of, read_entries, read_names, stat_of
from holdfast.storage.xroot.servers import Raw

CAPABILITIES = Capabilities(
    follows_links=True,
    permissions=True,
    checksums=ALGORITHMS,
    told=ALGORITHMS - {"blake3"},
    second_look=True,
    third_party_copy=True,
    mtime_resolution_ns=SECOND_NS,
    not_in_paths=MARK,
    listed_bytes_max=CUT_AT_BYTES,
)

_WITH_STAT = int(DirListFlags.STAT)
_NAMES_ONLY = int(DirListFlags.NONE)
_WITH_PARENTS = int(MkDirFlags.MAKEPATH)
_MODE = 0o755
_LOOKS_IN_FLIGHT = 64
_HASHED_HERE_MAX = 1 << 16


def open_door(root: str, *, site: str, access: Access) -> StorageDriver:
    """The driver of ``root://host:port//folder``; nothing is asked of the server yet."""
    return XrootDriver(root, label=f"{site}:{root}", access=access)


class XrootDriver:
    """The tree below a folder of an XRootD server, or of the servers behind a redirector."""

    def __init__(self, root: str, *, label: str = "", access: Access | None = None) -> None:
        self._label = label or root
        address, access = parse(root), access or Access()
        require_encryption(address.scheme, access, self._label)
        self._door = XrootDoor(address, access)
        self._copies = XrootCopies(self._door)
        self._patience_s = access.settings.call_timeout_s

    @property
    def capabilities(self) -> Capabilities:
        """All but pages: the library breaks down over bad names in a listing that comes in pieces."""
        return CAPABILITIES

    @property
    def label(self) -> str:
        """The label given, or the root."""
        return self._label

    async def list(self, path: str) -> DirectoryListing:
        """The entries of one directory with their stats, in one request."""
        place, garbled = self._checked(path), False
        try:
            raw, doubt = await self._entries(path, _WITH_STAT, place)
        except Garbled:
            raw, doubt = await self._entries(path, _NAMES_ONLY, place)
            garbled = True
        listed = read_entries(raw)
        entries, unnameable = listed.entries, listed.unnameable
        if listed.bare:
            looked_at, absent = await self._looked_at(path, listed.bare)
            entries = sorted([*entries, *looked_at], key=lambda entry: entry.name)
            unnameable = sorted([*unnameable, *absent], key=lambda entry: entry.raw)
        if garbled and not unnameable:
            doubt = doubt or "the client library could make nothing of the listing with stats"
        return DirectoryListing(tuple(entries), tuple(unnameable), doubt)

    async def names(self, path: str) -> DirectoryNames:
        """The names in a directory, by a request without stats, which shows what cannot be looked at as well."""
        raw, _ = await self._entries(path, _NAMES_ONLY, self._checked(path))
        found, unnameable, perhaps_cut = read_names(raw)
        if perhaps_cut:
            looked_at, absent = await self._looked_at(path, perhaps_cut)
            found = sorted([*found, *(entry.name for entry in looked_at)])
            unnameable = sorted([*unnameable, *absent], key=lambda entry: entry.raw)
        return DirectoryNames(tuple(found), tuple(unnameable))

    async def stat(self, path: str) -> Stat:
        """What ``path`` is."""
        return await self._stat(path, self._checked(path))

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """What the server can tell it is asked for; the rest is read here, in one pass."""
        place, hasher = self._checked(path), Hasher(algorithms)
        before = await self._file(path, place)
        known: dict[str, str] = {}
        if not read:
            for algorithm in algorithms:
                known.update(await self._told(path, algorithm, before, place))
        rest = [algorithm for algorithm in algorithms if algorithm not in known]
        if rest:
            hasher = Hasher(rest)
            async for chunk in self.read(path):
                if len(chunk) > _HASHED_HERE_MAX:
                    await asyncio.to_thread(hasher.update, chunk)
                else:
                    hasher.update(chunk)
        after = await self._file(path, place)
        if not after.is_still(before):
            raise ChangedWhileRead("changed while its checksum was taken", place=place)
        return Digest({**known, **hasher.hexdigests()} if rest else known, after, frozenset(known))

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of a file, a few pieces ahead of who takes them."""
        place = self._checked(path)
        # A pipe or device is never opened: the server would wait for its other end.
        found = await self._file(path, place)
        reading = Reading(self._door.calls, await self._door.url(path), place)
        before: Stat | None = None
        try:
            before = await reading.open()
            if before.size != found.size:
                raise ChangedWhileRead("is not the file any more that was looked at", place=place)
            async for chunk in reading.chunks():
                yield chunk
            await reading.verify()
        except Unreachable as error:
            # A server drops the connection when a file that it sends gets shorter.
            if before is not None and not (await self._stat(path, place)).is_still(before):
                raise ChangedWhileRead("changed while it was read", place=place) from error
            raise
        finally:
            await reading.close()

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        """Make a new file under a part's name, prove it, and give it its name."""
        place = self._checked(path)
        above, name = names.split(path)
        await self._refuse_taken(path, place)
        lying = path if parts.is_part_name(name) else names.join(above, parts.part_name())
        part = Part(self._door.calls, await self._door.url(lying), place)
        try:
            try:
                await part.open()
                await part.fill(chunks)
                if lying != path:
                    await self._claim(lying, path, place)
            except BaseException:
                await carried_out(self._discard(part, lying))
                raise
        except Unclear as error:
            raise await self._closer(path, place, error) from error
        return await self._stat(path, place)

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        """Move a file; the target's directory has to be there, although the server would make it."""
        place = f"{self._checked(source)} -> {target}"
        self._checked(target)
        await self._file(source, place)
        there = await self._there(target, place)
        if source == target and replace:
            return
        if there is not None and not replace:
            raise AlreadyThere("is there already", place=place)
        if there is not None and there.kind is not Kind.FILE:
            raise NotAFile("is a directory, not a file", place=place)
        if there is not None:
            await self._door.move(source, target, place)
            return
        above = await self._stat(names.split(target)[0], place)
        if above.kind is not Kind.DIRECTORY:
            raise NotADirectory("is not a directory", place=place)
        await self._claim(source, target, place)

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        """Remove one file; looked at in the request before, because the server would remove an empty directory too."""
        place = self._checked(path)
        found = await self._file(path, place)
        if expected is not None and not found.is_still(expected):
            raise ChangedWhileRead("is not the file any more that was to be deleted", place=place)
        await self._door.change("rm", path, place)

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents."""
        place = self._checked(path)
        try:
            await self._door.change("mkdir", path, place, _WITH_PARENTS, _MODE)
        except (AlreadyThere, Unclear, NotAFile) as error:
            closer = await self._closer(path, place, error)
            if closer is not error or not isinstance(error, AlreadyThere):
                raise closer from error

    async def remove_directory(self, path: str) -> None:
        """Remove one empty directory, never the root."""
        place = self._checked(path)
        if path == "/":
            raise NotAllowed("the root directory is never removed", place=place)
        # The server finds nothing wrong with removing what is not there.
        await self._stat(path, place)
        try:
            await self._door.change("rmdir", path, place)
        except (AlreadyThere, Unclear, NotAFile) as error:
            closer = await self._closer(path, place, error)
            if closer is error and (await self._entries(path, _NAMES_ONLY, place))[0]:
                closer = DirectoryNotEmpty("is not empty", place=place)
            raise closer from error

    async def permissions(self, path: str) -> Permissions:
        """Owner, group and mode; the protocol has no ACL."""
        place = self._checked(path)
        try:
            return permissions_of(await self._door.info(path, place))
        except Unsupported as error:
            error.place = place
            raise

    async def set_mode(self, path: str, mode: int) -> None:
        """Change the mode bits of a file or directory."""
        place = self._checked(path)
        if not 0 <= mode <= 0o777:
            raise BadInput(f"{mode:#o} is not a mode that is set here", place=place, hint="0 to 0o777")
        await self._door.change("chmod", path, place, mode)

    @property
    def copies_over(self) -> str:
        """XRootD's own protocol, with TLS or without."""
        return "root"

    async def far_file(self, path: str) -> FarFile:
        """A file here with its address, in which all that we show is named."""
        self._checked(path)
        return FarFile(await self._door.url(path))

    async def told(self, path: str, algorithms: Sequence[str], *, size: int = 0) -> Digest:
        """What the server says of a file."""
        place = self._checked(path)
        stat = await self._file(path, place)
        for algorithm in algorithms:
            found = await self._told(path, algorithm, stat, place)
            if found:
                return Digest(found, stat, frozenset(found))
        return Digest({}, stat)

    async def pull(
        self,
        path: str,
        source: FarFile,
        *,
        size: int | None = None,
        wanted: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Digest:
        """Let this storage fetch a file from another one, under a part's name until it is whole."""
        place = self._checked(path)
        await self._refuse_taken(path, place)
        above, name = names.split(path)
        lying = path if parts.is_part_name(name) else names.join(above, parts.part_name())
        made = True
        try:
            try:
                await self._copies.fetch(lying, source, size, place, progress)
                if lying != path:
                    await self._claim(lying, path, place)
            except AlreadyThere:
                made = lying != path
                raise
        except BaseException as error:
            if made:
                await carried_out(self._remove_part(lying))
            if isinstance(error, Unclear):
                raise await self._closer(path, place, error) from error
            raise
        return Digest({}, await self._stat(path, place))

    async def push(self, path: str, destination: FarFile, *, progress: Progress | None = None) -> None:
        """Let another storage fetch a file from this one."""
        place = self._checked(path)
        await self._file(path, place)
        await self._copies.send(path, destination, place, progress)

    async def close(self) -> None:
        """Let go of the door."""
        self._door.close()

    # What several of them do.

    def _checked(self, path: str) -> str:
        """Refuse a path that is none, or that the protocol cannot carry; else how errors name it."""
        try:
            names.directory(path)
        except InvalidName as error:
            error.place = error.place or self._label
            raise
        if MARK in path:
            raise InvalidName(
                f"path {path[:120]!r} has a question mark, where paths end in this protocol",
                place=self._label,
                hint="rename it, or use another protocol",
            )
        return f"{self._label}:{path}"

    async def _entries(self, path: str, flags: int, place: str) -> tuple[Raw, str]:
        try:
            return await self._door.entries(path, flags, place)
        except (Unclear, NotAFile) as error:
            raise await self._closer(path, place, error) from error

    async def _looked_at(
        self, path: str, bare: Sequence[str]
    ) -> tuple[builtins.list[Entry], builtins.list[Unnameable]]:
        """Names that came without stats, or may have been cut off, looked at one by one."""
        turn = asyncio.Semaphore(_LOOKS_IN_FLIGHT)

        async def look(name: str) -> Entry | Unnameable:
            try:
                async with turn:
                    return Entry(name, await self.stat(names.join(path, names.file_name(name))))
            except (InvalidName, NotThere) as error:
                return Unnameable(name.encode(), f"listed, but {error.message}")

        found = await asyncio.gather(*(look(name) for name in bare))
        entries = [each for each in found if isinstance(each, Entry)]
        return entries, [each for each in found if isinstance(each, Unnameable)]

    async def _stat(self, path: str, place: str) -> Stat:
        try:
            return stat_of(await self._door.info(path, place))
        except Unclear as error:
            raise await self._closer(path, place, error) from error

    async def _there(self, path: str, place: str) -> Stat | None:
        try:
            return await self._stat(path, place)
        except NotThere:
            return None

    async def _file(self, path: str, place: str) -> Stat:
        found = await self._stat(path, place)
        if found.kind is not Kind.FILE:
            raise NotAFile(f"is a {'directory' if found.kind is Kind.DIRECTORY else 'pipe or device'}", place=place)
        return found

    async def _refuse_taken(self, path: str, place: str) -> None:
        """Before the bytes have travelled; the claim at the end decides for good."""
        if await self._there(path, place) is not None:
            raise AlreadyThere("is there already", place=place)

    async def _told(self, path: str, algorithm: str, stat: Stat, place: str) -> dict[str, str]:
        if algorithm not in CAPABILITIES.told:
            return {}
        answer = await self._door.told(path, algorithm, stat.size, place)
        if answer is None:
            return {}
        if answer.refusals:
            raise PeerError(f"the storage tells no {algorithm}: {answer.why_not}", place=place)
        # Some servers tell what they have, whatever they are asked for: then the file is read.
        return {name: value for name, value in answer.checksums.items() if name == algorithm}

    async def _claim(self, source: str, target: str, place: str) -> None:
        """Move a file to a name that nobody has; AlreadyThere if somebody has it. Nobody cancels it in the middle."""
        await carried_out(self._claim_now(source, target, place))

    async def _claim_now(self, source: str, target: str, place: str) -> None:
        claim = NameClaim(self._door, target, place, source=source, patience_s=self._patience_s)
        await claim.take()
        try:
            identity = await Placeholder(self._door.calls, await self._door.url(target), place).make()
            try:
                await self._door.move(source, target, place)
            except HoldfastError:
                await self._remove_placeholder(target, identity, place)
                raise
        finally:
            await claim.release()

    async def _remove_placeholder(self, target: str, identity: str, place: str) -> None:
        """Remove the empty file, if that is what has the name."""
        with suppress(HoldfastError):
            info = await self._door.info(target, place)
            if info["id"] == identity and info["size"] == 0:
                await self._door.change("rm", target, place)

    async def _discard(self, part: Part, lying: str) -> None:
        """Remove a part that was being written."""
        with suppress(HoldfastError):
            if part.made:
                await part.close()
                await self._remove_part(lying)

    async def _remove_part(self, lying: str) -> None:
        """What cannot be removed now keeps a part's name, by which cleaners know it."""
        with suppress(HoldfastError):
            await self._door.change("rm", lying, lying)

    async def _closer(self, path: str, place: str, error: HoldfastError) -> HoldfastError:
        """What an unclear answer means: NotADirectory if there is something else on the way or at the end of it."""
        walked = ""
        for component in filter(None, path.split("/")):
            walked += f"/{component}"
            try:
                found = stat_of(await self._door.info(walked, place))
            except HoldfastError:
                break
            if found.kind is not Kind.DIRECTORY:
                return NotADirectory("is not a directory", place=place)
        return error
