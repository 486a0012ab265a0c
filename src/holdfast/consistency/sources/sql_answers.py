"""SqlAnswers: the rows of a query as columns, a piece at a time.

Rules
  * ``fetched`` is for every database; its rows are tuples for a moment.
  * ``copied`` is for PostgreSQL, which writes rows out as CSV: columns are made
    of a megabyte of them at once. An unquoted nothing is NULL.
  * The names of the columns are known before the first row, also if there is none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
from sqlalchemy import Connection, TextClause

ROWS = 1 << 15
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gives: the names of its columns, and its rows."""

    columns: tuple[str, ...]
    batches: Iterator[pa.RecordBatch]


@contextmanager
def fetched(connection: Connection, query: TextClause, site: str) -> Iterator[Answer]:
    """The answer as any driver gives it."""
    with connection.execute(query, {"site": site}, execution_options={"stream_results": True}) as found:
        columns = tuple(found.keys())

        def batches() -> Iterator[pa.RecordBatch]:
            for rows in found.partitions(ROWS):
                yield pa.record_batch([pa.array(column) for column in zip(*rows, strict=True)], names=list(columns))

        yield Answer(columns, batches())


@contextmanager
def copied(connection: Connection, query: TextClause, site: str) -> Iterator[Answer]:
    """The answer as PostgreSQL copies it out."""
    statement = f"COPY ({query.compile(dialect=connection.dialect)}) TO STDOUT (FORMAT csv, HEADER)"
    driver: Any = connection.connection.driver_connection
    # The parameter of a COPY is put in by the client, which quotes it.
    with driver.cursor() as cursor, cursor.copy(statement, {"site": site}) as copy:
        rows = iter(copy)
        columns = tuple(next(csv.reader([bytes(next(rows)).decode()])))
        yield Answer(columns, _parsed(rows, columns))


def _parsed(rows: Iterator[Any], columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    first = next(rows, None)
    if first is None:
        return
    reader = pacsv.open_csv(
        pa.PythonFile(_Chunks(chain((first,), rows)), mode="r"),  # type: ignore[arg-type]
        read_options=pacsv.ReadOptions(use_threads=False, column_names=list(columns), block_size=CHUNK_BYTES),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            check_utf8=False,
            column_types=dict.fromkeys(columns, pa.binary()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    with reader:
        yield from reader


class _Chunks:
    """Rows of text as a file that is read."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows
        self._rest = b""
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """``size`` bytes, fewer only at the end."""
        parts, length = [self._rest], len(self._rest)
        while size < 0 or length < size:
            row = next(self._rows, None)
            if row is None:
                break
            parts.append(row)
            length += len(row)
        data = b"".join(parts)
        data, self._rest = (data, b"") if size < 0 else (data[:size], data[size:])
        return data

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is not."""
        return False

    def close(self) -> None:
        """Nothing more is read."""
        self.closed = True
