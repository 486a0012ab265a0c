"""Page: the figures of one trial as ``docs/trial.md`` has them. Pure: a document in, Markdown out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trial.asked import COLUMNS

_BEGINNING = """# The trial{title}

<!-- Written by `python -m trial --write-docs`; run it again rather than change it here. -->

One day of an inventory on real servers, with everything that goes wrong.{small}
{files:,} files in {datasets:,} datasets and {blocks:,} blocks at {sites} sites. Two XRootD servers and a
WebDAV server (rclone) are real, with sparse files; two sites are in memory, of the others dumps tell. The inventory
is in PostgreSQL, with two servers that follow its journal. `make trial` repeats it; what is done is in `trial/`.

Measured on {date}: {cores} cores, {memory_gb} GB of memory, {system} {kernel}, Python {python},
PostgreSQL {postgresql}, XRootD {xrootd}, rclone {rclone}. All servers, workers and commands share these cores. In all
{total_s:,.0f} s.{remark}
"""
_SMALL = " **A small one**, for a look at it: the figures\nof the whole are those at scale 1."


def page(document: Mapping[str, Any]) -> str:
    """The page of a trial that has come to its end."""
    is_small = document["scale"] < 1
    title, small = (f", at scale {document['scale']:g}", _SMALL) if is_small else ("", "")
    head = {**document["machine"], **document["amounts"], "title": title, "small": small}
    head["remark"] = f" {document['remark']}" if document.get("remark") else ""
    parts = [_BEGINNING.format(total_s=document["total_s"], **head)]
    parts += ["## Verdict\n", *_verdict(document), ""]
    parts += ["## Damage\n", *_table(("class", "how often"), document["damage"].items()), ""]
    requests = [(name, *numbers) for name, numbers in document["requests"].items()]
    parts += ["## Requests\n", *_table(("asked for", *COLUMNS), requests), ""]
    parts += ["## Stages\n", *_table(("stage", "time", "figures"), _stages(document["stages"])), ""]
    parts += ["## Memory\n", "The greatest resident memory of a single process, in MB.\n"]
    parts += [*_table(("process", "MB"), document["peaks_mb"].items()), ""]
    return "\n".join(parts)


def _verdict(document: Mapping[str, Any]) -> Iterator[str]:
    problems = document["problems"]
    if problems:
        yield f"{len(problems):,} things are not as they should be:\n"
        yield from (f"- {problem}" for problem in problems)
        return
    yield (
        "`holdfast verify` is clean, both servers say what the tables say, every damage was named as what it is and\n"
        "repaired where there is anything to repair it by, and each real site holds, byte for byte, what by the\n"
        "trial's own book it was to hold: nothing went that was not asked to go, and in the quarantines lie the old\n"
        "orphans alone."
    )


def _stages(stages: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for name, figures in stages.items():
        others = (f"{_words(key)} {_number(value)}" for key, value in figures.items() if key != "seconds")
        yield name, f"{figures.get('seconds', 0):,.1f} s", ", ".join(others)


def _words(key: str) -> str:
    for unit in ("per_s", "ms", "mb", "s"):
        if key.endswith(f"_{unit}"):
            return (
                f"{key.removesuffix(f'_{unit}').replace('_', ' ')} ({unit.replace('per_s', '1/s').replace('mb', 'MB')})"
            )
    return key.replace("_", " ")


def _number(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _table(head: tuple[str, ...], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(_number(cell) if not isinstance(cell, str) else cell for cell in row)} |"
