"""Where a listing and the inventory differ, and where they agree in size: the raw material of a check.

Runs the comparison of listing files on the two tables of a check's folder and
turns its rows into findings that are yet to be judged. All of it is read in
pieces; nothing here holds a site's files in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from holdfast.consistency.checking.proof import Suspect
from holdfast.consistency.classes import Class
from holdfast.consistency.comparing import compare, differences
from holdfast.consistency.comparing.differences import DifferenceClass
from holdfast.consistency.comparing.duckdb_session import EngineLimits, literal, session, work_folder
from holdfast.consistency.expected import ALGORITHMS
from holdfast.consistency.findings import PIECE_ROWS, Finding
from holdfast.consistency.run_folder import DIFFERENCES, EXPECTED, LISTED
from holdfast.model import names
from holdfast.model.names import BlockKey, DatasetKey

_WHOSE = ("lfn", "dataset", "version", "block", "ordinal")
_CARRIED = compare.Carried(expected=_WHOSE, actual=("mtime_ns", "version", "changed_ns"))


def compare_site(folder: Path, limits: EngineLimits) -> None:
    """Compare what is expected with the listing in the folder of a run, and leave the differences beside them."""
    compare.compare_files(folder / EXPECTED, folder / LISTED, folder / DIFFERENCES, limits=limits, carried=_CARRIED)


def read(folder: Path) -> Iterator[Finding]:
    """The differences as findings, in the order of class and path."""
    for batch in differences.batches(folder / DIFFERENCES):
        for row in batch.to_pylist():
            yield _finding(row)


def suspects(folder: Path, limits: EngineLimits) -> Iterator[Suspect]:
    """The files that are there in the right size, with the checksums they should have, by path."""
    query = f"""
        SELECT e.* FROM read_parquet({literal(str(folder / EXPECTED))}) e
        ANTI JOIN read_parquet({literal(str(folder / DIFFERENCES))}) d ON d.dir = e.dir AND d.name = e.name
        ORDER BY e.dir, e.name
    """
    with work_folder(limits) as work, session(limits, work) as connection:
        connection.execute(query)
        columns = [column[0] for column in connection.description or ()]
        while rows := connection.fetchmany(PIECE_ROWS):
            yield from (_suspect(dict(zip(columns, row, strict=True))) for row in rows)


def _finding(row: dict[str, Any]) -> Finding:
    cls, reason = _class_of(DifferenceClass(row["class"]))
    return Finding(
        cls,
        names.join(row["dir"], row["name"]),
        reason,
        lfn=row["expected_lfn"] or "",
        block=_block(row["expected_dataset"], row["expected_version"], row["expected_block"]),
        ordinal=-1 if row["expected_ordinal"] is None else row["expected_ordinal"],
        expected_size=row["expected_size"],
        actual_size=row["actual_size"],
        mtime_ns=row["actual_mtime_ns"],
        version=row["actual_version"] or "",
        changed_ns=row["actual_changed_ns"],
    )


def _class_of(cls: DifferenceClass) -> tuple[Class, str]:
    if cls is DifferenceClass.DUPLICATE_EXPECTED:
        return Class.UNLISTED, "the site's rules give this path to more than one LFN"
    if cls is DifferenceClass.DUPLICATE_ACTUAL:
        return Class.UNLISTED, "the listing names it twice"
    return Class(cls.value), ""


def _suspect(row: dict[str, Any]) -> Suspect:
    finding = Finding(
        Class.CHECKSUM_MISMATCH,
        names.join(row["dir"], row["name"]),
        lfn=row["lfn"],
        block=_block(row["dataset"], row["version"], row["block"]),
        ordinal=row["ordinal"],
        expected_size=row["size"],
        actual_size=row["size"],
    )
    return Suspect(finding, {name: row[name] for name in ALGORITHMS if row[name] is not None})


def _block(dataset: str | None, version: str | None, block: str | None) -> BlockKey | None:
    if dataset is None or block is None:
        return None
    return BlockKey(DatasetKey(dataset, version or ""), block)
