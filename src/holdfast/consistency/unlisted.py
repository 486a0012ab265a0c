"""Unlisted: the parts of a site that a listing could not see into.

A directory that failed or was skipped, and a name that is neither a file nor a
directory, hide whatever may be below them. Files below are not judged: neither
missing nor orphan. A directory that is doubted hides only what was not seen in
it: a directory that it showed, and that was listed itself, lies open; what it hides is ``suspect``. Names that
no text can hold, or no line can show, are told as the listing shows them. Pure
but for reading the listing's tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.model import names
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.tables import DIRECTORIES, ODDITIES, DirectoryState, Odd, show_raw


@dataclass
class Unlisted:
    """Hidden places with the reason for each, and how many expected files each hides."""

    reasons: dict[str, str]
    odd_names: dict[str, str] = field(default_factory=dict)
    """Names at the site that cannot be ours, as people see them, and why."""
    hidden: dict[str, int] = field(default_factory=dict)
    doubted: set[str] = field(default_factory=set)
    """Those of the hidden places that were listed, but not believed."""
    shown: set[str] = field(default_factory=set)
    """Directories that were listed, and that a doubted one had shown."""

    @staticmethod
    def read(listing: Listing) -> Unlisted:
        """The hidden places of a listing."""
        unlisted = Unlisted({})
        for row in _rows(listing, DIRECTORIES, ["dir", "state", "reason"]):
            if row["state"] != DirectoryState.LISTED:
                unlisted.reasons[str(row["dir"])] = f"{row['state']}: {row['reason']}"
            if row["state"] == DirectoryState.DOUBTED:
                unlisted.doubted.add(str(row["dir"]))
        unlisted._see_below_doubted(listing)
        for row in _rows(listing, ODDITIES, ["dir", "shown", "raw", "kind", "reason"]):
            name = None if row["kind"] == Odd.UNNAMEABLE else _text(row["raw"])
            if name is None:
                unlisted.odd_names[names.join(str(row["dir"]), str(row["shown"]))] = str(row["reason"])
            else:
                # What the listing named twice, or a link: it may hide a file or a whole tree of this name.
                unlisted.reasons[names.join(str(row["dir"]), name)] = str(row["reason"])
        return unlisted

    def _see_below_doubted(self, listing: Listing) -> None:
        """A second look at the table, and only if need be: all listed directories are more than memory may hold."""
        if self.doubted:
            for row in _rows(listing, DIRECTORIES, ["dir", "state"]):
                dir = str(row["dir"])
                if row["state"] == DirectoryState.LISTED and dir != "/" and names.split(dir)[0] in self.doubted:
                    self.shown.add(dir)

    def hiding(self, path: str, *, seen: bool = False) -> str | None:
        """The hidden place at or above ``path``, or None if it lies open; what was ``seen``, no doubt hides."""
        if not self.reasons:
            return None
        while True:
            if path in self.reasons and not (seen and path in self.doubted):
                return path
            if path == "/" or path in self.shown:
                return None
            path = names.split(path)[0]

    def hide(self, place: str) -> None:
        """Count one more expected file that ``place`` hides."""
        self.hidden[place] = self.hidden.get(place, 0) + 1

    def findings(self) -> Iterator[Finding]:
        """One finding for each hidden place and for each name that cannot be ours."""
        for place, reason in sorted(self.reasons.items()):
            shown = place if place.isprintable() else show_raw(place.encode())
            cls = Class.SUSPECT if place in self.doubted else Class.UNLISTED
            yield Finding(cls, shown, reason, n_files=self.hidden.get(place, 0))
        for shown, reason in sorted(self.odd_names.items()):
            yield Finding(Class.UNLISTED, shown, f"cannot be named: {reason}", n_files=0)


def _text(raw: object) -> str | None:
    """The name that ``raw`` spells; None if it spells none."""
    try:
        return raw.decode() if isinstance(raw, bytes) else None
    except UnicodeDecodeError:
        return None


def _rows(listing: Listing, table: str, columns: list[str]) -> Iterator[dict[str, object]]:
    for batch in listing.batches(table, columns):
        yield from batch.to_pylist()
