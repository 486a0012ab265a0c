"""Show: results on standard output, as tables for people or as one JSON document for programs.

Rules
  * On a terminal tables are drawn and wrapped, never cut; in a pipe they are
    plain columns as wide as need be, the same whatever the terminal.
  * ``--json`` prints one document with sorted keys, in ASCII.
  * No control character of a name reaches a terminal: it is shown as an escape.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from holdfast.model.clock import SECOND_US, show_time
from holdfast.model.wording import number, plural, size

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "document",
    "drawn",
    "escape",
    "facts",
    "json_text",
    "jsonable",
    "line",
    "note",
    "number",
    "plural",
    "size",
    "table",
    "time",
    "time_exact",
    "with_moments",
]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What can move the cursor, forge a line or turn the writing round, and what no terminal can print."""


def escape(text: str) -> str:
    """``text`` in one line, its control characters as Python writes them (``\\n``, ``\\x1b``)."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


def line(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(f"{escape(text)}\n")


def note(text: str) -> None:
    """One line on standard error: for people, not part of the result."""
    sys.stdout.flush()  # In the order in which it was said, where both go to one place.
    sys.stderr.write(f"{escape(text)}\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()) -> None:
    """Print rows of text under ``columns``; those named in ``right`` hold numbers. No rows: no output but a note."""
    cells = [[escape(cell) for cell in row] for row in rows]
    if not cells:
        note("none")
        return
    to_the_right = frozenset(right)
    if sys.stdout.isatty():
        _draw(columns, cells, to_the_right)
    else:
        sys.stdout.writelines(f"{text}\n" for text in _plain(columns, cells, to_the_right))


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values below each other; pairs without a value are left out."""
    kept = [(name, escape(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in kept), default=0)
    sys.stdout.writelines(f"{name:<{width}}  {value}\n" for name, value in kept)


def document(value: object) -> None:
    """Print ``value`` as the one JSON document of this run."""
    sys.stdout.write(f"{json_text(value, indent=2)}\n")


def json_text(value: object, *, indent: int | None = None) -> str:
    """``value`` as JSON with sorted keys, in ASCII, so that it is safe on any terminal and stable in any diff."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(jsonable(value), sort_keys=True, indent=indent, separators=separators)


def jsonable(value: object) -> Any:
    """Records, sets and the like as JSON has them; a key of a mapping becomes text, and ``cls`` is ``class``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {"class" if name == "cls" else name: jsonable(each) for name, each in named}
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return str(value)  # Keys of datasets and blocks have one spelling, which the commands take too.
    if isinstance(value, set | frozenset):
        return sorted(jsonable(each) for each in value)
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, PurePath) else value


def time(at_us: int | None) -> str:
    """A moment as ISO 8601 in UTC; "" for none."""
    return "" if at_us is None else show_time(at_us)


def time_exact(at_us: int | None) -> str | None:
    """A moment for JSON, to the microsecond; None for none."""
    if at_us is None:
        return None
    moment = datetime.fromtimestamp(at_us // SECOND_US, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_us % SECOND_US:06d}Z"


def with_moments(value: object) -> Any:
    """``value`` as JSON has it, its moments as ``time_exact`` says them: ``started_us`` becomes ``started``."""
    return _with_moments(jsonable(value))


def _with_moments(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_with_moments(each) for each in plain]
    return dict(_with_moment(*each) for each in plain.items()) if isinstance(plain, dict) else plain


def _with_moment(key: str, plain: Any) -> tuple[str, Any]:
    is_moment = key.endswith("_us") and (plain is None or isinstance(plain, int))
    return (key.removesuffix("_us"), time_exact(plain)) if is_moment else (key, _with_moments(plain))


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str]) -> Iterable[str]:
    widths = [max(len(name), *(len(row[place]) for row in rows)) for place, name in enumerate(columns)]
    for row in (columns, *rows):
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str]) -> None:
    from rich.console import Console

    Console().print(drawn(columns, rows, right=right))


def drawn(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()) -> Table:
    """A table for a terminal, to be printed or shown live; what could move the cursor in it is escaped."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    to_the_right = frozenset(right)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        side: Literal["right", "left"] = "right" if name in to_the_right else "left"
        table.add_column(name, justify=side, overflow="fold", no_wrap=name in to_the_right)
    for row in rows:
        table.add_row(*(Text(escape(cell)) for cell in row))  # As Text: a "[" in a name is no markup.
    return table
