"""Findings: what a check found, one row a file, and the table they are kept in.

The table is written and read in pieces, so its size does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.consistency.classes import Class
from holdfast.consistency.durable import sync
from holdfast.model import names
from holdfast.model.errors import OperatorError
from holdfast.model.names import BlockKey, DatasetKey

PIECE_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One file (or directory) and what is the matter with it. Paths are below the site's first door."""

    cls: Class
    path: str
    reason: str = ""
    lfn: str = ""
    block: BlockKey | None = None
    ordinal: int = -1
    expected_size: int | None = None
    actual_size: int | None = None
    mtime_ns: int | None = None
    version: str = ""
    changed_ns: int | None = None
    """When anything about what is there last changed, its name included; None where the storage does not say."""
    n_files: int = 1
    """Expected files it stands for: those below a directory that was not listed."""

    @property
    def size(self) -> int:
        """The bytes at stake: those that should be there, else those that are."""
        return self.expected_size if self.expected_size is not None else self.actual_size or 0

    @property
    def since_ns(self) -> int | None:
        """Since when it is there under this name, at the earliest: what was moved in keeps its old mtime."""
        return max((at_ns for at_ns in (self.mtime_ns, self.changed_ns) if at_ns is not None), default=None)


_FIELDS: list[pa.Field[Any]] = [
    pa.field("class", pa.string(), nullable=False),
    pa.field("dir", pa.string(), nullable=False),
    pa.field("name", pa.string(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
    pa.field("lfn", pa.string(), nullable=False),
    pa.field("dataset", pa.string()),
    pa.field("dataset_version", pa.string()),
    pa.field("block", pa.string()),
    pa.field("ordinal", pa.int32(), nullable=False),
    pa.field("expected_size", pa.int64()),
    pa.field("actual_size", pa.int64()),
    pa.field("mtime_ns", pa.int64()),
    pa.field("version", pa.string(), nullable=False),
    pa.field("changed_ns", pa.int64()),
    pa.field("n_files", pa.int64(), nullable=False),
]
SCHEMA = pa.schema(_FIELDS)


def write_table(findings: Iterable[Finding], target: Path) -> None:
    """Write findings in the order given, durably."""
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for piece in pieces(findings):
            writer.write_table(pa.Table.from_pylist([_row(finding) for finding in piece], schema=SCHEMA))
    sync(target)


def read_table(source: Path, classes: Sequence[Class] = tuple(Class)) -> Iterator[Finding]:
    """The findings of ``classes``, in the order they were written; OperatorError if they cannot be read."""
    try:
        with pq.ParquetFile(source) as table:
            for batch in table.iter_batches(PIECE_ROWS):
                for row in batch.to_pylist():
                    if row["class"] in classes:
                        yield _finding(row)
    except (OSError, pa.ArrowException) as error:
        hint = "bring the report back, or move its folder away and check the site again"
        raise OperatorError("the findings cannot be read", place=str(source), hint=hint) from error


def pieces(findings: Iterable[Finding], size: int = PIECE_ROWS) -> Iterator[list[Finding]]:
    """The same findings in lists of at most ``size``."""
    piece: list[Finding] = []
    for finding in findings:
        piece.append(finding)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece


def _row(finding: Finding) -> dict[str, object]:
    dir, name = names.split(finding.path)
    block = finding.block
    return {
        "class": finding.cls.value,
        "dir": dir,
        "name": name,
        # It may quote what a far side said, in whatever bytes; the table holds UTF-8.
        "reason": finding.reason.encode(errors="backslashreplace").decode(),
        "lfn": finding.lfn,
        "dataset": block.dataset.name if block else None,
        "dataset_version": block.dataset.version if block else None,
        "block": block.block if block else None,
        "ordinal": finding.ordinal,
        "expected_size": finding.expected_size,
        "actual_size": finding.actual_size,
        "mtime_ns": finding.mtime_ns,
        "version": finding.version,
        "changed_ns": finding.changed_ns,
        "n_files": finding.n_files,
    }


def _finding(row: dict[str, object]) -> Finding:
    values = dict(row)
    dataset, version, block = (values.pop(name) for name in ("dataset", "dataset_version", "block"))
    path = names.join(str(values.pop("dir")), str(values.pop("name")))
    key = None if dataset is None else BlockKey(DatasetKey(str(dataset), str(version)), str(block))
    return Finding(cls=Class(values.pop("class")), path=path, block=key, **values)  # type: ignore[arg-type]
