"""Run files: what one run found, read from its folder for its page.

    report.json         what was asked for and is unrecoverable, lost subtrees, where the report tells them
    findings.parquet    places, empty directories, and where the files of each class lie
    tree.parquet        usage

Rules
  * A folder of which a part is gone or cannot be read gives what the others tell, with the trouble; never an error.
  * Memory does not grow with the findings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from holdfast.consistency.classes import UNSEEN, Class
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.pages import branches
from holdfast.consistency.pages.branches import DirectorySum
from holdfast.consistency.pages.lists import shown_path
from holdfast.consistency.pages.model import (
    NOTHING,
    PICTURED,
    Amount,
    Below,
    Branch,
    DatasetShown,
    PlaceShown,
    RunDetail,
    RunShown,
)
from holdfast.consistency.report import FINDINGS, REPORT
from holdfast.consistency.tree.columns import ORDER, Columns, columns
from holdfast.consistency.tree.table import TREE
from holdfast.consistency.tree.usage import storage_json, usage
from holdfast.model import names
from holdfast.model.errors import HoldfastError

SHOWN_MAX = 100
"""So many places, datasets and directories are shown of each kind."""
USAGE_DEPTH = 2
LOST = "lost_subtrees"
"""The key of the report under which lost subtrees are, each with ``path``, ``files`` and ``size``."""

Result = TypeVar("Result")


def run_detail(run: RunShown, folder: Path, limits: EngineLimits) -> RunDetail:
    """What the run in ``folder`` found."""
    troubles: list[str] = []

    def read(what: Callable[[], Result], otherwise: Result) -> Result:
        try:
            return what()
        except HoldfastError as error:
            troubles.append(str(error))
            return otherwise

    nothing: tuple[Any, ...] = ((), 0)
    document = _document(folder)
    lost, unrecoverable = _lost(document), _unrecoverable(document)
    trees: dict[Class, Branch] = read(lambda: _trees(folder / FINDINGS, limits), {})
    places, n_places = read(lambda: _places(folder / FINDINGS, limits), nothing)
    empty, n_empty = read(lambda: _empty(folder / FINDINGS, limits), nothing)
    used, n_used = read(lambda: _usage(folder / TREE, limits), nothing)
    return RunDetail(
        run,
        trees=trees,
        places=places,
        n_places=n_places,
        lost=tuple(lost[:SHOWN_MAX]),
        n_lost=len(lost),
        unrecoverable=tuple(unrecoverable[:SHOWN_MAX]),
        n_unrecoverable=len(unrecoverable),
        empty=empty,
        n_empty=n_empty,
        usage=used,
        n_usage=n_used,
        trouble="; ".join(dict.fromkeys(troubles)),
    )


# ---- findings -------------------------------------------------------------------


def _trees(table: Path, limits: EngineLimits) -> dict[Class, Branch]:
    with columns(limits, table) as found:
        sums = f"count(*)::BIGINT, sum(coalesce(expected_size, actual_size, 0))::HUGEINT FROM {_table(found, table)}"
        query = f"SELECT class, {sums} GROUP BY class"
        everything = {Class(cls): Amount(files, size) for cls, files, size in found.rows(query)}
        return {
            cls: branches.tree(_by_directory(found, sums, cls), everything[cls])
            for cls in PICTURED
            if cls in everything
        }


def _by_directory(found: Columns, sums: str, cls: Class) -> Iterator[DirectorySum]:
    query = f"SELECT dir, {sums} WHERE class = '{cls.value}' GROUP BY dir ORDER BY {ORDER}"
    for dir, files, size in found.rows(query):
        yield DirectorySum(shown_path(dir), files, size)


def _places(table: Path, limits: EngineLimits) -> tuple[tuple[PlaceShown, ...], int]:
    classes = ", ".join(f"'{cls.value}'" for cls in UNSEEN)
    with columns(limits, table) as found:
        these = f"FROM {_table(found, table)} WHERE class IN ({classes})"
        n_places = found.count(f"(SELECT 1 {these})")
        query = f"SELECT dir, name, reason, n_files {these} ORDER BY n_files DESC, {ORDER}, name LIMIT {SHOWN_MAX}"
        shown = [PlaceShown(names.join(dir, name), reason, files) for dir, name, reason, files in found.rows(query)]
        return tuple(shown), n_places


def _empty(table: Path, limits: EngineLimits) -> tuple[tuple[str, ...], int]:
    with columns(limits, table) as found:
        these = f"FROM {_table(found, table)} WHERE class = '{Class.EMPTY_DIRECTORY.value}'"
        n_empty = found.count(f"(SELECT 1 {these})")
        query = f"SELECT dir, name {these} ORDER BY {ORDER}, name LIMIT {SHOWN_MAX}"
        return tuple(shown_path(names.join(dir, name)) for dir, name in found.rows(query)), n_empty


def _table(found: Columns, table: Path) -> str:
    return found.table(FINDINGS, [table])


# ---- usage ----------------------------------------------------------------------


def _usage(table: Path, limits: EngineLimits) -> tuple[tuple[Below, ...], int]:
    """The largest directories near the top, in the order of the tree; none for a run that did not note it."""
    if not table.exists():
        return (), 0
    used = usage(table, limits, depth=USAGE_DEPTH)
    largest = {each.path for each in sorted(used, key=lambda each: (-each.size, -each.files, each.path))[:SHOWN_MAX]}
    kept = [each for each in used if each.path in largest]
    return tuple(Below(shown_path(each.path), Amount(each.files, each.size), each.directories) for each in kept), len(
        used
    )


def storage_text(run: RunShown, site: str, folder: Path, limits: EngineLimits) -> str:
    """The usage of the run in ``folder`` for programs, as WLCG has it; "" for a run that did not note it.

    OperatorError if it cannot be read.
    """
    if not (folder / TREE).exists():
        return ""
    document = storage_json(site, usage(folder / TREE, limits, depth=USAGE_DEPTH), run.started_us)
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


# ---- the report -----------------------------------------------------------------


def _document(folder: Path) -> Mapping[str, Any]:
    try:
        document = json.loads((folder / REPORT).read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _lost(document: Mapping[str, Any]) -> list[Below]:
    return [
        Below(shown_path(str(each["path"])), Amount(_count(each, "files"), _count(each, "size")))
        for each in _rows(document.get(LOST))
        if "path" in each
    ]


def _unrecoverable(document: Mapping[str, Any]) -> list[DatasetShown]:
    repair: Any = document.get("repair")
    asked: Any = repair.get("asked") if isinstance(repair, dict) else None
    found: dict[str, Amount] = {}
    for each in _rows(asked.get("unrecoverable") if isinstance(asked, dict) else None):
        dataset = _dataset(str(each.get("block") or ""))
        amount = Amount(1, _count(each, "expected_size") or _count(each, "actual_size"))
        found[dataset] = found.get(dataset, NOTHING) + amount
    shown = [DatasetShown(dataset, amount) for dataset, amount in found.items()]
    return sorted(shown, key=lambda each: (-each.amount.size, -each.amount.files, each.dataset))


def _dataset(block: str) -> str:
    try:
        return str(names.block_key(block).dataset)
    except HoldfastError:
        return block


def _rows(found: object) -> Sequence[Mapping[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _count(row: Mapping[str, Any], key: str) -> int:
    value = row.get(key)
    return value if isinstance(value, int) else 0
