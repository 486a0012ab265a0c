"""Reading and writing the contents of files below a Rooted.

Blocking, one file each, used by the posix driver from worker threads.

Rules
  * Only regular files are opened, and never through a link: a name is looked
    at before it is opened (opening a device may do something) and what was
    opened is looked at again (the name may have been exchanged).
  * ``Reading`` says at the end whether the file it has read is the file it
    opened: same inode, change time and size, as many bytes as the size says.
  * ``Part`` writes under a part's name and gives the final name only to a
    whole, synchronised file, never replacing another. Until then ``discard``
    removes every trace but the directories made on the way. One that nobody
    wants any more gets no name. What is to be a part anyway is written under its
    own name: a part of a part would be left behind by a dying process, and nobody
    would know whose it was.
"""

from __future__ import annotations

import os
import stat as modes
from contextlib import suppress

from holdfast.model import names
from holdfast.model.errors import PeerError
from holdfast.storage import parts
from holdfast.storage.digest import BUFFER_BYTES, Hasher
from holdfast.storage.driver import AlreadyThere, ChangedWhileRead, Digest, Kind, NotAFile, Stat
from holdfast.storage.posix import noreplace
from holdfast.storage.posix.rooted import Rooted, sync_directory
from holdfast.storage.posix.writing_back import WritingBack

# Without O_NONBLOCK the opening of a pipe that took the file's place would wait for ever.
_OPEN_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPEN_PART = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def stat_of(found: os.stat_result) -> Stat:
    """What the system says of a name, in the words of the contract."""
    if modes.S_ISREG(found.st_mode):
        kind = Kind.FILE
    elif modes.S_ISDIR(found.st_mode):
        kind = Kind.DIRECTORY
    else:
        kind = Kind.OTHER
    version = f"{found.st_ino}-{found.st_ctime_ns}"
    return Stat(kind, found.st_size, found.st_mtime_ns, version, found.st_ctime_ns)


def require_file(found: os.stat_result) -> None:
    """NotAFile unless ``found`` is of a regular file."""
    if not modes.S_ISREG(found.st_mode):
        raise NotAFile("is a directory" if modes.S_ISDIR(found.st_mode) else "is a link or something else, not a file")


def look(handle: int, name: bytes) -> os.stat_result:
    """What ``name`` in a directory is, links not followed."""
    return os.stat(name, dir_fd=handle, follow_symlinks=False)


class Reading:
    """One file being read from its beginning to its end."""

    def __init__(self, rooted: Rooted, path: str) -> None:
        self._rooted = rooted
        self._path = path
        self._handle = -1
        self._seen = 0

    def open(self) -> Stat:
        """Open the file; its Stat at the beginning."""
        with self._rooted.parent(self._path) as (directory, name):
            require_file(look(directory, name))
            self._handle = os.open(name, _OPEN_READ, dir_fd=directory)
        found = os.fstat(self._handle)
        require_file(found)
        # Storages with a tape behind them refuse to wait for the tape on a non-blocking descriptor.
        os.set_blocking(self._handle, True)
        self._before = stat_of(found)
        return self._before

    def next_into(self, buffer: memoryview) -> int:
        """Read into ``buffer``; how many bytes, 0 at the end."""
        count = os.readv(self._handle, [buffer])
        self._seen += count
        return count

    def next(self) -> bytes:
        """The next bytes, empty at the end."""
        data = os.read(self._handle, BUFFER_BYTES)
        self._seen += len(data)
        return data

    def verify(self) -> Stat:
        """The Stat of what has been read; ChangedWhileRead if that is not one state of the file."""
        after = stat_of(os.fstat(self._handle))
        if after != self._before or self._seen != after.size:
            raise ChangedWhileRead("changed while it was read")
        return after

    def close(self) -> None:
        """Let go of the file; calling twice does no harm."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def digest(rooted: Rooted, path: str, hasher: Hasher) -> Digest:
    """Read a file through ``hasher``."""
    reading = Reading(rooted, path)
    try:
        size = reading.open().size
        # One byte more than the file has, so that a small file is read to its end at once.
        buffer = memoryview(bytearray(min(size + 1, BUFFER_BYTES)))
        while count := reading.next_into(buffer):
            hasher.update(buffer[:count])
        return Digest(hasher.hexdigests(), reading.verify())
    finally:
        reading.close()


class Part:
    """One new file being written."""

    def __init__(self, rooted: Rooted, path: str) -> None:
        self._rooted = rooted
        self._path = path
        self._final = names.split(path)[1].encode()
        self._name = self._final if parts.is_part_name(names.split(path)[1]) else parts.part_name().encode()
        self._directory = -1
        self._handle = -1
        self._made = False
        self._writing_back = WritingBack()
        self.is_unwanted = False
        """Whoever wanted it has given it up, maybe while it was being finished: it gets no name."""

    def open(self) -> None:
        """Make the part, and the directories it needs; AlreadyThere if the final name is taken."""
        if self._path == "/":
            raise AlreadyThere("is the root directory")
        with self._rooted.parent(self._path, make=True, readable=True) as (directory, name):
            # Refused before the bytes have travelled; the move at the end decides for good.
            with suppress(FileNotFoundError):
                look(directory, name)
                raise AlreadyThere("is there already")
            self._directory = os.dup(directory)
        self._handle = os.open(self._name, _OPEN_PART, 0o666, dir_fd=self._directory)
        self._made = True

    def append(self, data: bytes | memoryview) -> None:
        """Write the next bytes."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._handle, rest) :]
        self._writing_back.wrote(self._handle, len(data))

    def finish(self, data: bytes) -> Stat:
        """Write the last bytes and give the file its name; the Stat of the file at its place."""
        self.append(data)
        os.fsync(self._handle)
        if self.is_unwanted:
            raise PeerError("nobody waits for it any more")
        written = os.fstat(self._handle)
        self._close_file()
        if self._name != self._final:
            noreplace.move_new(self._directory, self._name, self._directory, self._final)
        self._made = False
        sync_directory(self._directory)
        self.discard()
        return self._arrived(written)

    def _arrived(self, written: os.stat_result) -> Stat:
        """Walk the path anew: the directory may have been moved away while we held it."""
        with suppress(FileNotFoundError, NotADirectoryError), self._rooted.parent(self._path) as (directory, name):
            found = look(directory, name)
            if os.path.samestat(found, written):
                return stat_of(found)
        raise PeerError("was moved away while it was written")

    def discard(self) -> None:
        """Remove the part if it has not become a file, and let go; calling twice does no harm."""
        with suppress(OSError):
            self._close_file()
        # What cannot be removed now keeps a part's name, by which cleaners know it.
        with suppress(OSError):
            if self._made:
                self._made = False
                os.unlink(self._name, dir_fd=self._directory)
        directory, self._directory = self._directory, -1
        if directory >= 0:
            os.close(directory)

    def _close_file(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
