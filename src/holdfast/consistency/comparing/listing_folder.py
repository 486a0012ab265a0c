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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from holdfast.consistency.comparing import difference_table, differences, duckdb_session
from holdfast.consistency.comparing.differences import Comparison
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.comparing.window_differences import WindowComparison
from holdfast.model.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

    from holdfast.consistency.unlisted import Unlisted
    from holdfast.storage.listing.reading import Listing

_JUDGED = {"missing", "orphan", "size_mismatch", "checksum_mismatch"}
_UNLISTED = "unlisted"

Found = TypeVar("Found", Comparison, WindowComparison)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one side of a comparison could see: all below ``top`` but what is ``unlisted``."""

    is_storage: bool
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

    def hides(self, path: str, cls: str) -> bool:
        """Whether what this side says of a path is no knowledge."""
        plain = "/" + "/".join(filter(None, path.split("/")))
        below = self.top == "/" or plain == self.top or plain.startswith(f"{self.top}/")
        is_absent = cls == ("missing" if self.is_storage else "orphan")
        return not below or self.unlisted.hiding(plain, seen=not is_absent) is not None


def sights(sources: Mapping[str, Path], *, partial: bool) -> list[Sight]:
    """What each side that is a listing folder could see, the storage being the last one.

    BadInput if that is a part only, and not asked for.
    """
    *_, storage = sources
    opened = {side: _opened(source) for side, source in sources.items()}
    return [_sight(listing, is_storage=side == storage, partial=partial) for side, listing in opened.items() if listing]


def _opened(source: Path) -> Listing | None:
    """The listing in a folder; None if it is another listing."""
    if not source.is_dir():
        return None
    # Folders only: what reads them brings Arrow along, which takes a third of a small comparison's time.
    from holdfast.storage.listing.reading import Listing
    from holdfast.storage.listing.summary import LISTING

    return Listing.open(source) if (source / LISTING).is_file() else None


def _sight(listing: Listing, *, is_storage: bool, partial: bool) -> Sight:
    # As above: it reads the listing's tables.
    from holdfast.consistency.unlisted import Unlisted
    from holdfast.storage.listing.tables import DirectoryState

    top, state = listing.summary.plan.top, listing.summary.counts.top_state
    problem = f"is a listing of {top} only" if top != "/" else ""
    if state not in (DirectoryState.LISTED, DirectoryState.DOUBTED):
        problem = f"is a listing whose top {top} is {state or 'not listed'}"
    if problem and not partial:
        raise BadInput(
            problem, place=str(listing.folder), hint="list the whole site, or say --partial to judge only what it saw"
        )
    return Sight(is_storage, top, Unlisted.read(listing))


def listed_us(source: Path) -> int | None:
    """When the listing in a folder was begun; None if it is another listing."""
    listing = _opened(source)
    return listing.summary.started_us if listing else None


def set_apart(found: Found, sights: Sequence[Sight], limits: EngineLimits) -> Found:
    """The comparison with all differences that nobody can know in the class ``unlisted``."""
    if all(sight.is_whole for sight in sights):
        return found
    import pyarrow.parquet as pq

    part = found.differences.with_name(f".{found.differences.name}.apart")
    with pq.ParquetFile(found.differences) as table, pq.ParquetWriter(part, table.schema_arrow) as writer:
        for apart in (False, True):
            for batch in table.iter_batches(differences.BATCH_ROWS):
                writer.write_batch(_of(batch, sights, apart))
    os.replace(part, found.differences)
    with duckdb_session.work_folder(limits) as folder, duckdb_session.session(limits, folder) as connection:
        totals = difference_table.totals(found.form, found.differences, connection)
    return replace(found, totals=totals, unlisted_places=sum(sight.places for sight in sights))


def _of(batch: pa.RecordBatch, sights: Sequence[Sight], apart: bool) -> pa.RecordBatch:
    """The rows of a batch that are to be set apart, under their new class; or the others."""
    import pyarrow as pa

    place = batch.schema.get_field_index("class")
    classes, paths = (batch.column(name).to_pylist() for name in ("class", "path"))
    hidden = [
        cls in _JUDGED and any(sight.hides(str(path), str(cls)) for sight in sights)
        for cls, path in zip(classes, paths, strict=True)
    ]
    kept = batch.filter(pa.array([each is apart for each in hidden], pa.bool_()))
    if not apart:
        return kept
    field = batch.schema.field(place)
    unlisted = pa.array([_UNLISTED] * kept.num_rows, pa.string()).cast(field.type)
    return kept.set_column(place, field, unlisted)
