"""Report: the sums of one check, in the folder that keeps it (``run_folder.py``).

REPORTS/SITE/RUN/report.json         the sums, for machines
REPORTS/SITE/RUN/findings.parquet    a row a finding (``findings.py``)
REPORTS/SITE/RUN/sightings.parquet   when each was first and last seen (``history/sightings.py``)
REPORTS/SITE/RUN/tree.parquet        how many files and bytes are in each directory (``tree/table.py``)
REPORTS/SITE/RUN/listing/            what the listing says of itself: listing.json,
                                     directories/*.parquet, oddities/*.parquet
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from holdfast.consistency.classes import DIFFERING, TRAITS, UNSEEN, Class
from holdfast.consistency.durable import sync
from holdfast.consistency.findings import read_table
from holdfast.consistency.run_folder import PART

_NESTED = ("counts", "sizes", "held", "lost_subtrees")

REPORT = "report.json"
FINDINGS = "findings.parquet"


@dataclass(frozen=True, slots=True)
class HeldCopy:
    """A request, how many of the files that it is to bring are held, and why (``checking/held.py``)."""

    request: str
    n_files: int
    why: str


@dataclass(frozen=True, slots=True)
class LostSubtree:
    """A directory of which all expected files are missing: how many, and their bytes (``tree/lost_subtrees.py``)."""

    path: str
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Report:
    """The sums of one check. Counts are files, but ``empty_directory`` counts directories, and ``unlisted`` and
    ``suspect`` expected files that were not judged.

    ``expected`` counts what the inventory says is there; what it still awaits
    is not in it, nor what a replica lacks and nobody asks for.
    """

    site: str
    run: str
    started_us: int
    seconds: float
    epoch: str
    position_before: int
    position_after: int
    directories: int
    unlisted_places: int
    expected: int
    expected_size: int
    actual: int
    actual_size: int
    proved: int
    """Files whose checksum was compared and right; 0 if checksums were not asked for."""
    with_checksums: bool
    dry_run: bool = False
    """Nothing was to be asked for or proved because of it. That the site was looked at counts all the same."""
    resumed: int = 0
    """How often the listing was gone on with after it had been interrupted."""
    held: tuple[HeldCopy, ...] = ()
    """Which of the awaited files do not come by themselves, by request: see ``awaited_held``."""
    lost_subtrees: tuple[LostSubtree, ...] = ()
    """The largest directories all of whose expected files are missing."""
    counts: Mapping[Class, int] = field(default_factory=dict)
    sizes: Mapping[Class, int] = field(default_factory=dict)
    folder: str = ""
    door: str = ""
    """The way (``Door.way``) of the first door that it was made through; "" in reports of earlier releases."""

    @property
    def awaited_held(self) -> int:
        """Awaited files that do not come before something changes, or somebody says so."""
        return sum(each.n_files for each in self.held)

    @property
    def agrees(self) -> bool:
        """Whether everything was listed, the site's files are as the inventory says, and none is awaited there.

        A report of an earlier release, which knows nothing of some class, says neither; so it does not agree.
        """
        return all(self.counts.get(cls) == 0 for cls in DIFFERING) and self.unlisted_places == 0

    def to_json(self) -> dict[str, Any]:
        """One flat document: a key per class, and ``sizes`` with the same keys; None where nothing is known."""
        values = {name: getattr(self, name) for name in self.__slots__ if name not in _NESTED}
        values |= {"awaited_held": self.awaited_held, "held": [asdict(each) for each in self.held]}
        values["lost_subtrees"] = [asdict(each) for each in self.lost_subtrees]
        values |= {cls.value: self.counts.get(cls) for cls in Class}
        return values | {"sizes": {cls.value: self.sizes.get(cls) for cls in Class}, "agrees": self.agrees}


@dataclass
class Sums:
    """Files and bytes by class, places that were not listed."""

    counts: dict[Class, int] = field(default_factory=lambda: dict.fromkeys(Class, 0))
    sizes: dict[Class, int] = field(default_factory=lambda: dict.fromkeys(Class, 0))
    places: int = 0


def sums_of(table: Path) -> Sums:
    """The sums over a table of findings."""
    sums = Sums()
    for finding in read_table(table):
        sums.counts[finding.cls] += 1 if TRAITS[finding.cls].is_directory else finding.n_files
        sums.sizes[finding.cls] += finding.size
        sums.places += finding.cls in UNSEEN
    return sums


def write_json(folder: Path, document: Mapping[str, Any]) -> None:
    """Write ``report.json``, whole or not at all, durably."""
    part = folder / f"{REPORT}{PART}"
    part.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    sync(part)
    part.replace(folder / REPORT)
