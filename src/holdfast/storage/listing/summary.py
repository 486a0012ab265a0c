"""Summary: what a listing was begun with, and what it has come to; the file ``listing.json``.

Rules
  * The file is there only when the listing is complete, and then it names every
    part of every table with its rows and bytes: what is not named does not count.
  * A file of another format, or one that is no such file, is one clear error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.model.errors import OperatorError
from holdfast.storage.listing.part_files import PART, sync_folder
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.tables import SCHEMAS, DirectoryState

LISTING = "listing.json"
FORMAT = 1
SHOWN_MAX = 20
"""So many failures and doubts are told with their reasons; all are in the tables."""


@dataclass(frozen=True, slots=True)
class ListingPlan:
    """What a listing is begun with, and has to be gone on with.

    ``doors`` are labels, without secrets. ``skip`` says what is not entered: any text that differs if that does.
    """

    site: str
    top: str = "/"
    doors: tuple[str, ...] = ()
    skip: str = ""

    def differences(self, other: ListingPlan) -> list[str]:
        """In what another plan is another."""
        own, others = asdict(self), asdict(other)
        return [f"{name} {own[name]!r}, not {others[name]!r}" for name in own if own[name] != others[name]]


@dataclass
class ListingCounts:
    """What has been found so far."""

    listed: int = 0
    doubted: int = 0
    failed: int = 0
    skipped: int = 0
    files: int = 0
    bytes: int = 0
    oddities: int = 0
    top_state: str = ""
    failures: list[tuple[str, str]] = field(default_factory=list)
    doubts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def directories(self) -> int:
        """How many directories are done, whatever became of them."""
        return self.listed + self.doubted + self.failed + self.skipped

    def note(self, rows: Iterable[DirectoryRow], size: int, top: str) -> None:
        """Count some directories, and the bytes of the files in them."""
        self.bytes += size
        for row in rows:
            self.files += row.files
            self.oddities += row.oddities
            if row.state == DirectoryState.LISTED:
                self.listed += 1
            elif row.state == DirectoryState.SKIPPED:
                self.skipped += 1
            else:
                self._note_bad(row)
            if row.dir == top:
                self.top_state = row.state

    def _note_bad(self, row: DirectoryRow) -> None:
        if row.state == DirectoryState.FAILED:
            self.failed += 1
            shown = self.failures
        else:
            self.doubted += 1
            shown = self.doubts
        if len(shown) < SHOWN_MAX:
            shown.append((row.dir, row.reason))

    def add(self, other: ListingCounts) -> None:
        """Count what another has counted."""
        for name in ("listed", "doubted", "failed", "skipped", "files", "bytes", "oddities"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.top_state = other.top_state or self.top_state
        self.failures = [*self.failures, *other.failures][:SHOWN_MAX]
        self.doubts = [*self.doubts, *other.doubts][:SHOWN_MAX]

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @staticmethod
    def from_json(document: dict[str, Any]) -> ListingCounts:
        """From what ``to_json`` gave; KeyError and TypeError if it is something else."""
        counts = ListingCounts(**{name.name: document[name.name] for name in fields(ListingCounts)})
        counts.failures = [(str(dir), str(reason)) for dir, reason in counts.failures]
        counts.doubts = [(str(dir), str(reason)) for dir, reason in counts.doubts]
        return counts


class ListingPart(NamedTuple):
    """A file that belongs to a listing."""

    table: str
    number: int
    rows: int
    bytes: int

    @property
    def path(self) -> str:
        """Where it is in the listing's folder."""
        return f"{folder_of(self.table)}/{self.number:06}.parquet"


def folder_of(table: str) -> str:
    """The folder of a table's parts within the listing's."""
    return table.removesuffix(".parquet")


@dataclass(frozen=True, slots=True)
class Summary:
    """A complete listing. ``resumed`` says how often it was gone on with after it had been broken off."""

    plan: ListingPlan
    counts: ListingCounts
    started_us: int
    ended_us: int
    resumed: int
    parts: tuple[ListingPart, ...]

    @property
    def complete(self) -> bool:
        """Whether every directory was listed and believed."""
        return not (self.counts.failed or self.counts.skipped or self.counts.doubted)

    def to_json(self) -> dict[str, Any]:
        """What stands in ``listing.json``."""
        return {
            "format": FORMAT,
            **asdict(self.plan),
            "started_us": self.started_us,
            "ended_us": self.ended_us,
            "resumed": self.resumed,
            **self.counts.to_json(),
            "parts": {
                folder_of(table): [
                    {"path": part.path, "rows": part.rows, "bytes": part.bytes}
                    for part in self.parts
                    if part.table == table
                ]
                for table in SCHEMAS
            },
        }


def write(folder: Path, summary: Summary) -> None:
    """Put ``listing.json`` into the folder, whole or not at all, durably."""
    part = folder / f"{LISTING}{PART}"
    with open(part, "w", encoding="utf-8") as file:
        json.dump(summary.to_json(), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / LISTING)
    sync_folder(folder)


def read(folder: Path) -> Summary:
    """What ``listing.json`` in the folder says; FileNotFoundError, or OperatorError if it is no such file."""
    path = folder / LISTING
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r}, not {FORMAT}")
        return Summary(
            plan=ListingPlan(document["site"], document["top"], tuple(document["doors"]), document["skip"]),
            counts=ListingCounts.from_json(document),
            started_us=document["started_us"],
            ended_us=document["ended_us"],
            resumed=document["resumed"],
            parts=tuple(
                ListingPart(table, int(Path(each["path"]).stem), each["rows"], each["bytes"])
                for table in sorted(SCHEMAS)
                for each in document["parts"][folder_of(table)]
            ),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(
            f"the listing is damaged: its summary cannot be read: {error}",
            place=str(path),
            hint="list the site anew into another folder",
        ) from error
