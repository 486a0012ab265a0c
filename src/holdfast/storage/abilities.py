"""Abilities: what some drivers can do beside the StorageDriver contract, each a protocol of its own.

Which of them a driver has it declares in ``capabilities``; nobody else may be
asked for them. The rules of ``holdfast.storage.driver`` hold for these methods, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast, runtime_checkable

from holdfast.storage.driver import Digest, DirectoryListing, DirectoryNames, Stat, StorageDriver


@dataclass(frozen=True, slots=True)
class Permissions:
    """Owner and group as the storage names them, mode bits, ACL text ("" if none)."""

    owner: str
    group: str
    mode: int
    acl: str = ""


@runtime_checkable
class PermissionsDriver(Protocol):
    """The optional ability behind ``capabilities.permissions``."""

    async def permissions(self, path: str) -> Permissions:
        """Who owns ``path`` and who may use it."""

    async def set_mode(self, path: str, mode: int) -> None:
        """Change the mode bits of ``path``, 0 to 0o777: BadInput beyond, so that nothing becomes setuid."""


@runtime_checkable
class SecondLookDriver(Protocol):
    """The optional ability behind ``capabilities.second_look``."""

    async def names(self, path: str) -> DirectoryNames:
        """The names in a directory, asked in another way than ``list`` asks, for when its answer is in doubt.

        Another request, or at least one without stats and past what was remembered; errors as of ``list``.
        """


@runtime_checkable
class PagingDriver(Protocol):
    """The optional ability behind ``capabilities.pages``: directories of any size in little memory."""

    def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
        """What ``list`` gives, in pieces of a few thousand entries, each in order; at least one piece.

        An error between pieces means that the directory is not listed at all.
        """


@dataclass(frozen=True, slots=True)
class Taken:
    """When a listing was made: at ``earliest_ns`` it had not begun, at ``latest_ns`` it was over.

    What appeared after ``earliest_ns`` may rightly be missing in it, and what it shows is older than
    ``latest_ns``. ``source`` is how that is known: option, manifest, name or file time, the last being a guess.
    """

    earliest_ns: int
    latest_ns: int
    source: str


@runtime_checkable
class TakenDriver(Protocol):
    """What a driver that is not ``capabilities.live`` has beside: it shows a listing that was made earlier."""

    @property
    def taken(self) -> Taken:
        """When that was."""


class BlockingReader(Protocol):
    """One file being read from its beginning to its end; the errors of ``read``."""

    def next_into(self, buffer: memoryview) -> int:
        """Read into ``buffer``; how many bytes, 0 at the end."""

    def verify(self) -> Stat:
        """The Stat of what was read, at the end; ChangedWhileRead if it moved."""

    def close(self) -> None:
        """Let go of it; calling twice does no harm."""


class BlockingWriter(Protocol):
    """One new file being written; the errors of ``write``."""

    def append(self, data: memoryview) -> None:
        """Write the next bytes."""

    def finish(self) -> Stat:
        """Give the file its name, durably."""

    def discard(self) -> None:
        """Remove what is not finished, and let go; calling twice does no harm."""


@runtime_checkable
class BlockingDriver(Protocol):
    """The optional ability behind ``capabilities.blocking``: files that a thread of the caller reads and writes.

    What ``read`` and ``write`` do, without a trip to a thread for each chunk. Each object is used by one thread at a
    time; whoever opens one closes or discards it.
    """

    @property
    def silence_s(self) -> float:
        """After how long without a byte whoever waits for that thread gives up."""

    def open_reader(self, path: str) -> BlockingReader:
        """A file opened to be read."""

    def open_writer(self, path: str) -> BlockingWriter:
        """A new file to be written, its missing parent directories made; AlreadyThere."""


@dataclass(frozen=True, slots=True)
class FarFile:
    """A file at another door, as storages speak to each other about it.

    ``url`` is the whole address, with whatever parameters it takes to get there; ``token`` is shown to that storage,
    "" for none. Neither is in any error.
    """

    url: str = field(repr=False)
    token: str = field(default="", repr=False)


Progress = Callable[[int], None]
"""Told how many bytes of a copy are done so far, as often as the storage says so."""


@runtime_checkable
class ThirdPartyCopyDriver(Protocol):
    """The optional ability behind ``capabilities.third_party_copy``: bytes go from storage to storage, past us."""

    @property
    def copies_over(self) -> str:
        """The protocol that storages of this kind speak to each other, "http" or "root": alike on both ends."""

    async def far_file(self, path: str) -> FarFile:
        """A file here, whether it is there or not, as the ``pull`` or ``push`` of another door takes it."""

    async def told(self, path: str, algorithms: Sequence[str], *, size: int = 0) -> Digest:
        """What the storage itself says of a file: its Stat, and the first of ``algorithms`` that it tells, if any.

        No bytes are read by us; the storage may have to, and is waited for according to ``size``, as large as the
        file is believed to be. ``checksums`` is empty if it tells none of them. In the Stat the time may be NOT_TOLD.
        """

    async def pull(
        self,
        path: str,
        source: FarFile,
        *,
        size: int | None = None,
        wanted: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Digest:
        """Let this storage fetch ``source`` as the new file ``path``; AlreadyThere if anything has the name.

        ``size`` is how many bytes there must be; None: what the other storage says. Missing parent directories are
        made. What is ``wanted`` may be told of the new file at once, as by ``told``; it need not be.

        On failure, and on what looks like success and is none, the storage's words are in the error (PeerError,
        NotThere: the source is not there) and nothing stays under ``path`` but what somebody else put there. A
        storage that has begun and tells nothing of its progress costs the time limit of a call, and so does one that
        tells for long that there is none.
        """

    async def push(self, path: str, destination: FarFile, *, progress: Progress | None = None) -> None:
        """Let this storage send the file ``path`` to ``destination``; AlreadyThere if something is there.

        Removing what a failed push has left at the other end is the business of who may do so there.
        """


def copying(driver: StorageDriver) -> ThirdPartyCopyDriver | None:
    """The driver as one that copies, if it declares that it is."""
    # Not by isinstance: for a protocol that takes longer than all else that is done for a small file.
    return cast(ThirdPartyCopyDriver, driver) if driver.capabilities.third_party_copy else None


def blocking(driver: StorageDriver) -> BlockingDriver | None:
    """The driver as one with blocking calls, if it declares that it is."""
    return cast(BlockingDriver, driver) if driver.capabilities.blocking else None
