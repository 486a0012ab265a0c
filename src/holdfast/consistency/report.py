"""Report: the sums of one check, in the folder that keeps it (``run_folder.py``).

REPORTS/SITE/RUN/report.json         the sums, for machines
REPORTS/SITE/RUN/findings.parquet    a row a finding (``findings.py``)
REPORTS/SITE/RUN/listing/            what the listing says of itself: listing.json,
                                     directories/*.parquet, oddities/*.parquet
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.consistency.durable import sync
from holdfast.consistency.findings import Class
from holdfast.consistency.run_folder import PART

REPORT = "report.json"
FINDINGS = "findings.parquet"


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
    resumed: int = 0
    """How often the listing was gone on with after it had been interrupted."""
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


def write_json(folder: Path, document: Mapping[str, Any]) -> None:
    """Write ``report.json``, whole or not at all, durably."""
    part = folder / f"{REPORT}{PART}"
    part.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    sync(part)
    part.replace(folder / REPORT)
