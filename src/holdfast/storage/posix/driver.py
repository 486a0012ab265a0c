"""PosixDriver: a folder that the operating system shows us, as a storage.

Local disks and whatever is mounted: NFS, Lustre, CephFS, EOS through FUSE.

Rules, beside those of the contract
  * Blocking work runs in worker threads, one trip per call; only reading and
    writing large files take one trip per chunk.
  * Names, contents and removals are synchronised to disk before a call
    returns.
  * A call that changes something is not abandoned when its task is
    cancelled: the cancellation is seen once the system has answered, so that
    nothing happens behind the caller's back.
  * A system that gives no sign of life for ``silence_s`` (a mount whose server
    has gone) is PeerError, cancelled or not. What was asked of it may still
    happen some time; as with a far server, nobody knows (``bounded``).
  * ``version`` is inode and change time: it also moves when only the mode does.

What never leaves the root is in ``rooted``; what never replaces, in
``noreplace``.
"""

from __future__ import annotations

import builtins
import errno
import grp
import os
import pwd
import stat as modes
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from holdfast.model import names
from holdfast.model.errors import BadInput, HoldfastError, InvalidName, OperatorError, PeerError
from holdfast.storage.abilities import BlockingReader, BlockingWriter, Permissions
from holdfast.storage.bounded import Bounded
from holdfast.storage.digest import ALGORITHMS, Hasher
from holdfast.storage.driver import (
    CHUNK_BYTES,
    Capabilities,
    ChangedWhileRead,
    Digest,
    DirectoryListing,
    DirectoryNames,
    Entry,
    NotAllowed,
    Stat,
    Unnameable,
)
from holdfast.storage.posix import acl, noreplace
from holdfast.storage.posix.files import Part, Reading, digest, look, require_file, stat_of
from holdfast.storage.posix.rooted import Rooted, meaning, sync_directory

# Without O_PATH there is no safe way to the mode of a file that may not be opened.
CAPABILITIES = Capabilities(
    permissions=hasattr(os, "O_PATH"), second_look=True, checksums=ALGORITHMS, blocking=True, outlives_caller=False
)

SILENCE_S = 60.0
OPENING_S = 5.0
"""What the limits are, unless somebody says so."""
SLOWEST_BYTES_PER_S = 10_000_000
"""As fast as that any disk is: for so much longer nothing is heard while a file is brought to it in the end."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class PosixDriver:
    """The tree below ``root``; ``label`` names it in errors, the root's path if not given.

    Raises OperatorError if the root is not a directory that can be opened, PeerError if that takes too long.
    """

    def __init__(
        self, root: Path, *, label: str = "", silence_s: float = SILENCE_S, opening_s: float = OPENING_S
    ) -> None:
        """``silence_s``: how long a call waits without a sign of life; ``opening_s``: opening the root."""
        self._label = label or str(root)
        self.root = root
        self._calls = Bounded(silence_s)
        try:
            self._rooted = self._calls.now(lambda: Rooted(root.resolve(strict=True)), opening_s)
        except PeerError as error:
            error.place = str(root)
            raise
        except (OSError, RuntimeError) as error:
            reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
            raise OperatorError(
                f"the root of the storage cannot be opened: {reason}",
                place=str(root),
                hint="make or mount the folder, or correct the root of the door",
            ) from error

    @property
    def capabilities(self) -> Capabilities:
        """All there is."""
        return CAPABILITIES

    @property
    def label(self) -> str:
        """The label given, or the root's path."""
        return self._label

    @property
    def silence_s(self) -> float:
        """As given."""
        return self._calls.limit_s

    async def list(self, path: str) -> DirectoryListing:
        """The entries of one directory; what vanishes while it is looked at is left out."""
        with _errors_at(self._checked(path)):
            entries: builtins.list[tuple[bytes, Entry]] = []
            return await self._calls.look(lambda: _list(self._rooted, path, entries), moved=lambda: len(entries))

    async def names(self, path: str) -> DirectoryNames:
        """The names in a directory that is opened anew, without a look at what they stand for."""
        return await self._look(self._checked(path), _names, self._rooted, path)

    async def stat(self, path: str) -> Stat:
        """What ``path`` is, links not followed."""
        return await self._look(self._checked(path), _stat, self._rooted, path)

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """Read the file once through all ``algorithms``."""
        with _errors_at(self._checked(path)):
            hasher = Hasher(algorithms)
            return await self._calls.look(lambda: digest(self._rooted, path, hasher), moved=lambda: hasher.size)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of a file; a small file takes one trip."""
        place = self._checked(path)
        reading, lane = Reading(self._rooted, path), self._calls.lane()
        try:
            with _errors_at(place):
                data, more = await lane.act(lambda: _first_chunk(reading))
            while data:
                yield data
                with _errors_at(place):
                    data = await lane.act(lambda: _next_chunk(reading)) if more else b""
        finally:
            if not lane.ends_later(reading.close):
                reading.close()

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        """Make a new file; a failure leaves at most directories that were made for it."""
        place = self._checked(path)
        part, lane = Part(self._rooted, path), self._calls.lane()

        async def act(function: Callable[..., _T], *args: Any, size: int = 0) -> _T:
            with _errors_at(place):
                return await lane.act(lambda: function(*args), patience_s=lambda: size / SLOWEST_BYTES_PER_S)

        size = 0
        try:
            await act(part.open)
            held = b""
            async for block in _blocks(chunks):
                size += len(block)
                if held:
                    await act(part.append, held)
                held = block
            return await act(part.finish, held, size=size)
        except BaseException:
            part.is_unwanted = True
            await lane.end(part.discard)
            raise

    def open_reader(self, path: str) -> BlockingReader:
        """A file opened to be read, by blocking calls."""
        return _Reader(self._rooted, path, self._checked(path))

    def open_writer(self, path: str) -> BlockingWriter:
        """A new file to be written, by blocking calls."""
        return _Writer(self._rooted, path, self._checked(path))

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        """Move a file; the target's directory has to be there."""
        self._checked(target)
        await self._act(f"{self._checked(source)} -> {target}", _rename, self._rooted, source, target, replace)

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        """Remove one regular file; what is ``expected`` is looked at in the same trip, right before."""
        await self._act(self._checked(path), _delete, self._rooted, path, expected)

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents."""
        await self._act(self._checked(path), _make_directory, self._rooted, path)

    async def remove_directory(self, path: str) -> None:
        """Remove one empty directory, never the root."""
        await self._act(self._checked(path), _remove_directory, self._rooted, path)

    async def permissions(self, path: str) -> Permissions:
        """Owner, group, mode and ACL of a file or directory."""
        return await self._look(self._checked(path), _permissions, self._rooted, path)

    async def set_mode(self, path: str, mode: int) -> None:
        """Change the mode bits of a file or directory; nothing is made setuid or setgid."""
        place = self._checked(path)
        if not 0 <= mode <= 0o777:
            raise BadInput(f"{mode:#o} is not a mode that is set here", place=place, hint="0 to 0o777")
        await self._act(place, _set_mode, self._rooted, path, mode)

    async def close(self) -> None:
        """Let go of the root."""
        self._rooted.close()

    def _checked(self, path: str) -> str:
        """Refuse a path that is none; else how errors name it."""
        try:
            names.directory(path)
        except InvalidName as error:
            error.place = error.place or self._label
            raise
        return f"{self._label}:{path}"

    async def _look(self, place: str, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run what changes nothing in a thread; a cancelled caller does not wait for it."""
        with _errors_at(place):
            return await self._calls.look(lambda: function(*args, **kwargs))

    async def _act(self, place: str, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run ``function`` in a thread to its end, even if the caller is cancelled meanwhile."""
        with _errors_at(place):
            return await self._calls.act(lambda: function(*args, **kwargs))


class _Reader:
    """A Reading whose errors are those of the contract."""

    def __init__(self, rooted: Rooted, path: str, place: str) -> None:
        self._reading, self._place = Reading(rooted, path), place
        with _errors_at(place):
            self._reading.open()

    def next_into(self, buffer: memoryview) -> int:
        with _errors_at(self._place):
            return self._reading.next_into(buffer)

    def verify(self) -> Stat:
        with _errors_at(self._place):
            return self._reading.verify()

    def close(self) -> None:
        self._reading.close()


class _Writer:
    """A Part whose errors are those of the contract."""

    def __init__(self, rooted: Rooted, path: str, place: str) -> None:
        self._part, self._place = Part(rooted, path), place
        with _errors_at(place):
            try:
                self._part.open()
            except BaseException:
                self._part.discard()
                raise

    def append(self, data: memoryview) -> None:
        with _errors_at(self._place):
            self._part.append(data)

    def finish(self) -> Stat:
        with _errors_at(self._place):
            return self._part.finish(b"")

    def discard(self) -> None:
        self._part.discard()


@contextmanager
def _errors_at(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise meaning(error, place) from error
    except HoldfastError as error:
        error.place = error.place or place
        raise


async def _blocks(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of at least CHUNK_BYTES, the last excepted: a trip per tiny chunk would be slow."""
    held: builtins.list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _list(rooted: Rooted, path: str, entries: list[tuple[bytes, Entry]]) -> DirectoryListing:
    unnameable: list[Unnameable] = []
    with rooted.directory(path, readable=True) as handle, os.scandir(handle) as scan:
        for found in scan:
            raw = os.fsencode(found.name)
            # A name that vanished between the scan and this look is no longer there: nothing to report.
            with suppress(FileNotFoundError):
                stat = stat_of(found.stat(follow_symlinks=False))
                try:
                    entries.append((raw, Entry(names.file_name(raw.decode()), stat)))
                except UnicodeDecodeError:
                    unnameable.append(Unnameable(raw, "the name is not UTF-8"))
                except InvalidName as error:
                    unnameable.append(Unnameable(raw, error.message))
    entries.sort(key=lambda pair: pair[0])
    unnameable.sort(key=lambda entry: entry.raw)
    return DirectoryListing(tuple(entry for _, entry in entries), tuple(unnameable))


def _names(rooted: Rooted, path: str) -> DirectoryNames:
    found: list[str] = []
    unnameable: list[Unnameable] = []
    with rooted.directory(path, readable=True) as handle:
        for raw in sorted(map(os.fsencode, os.listdir(handle))):
            try:
                found.append(names.file_name(raw.decode()))
            except UnicodeDecodeError:
                unnameable.append(Unnameable(raw, "the name is not UTF-8"))
            except InvalidName as error:
                unnameable.append(Unnameable(raw, error.message))
    return DirectoryNames(tuple(found), tuple(unnameable))


def _stat(rooted: Rooted, path: str) -> Stat:
    if path == "/":
        with rooted.directory(path) as handle:
            return stat_of(os.fstat(handle))
    with rooted.parent(path) as (handle, name):
        return stat_of(look(handle, name))


def _first_chunk(reading: Reading) -> tuple[bytes, bool]:
    """Open and read; whether there may be more. A file that fits is verified in the same trip."""
    size = reading.open().size
    data = reading.next()
    if len(data) < size:
        return data, True
    reading.next()  # The end, or what was added meanwhile: then verifying fails.
    reading.verify()
    return data, False


def _next_chunk(reading: Reading) -> bytes:
    data = reading.next()
    if not data:
        reading.verify()
    return data


def _rename(rooted: Rooted, source: str, target: str, replace: bool) -> None:
    with (
        rooted.parent(source, readable=True) as (source_handle, source_name),
        rooted.parent(target, readable=True) as (target_handle, target_name),
    ):
        moved = look(source_handle, source_name)
        require_file(moved)
        if replace:
            _replace(source_handle, source_name, target_handle, target_name, moved)
        else:
            noreplace.move_new(source_handle, source_name, target_handle, target_name)
        # The new name first: a crash in between may leave two names, never none.
        sync_directory(target_handle)
        if not os.path.sameopenfile(source_handle, target_handle):
            sync_directory(source_handle)


def _replace(source_handle: int, source: bytes, target_handle: int, target: bytes, moved: os.stat_result) -> None:
    with suppress(FileNotFoundError):
        there = look(target_handle, target)
        require_file(there)
        if os.path.samestat(there, moved):
            # Two names of one file, for which rename succeeds and does nothing; or one name given twice.
            one_directory = os.path.sameopenfile(source_handle, target_handle)
            if not (one_directory and source == target):
                os.unlink(source, dir_fd=source_handle)
            return
    os.rename(source, target, src_dir_fd=source_handle, dst_dir_fd=target_handle)


def _delete(rooted: Rooted, path: str, expected: Stat | None) -> None:
    with rooted.parent(path, readable=True) as (handle, name):
        found = look(handle, name)
        require_file(found)
        if expected is not None and not stat_of(found).is_still(expected):
            raise ChangedWhileRead("is not the file any more that was to be deleted")
        os.unlink(name, dir_fd=handle)
        sync_directory(handle)


def _make_directory(rooted: Rooted, path: str) -> None:
    with rooted.directory(path, make=True):
        pass


def _remove_directory(rooted: Rooted, path: str) -> None:
    if path == "/":
        raise NotAllowed("the root directory is never removed")
    with rooted.parent(path, readable=True) as (handle, name):
        os.rmdir(name, dir_fd=handle)
        sync_directory(handle)


@contextmanager
def _pinned(rooted: Rooted, path: str) -> Iterator[tuple[str, os.stat_result]]:
    """A way to name exactly the file or directory found at ``path``, and its state.

    Mode and ACL can only be reached by a path or by a descriptor opened for reading, which a mode may forbid; the
    system's own link to a descriptor that was opened for nothing is both safe and enough.
    """
    opener = rooted.directory("/") if path == "/" else rooted.parent(path)
    with opener as found:
        directory, name = (found, b".") if isinstance(found, int) else found
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        state = os.fstat(handle)
        if not modes.S_ISDIR(state.st_mode):
            require_file(state)
        yield f"/proc/self/fd/{handle}", state
    finally:
        os.close(handle)


def _permissions(rooted: Rooted, path: str) -> Permissions:
    with _pinned(rooted, path) as (pinned, state):
        return Permissions(
            _name_of(lambda: pwd.getpwuid(state.st_uid).pw_name, state.st_uid),
            _name_of(lambda: grp.getgrgid(state.st_gid).gr_name, state.st_gid),
            modes.S_IMODE(state.st_mode),
            _acl(pinned),
        )


def _name_of(look_up: Callable[[], str], number: int) -> str:
    try:
        return look_up()
    except KeyError:
        return str(number)


def _acl(pinned: str) -> str:
    try:
        return acl.acl_text(os.getxattr(pinned, acl.XATTR))
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOTSUP):
            return ""
        raise
    except ValueError as error:
        raise PeerError(f"the ACL cannot be read: {error}") from error


def _set_mode(rooted: Rooted, path: str, mode: int) -> None:
    with _pinned(rooted, path) as (pinned, _):
        os.chmod(pinned, mode)
