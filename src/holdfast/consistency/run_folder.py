"""Run folder: where one check of a site works, and what an interrupted one has left to go on with.

    REPORTS/SITE/RUN.part/    while it works
        run.json              the beginning: from here on the run can be gone on with
        expected.parquet      what the inventory expected then
        listing/              the listing as far as it is (``holdfast.storage.listing``)
    REPORTS/SITE/RUN/         the report, when it is whole

Rules
  * A report's folder appears whole or not at all.
  * A run that was broken off before its listing was complete, or killed at any
    moment, is gone on with by the next check of the site, under its own name, if
    ``usable`` says so; else it is removed, as is whatever else a killed run has
    left: real folders that are named as a run would name them, nothing else.
  * One check of a site at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from holdfast.consistency.expected import Expected
from holdfast.inventory.store import Head
from holdfast.model.errors import OperatorError
from holdfast.storage.listing.summary import LISTING, folder_of
from holdfast.storage.listing.tables import DIRECTORIES

RUN = "run.json"
LISTED = "listing"
"""The folder of the listing within that of the run."""
PART = ".part"
_LEFT_OVER = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*\.part\Z")
"""The name of a run is letters, digits and hyphens."""


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
        part = self.path / f"{RUN}{PART}"
        with open(part, "w", encoding="utf-8") as file:
            json.dump(asdict(begun), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path / RUN)


@contextmanager
def run_folder(reports: Path, site: str, run: str, *, usable: Callable[[Begun], bool]) -> Iterator[RunFolder]:
    """The folder of a run of the name ``run``, or of one to go on with; it gets its final name if all goes well."""
    parent = reports / site
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"cannot make the folder of reports: {error.strerror}", place=str(parent)) from error
    if not os.access(parent, os.W_OK):
        raise OperatorError("cannot be written", place=str(parent), hint="is it mounted read-only?")
    with _alone(parent, site):
        folder = _left_over(parent, usable) or _new(parent, run)
        try:
            yield folder
            folder.path.rename(parent / folder.run)
        finally:
            # Killed, it stays in any case; an error after the listing would come again whenever it is gone on with.
            if folder.begun is None or (folder.listing / LISTING).exists():
                shutil.rmtree(folder.path, ignore_errors=True)


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


def _new(parent: Path, run: str) -> RunFolder:
    folder = RunFolder(parent / f"{run}{PART}", run, None)
    folder.path.mkdir()
    return folder


def _left_over(parent: Path, usable: Callable[[Begun], bool]) -> RunFolder | None:
    """The newest run that can be gone on with; the others are removed."""
    with os.scandir(parent) as entries:
        found = [Path(each) for each in entries if _LEFT_OVER.match(each.name) and each.is_dir(follow_symlinks=False)]
    kept: RunFolder | None = None
    for path in sorted(found, reverse=True):
        begun = _read(path / RUN) if kept is None else None
        if begun is not None and usable(begun):
            kept = RunFolder(path, path.name.removesuffix(PART), begun)
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
