"""Columns of a tree: what the queries about directories have in common.

Answers for the connection, for how the tables of a listing are read, and for
what SQL has no words for: the directory above, the order of directories.

Rules
  * A path in SQL is absolute; "/" is the top.
  * Memory is limited, and what does not fit goes to disk.
  * A table that cannot be read is one clear error that names its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from holdfast.consistency.comparing import duckdb_session
from holdfast.consistency.comparing.duckdb_session import EngineLimits, literal
from holdfast.consistency.findings import PIECE_ROWS
from holdfast.model.errors import OperatorError

ORDER = "replace(dir, '/', chr(1))"
"""In this order of ``dir``, all that is below a directory follows it before anything else does.

The character stands before all that a name may have."""

# ``above`` of "/" is "/"; ``cut`` keeps the first components of a path.
_MACROS = """
    CREATE TEMP MACRO slashed(dir) AS CASE WHEN dir = '/' THEN '' ELSE dir END;
    CREATE TEMP MACRO plain(dir) AS CASE WHEN dir = '' THEN '/' ELSE dir END;
    CREATE TEMP MACRO above(dir) AS plain(left(dir, length(dir) - length(split_part(dir, '/', -1)) - 1));
    CREATE TEMP MACRO depth(dir) AS len(string_split(slashed(dir), '/')) - 1;
    CREATE TEMP MACRO cut(dir, depth) AS
        plain(array_to_string(list_slice(string_split(slashed(dir), '/'), 1, depth + 1), '/'));
"""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """A connection for queries about directories, and the folder it works in, which is gone in the end."""

    connection: duckdb.DuckDBPyConnection
    folder: Path

    def table(self, name: str, parts: Sequence[Path]) -> str:
        """What reads the Parquet files ``parts`` in SQL; ``name`` is used once."""
        folder = self.folder / name
        folder.mkdir()
        for number, part in enumerate(parts):
            # By links, since the engine would take "*", "?" and "[" in a path for a pattern.
            (folder / f"{number:06}.parquet").symlink_to(part.resolve())
        return f"read_parquet({literal(f'{folder}/*.parquet')})"

    def run(self, statement: str) -> None:
        """Execute a statement that gives nothing."""
        self.connection.execute(statement)

    def rows(self, query: str) -> Iterator[Row]:
        """The rows of a query, which go through memory in pieces."""
        self.connection.execute(query)
        while piece := self.connection.fetchmany(PIECE_ROWS):
            yield from piece

    def count(self, table: str) -> int:
        """How many rows a table has."""
        found = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(found[0]) if found else 0


@contextmanager
def columns(limits: EngineLimits, place: Path) -> Iterator[Columns]:
    """A connection with the macros ``above(dir)``, ``depth(dir)`` and ``cut(dir, depth)``.

    OperatorError if memory or disk run out, or a table cannot be read; ``place`` is what errors name.
    """
    with duckdb_session.work_folder(limits) as folder, duckdb_session.session(limits, folder) as connection:
        duckdb_session.spread_memory(connection, limits)
        connection.execute(_MACROS)
        try:
            yield Columns(connection, folder)
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            if duckdb_session.is_shortage(error):
                raise
            raise OperatorError(f"cannot be read: {duckdb_session.reason(error)}", place=str(place)) from error
