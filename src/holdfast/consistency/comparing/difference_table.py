"""The table of differences, whatever the listings it is of: its form, its sums, and the same rows as text.

The table is a Parquet file, one row a difference, sorted by class and path;
nothing here holds all rows at once. The class files are the same rows as TSV,
one file a class, without quoting, empty where nothing is known.

Rules
  * A table appears whole or not at all, and only if no listing was changed meanwhile.
  * Paths are as in the listings: one with a control character is never reported.
  * Every class has its file, if only a header, so that no file of an earlier run
    is taken for news.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import duckdb

from holdfast.consistency.comparing import duckdb_session
from holdfast.consistency.comparing.duckdb_session import EngineLimits, literal
from holdfast.consistency.comparing.listing_file import ListingFile
from holdfast.model.errors import OperatorError


@dataclass(frozen=True, slots=True)
class ClassTotal:
    """How many paths a class has, and their bytes: the size that should be, or the one that is where none should."""

    files: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """What the tables of one kind of comparison have: classes in their order, and the sides that were compared.

    The last side is the storage. ``more`` are columns of the class files beside those of the sides.
    """

    classes: type[StrEnum]
    sides: tuple[str, ...]
    more: tuple[str, ...] = ()

    @property
    def mtime(self) -> str:
        """The column with the storage's modification times, as they stand there."""
        return f"{self.sides[-1]}_mtime"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a class file."""
        values = [f"{side}_{value}" for value in ("size", "adler32") for side in self.sides]
        return ("path", *values, self.mtime, *(f"{side}_rows" for side in self.sides), *self.more)

    @property
    def size(self) -> str:
        """The bytes at stake in a row, in SQL."""
        return f"coalesce({', '.join(f'{side}_size' for side in self.sides)}, 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a comparison found; each kind of one has its ``form``, and counts the rows of its listings.

    The rows themselves are in the table ``differences``. ``unlisted_places`` counts what listing folders could not see
    into.
    """

    form: ClassVar[Form]

    totals: Mapping[StrEnum, ClassTotal]
    differences: Path
    seconds: float
    unlisted_places: int = 0

    @property
    def equal(self) -> bool:
        """Whether the listings say the same, each path once, and all was seen."""
        return not self.unlisted_places and not any(total.files for total in self.totals.values())


def write(query: str, table: Path, run: Callable[[str], None], listings: Sequence[ListingFile]) -> None:
    """Write what ``query`` finds in ``listings`` to ``table``, the statement being executed by ``run``."""
    part = table.with_name(f".{table.name}.part-{os.getpid()}")
    try:
        run(f"COPY ({query}) TO {literal(str(part))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)")
        for listing in listings:
            listing.staged.check_unchanged()
        os.replace(part, table)
    except (OSError, duckdb.Error) as error:
        if isinstance(error, duckdb.Error) and part.name not in str(error):
            raise
        raise OperatorError(
            f"the table of differences cannot be written: {duckdb_session.reason(error)}",
            place=str(table),
            hint="name a writable folder with free space",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def totals(form: Form, table: Path, connection: duckdb.DuckDBPyConnection) -> dict[StrEnum, ClassTotal]:
    """Files and bytes of every class, those without a file included."""
    found = connection.execute(
        f"SELECT class, count(*), sum({form.size}) FROM read_parquet({literal(str(table))}) GROUP BY class"
    ).fetchall()
    counted = {form.classes(cls): ClassTotal(int(files), int(size)) for cls, files, size in found}
    return {cls: counted.get(cls, ClassTotal()) for cls in form.classes}


def samples(form: Form, table: Path, limits: EngineLimits, folder: Path, *, n_max: int) -> dict[StrEnum, list[str]]:
    """The first few paths of every class that has any."""
    source = f"read_parquet({literal(str(table))})"
    found: dict[StrEnum, list[str]] = {}
    with duckdb_session.session(limits, folder) as connection:
        for cls in form.classes:
            query = f"SELECT path FROM {source} WHERE class = '{cls}' ORDER BY path LIMIT {n_max}"
            paths = [path for (path,) in connection.execute(query).fetchall()]
            if paths:
                found[cls] = paths
    return found


def write_class_files(form: Form, table: Path, target: Path, limits: EngineLimits, folder: Path) -> dict[StrEnum, Path]:
    """Write one TSV a class into ``target``, made if need be; each appears whole, and all or (if it fails) none."""
    part = target / f".part-{os.getpid()}"
    written = {cls: target / f"{cls}.tsv" for cls in form.classes}
    unfinished = {cls: target / f"{part.name}-{cls}.tsv" for cls in form.classes}
    try:
        target.mkdir(parents=True, exist_ok=True)
        with duckdb_session.session(limits, folder) as connection:
            # One thread keeps the order of the table without buffering.
            connection.execute("SET preserve_insertion_order = true; SET threads = 1")
            for cls, file in unfinished.items():
                connection.execute(_class_file(form, table, cls, file))
        for cls, file in written.items():
            os.replace(unfinished[cls], file)
    except (OSError, duckdb.Error) as error:
        raise OperatorError(
            f"the class files cannot be written: {duckdb_session.reason(error)}",
            place=str(target),
            hint="name a writable folder with free space",
        ) from error
    finally:
        for file in unfinished.values():
            with contextlib.suppress(OSError):
                file.unlink()
    return written


def _class_file(form: Form, table: Path, cls: StrEnum, file: Path) -> str:
    # A modification time may come as any text; here it must not end the line.
    mtime = rf"regexp_replace({form.mtime}::VARCHAR, '[\x00-\x1f\x7f]', ' ', 'g') AS {form.mtime}"
    columns = ", ".join(mtime if name == form.mtime else name for name in form.columns)
    return (
        f"COPY (SELECT {columns} FROM read_parquet({literal(str(table))}) WHERE class = '{cls}') "
        f"TO {literal(str(file))} (FORMAT csv, DELIMITER E'\\t', HEADER true, QUOTE '', ESCAPE '', NULLSTR '')"
    )
