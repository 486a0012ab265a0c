"""Expected names: how many names each directory of a site should have, by the inventory and by the last listing.

An answer that shows none or far fewer is asked for again before it is believed
(``holdfast.storage.listing.doubt``). Counted are files and the directories that
lead to files; the greater of the two numbers holds. Of a directory that neither
knows nothing is expected: None. It is a hint, so a last listing that cannot be
read any more is only logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from holdfast import logs
from holdfast.consistency.comparing.duckdb_session import EngineLimits, literal, session, work_folder
from holdfast.consistency.findings import PIECE_ROWS
from holdfast.model import names
from holdfast.storage.listing.expectation import Expectation

_log = logs.get("consistency")

# Before every character that a name may have, so that what is below a directory stands right behind it.
_BEFORE_ALL = "chr(1)"


def expected_names(table: Path, previous: Iterable[Path], limits: EngineLimits) -> Callable[[str], int | None]:
    """What to expect by ``table`` (``expected.py``) and the directories' parts of a ``previous`` listing."""
    by_inventory = Expectation.of(names_in(_directories(table, limits)))
    by_listing = _by_listing(list(previous))

    return _Larger(by_inventory, by_listing)


@dataclass(frozen=True, slots=True)
class _Larger:
    """The larger one of two expectations; a value, so that it can go to other processes."""

    by_inventory: Expectation
    by_listing: Expectation

    def __call__(self, path: str) -> int | None:
        """How many names are expected in ``path``."""
        known = [number for number in (self.by_inventory(path), self.by_listing(path)) if number is not None]
        return max(known, default=None)


def _by_listing(parts: list[Path]) -> Expectation:
    try:
        return Expectation.of_parts(parts)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        place = str(parts[0].parent) if parts else ""
        _log.warning("the last listing cannot be read and is ignored", place=place, reason=str(error))
        return Expectation.of(())


def names_in(directories: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Each directory and each above it with the number of names in it.

    ``directories`` are those with files and how many, in the order of their components.
    """
    open_: list[tuple[str, int]] = []
    for dir, files in directories:
        while open_ and not _is_at_or_below(dir, open_[-1][0]):
            yield open_.pop()
        for each in _missing(dir, open_[-1][0] if open_ else None):
            if open_:
                above, count = open_[-1]
                open_[-1] = (above, count + 1)
            open_.append((each, 0))
        open_[-1] = (dir, open_[-1][1] + files)
    while open_:
        yield open_.pop()


def _is_at_or_below(dir: str, above: str) -> bool:
    return dir == above or above == "/" or dir.startswith(f"{above}/")


def _missing(dir: str, above: str | None) -> list[str]:
    """The directories from below ``above`` down to ``dir``, or from the root down."""
    found = []
    while dir != above:
        found.append(dir)
        if dir == "/":
            break
        dir = names.split(dir)[0]
    return found[::-1]


def _directories(table: Path, limits: EngineLimits) -> Iterator[tuple[str, int]]:
    query = f"""
        SELECT dir, count(*) FROM read_parquet({literal(str(table))})
        GROUP BY dir ORDER BY replace(dir, '/', {_BEFORE_ALL})
    """
    with work_folder(limits) as work, session(limits, work) as connection:
        connection.execute(query)
        while rows := connection.fetchmany(PIECE_ROWS):
            yield from rows
