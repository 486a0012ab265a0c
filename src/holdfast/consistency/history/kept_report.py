"""Kept reports: the sums of a run as text in the room's tables, and read again.

Kept are numbers and short texts, never what grows with the site. What a later
release has added to reports and an earlier one did not write is read as its
default; a text without what every report must have is no report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from holdfast.consistency.classes import Class
from holdfast.consistency.report import REPORT, Report
from holdfast.model.errors import Conflict

_SIZES = "sizes"


def text_of(report: Report) -> str:
    """A report's numbers and short texts, as JSON."""
    told = report.to_json()
    document: dict[str, Any] = {key: told[key] for key in told if isinstance(told[key], bool | int | float | str)}
    document[_SIZES] = {cls.value: size for cls, size in report.sizes.items()}
    return json.dumps(document, sort_keys=True)


def report_of(text: str | bytes) -> Report | None:
    """The report that a text keeps; None if it keeps none."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return _built(document) if isinstance(document, dict) else None


def report_in(folder: Path) -> Report | None:
    """The report in the folder of a run; None if there is none that can be read."""
    try:
        return report_of((folder / REPORT).read_bytes())
    except OSError:
        return None


def require_here(report: Report) -> Path:
    """The folder of a report; Conflict if that is not on this machine, or is that of another run by now."""
    folder = Path(report.folder)
    found = report_in(folder)
    if found is None or (found.site, found.run) != (report.site, report.run):
        message = f"the report of {report.run}, the last check of {report.site}, is not on this machine"
        hint = f"run `holdfast check {report.site}` here, or this where the report is"
        raise Conflict(message, place=str(folder), rows=(report.site,), hint=hint)
    return folder


def _built(document: Mapping[str, Any]) -> Report | None:
    sizes = document.get(_SIZES)
    values: dict[str, Any] = {}
    for each in fields(Report):
        kept = document.get(each.name)
        if isinstance(kept, bool | int | float | str):
            values[each.name] = kept
        elif each.default is MISSING and each.default_factory is MISSING:
            return None
    if not isinstance(sizes, dict):
        return None
    # A class that is not there is not known to be without findings: whoever needs it has to see that.
    values["counts"] = {cls: document[cls.value] for cls in Class if isinstance(document.get(cls.value), int)}
    values["sizes"] = {cls: sizes[cls.value] for cls in Class if isinstance(sizes.get(cls.value), int)}
    return Report(**values)
