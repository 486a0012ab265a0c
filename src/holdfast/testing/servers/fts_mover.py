"""Mover: how the FTS3 that tests speak to brings files.

Prefixes of addresses stand for folders of this machine; files are really
copied between them, with the checks, the errors and the cleaning of FTS3's own
program: source first, then the place, then checksums before and after.

Rules
  * A reason is ``SCOPE [number] words``, as FTS3 writes it.
  * Missing directories are made. Nothing is overwritten unless the job says so.
  * What a failed copy has written is removed, but for the fault ``half``.
  * A file on tape is read only when it was staged.
"""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from holdfast.testing.servers.fts_faults import FtsFault
from holdfast.testing.servers.fts_jobs import File, FtsJob

_ENCODED = frozenset({"http", "https", "dav", "davs", "s3", "s3s"})
CHUNK_BYTES = 1 << 20


class CopyFailed(Exception):
    """A copy that came to nothing; its text is the reason."""

    def __init__(self, scope: str, number: int, words: str) -> None:
        super().__init__(f"{scope} [{number}] {words}")


@dataclass(frozen=True)
class FtsStorage:
    """A storage: what its addresses begin with, and where its files lie."""

    url: str
    folder: str
    is_tape: bool = False


class FtsMover:
    """See the module's docstring."""

    def __init__(self, prefixes: list[FtsStorage]) -> None:
        self._prefixes = prefixes
        self._staged: set[str] = set()

    def stage(self, url: str) -> None:
        """Bring a file from tape to disk; CopyFailed if it is not there."""
        if not self._path(url, "STAGING").exists():
            raise CopyFailed("STAGING", errno.ENOENT, "STAGING No such file or directory")
        self._staged.add(url)

    def copy(self, job: FtsJob, file: File, fault: FtsFault | None, is_wanted: Callable[[], bool]) -> int:
        """Bring one file; its size. CopyFailed with the reason. Ends early once ``is_wanted`` says so."""
        source = self._path(file.source_surl, "SOURCE")
        if self._is_tape(file.source_surl) and file.source_surl not in self._staged:
            raise CopyFailed("SOURCE", errno.EBUSY, "the file is not on disk")
        size = _stat(source, "SOURCE")
        destination = self._path(file.dest_surl, "DESTINATION")
        if job.overwrite_flag != "Y" and destination.exists():
            raise CopyFailed("DESTINATION", errno.EEXIST, "Destination file exists and overwrite is not enabled")
        algorithm, _, value = (file.checksum or "ADLER32").partition(":")
        if job.verify_checksum in "bs" and value and not _alike(_digest(source, algorithm), value):
            raise CopyFailed("TRANSFER", errno.EIO, "Source and user-defined checksum do not match")
        if fault is not None and fault.do == "hollow":
            return size
        _copied(source, destination, fault, is_wanted)
        if job.verify_checksum in "bt" and (fault is None or fault.do != "damage"):
            wanted = value or _digest(source, algorithm)
            if not _alike(_digest(destination, algorithm), wanted):
                destination.unlink()
                raise CopyFailed("TRANSFER", errno.EIO, "TRANSFER CHECKSUM MISMATCH checksums do not match")
        return size

    def _path(self, url: str, scope: str) -> Path:
        prefix = self._prefix(url)
        if prefix is None:
            raise CopyFailed(scope, errno.EHOSTUNREACH, "No route to host")
        rest = url.removeprefix(prefix.url)
        if urlsplit(prefix.url).scheme in _ENCODED:
            rest = unquote(rest.partition("?")[0])
        return Path(prefix.folder) / rest.lstrip("/")

    def _is_tape(self, url: str) -> bool:
        prefix = self._prefix(url)
        return prefix is not None and prefix.is_tape

    def _prefix(self, url: str) -> FtsStorage | None:
        fitting = [each for each in self._prefixes if url.startswith(each.url)]
        return max(fitting, key=lambda each: len(each.url), default=None)


def _copied(source: Path, destination: Path, fault: FtsFault | None, is_wanted: Callable[[], bool]) -> None:
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as reading, destination.open("wb") as writing:
            if fault is not None and fault.do == "half":
                writing.write(reading.read(source.stat().st_size // 2))
                return
            while chunk := reading.read(CHUNK_BYTES):
                if not is_wanted():
                    raise CopyFailed("TRANSFER", errno.ECANCELED, "Transfer canceled")
                if fault is not None and fault.do == "damage" and len(chunk) < CHUNK_BYTES:
                    chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])
                writing.write(chunk)
    except CopyFailed:
        destination.unlink(missing_ok=True)
        raise
    except OSError as error:
        destination.unlink(missing_ok=True)
        number = error.errno or errno.EIO
        raise CopyFailed("TRANSFER", number, f"TRANSFER {os.strerror(number)}") from error


def _stat(path: Path, scope: str) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        number = error.errno or errno.EIO
        raise CopyFailed(scope, number, os.strerror(number)) from error


def _digest(path: Path, algorithm: str) -> str:
    data = path.read_bytes()
    known: Mapping[str, Callable[[], str]] = {
        "ADLER32": lambda: f"{zlib.adler32(data):08x}",
        "MD5": lambda: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    }
    if algorithm.upper() not in known:
        raise CopyFailed("TRANSFER", errno.EINVAL, f"checksum type {algorithm} is not known")
    return known[algorithm.upper()]()


def _alike(first: str, second: str) -> bool:
    return first.lower().lstrip("0") == second.lower().lstrip("0")
