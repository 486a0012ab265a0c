"""Listings as trees: what should be at a site, and what is there.

    expected = inventory_listing(store, "bern")
    actual = await list_remote(doors, "bern", folder)
    difference.compare(expected, actual)

Rules
  * Paths are those at the site, below its first door; the inventory's are what the
    site's rules make of its LFNs.
  * What replicas only lack or await is not expected. An LFN that the rules have no
    path for is left out, and the log says how many there are.
  * A directory that failed, was skipped, is doubted or lies outside the listing's
    top is not listed (``is_listed``).

Raises what the store, the storage and the listing raise.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from holdfast import logs
from holdfast.consistency.comparing.duckdb_session import EngineLimits, engine_limits
from holdfast.consistency.expected import write_expected
from holdfast.consistency.tree.building import TreeRow, build
from holdfast.consistency.tree.columns import ORDER, Columns, columns
from holdfast.consistency.tree.directory_info import DirectoryInfo
from holdfast.inventory.store import Store
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing import site_listing
from holdfast.storage.listing.limits import DEFAULTS, ListingLimits
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.listing.tables import DIRECTORIES, ENTRIES, ODDITIES, DirectoryState, Odd

_log = logs.get("consistency")


def inventory_listing(store: Store, site: str, *, limits: EngineLimits | None = None) -> DirectoryInfo:
    """What should be at a site, by the inventory as it stands now."""
    with columns(limits or engine_limits(), Path(site)) as found:
        table = found.folder / "expected.parquet"
        with store.snapshot() as view:
            expected = write_expected(view, view.site(site), table)
        if expected.without_path:
            _log.warning("the site's rules have no path for some files", site=site, files=len(expected.without_path))
        nothing = "NULL::BIGINT, NULL::BIGINT, NULL::BOOLEAN"
        query = f"SELECT dir, name, size, {nothing} FROM {found.table('tree', [table])} ORDER BY {ORDER}, name"
        return build(_rows(found, query))


def remote_listing(folder: Path, *, limits: EngineLimits | None = None) -> DirectoryInfo:
    """What a listing of a site has found, from the folder it was written to."""
    listing = Listing.open(folder)
    with columns(limits or engine_limits(), folder) as found:
        entries = found.table("entries", listing.parts(ENTRIES))
        directories = found.table("directories", listing.parts(DIRECTORIES))
        query = f"""
            SELECT * FROM (
                SELECT dir, name, size, mtime_ns, changed_ns, NULL::BOOLEAN FROM {entries}
                UNION ALL
                SELECT dir, '', NULL, mtime_ns, NULL, state = '{DirectoryState.LISTED}' FROM {directories})
            ORDER BY {ORDER}, name"""
        return build(_rows(found, query), is_listed=False, others=_others(listing))


async def list_remote(
    doors: Sequence[StorageDriver],
    site: str,
    folder: Path | None = None,
    *,
    listing: ListingLimits = DEFAULTS,
    limits: EngineLimits | None = None,
) -> DirectoryInfo:
    """What is at a site now, listed through ``doors``, which show the same tree.

    The listing is written to ``folder`` and stays there, and one that was broken off there is gone on with; a complete
    one is taken as it is. Without a folder it is forgotten.
    """
    plan = ListingPlan(site, "/", tuple(door.label for door in doors))
    with tempfile.TemporaryDirectory(prefix="holdfast-tree-", dir=limits.temp_dir if limits else None) as temporary:
        place = folder or Path(temporary) / "listing"
        await site_listing.list_site(doors, place, plan, limits=listing)
        return await asyncio.to_thread(remote_listing, place, limits=limits)


def _rows(found: Columns, query: str) -> Iterator[TreeRow]:
    return map(TreeRow._make, found.rows(query))


def _others(listing: Listing) -> dict[str, list[str]]:
    """Names that tell nothing of what is there, by directory. What no text can hold is no name of ours."""
    found: dict[str, list[str]] = {}
    for batch in listing.batches(ODDITIES, ["dir", "raw", "kind"]):
        for row in batch.to_pylist():
            with suppress(UnicodeDecodeError):
                if row["kind"] != Odd.UNNAMEABLE:
                    found.setdefault(row["dir"], []).append(row["raw"].decode())
    return found
