"""The page of figures, ``docs/benchmarks.md``: what one whole run of all benches has measured, how, and on what.

Pure: the record that the run keeps as JSON in, Markdown out. How each bench
measures is its module's docstring, so that the page cannot say anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEAD = """# Benchmarks

What `make bench ARGS=--write-docs` has measured, in one run of all benches, one after the other. Do not edit this page;
run it again. Seconds are those of this machine and that day. What can be compared is the ratio: ours beside a simpler
means that does the same in the same run, the greater the better. A target is what we want of a ratio, a bound what we
want of a figure whatever the other side's is.
"""
COLUMNS = ("what", "ours", "yardstick", "ratio", "target", "")


def page(record: Mapping[str, Any], hows: Mapping[str, str]) -> str:
    """The page of a run; ``hows`` has the docstring of each bench, by name."""
    return "\n".join(_lines(record, hows))


def number(value: float | None) -> str:
    """A ratio, in three digits; "" where there is none."""
    return "" if value is None else f"{value:.3g}"


def _lines(record: Mapping[str, Any], hows: Mapping[str, str]) -> Iterator[str]:
    results: Mapping[str, Sequence[Mapping[str, Any]]] = record["results"]
    rows = [row for each in results.values() for row in each]
    wanted = [row for row in rows if row["wanted"]]
    missed = [row for row in wanted if not row["ok"]]
    yield HEAD
    yield from _table(("", ""), [("date (UTC)", _date(record["at"])), *record["machine"].items()])
    yield f"{len(wanted) - len(missed)} of {len(wanted)} targets are reached." + (" Missed:\n" if missed else "\n")
    if missed:
        yield from (f"- {row['what']}: {number(row['ratio']) or row['figure']}, {row['wanted']}" for row in missed)
        yield ""
    for name, found in results.items():
        yield f"## {name}\n"
        yield f"{record['rows'][name]:,} files unless a row says otherwise. {_markdown(hows[name])}\n"
        yield from _table(COLUMNS, [_cells(row) for row in found])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    verdict = ("reached" if row["ok"] else "**missed**") if row["wanted"] else ""
    return (row["what"], row["figure"], row["yardstick"], number(row["ratio"]), row["wanted"], verdict)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'|'.join('---' for _ in columns)}|"
    yield from (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    yield ""


def _date(stamp: str) -> str:
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}"


def _markdown(docstring: str) -> str:
    """A module's docstring as Markdown, without the paragraphs on how to call it."""
    text = re.sub(r"^  (?=\S|  )", "", docstring.strip().replace("``", "`"), flags=re.MULTILINE)
    paragraphs = [each for each in re.split(r"\n\s*\n", text) if not each.startswith("Run by")]
    return "\n\n".join(paragraphs)
