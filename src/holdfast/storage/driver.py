"""StorageDriver: what Holdfast asks of a storage, whatever its protocol.

A driver serves one door of one site. It is asked in *paths*: absolute text
within the site's root, "/" being the root itself, components as in
``holdfast.model.names``. How an LFN becomes such a path is the business of
``holdfast.model.pfn``.

Rules
  * No path leaves the root: a path with an empty component, ``.`` or ``..`` is
    refused with InvalidName before the storage is asked, and symbolic links
    are never followed, neither on the way to a file nor at its end. Servers
    that follow them do so without a word (``capabilities.follows_links``):
    whoever must not leave the root there has to let the server forbid links.
  * A driver raises only the family of ``holdfast.model.errors``: NotThere,
    AlreadyThere, NotADirectory and NotAFile, NotAllowed, NoSpace, ChangedWhileRead,
    Unsupported below, else PeerError. Only PeerError and its retryable
    children are worth trying again. ``place`` is ``label:path``.
  * A path that leads through something that is no directory is NotADirectory
    where directories exist by themselves, else NotThere.
  * A driver that has been closed raises BrokenInvariant: using it is a bug.
  * A method that fails leaves nothing half done under the final name; ``write``
    may leave a part (``holdfast.storage.parts``) behind only if the process dies,
    and directories that it has made.
  * Listings show parts like any other file.
  * Listing reports what it could not name or enter instead of leaving it out.
  * What a protocol cannot do it declares in ``capabilities``; the method then
    raises Unsupported. So it does what it can do beside (``abilities``).
  * Times are whole nanoseconds since 1970 UTC, as fine as
    ``capabilities.mtime_resolution_ns`` says. Sizes are bytes.
  * Of a file that nobody touches ``list``, ``stat``, ``checksum`` and ``write``
    give one and the same Stat: what one of them said can be compared with, and
    given as ``expected`` to, any other call. Only ``changed_ns`` may move, where
    a storage keeps the checksums that it takes beside the file.
  * Drivers keep no opinion: retry, limits and dry run belong in wrappers or
    in the callers, not in drivers. They hand on what they were told, names
    that were given twice included; whoever lists judges (``listing.doubt``).
  * What a storage says of itself is validated: a digest of the wrong form, a
    negative size, a reply that breaks off are PeerError, never a value.
  * A reply that may lack something says so in ``DirectoryListing.doubt``.
  * Every call has an end: ``storage.access`` has the time limits. A server that
    is not there is PeerError within ``connect_timeout_s``, one that has fallen
    silent within ``call_timeout_s`` without a byte.
  * Credentials, tokens and signed URLs are in no error, label or log line.

Every implementation passes ``holdfast.testing.driver_suite``.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from holdfast.model.checksums import Checksums
from holdfast.model.errors import BadInput, Conflict, HoldfastError, OperatorError, PeerError

CHUNK_BYTES = 1 << 20
"""How much a driver hands over at a time when reading."""


class NotThere(HoldfastError):
    """No such file or directory."""

    exit_code = 3


class AlreadyThere(Conflict):
    """The name is taken and the call was not allowed to replace it."""


class NotADirectory(BadInput):
    """A directory was needed; this is a file, a link or something else."""


class NotAFile(BadInput):
    """A regular file was needed; this is a directory, a link or something else."""


class DirectoryNotEmpty(Conflict):
    """Only an empty directory is removed."""


class NotAllowed(OperatorError):
    """The storage refuses us."""


class NoSpace(OperatorError):
    """The storage, or our quota on it, is full, or it is mounted read-only."""


class ChangedWhileRead(PeerError):
    """The file is not the same any more: at the end of reading, or where a call expected a certain one."""


class Unsupported(BadInput):
    """The protocol cannot do this; see the driver's capabilities."""


class NotKept(PeerError):
    """The storage said that it has taken a file, and has nothing."""


class FarNotAllowed(NotAllowed):
    """In a copy from storage to storage, the other one refuses the one that was asked."""


class Kind(StrEnum):
    """What a name stands for."""

    FILE = "file"
    DIRECTORY = "directory"
    OTHER = "other"
    """A symbolic link, socket, device: never read, never deleted, always reported."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do and how well."""

    writable: bool = True
    readable: bool = True
    """The bytes of files can be had; else ``read`` and ``checksum`` with ``read`` are Unsupported."""
    live: bool = True
    """It speaks of the storage as it is now. Else it is a TakenDriver: what it says is hearsay, no evidence."""
    rename: bool = True
    atomic_rename: bool = True
    """``rename`` with ``replace`` shows either the old or the new file at every moment."""
    directories: bool = True
    """Directories exist by themselves; false for object stores."""
    follows_links: bool = False
    """Links are the server's business: what lies behind them is shown as if it lay here, and is changed likewise."""
    removes_directories: bool = True
    """Empty directories can be removed without a risk to full ones; else ``remove_directory`` is Unsupported.

    Where only the storage can say, and only when it is asked to remove one, this is true until it has said no.
    """
    permissions: bool = False
    """The driver is also a PermissionsDriver."""
    checksums: frozenset[str] = frozenset()
    """Algorithms of which ``checksum`` can answer."""
    told: frozenset[str] = frozenset()
    """Those of ``checksums`` that the storage itself may know, so that nobody has to read the file."""
    second_look: bool = False
    """The driver is also a SecondLookDriver."""
    pages: bool = False
    """The driver is also a PagingDriver."""
    third_party_copy: bool = False
    """The driver is also a ThirdPartyCopyDriver."""
    blocking: bool = False
    """The driver is also a BlockingDriver."""
    outlives_caller: bool = True
    """A request that was sent may still be carried out after its sender has died: there is a server. Where this is
    False, nothing happens any more once the process that asked for it is gone."""
    calls_max: int = 1024
    """How many calls at once this way of asking bears at most, whatever the far side bears."""
    mtime_resolution_ns: int = 1
    not_in_paths: str = ""
    """Characters that no path of this protocol can carry: listings show names with them, calls on them are
    InvalidName."""
    listed_bytes_max: int = 255
    """Bytes of the longest name that a listing gives whole; longer ones are unnameable there."""


NOT_TOLD = -1
"""What stands for a size or an mtime that the storage does not tell; never a size, never a time."""


class Stat(NamedTuple):
    """What the storage says of one name.

    ``size`` and ``mtime_ns`` are NOT_TOLD where the storage does not say them,
    as lists of paths do not. Such a value is null in tables, never differs
    from what is expected, and is in no sum; a Stat with one is still no file
    that anybody knows, and is never given as ``expected``.

    ``version`` changes whenever the content may have changed (inode and ctime,
    ETag ...); "" where the storage has nothing of the kind. It is compared for
    equality only.
    """

    kind: Kind
    size: int
    mtime_ns: int
    version: str = ""
    changed_ns: int | None = None
    """When anything about it last changed, its name included (ctime); None where the storage does not say."""

    def is_still(self, expected: Stat) -> bool:
        """Whether this is, as far as can be told, the unchanged file of which ``expected`` was said."""
        versions_differ = bool(self.version and expected.version) and self.version != expected.version
        return (self.size, self.mtime_ns) == (expected.size, expected.mtime_ns) and not versions_differ


class Entry(NamedTuple):
    """One name in a directory and what the listing said of it."""

    name: str
    stat: Stat


@dataclass(frozen=True, slots=True)
class Unnameable:
    """An entry whose name cannot be one of ours: the raw bytes and the reason."""

    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class DirectoryListing:
    """Everything directly below one directory, in the order of the names' bytes.

    ``doubt`` is why this may not be everything ("" if nothing speaks for that):
    the storage called its answer partial, or counted more than it sent.
    """

    entries: tuple[Entry, ...]
    unnameable: tuple[Unnameable, ...] = ()
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class DirectoryNames:
    """The names directly below one directory, in the order of their bytes; without stats."""

    names: tuple[str, ...]
    unnameable: tuple[Unnameable, ...] = ()


@dataclass(frozen=True, slots=True)
class Digest:
    """The checksums of a file and the Stat they were taken of.

    ``told`` are the algorithms whose value is the storage's own word; the bytes
    of the others were read for this answer.
    """

    checksums: Checksums
    stat: Stat
    told: frozenset[str] = frozenset()


@runtime_checkable
class StorageDriver(Protocol):
    """One door of one site. The module's docstring is the contract."""

    @property
    def capabilities(self) -> Capabilities:
        """What this driver can do."""

    @property
    def label(self) -> str:
        """Where errors happened, for people: ``SITE:root`` or a URL."""

    async def list(self, path: str) -> DirectoryListing:
        """The entries of one directory; NotThere, NotADirectory, NotAllowed, PeerError."""

    async def stat(self, path: str) -> Stat:
        """What ``path`` is; NotThere if it is not."""

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """Digests of a file; all ``algorithms`` or an error; ChangedWhileRead if it moved under us.

        What the storage can tell is asked of it; the rest is read. With ``read`` all is read: a storage may
        remember a digest from before the bytes went bad.
        """

    def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of a file, in chunks of about CHUNK_BYTES; ChangedWhileRead at the end if it moved."""

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        """Make a new file, durable when the call returns; AlreadyThere if anything has the name.

        Missing parent directories are made. If ``chunks`` raises (its own
        exception comes through) or space runs out, nothing stays under
        ``path``. Of two writers of one name exactly one succeeds, where the
        storage lets us arrange that.
        """

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        """Move a file, durably; AlreadyThere unless ``replace`` allows an existing file to go.

        The target's directory has to be there, where directories exist by
        themselves. NotAFile if the source, or what would be replaced, is none.
        A file moved to its own name stays as it is, if ``replace`` allows it.
        """

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        """Remove one file; NotThere if it is gone already, NotAFile if it is none.

        With ``expected``, only if it is still that file (size, mtime_ns and,
        where both are known, version), looked at as shortly before as the
        protocol allows; else ChangedWhileRead, and it stays.
        """

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents; no error if it is there, NotADirectory if something else is."""

    async def remove_directory(self, path: str) -> None:
        """Remove one empty directory; DirectoryNotEmpty, NotThere, NotADirectory; NotAllowed for the root."""

    async def close(self) -> None:
        """Let go of connections and handles; calling twice does no harm."""
