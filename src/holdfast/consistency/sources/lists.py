"""Lists: what a check has found, as files that other catalogues take.

    missing.lst      a line each: the catalogue's own name of the file
    orphan.lst       a line each: the path at the site
    SITE_20261121    as Rucio's auditor writes it: DARK,path and LOST,path, paths without their first slash;
                     the day is that of the listing
    findings.jsonl   an object a line: class, path, name, size, reason ... of all findings
    report.json      the sums

They are in FOLDER/SITE/RUN, or in the folder ``lists`` beside the findings. ``docs/formats/lists.md`` is normative.

Rules
  * The folder of a run appears whole or not at all; one that is there stays as it is.
  * If more than a stated part of the files is missing, or of what is there are
    orphans, nothing is written, as the auditor does: that is the look of a broken
    listing, or of a dump of something else. Nor if the site shows no file at all.
  * What is of wrong size is neither lost nor dark. It stands in findings.jsonl alone.
  * The auditor's readers cut blanks at the end of a line: a path that ends in one
    would name another file, and is left out there.
  * Memory does not grow with the findings.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from holdfast.consistency.classes import Class
from holdfast.consistency.durable import sync
from holdfast.consistency.findings import Finding, read_table
from holdfast.consistency.sources.registry import Result, Told
from holdfast.model.errors import OperatorError

MISSING, ORPHAN = "missing.lst", "orphan.lst"
FINDINGS, SUMS = "findings.jsonl", "report.json"
_PART = ".part"


class ListsRegistry:
    """Lists in ``folder``, or in ``lists`` beside the findings; withheld if more than ``fraction_max`` is wrong."""

    def __init__(self, folder: Path | None, *, fraction_max: float) -> None:
        self._folder = folder
        self._fraction_max = fraction_max

    def tell(self, result: Result) -> Told:
        """Write the lists of a run."""
        reason = withheld(result.document, self._fraction_max)
        if reason:
            return Told(withheld=reason)
        folder = self._folder
        target = result.findings.parent / "lists" if folder is None else folder / result.site / result.run
        part = target.with_name(f".{target.name}{_PART}")
        try:
            if target.exists():
                return Told(str(target))
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            _write(result, part)
            sync(part)
            part.rename(target)
            sync(target.parent)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise OperatorError(
                f"the lists cannot be written: {error.strerror}", place=str(target), hint="name a writable folder"
            ) from error
        return Told(str(target))


def withheld(document: Mapping[str, Any], fraction_max: float) -> str:
    """Why a result is not to be told: "" if it is."""
    if document[Class.MISSING.value] and not document["actual"]:
        return "the site shows no file at all"
    for cls, whole, what in (
        (Class.MISSING, "expected", "of what is expected"),
        (Class.ORPHAN, "actual", "of what is there"),
    ):
        part = document[cls.value] / max(document[whole], 1)
        if part > fraction_max:
            return f"{cls.value}: {part:.1%} {what}, and more than {fraction_max:.1%} is not believed"
    return ""


def _write(result: Result, folder: Path) -> None:
    day = datetime.fromtimestamp(result.document["listed_from_us"] / 1_000_000, UTC).strftime("%Y%m%d")
    names = (MISSING, ORPHAN, f"{result.site}_{day}", FINDINGS)
    with ExitStack() as files:
        missing, orphan, auditor, all_ = (
            files.enter_context(open(folder / name, "w", encoding="utf-8")) for name in names
        )
        for finding in read_table(result.findings):
            all_.write(json.dumps(_document(finding), ensure_ascii=False) + "\n")
            if finding.cls is Class.MISSING:
                missing.write(f"{finding.lfn or finding.path}\n")
                _tell_auditor(auditor, "LOST", finding.path)
            elif finding.cls is Class.ORPHAN:
                orphan.write(f"{finding.path}\n")
                _tell_auditor(auditor, "DARK", finding.path)
    (folder / SUMS).write_text(json.dumps(result.document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name in (*names, SUMS):
        sync(folder / name)


def _tell_auditor(file: IO[str], label: str, path: str) -> None:
    line = f"{label},{path.removeprefix('/')}"
    if line == line.rstrip():
        file.write(f"{line}\n")


def _document(finding: Finding) -> dict[str, Any]:
    values: dict[str, Any] = {"class": finding.cls.value, "path": finding.path}
    values |= dict(_told(finding))
    return values


def _told(finding: Finding) -> Iterator[tuple[str, Any]]:
    """What else is known of a finding."""
    told = {
        "name": finding.lfn,
        "reason": finding.reason,
        "expected_size": finding.expected_size,
        "actual_size": finding.actual_size,
        "mtime_ns": finding.mtime_ns,
        "n_files": finding.n_files if finding.n_files != 1 else None,
    }
    return ((key, value) for key, value in told.items() if value not in (None, ""))
