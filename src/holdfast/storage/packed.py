"""Packed: files that may be compressed, read so that a missing end is noticed.

Rules
  * Compression is told by the first bytes, never by the name.
  * Data that end too early, or whose check sum is wrong, are BadInput. (Whether
    there is a check sum is up to whoever packed them: zstd needs none.)
  * Several members in one file are read as one.
  * What is opened is closed by whoever opened it.

Raises BadInput with the file's name; OSError of opening comes through.
"""

from __future__ import annotations

import bz2
import zlib
from enum import StrEnum
from pathlib import Path
from typing import Protocol, cast

from zlib_ng import zlib_ng

from holdfast.model.errors import BadInput


class Compression(StrEnum):
    """How a file is packed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"


HEAD_BYTES = 4
"""How many bytes tell the compression."""

# Each library has a family of its own for bytes that cannot be.
_DAMAGED = (OSError, EOFError, ValueError, zlib.error, cast(type[Exception], zlib_ng.error))
_MAGIC = {b"\x1f\x8b": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD, b"BZh": Compression.BZIP2}


class Readable(Protocol):
    """What is read from, unpacked."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes, b"" at the end."""

    def close(self) -> None:
        """Let go of the file."""


def compression(head: bytes) -> Compression:
    """How a file is packed that begins so."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), Compression.NONE)


def open_packed(source: Path, kind: Compression) -> Readable:
    """The unpacked content of a file, to be read by ``read_packed``."""
    match kind:
        case Compression.NONE:
            return open(source, "rb")
        case Compression.BZIP2:
            return bz2.BZ2File(source)
        case Compression.GZIP:
            from zlib_ng import gzip_ng  # loaded only for gzip, to keep the start of every command short

            return gzip_ng.GzipNGFile(source, "rb")  # type: ignore[no-untyped-call]
    import pyarrow  # heavy, and needed only for zstd: its stream reports a missing end

    return pyarrow.input_stream(str(source), compression="zstd")


def read_packed(packed: Readable, size: int, *, place: str, kind: Compression) -> bytes:
    """The next bytes, b"" at the end; BadInput if they are damaged or break off."""
    try:
        return packed.read(size)
    except _DAMAGED as error:
        truncated = isinstance(error, EOFError) or "runcated" in str(error)
        raise BadInput(
            f"the {kind} data " + ("end too early: the file is truncated" if truncated else "are damaged"),
            place=place,
            hint="get the file again",
        ) from error
