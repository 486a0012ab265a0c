"""Report: the sums of one check, and the folder that keeps it.

    REPORTS/SITE/RUN/report.json         the sums, for machines
    REPORTS/SITE/RUN/findings.parquet    a row a finding (``findings.py``)
    REPORTS/SITE/RUN/directories.parquet, oddities.parquet
                                         what the listing says of itself

Rules
  * A report's folder appears whole or not at all; what a killed run leaves is
    removed by the next check of the site: real folders that are named as a run
    would name them, and nothing else.
  * One check of a site at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.consistency.findings import Class
from holdfast.model.errors import OperatorError

REPORT = "report.json"
FINDINGS = "findings.parquet"
_PART = ".part"
_LEFT_OVER = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*\.part\Z")
"""The name of a run is letters, digits and hyphens."""


@dataclass(frozen=True, slots=True)
class Report:
    """The sums of one check. Counts are files, but ``unlisted`` counts expected files that were not judged.

    ``expected`` counts what the inventory says is there; what it still awaits
    is not in it.
    """

    site: str
    run: str
    started_us: int
    seconds: float
    epoch: str
    position_before: int
    position_after: int
    top_listed: bool
    directories: int
    unlisted_places: int
    expected: int
    expected_size: int
    actual: int
    actual_size: int
    proved: int
    """Files whose checksum was compared and right; 0 if checksums were not asked for."""
    with_checksums: bool
    awaited_unasked: int = 0
    """Those of the awaited files that no open request is to bring."""
    counts: Mapping[Class, int] = field(default_factory=dict)
    sizes: Mapping[Class, int] = field(default_factory=dict)
    folder: str = ""

    @property
    def agrees(self) -> bool:
        """Whether everything was listed, the site is as the inventory says, and nothing is awaited there."""
        differing = sum(self.counts[cls] for cls in Class if cls is not Class.IGNORED)
        return differing == 0 and self.unlisted_places == 0 and self.top_listed

    def to_json(self) -> dict[str, Any]:
        """One flat document: a key per class, and ``bytes`` with the same keys."""
        values = {name: getattr(self, name) for name in self.__slots__ if name not in ("counts", "sizes")}
        values |= {cls.value: self.counts[cls] for cls in Class}
        return values | {"bytes": {cls.value: self.sizes[cls] for cls in Class}, "agrees": self.agrees}


@contextmanager
def work_folder(reports: Path, site: str, run: str) -> Iterator[Path]:
    """A folder for one run of a check, renamed to its final name at the end if all went well."""
    parent = reports / site
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"cannot make the folder of reports: {error.strerror}", place=str(parent)) from error
    if not os.access(parent, os.W_OK):
        raise OperatorError("cannot be written", place=str(parent), hint="is it mounted read-only?")
    with _alone(parent, site):
        _remove_left_over(parent)
        part, final = parent / f"{run}{_PART}", parent / run
        part.mkdir()
        try:
            yield part
            part.rename(final)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _remove_left_over(parent: Path) -> None:
    with os.scandir(parent) as entries:
        found = [Path(each) for each in entries if _LEFT_OVER.match(each.name) and each.is_dir(follow_symlinks=False)]
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(parent: Path, site: str) -> Iterator[None]:
    descriptor = os.open(parent / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "wait for it to end"
            raise OperatorError(f"another check of {site} is running", place=str(parent), hint=hint) from None
        yield
    finally:
        os.close(descriptor)


def write_json(folder: Path, document: Mapping[str, Any]) -> None:
    """Write ``report.json``, whole or not at all."""
    part = folder / f"{REPORT}{_PART}"
    part.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    part.replace(folder / REPORT)
