"""MemoryDriver: a whole storage in memory that fails when told to.

It keeps the StorageDriver contract to the letter and passes its suite, so
that whatever works with it works with a real storage; and it can be made as
poor as the poorest protocol by the capabilities it is given.

Rules
  * No threads, no disk, no randomness: the same calls in the same order have
    the same outcome.
  * Every call lets other tasks run once before it does anything.
  * ``faults(operation, path)`` is called at the points named in FAULT_POINTS
    and may raise. Before the effect, the call fails without one; at ``.done``
    the effect stands and only the answer is lost.
  * An exception while writing removes the part. Anything else that is raised
    (BaseException: the simulator's crash) leaves it, as a dying process does.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

from holdfast.model import names
from holdfast.model.clock import Clock, system_clock
from holdfast.model.errors import BadInput, BrokenInvariant, HoldfastError
from holdfast.storage import parts
from holdfast.storage.abilities import Permissions
from holdfast.storage.digest import ALGORITHMS, Hasher, digests_of
from holdfast.storage.driver import (
    CHUNK_BYTES,
    AlreadyThere,
    Capabilities,
    ChangedWhileRead,
    Digest,
    DirectoryListing,
    DirectoryNames,
    DirectoryNotEmpty,
    Entry,
    Kind,
    NotAFile,
    NotAllowed,
    Stat,
    Unnameable,
    Unsupported,
)
from holdfast.testing.memory_tree import MemoryTree, Node

Faults = Callable[[str, str], None]

FULL = Capabilities(permissions=True, checksums=ALGORITHMS, second_look=True, pages=True, outlives_caller=False)
"""All there is; take from it with ``dataclasses.replace``. What is put into ``told`` is answered as of the last
honest writing, whatever has become of the bytes."""

PAGE_ENTRIES = 3
"""So few that tests need no large directories."""

FAULT_POINTS = (
    "list",
    "names",
    "pages",
    "pages.next",
    "stat",
    "checksum",
    "checksum.chunk",
    "read",
    "read.chunk",
    "write",
    "write.chunk",
    "write.finish",
    "write.done",
    "rename",
    "rename.middle",
    "rename.done",
    "delete",
    "delete.done",
    "make_directory",
    "make_directory.done",
    "remove_directory",
    "remove_directory.done",
    "permissions",
    "set_mode",
    "set_mode.done",
)
"""Every operation that ``faults`` hears of. ``rename.middle`` comes only where renaming is not atomic."""


class MemoryDriver:
    """One door of an invented storage; several may share one ``tree``."""

    def __init__(
        self,
        clock: Clock = system_clock,
        *,
        label: str = "memory",
        capabilities: Capabilities = FULL,
        faults: Faults | None = None,
        tree: MemoryTree | None = None,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.tree = MemoryTree(clock) if tree is None else tree
        self.faults = faults
        self._label = label
        self._capabilities = capabilities
        self._chunk_bytes = chunk_bytes
        self._closed = False
        self._failing: dict[str, HoldfastError] = {}
        self._parts = 0

    # The raw hooks: behind the driver's back, without faults.

    def put(self, path: str, data: bytes, *, mtime_ns: int | None = None) -> None:
        """Make or replace a file, its directories included."""
        self.tree.put(path, data, mtime_ns=mtime_ns)

    def get(self, path: str) -> bytes | None:
        """The bytes of a file, None if there is no such file."""
        return self.tree.get(path)

    def flip_byte(self, path: str, position: int = 0) -> None:
        """Damage one byte of a file; size, times and version stay."""
        self.tree.flip_byte(path, position)

    def truncate(self, path: str, size: int) -> None:
        """Cut a file off; times and version stay."""
        self.tree.truncate(path, size)

    def fail_directory(self, path: str, error: HoldfastError | None = None) -> None:
        """Make every listing of one directory fail, with NotAllowed if nothing else is given."""
        self._failing[path] = error or NotAllowed("permission denied", place=f"{self._label}:{path}")

    def heal_directory(self, path: str) -> None:
        """Let a directory be listed again."""
        self._failing.pop(path, None)

    def paths(self) -> builtins.list[str]:
        """The paths of all files, parts included, sorted."""
        return sorted(path for path, node in self.tree.files() if node.kind is Kind.FILE)

    # The contract.

    @property
    def capabilities(self) -> Capabilities:
        """What it was given."""
        return self._capabilities

    @property
    def label(self) -> str:
        """What it was given."""
        return self._label

    async def list(self, path: str) -> DirectoryListing:
        """The entries of one directory."""
        await asyncio.sleep(0)
        with self._call("list", path):
            if path in self._failing:
                raise self._failing[path]
            return self._listing(path)

    async def names(self, path: str) -> DirectoryNames:
        """The names alone; ``fail_directory`` does not reach this way of asking."""
        await asyncio.sleep(0)
        with self._call("names", path):
            if not self._capabilities.second_look:
                raise Unsupported("this storage has only one way to list")
            listing = self._listing(path)
            return DirectoryNames(tuple(entry.name for entry in listing.entries), listing.unnameable)

    async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
        """The entries of one directory, PAGE_ENTRIES at a time, as they were at the beginning."""
        await asyncio.sleep(0)
        with self._call("pages", path):
            if not self._capabilities.pages:
                raise Unsupported("this storage lists a directory in one answer")
            if path in self._failing:
                raise self._failing[path]
            listing = self._listing(path)
        yield DirectoryListing(listing.entries[:PAGE_ENTRIES], listing.unnameable)
        for start in range(PAGE_ENTRIES, len(listing.entries), PAGE_ENTRIES):
            await asyncio.sleep(0)
            with self._call("pages.next", path):
                pass
            yield DirectoryListing(listing.entries[start : start + PAGE_ENTRIES])

    async def stat(self, path: str) -> Stat:
        """What ``path`` is."""
        await asyncio.sleep(0)
        with self._call("stat", path):
            return self._stat_of(self.tree.find(path))

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """Digests of a file; those that are not told, chunk by chunk."""
        told = frozenset() if read else self._capabilities.told.intersection(algorithms)
        hasher = Hasher([name for name in algorithms if name not in told])
        await asyncio.sleep(0)
        with self._call("checksum", path):
            lacking = [name for name in algorithms if name not in self._capabilities.checksums]
            if lacking:
                raise Unsupported(f"this storage cannot compute {', '.join(lacking)}")
            node = self.tree.find_file(path)
        for piece in self._pieces(node) if told.symmetric_difference(algorithms) else ():
            await asyncio.sleep(0)
            with self._call("checksum.chunk", path):
                hasher.update(piece)
        with self._errors_at(path):
            checksums = {**digests_of(node.written, sorted(told)), **hasher.hexdigests()}
            return Digest(checksums, self._unchanged(path, node), told)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of a file."""
        await asyncio.sleep(0)
        with self._call("read", path):
            node = self.tree.find_file(path)
        for piece in self._pieces(node):
            await asyncio.sleep(0)
            with self._call("read.chunk", path):
                pass
            yield piece
        with self._errors_at(path):
            self._unchanged(path, node)

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        """Make a new file; what is on its way lies under a part's name, where this storage can rename."""
        await asyncio.sleep(0)
        with self._call("write", path, writing=True):
            self._refuse_taken(path)
            part = self._begin_part(path)
        try:
            data = bytearray()
            async for chunk in chunks:
                await asyncio.sleep(0)
                with self._call("write.chunk", path):
                    data += chunk
                    self._set_part(part, bytes(data))
            await asyncio.sleep(0)
            with self._call("write.finish", path):
                if part != path:
                    self._refuse_taken(path)
        except (Exception, asyncio.CancelledError):
            # The simulator's crash is neither: it leaves the part where it is.
            self._drop_part(path, part)
            raise
        self.tree.put(path, bytes(data))
        if part != path:
            self._drop_part(path, part)
        with self._call("write.done", path):
            return self._stat_of(self.tree.find(path))

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        """Move a file; where that is not atomic, the target is gone for a moment."""
        await asyncio.sleep(0)
        with self._call("rename", source, writing=True):
            if not self._capabilities.rename:
                raise Unsupported("this storage cannot rename")
            self._check(target)
            node = self.tree.find_file(source)
            there = self._prepare_target(target, replace)
        if source == target:
            return
        if there and not self._capabilities.atomic_rename:
            self.tree.remove(target)
            await asyncio.sleep(0)
            with self._call("rename.middle", source):
                node = self.tree.find_file(source)
        self.tree.put_node(target, self.tree.touched(node))
        self._remove(source)
        with self._call("rename.done", source):
            pass

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        """Remove one file."""
        await asyncio.sleep(0)
        with self._call("delete", path, writing=True):
            found = self._stat_of(self.tree.find_file(path))
            if expected is not None and not found.is_still(expected):
                raise ChangedWhileRead("is not the file any more that was to be deleted")
            self._remove(path)
        with self._call("delete.done", path):
            pass

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents; nothing, where directories do not exist by themselves."""
        await asyncio.sleep(0)
        with self._call("make_directory", path, writing=True):
            if self._capabilities.directories:
                self.tree.make_directory(path)
        with self._call("make_directory.done", path):
            pass

    async def remove_directory(self, path: str) -> None:
        """Remove one empty directory, never the root."""
        await asyncio.sleep(0)
        with self._call("remove_directory", path, writing=True):
            if path == "/":
                raise NotAllowed("the root directory is never removed")
            self.tree.entries(path)
            if not self.tree.is_empty(path):
                raise DirectoryNotEmpty("is not empty")
            self.tree.remove(path)
        with self._call("remove_directory.done", path):
            pass

    async def permissions(self, path: str) -> Permissions:
        """Owner and group are always "memory"."""
        await asyncio.sleep(0)
        with self._call("permissions", path):
            self._require_permissions()
            return Permissions("memory", "memory", self.tree.find(path).mode)

    async def set_mode(self, path: str, mode: int) -> None:
        """Change the mode bits of a file or directory."""
        await asyncio.sleep(0)
        with self._call("set_mode", path, writing=True):
            self._require_permissions()
            if not 0 <= mode <= 0o777:
                raise BadInput(f"{mode:#o} is not a mode that is set here", hint="0 to 0o777")
            if self.tree.find(path).kind is Kind.OTHER:
                raise NotAFile("is neither a file nor a directory")
            self.tree.set_mode(path, mode)
        with self._call("set_mode.done", path):
            pass

    async def close(self) -> None:
        """Refuse every later call; the tree stays."""
        self._closed = True

    # What the calls share.

    def _listing(self, path: str) -> DirectoryListing:
        entries = sorted(self.tree.entries(path).items(), key=lambda item: item[0].encode())
        return DirectoryListing(
            tuple(Entry(name, self._stat_of(node)) for name, node in entries),
            tuple(Unnameable(raw, "not a name of ours") for raw in sorted(self.tree.unnameable(path))),
        )

    @contextmanager
    def _call(self, operation: str, path: str, *, writing: bool = False) -> Iterator[None]:
        with self._errors_at(path):
            if self._closed:
                raise BrokenInvariant("the driver has been closed")
            self._check(path)
            if writing and not self._capabilities.writable:
                raise Unsupported("this storage is only read")
            if self.faults is not None:
                self.faults(operation, path)
            yield

    @contextmanager
    def _errors_at(self, path: str) -> Iterator[None]:
        try:
            yield
        except HoldfastError as error:
            error.place = error.place or f"{self._label}:{path}"
            raise

    def _check(self, path: str) -> None:
        names.directory(path)

    def _stat_of(self, node: Node) -> Stat:
        resolution = self._capabilities.mtime_resolution_ns
        stat = node.stat
        return stat if resolution == 1 else stat._replace(mtime_ns=stat.mtime_ns // resolution * resolution)

    def _pieces(self, node: Node) -> Iterator[bytes]:
        for start in range(0, len(node.data), self._chunk_bytes):
            yield node.data[start : start + self._chunk_bytes]

    def _unchanged(self, path: str, node: Node) -> Stat:
        now = self.tree.find(path) if self.tree.has(path) else None
        if now is None or now.stat != node.stat:
            raise ChangedWhileRead("changed while it was read")
        return self._stat_of(now)

    def _refuse_taken(self, path: str) -> None:
        if self.tree.has(path):
            raise AlreadyThere("is there already")

    def _begin_part(self, path: str) -> str | None:
        directory = names.split(path)[0]
        self.tree.make_directory(directory)
        if not self._capabilities.rename:
            return None
        if parts.is_part_name(names.split(path)[1]):
            self._set_part(path, b"")
            return path
        self._parts += 1
        part = names.join(directory, parts.part_name(f"{self._parts:032x}"))
        while self.tree.has(part):
            self._parts += 1
            part = names.join(directory, parts.part_name(f"{self._parts:032x}"))
        self._set_part(part, b"")
        return part

    def _set_part(self, part: str | None, data: bytes) -> None:
        if part is not None:
            self.tree.put(part, data)

    def _drop_part(self, path: str, part: str | None) -> None:
        if part is not None and self.tree.has(part):
            self.tree.remove(part)
        self._prune(path)

    def _prepare_target(self, target: str, replace: bool) -> bool:
        """Whether a file is there that may be replaced; an error if the target cannot be had."""
        if self.tree.has(target):
            if not replace:
                raise AlreadyThere("is there already")
            self.tree.find_file(target)
            return True
        directory = names.split(target)[0]
        if self._capabilities.directories:
            self.tree.entries(directory)
        else:
            self.tree.make_directory(directory)
        return False

    def _remove(self, path: str) -> None:
        self.tree.remove(path)
        self._prune(path)

    def _prune(self, path: str) -> None:
        if not self._capabilities.directories:
            self.tree.prune(names.split(path)[0])

    def _require_permissions(self) -> None:
        if not self._capabilities.permissions:
            raise Unsupported("this storage knows no permissions")
