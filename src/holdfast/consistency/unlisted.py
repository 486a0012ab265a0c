"""Unlisted: the parts of a site that a listing could not see into.

A directory that failed or was skipped, and a name that is neither a file nor a
directory, hide whatever may be below them. Files below are not judged: neither
missing nor orphan. Names that no text can hold, or no line can show, are told
as the listing shows them. Pure but for reading the listing's tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from holdfast.consistency.findings import Class, Finding
from holdfast.model import names
from holdfast.storage.listing.tables import DIRECTORIES, ODDITIES, Odd, State, show_raw


@dataclass
class Unlisted:
    """Hidden places with the reason for each, and how many expected files each hides."""

    reasons: dict[str, str]
    odd_names: dict[str, str] = field(default_factory=dict)
    """Names at the site that cannot be ours, as people see them, and why."""
    hidden: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def read(folder: Path) -> Unlisted:
        """The hidden places of the listing in ``folder``."""
        unlisted = Unlisted({})
        for row in _rows(folder / DIRECTORIES, ["dir", "state", "reason"]):
            if row["state"] != State.LISTED:
                unlisted.reasons[str(row["dir"])] = f"{row['state']}: {row['reason']}"
        for row in _rows(folder / ODDITIES, ["dir", "shown", "raw", "kind", "reason"]):
            name = None if row["kind"] == Odd.UNNAMEABLE else _text(row["raw"])
            if name is None:
                unlisted.odd_names[names.join(str(row["dir"]), str(row["shown"]))] = str(row["reason"])
            else:
                # What the listing named twice, or a link: it may hide a file or a whole tree of this name.
                unlisted.reasons[names.join(str(row["dir"]), name)] = str(row["reason"])
        return unlisted

    def hiding(self, path: str) -> str | None:
        """The hidden place at or above ``path``, or None if it lies open."""
        if not self.reasons:
            return None
        while True:
            if path in self.reasons:
                return path
            if path == "/":
                return None
            path = names.split(path)[0]

    def hide(self, place: str) -> None:
        """Count one more expected file that ``place`` hides."""
        self.hidden[place] = self.hidden.get(place, 0) + 1

    def findings(self) -> Iterator[Finding]:
        """One finding for each hidden place and for each name that cannot be ours."""
        for place, reason in sorted(self.reasons.items()):
            shown = place if place.isprintable() else show_raw(place.encode())
            yield Finding(Class.UNLISTED, shown, reason, n_files=self.hidden.get(place, 0))
        for shown, reason in sorted(self.odd_names.items()):
            yield Finding(Class.UNLISTED, shown, f"cannot be named: {reason}", n_files=0)


def _text(raw: object) -> str | None:
    """The name that ``raw`` spells; None if it spells none."""
    try:
        return raw.decode() if isinstance(raw, bytes) else None
    except UnicodeDecodeError:
        return None


def _rows(table: Path, columns: list[str]) -> Iterator[dict[str, object]]:
    with pq.ParquetFile(table) as source:
        for batch in source.iter_batches(columns=columns):
            yield from batch.to_pylist()
