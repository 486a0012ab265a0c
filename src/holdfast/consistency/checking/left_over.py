"""Left over: whether what an interrupted run has left can be opened, so that the next check can go on with it.

A run that cannot would stop every further check of its site in the same way: it
is logged, and the check begins anew.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast import logs
from holdfast.consistency.run_folder import EXPECTED, RunFolder
from holdfast.model.errors import HoldfastError
from holdfast.storage.listing.ledger_file import LEDGER, LedgerFile
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import LISTING, ListingPlan

_log = logs.get("consistency")


def opens(left: RunFolder, plan: ListingPlan) -> bool:
    """Whether the tables of an interrupted run, whose listing was begun with ``plan``, can be opened."""
    try:
        reason = _fault(left, plan)
    except (HoldfastError, pa.ArrowException, OSError) as error:
        reason = str(error)
    if reason:
        _log.warning("an interrupted check cannot be gone on with; beginning anew", run=left.run, reason=reason)
    return not reason


def listing_opens(listing: Path, plan: ListingPlan) -> bool:
    """Whether a listing that was begun with ``plan``, complete or not, can be opened; none at all can."""
    try:
        _open_listing(listing, plan)
    except (HoldfastError, pa.ArrowException, OSError) as error:
        _log.warning("an interrupted listing cannot be gone on with; beginning anew", reason=str(error))
        return False
    return True


def _fault(left: RunFolder, plan: ListingPlan) -> str:
    rows = pq.read_metadata(left.path / EXPECTED).num_rows
    if left.begun is None or rows != left.begun.expected.files:
        return f"{EXPECTED} has {rows} rows"
    _open_listing(left.listing, plan)
    return ""


def _open_listing(listing: Path, plan: ListingPlan) -> None:
    if (listing / LISTING).exists():
        Listing.open(listing)
    elif (listing / LEDGER).exists():
        _open_ledger(listing, plan)


def _open_ledger(listing: Path, plan: ListingPlan) -> None:
    ledger = LedgerFile(listing, plan, 0)
    try:
        # Each of these reads another of its tables.
        _ = ledger.waiting, ledger.end
        for part in ledger.parts():
            (listing / part.path).stat()
            ledger.held_rows(part.table)
    finally:
        ledger.close()
