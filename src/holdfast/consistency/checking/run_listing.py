"""Run listing: the listing that a run makes of its site, or goes on with, or finds complete.

Rules
  * What is expected, and what the listing before has shown, say only which answers
    are asked for once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast.consistency.checking import left_over
from holdfast.consistency.checking.expected_names import expected_names
from holdfast.consistency.checking.run import CheckSettings, SiteRun
from holdfast.consistency.resumable import is_young
from holdfast.consistency.run_folder import EXPECTED, RunFolder, previous_directories
from holdfast.model.records import Site
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.progress import ListingProgress as ListingProgress
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.site_listing import list_site
from holdfast.storage.listing.summary import LISTING, ListingPlan


def usable(
    left: RunFolder, identity: str, site: Site, doors: Sequence[StorageDriver], settings: CheckSettings, *, now_us: int
) -> bool:
    """Whether a run of this identity goes on with what an interrupted one has left."""
    begun = left.begun
    if begun is None or settings.afresh or begun.site != identity:
        return False
    young = is_young(begun.started_us, now_us=now_us, most_s=settings.resume_age_s)
    return young and left_over.opens(left, _plan(site, doors))


async def listed(run: SiteRun) -> Listing:
    """The listing of the run's site through its doors; raises what ``list_site`` raises."""
    if (run.folder.listing / LISTING).exists():  # Killed after it was complete.
        return Listing.open(run.folder.listing)
    previous = previous_directories(run.path.parent, run.folder.run)
    expected = await asyncio.to_thread(expected_names, run.path / EXPECTED, previous, run.settings.limits)

    def tell(so_far: ListingProgress) -> None:
        run.progress("listing", so_far.directories, so_far.directories + so_far.queue)

    return await list_site(
        run.doors,
        run.folder.listing,
        _plan(run.site, run.doors),
        limits=run.settings.listing,
        expected=expected,
        workers=run.settings.walk_processes,
        progress=tell,
        clock=run.clock,
    )


def _plan(site: Site, doors: Sequence[StorageDriver]) -> ListingPlan:
    return ListingPlan(site.name, "/", tuple(door.label for door in doors))
