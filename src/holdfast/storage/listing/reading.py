"""Listing: a complete listing on disk, as it is read.

Rules
  * Only a complete listing is opened; one that goes on, a folder without any,
    and one of which a part is missing or was changed are errors that say so.
  * What is read goes through memory in pieces, whatever the listing's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.model.errors import BadInput, Conflict, OperatorError
from holdfast.storage.listing import summary
from holdfast.storage.listing.ledger_file import LEDGER
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.summary import LISTING, Summary
from holdfast.storage.listing.tables import DIRECTORIES, SCHEMAS

BATCH_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Listing:
    """The listing in ``folder``; made by ``open``."""

    folder: Path
    summary: Summary

    @staticmethod
    def open(folder: Path) -> Listing:
        """The complete listing in a folder, whose parts are all there."""
        try:
            listing = Listing(folder, summary.read(folder))
        except FileNotFoundError:
            raise _not_complete(folder) from None
        except OSError as error:
            raise _unreadable(folder / LISTING, error) from error
        for part in listing.summary.parts:
            path = folder / part.path
            if not path.is_file() or path.stat().st_size != part.bytes:
                raise _damaged(path, "it is not there" if not path.exists() else "it has another size")
        return listing

    def parts(self, table: str) -> list[Path]:
        """The files of a table; at least one."""
        return [self.folder / part.path for part in self.summary.parts if part.table == table]

    def batches(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of a table, in pieces."""
        for part in self.summary.parts:
            if part.table == table:
                with _readable(self.folder / part.path) as path, pq.ParquetFile(path) as file:
                    if file.metadata.num_rows != part.rows or file.schema_arrow != SCHEMAS[table]:
                        raise _damaged(path, "it is not the file that was written")
                    yield from file.iter_batches(BATCH_ROWS, columns=None if columns is None else list(columns))

    def directories(self) -> Iterator[DirectoryRow]:
        """What became of each directory."""
        for batch in self.batches(DIRECTORIES):
            yield from map(DirectoryRow._make, zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _not_complete(folder: Path) -> Exception:
    if (folder / LEDGER).exists():
        return Conflict("the listing is not complete", place=str(folder), hint="go on with it, or wait for its end")
    return BadInput("there is no listing", place=str(folder), hint="give the folder that a listing was written to")


@contextmanager
def _readable(path: Path) -> Iterator[Path]:
    try:
        yield path
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> OperatorError:
    reason = getattr(error, "strerror", None) or str(error)
    return OperatorError(f"the listing cannot be read: {reason.lower()}", place=str(path))


def _damaged(path: Path, reason: str) -> OperatorError:
    return OperatorError(
        f"the listing is damaged: {reason}", place=str(path), hint="list the site anew into another folder"
    )
