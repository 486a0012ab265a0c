"""Lists: all findings of each class as a file of lines beside a page, for programs and for looking something up.

A list has tabs between its columns and their names in its first line. What
cannot be printed is spelled out (``\\t``, ``\\n``), so a line is a finding; in
paths backslashes are doubled, so that no two look alike. Places that a listing
could not see into are spelled as the findings have them.

Rules
  * A list appears whole or not at all. One that is there is kept: the findings of a run that is done do not change.
  * What is written goes through memory in pieces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from holdfast.consistency.classes import UNSEEN, Class
from holdfast.consistency.comparing.duckdb_session import reason as reason_of
from holdfast.consistency.durable import sync
from holdfast.consistency.findings import PIECE_ROWS
from holdfast.consistency.pages.markup import shown_text
from holdfast.consistency.pages.model import ListShown
from holdfast.model import names
from holdfast.model.errors import OperatorError
from holdfast.storage.listing.tables import show_raw

PART = ".part"
COLUMNS = ("path", "expected_size", "actual_size", "mtime_ns", "files", "lfn", "block", "reason")
"""The columns of a list; what is not known is empty."""


def shown_path(path: str) -> str:
    """A path as one line that can be printed, no two alike."""
    if path.isprintable() and "\\" not in path:
        return path
    return show_raw(path.encode(errors="surrogateescape"))


def write_lists(table: Path, folder: Path) -> tuple[ListShown, ...]:
    """Write a list for each class that has findings in ``table``; returns them all.

    OperatorError if the table cannot be read; OSError if the lists cannot be written.
    """
    counts: dict[str, int] = {}
    for batch in _batches(table, ["class"]):
        for value, count in Counter(batch.column(0).to_pylist()).items():
            counts[str(value)] = counts.get(str(value), 0) + count
    classes = [cls for cls in Class if cls in counts]
    lacking = [cls for cls in classes if not (folder / _name(cls)).is_file()]
    if lacking:
        _write(table, folder, lacking)
    return tuple(ListShown(cls, _name(cls), counts[cls], (folder / _name(cls)).stat().st_size) for cls in classes)


def _name(cls: Class) -> str:
    return f"{cls.value}.tsv"


def _write(table: Path, folder: Path, classes: Sequence[Class]) -> None:
    parts = {cls: folder / f".{_name(cls)}{PART}" for cls in classes}
    try:
        with ExitStack() as opened:
            files = {cls: opened.enter_context(part.open("w", encoding="utf-8")) for cls, part in parts.items()}
            for file in files.values():
                file.write("\t".join(COLUMNS) + "\n")
            for batch in _batches(table):
                for cls in classes:
                    rows = batch.filter(pc.equal(batch.column("class"), pa.scalar(cls.value))).to_pydict()
                    files[cls].writelines(_lines(rows, shown_text if cls in UNSEEN else shown_path))
        for cls, part in parts.items():
            sync(part)
            part.replace(folder / _name(cls))
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _batches(table: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(table) as findings:
            yield from findings.iter_batches(PIECE_ROWS, columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        raise OperatorError(f"the findings cannot be read: {reason_of(error)}", place=str(table)) from error


def _lines(rows: dict[str, list[Any]], show: Callable[[str], str]) -> Iterator[str]:
    paths = map(names.join, rows["dir"], rows["name"])
    blocks = map(_block, rows["dataset"], rows["dataset_version"], rows["block"])
    numbers = (rows[name] for name in ("expected_size", "actual_size", "mtime_ns", "n_files"))
    for path, *known, lfn, block, reason in zip(paths, *numbers, rows["lfn"], blocks, rows["reason"], strict=True):
        cells = ["" if value is None else str(value) for value in known]
        yield "\t".join((show(path), *cells, shown_path(lfn), shown_path(block), shown_text(reason))) + "\n"


def _block(dataset: str | None, version: str | None, block: str | None) -> str:
    if dataset is None or block is None:
        return ""
    return str(names.BlockKey(names.DatasetKey(dataset, version or ""), block))
