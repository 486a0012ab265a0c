"""Found: the files of a listing that may be old enough, as findings; the others are only counted.

Works on columns: of the millions of files of a busy area nearly all are young.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from holdfast.consistency.classes import Class
from holdfast.consistency.cleaning.deciding import Stays
from holdfast.consistency.findings import Finding
from holdfast.model import names
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.tables import ENTRIES

_COLUMNS = ["dir", "name", "size", "mtime_ns", "version", "changed_ns"]


def old_files(listing: Listing, youngest_ns: int, stays: Counter[Stays]) -> Iterator[Finding]:
    """The files that did not change after ``youngest_ns``, or of which nobody says when; in no order."""
    for batch in listing.batches(ENTRIES, _COLUMNS):
        since: Any = pc.max_element_wise(batch.column("mtime_ns"), batch.column("changed_ns"), skip_nulls=True)
        is_old: Any = pc.fill_null(pc.less_equal(since, pa.scalar(youngest_ns)), True)
        kept = batch.filter(is_old)
        stays[Stays.YOUNG] += batch.num_rows - kept.num_rows
        yield from _findings(kept)


def _findings(batch: pa.RecordBatch) -> Iterator[Finding]:
    columns = [batch.column(name).to_pylist() for name in _COLUMNS]
    for dir, name, size, mtime_ns, version, changed_ns in zip(*columns, strict=True):
        yield Finding(
            Class.ORPHAN,
            names.join(dir, name),
            actual_size=size,
            mtime_ns=mtime_ns,
            version=version,
            changed_ns=changed_ns,
        )
