"""Put a file from outside where the engine can read it safely.

Answers for: the file is there and readable, it is whole if it is compressed,
and the engine sees a plain file under a harmless name. What stands in it is
the business of ``listing_file``.

Rules
  * A compressed file is unpacked once into the work folder, its checksum and
    end verified on the way: the engine itself takes a truncated zstd file for
    a shorter one and does not check gzip's CRC. This costs less than letting
    the engine unpack it for each of its two passes.
  * A folder is a listing that Holdfast has made, and has to be a complete one.
  * An uncompressed file is not copied; the engine gets a symbolic link, since
    it would take ``*``, ``?`` and ``[`` in a name for a pattern.

BadInput: missing, not a file, unreadable, damaged. OperatorError: the work
folder is full.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from holdfast.consistency.comparing import duckdb_session
from holdfast.model.errors import BadInput, OperatorError
from holdfast.storage import packed
from holdfast.storage.packed import Compression

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A plain file to read (``data``) and the file it stands for (``source``).

    ``identity`` tells whether the file ``watched`` was changed since. Of a listing that we have made, ``source``
    and ``data`` are folders.
    """

    source: Path
    data: Path
    compression: Compression
    watched: Path
    identity: tuple[int, ...]

    @property
    def pattern(self) -> str:
        """The data as the engine's table functions take it: one file, or all parts."""
        return f"{self.data}/*.parquet" if self.data.is_dir() else str(self.data)

    @property
    def first(self) -> Path:
        """One file of it, for a look at its beginning."""
        return min(self.data.iterdir()) if self.data.is_dir() else self.data

    def describe(self, error: BaseException) -> str:
        """The first line of the engine's complaint about the file, by the name that the user knows."""
        return duckdb_session.reason(error).replace(str(self.data), self.source.name)

    def check_unchanged(self) -> None:
        """BadInput if the source is no longer the file that was staged."""
        try:
            now = _identity(os.stat(self.watched))
        except OSError:
            now = ()
        if now != self.identity:
            raise BadInput("changed while it was read", place=str(self.source), hint="wait until it is written")


def stage(source: Path, data: Path) -> StagedFile:
    """Make ``data`` a plain file with the content of ``source``, or a folder of links if that is a listing of ours."""
    place = str(source)
    if source.is_dir():
        listing = _stage_listing(source, data)
        if listing:
            return listing
    try:
        facts = os.stat(source)
        if not stat.S_ISREG(facts.st_mode):
            what = "is a folder" if stat.S_ISDIR(facts.st_mode) else "is not a regular file"
            raise BadInput(f"{what}, not a listing file", place=place, hint="name a file; save a stream to one first")
        with open(source, "rb") as file:
            head = file.read(packed.HEAD_BYTES)
    except OSError as error:
        reason = "does not exist" if error.errno == errno.ENOENT else f"cannot be read: {error.strerror}"
        raise BadInput(reason, place=place, hint="check the name and its permissions") from error
    if not head:
        raise BadInput("is empty", place=place, hint="an empty listing still has a header line")
    compression = packed.compression(head)
    if compression is Compression.NONE:
        data.symlink_to(source.resolve())
    else:
        _unpack(source, data, compression)
    return StagedFile(source, data, compression, source, _identity(facts))


def _stage_listing(source: Path, data: Path) -> StagedFile | None:
    """The listing in a folder; None if there is none."""
    # Folders only: what reads them brings Arrow along, which takes a third of a small comparison's time.
    from holdfast.storage.listing.ledger_file import LEDGER
    from holdfast.storage.listing.reading import Listing
    from holdfast.storage.listing.summary import LISTING
    from holdfast.storage.listing.tables import ENTRIES

    if not (source / LISTING).exists() and not (source / LEDGER).exists():
        return None
    identity = _identity(os.stat(source / LISTING)) if (source / LISTING).exists() else ()
    parts = Listing.open(source).parts(ENTRIES)
    data.mkdir()
    for number, part in enumerate(parts):
        (data / f"{number:06}.parquet").symlink_to(part.resolve())
    return StagedFile(source, data, Compression.NONE, source / LISTING, identity)


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _unpack(source: Path, data: Path, compression: Compression) -> None:
    unpacked = packed.open_packed(source, compression)
    try:
        with open(data, "wb") as plain:
            while chunk := packed.read_packed(unpacked, _CHUNK_BYTES, place=str(source), kind=compression):
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
        unpacked.close()
