"""Run folder: where one check of a site works, and what an interrupted one has left to go on with.

    REPORTS/SITE/RUN.part/    while it works
        run.json              the beginning: from here on the run can be gone on with
        expected.parquet      what the inventory expected then
        listing/              the listing as far as it is (``holdfast.storage.listing``)
    REPORTS/SITE/RUN/         the report, when it is whole; what only the run needed goes then

Rules
  * A report's folder appears whole or not at all.
  * A run that was broken off before its listing was complete, or at any moment
    by a kill, a cancellation, the operator's disk or a far side, is gone on with
    by the next check of the site, under its own name, if ``usable`` says so; else
    it is removed, as is whatever else a killed run has left: real folders that
    are named as a run would name them, nothing else. Another error after the
    listing would come again whenever the run is gone on with: that one goes.
  * Until the report has its name, all that the run is gone on with by is there.
  * One check of a site at a time; Conflict names the process that is at it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from holdfast.consistency import resumable
from holdfast.consistency.durable import sync
from holdfast.consistency.expected import Expected
from holdfast.inventory.store import Head
from holdfast.model import steps
from holdfast.model.clock import show_time
from holdfast.storage.listing.summary import LISTING, folder_of
from holdfast.storage.listing.tables import DIRECTORIES, ENTRIES

RUN = "run.json"
LISTED = "listing"
"""The folder of the listing within that of the run."""
PART = ".part"
EXPECTED = "expected.parquet"
DIFFERENCES = "differences.parquet"
_FINISHED = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*\Z")
_LEFT_OVER = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*\.part\Z")
"""The name of a run is letters, digits and hyphens."""


def run_name(now_us: int, id: str) -> str:
    """The name of a run that begins now, by a new identifier; names are in the order of their moments."""
    return f"{show_time(now_us).replace(':', '')}-{id[:6]}"


@dataclass(frozen=True, slots=True)
class Begun:
    """How a run began: with what record of the site, when, and what was expected then.

    ``site`` is any text that differs if the record does.
    """

    site: str
    started_us: int
    expected: Expected


@dataclass
class RunFolder:
    """The folder of one run, and how it began, if it did so earlier."""

    path: Path
    run: str
    begun: Begun | None

    @property
    def listing(self) -> Path:
        """Where its listing is."""
        return self.path / LISTED

    def begin(self, begun: Begun) -> None:
        """Note how the run began; what belongs to that is in the folder."""
        self.begun = begun
        resumable.note(asdict(begun), self.path / RUN)


@contextmanager
def run_folder(reports: Path, site: str, run: str, *, usable: Callable[[RunFolder], bool]) -> Iterator[RunFolder]:
    """The folder of a run of the name ``run``, or of one to go on with; it gets its final name if all goes well."""
    parent = reports / site
    with resumable.held(parent, busy=f"another check of {site} is running"):
        _tidy_finished(parent)
        folder = _left_over(parent, usable) or _new(parent, run)
        try:
            yield folder
            sync(folder.path)
            folder.path.rename(parent / folder.run)
        except BaseException as error:
            if not _is_worth_keeping(folder, error):
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
        sync(parent)
        steps.reach("check.renamed")
        _tidy(parent / folder.run)


def previous_directories(reports: Path, run: str) -> list[Path]:
    """The parts of the directories' table of the last complete report of a site before ``run``; none if there is none.

    ``reports`` is the site's own folder.
    """
    runs = sorted(
        (path for path in reports.iterdir() if path.name != run and not path.name.startswith(".")), reverse=True
    )
    for path in runs:
        parts = sorted((path / LISTED / folder_of(DIRECTORIES)).glob("*.parquet"))
        if parts and path.suffix != PART:
            return parts
    return []


def _is_worth_keeping(folder: RunFolder, error: BaseException) -> bool:
    if folder.begun is None or not folder.path.exists():
        return False
    return resumable.may_pass(error) or not (folder.listing / LISTING).exists()


def _tidy_finished(parent: Path) -> None:
    """Tidy the reports of runs that were killed before they could."""
    for path in parent.glob(f"*/{RUN}"):
        if _FINISHED.match(path.parent.name) and not path.parent.is_symlink():
            _tidy(path.parent)


def _tidy(report: Path) -> None:
    """Remove from a finished report what only the run needed; its beginning last, by which one sees that it is done."""
    shutil.rmtree(report / LISTED / folder_of(ENTRIES), ignore_errors=True)
    for name in (EXPECTED, DIFFERENCES, RUN):
        (report / name).unlink(missing_ok=True)


def _new(parent: Path, run: str) -> RunFolder:
    folder = RunFolder(parent / f"{run}{PART}", run, None)
    folder.path.mkdir()
    return folder


def _left_over(parent: Path, usable: Callable[[RunFolder], bool]) -> RunFolder | None:
    """The newest run that can be gone on with; the others are removed."""
    with os.scandir(parent) as entries:
        found = [Path(each) for each in entries if _LEFT_OVER.match(each.name) and each.is_dir(follow_symlinks=False)]
    kept: RunFolder | None = None
    for path in sorted(found, reverse=True):
        begun = _read(path / RUN) if kept is None else None
        left = RunFolder(path, path.name.removesuffix(PART), begun)
        if begun is not None and usable(left):
            kept = left
        else:
            shutil.rmtree(path, ignore_errors=True)
    return kept


def _read(path: Path) -> Begun | None:
    try:
        document = json.loads(path.read_bytes())
        expected = document["expected"]
        head = Head(**expected["head"])
        whole = Expected(head, expected["files"], expected["size"], tuple(expected["without_path"]))
        return Begun(str(document["site"]), int(document["started_us"]), whole)
    except (OSError, ValueError, KeyError, TypeError):
        return None
