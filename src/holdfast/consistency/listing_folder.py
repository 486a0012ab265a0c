"""Listing folders in a comparison: what such a listing did not see is neither missing nor orphan.

A folder that Holdfast has listed a site into tells what could not be listed,
beside what was. Differences that hang on that are set apart, as a class of
their own.

Rules
  * A listing of a part of a site, or of a site whose top could not be listed,
    is refused unless it is taken for a part on purpose.
  * What is absent from a listing is ``unlisted`` where the listing had a hidden
    place at or above it, or was not asked to look; what it shows, is so only
    below a name it contradicts itself about (``unlisted.py``).
  * The table is gone through in pieces; those set apart come last, in order.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.consistency import differences, duckdb_session
from holdfast.consistency.differences import Comparison, DifferenceClass
from holdfast.consistency.duckdb_session import EngineLimits
from holdfast.consistency.unlisted import Unlisted
from holdfast.model.errors import BadInput
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import LISTING
from holdfast.storage.listing.tables import State

_ABSENT = {"expected": DifferenceClass.ORPHAN, "actual": DifferenceClass.MISSING}
_JUDGED = {*_ABSENT.values(), DifferenceClass.SIZE_MISMATCH, DifferenceClass.CHECKSUM_MISMATCH}


@dataclass(frozen=True, slots=True)
class Sight:
    """What one side of a comparison could see: all below ``top`` but what is ``unlisted``."""

    side: str
    top: str
    unlisted: Unlisted

    @property
    def places(self) -> int:
        """How many places hide something."""
        return len(self.unlisted.reasons) + len(self.unlisted.odd_names)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was hidden."""
        return self.top == "/" and not self.places

    def hides(self, path: str, cls: DifferenceClass) -> bool:
        """Whether what this side says of a path is no knowledge."""
        plain = "/" + "/".join(filter(None, path.split("/")))
        below = self.top == "/" or plain == self.top or plain.startswith(f"{self.top}/")
        return not below or self.unlisted.hiding(plain, seen=cls is not _ABSENT[self.side]) is not None


def sights(expected: Path, actual: Path, *, partial: bool) -> list[Sight]:
    """What each side that is a listing folder could see; BadInput if that is a part only, and not asked for."""
    both = (("expected", expected), ("actual", actual))
    return [_sight(side, source, partial) for side, source in both if (source / LISTING).is_file()]


def _sight(side: str, source: Path, partial: bool) -> Sight:
    listing = Listing.open(source)
    top, state = listing.summary.plan.top, listing.summary.counts.top_state
    problem = f"is a listing of {top} only" if top != "/" else ""
    if state not in (State.LISTED, State.DOUBTED):
        problem = f"is a listing whose top {top} is {state or 'not listed'}"
    if problem and not partial:
        raise BadInput(
            problem, place=str(source), hint="list the whole site, or say --partial to judge only what it saw"
        )
    return Sight(side, top, Unlisted.read(listing))


def set_apart(found: Comparison, sights: Sequence[Sight], limits: EngineLimits, folder: Path) -> Comparison:
    """The comparison with all differences that nobody can know in the class ``unlisted``."""
    if all(sight.is_whole for sight in sights):
        return found
    part = found.differences.with_name(f".{found.differences.name}.apart")
    with pq.ParquetFile(found.differences) as table, pq.ParquetWriter(part, table.schema_arrow) as writer:
        for apart in (False, True):
            for batch in table.iter_batches(differences.BATCH_ROWS):
                writer.write_batch(_of(batch, sights, apart))
    os.replace(part, found.differences)
    with duckdb_session.session(limits, folder) as connection:
        totals = differences.totals(found.differences, connection)
    return replace(found, totals=totals, unlisted_places=sum(sight.places for sight in sights))


def _of(batch: pa.RecordBatch, sights: Sequence[Sight], apart: bool) -> pa.RecordBatch:
    """The rows of a batch that are to be set apart, under their new class; or the others."""
    place = batch.schema.get_field_index("class")
    classes, paths = (batch.column(name).to_pylist() for name in ("class", "path"))
    hidden = [
        cls in _JUDGED and any(sight.hides(str(path), DifferenceClass(cls)) for sight in sights)
        for cls, path in zip(classes, paths, strict=True)
    ]
    kept = batch.filter(pa.array([each is apart for each in hidden], pa.bool_()))
    if not apart:
        return kept
    field = batch.schema.field(place)
    unlisted = pa.array([DifferenceClass.UNLISTED.value] * kept.num_rows, pa.string()).cast(field.type)
    return kept.set_column(place, field, unlisted)
