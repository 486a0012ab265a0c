"""Put a file from outside where the engine can read it safely.

Answers for: the file is there and readable, it is whole if it is compressed,
and the engine sees a plain file under a harmless name. What stands in it is
the business of ``listing_file``.

Rules
  * Compression is told by the first bytes, never by the name.
  * A compressed file is unpacked once into the work folder, its checksum and
    end verified on the way: the engine itself takes a truncated zstd file for
    a shorter one and does not check gzip's CRC. This costs less than letting
    the engine unpack it for each of its two passes.
  * An uncompressed file is not copied; the engine gets a symbolic link, since
    it would take ``*``, ``?`` and ``[`` in a name for a pattern.

BadInput: missing, not a file, unreadable, damaged. OperatorError: the work
folder is full.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from holdfast.consistency import duckdb_session
from holdfast.model.errors import BadInput, OperatorError

_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Compression(StrEnum):
    """How a file is packed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A plain file to read (``data``) and the file it stands for (``source``).

    ``identity`` tells whether the source was changed since.
    """

    source: Path
    data: Path
    compression: Compression
    identity: tuple[int, ...]

    def describe(self, error: BaseException) -> str:
        """The first line of the engine's complaint about the file, by the name that the user knows."""
        return duckdb_session.reason(error).replace(str(self.data), self.source.name)

    def check_unchanged(self) -> None:
        """BadInput if the source is no longer the file that was staged."""
        try:
            now = _identity(os.stat(self.source))
        except OSError:
            now = ()
        if now != self.identity:
            raise BadInput("changed while it was read", place=str(self.source), hint="wait until it is written")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


def stage(source: Path, data: Path) -> StagedFile:
    """Make ``data`` a plain file with the content of ``source``."""
    place = str(source)
    try:
        facts = os.stat(source)
        if not stat.S_ISREG(facts.st_mode):
            what = "is a folder" if stat.S_ISDIR(facts.st_mode) else "is not a regular file"
            raise BadInput(f"{what}, not a listing file", place=place, hint="name a file; save a stream to one first")
        with open(source, "rb") as file:
            head = file.read(4)
    except OSError as error:
        reason = "does not exist" if error.errno == errno.ENOENT else f"cannot be read: {error.strerror}"
        raise BadInput(reason, place=place, hint="check the name and its permissions") from error
    if not head:
        raise BadInput("is empty", place=place, hint="an empty listing still has a header line")
    compression = _compression(head)
    if compression is Compression.NONE:
        data.symlink_to(source.resolve())
    else:
        _unpack(source, data, compression)
    return StagedFile(source, data, compression, _identity(facts))


def _compression(head: bytes) -> Compression:
    if head.startswith(_GZIP_MAGIC):
        return Compression.GZIP
    return Compression.ZSTD if head == _ZSTD_MAGIC else Compression.NONE


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _unpack(source: Path, data: Path, compression: Compression) -> None:
    packed = _open_packed(source, compression)
    try:
        with open(data, "wb") as plain:
            while chunk := _read(packed, source, compression):
                try:
                    plain.write(chunk)
                except OSError as error:
                    raise OperatorError(
                        f"cannot unpack {source}: {error.strerror}",
                        place=str(data.parent),
                        hint="give --temp-dir a folder with more free space",
                    ) from error
            if not plain.tell():
                raise BadInput("is empty once unpacked", place=str(source), hint="an empty listing has a header line")
    finally:
        packed.close()


def _open_packed(source: Path, compression: Compression) -> _Readable:
    if compression is Compression.GZIP:
        from zlib_ng import gzip_ng  # loaded only for gzip, to keep the start of every command short

        return gzip_ng.GzipNGFile(source, "rb")  # type: ignore[no-untyped-call]
    import pyarrow  # heavy, and needed only for zstd: its stream reports a missing end

    return pyarrow.input_stream(str(source), compression="zstd")


def _read(packed: _Readable, source: Path, compression: Compression) -> bytes:
    try:
        return packed.read(_CHUNK_BYTES)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        truncated = isinstance(error, EOFError) or "runcated" in str(error)
        raise BadInput(
            f"the {compression} data " + ("end too early: the file is truncated" if truncated else "are damaged"),
            place=str(source),
            hint="get the file again",
        ) from error
