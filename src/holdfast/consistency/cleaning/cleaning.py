"""Cleaning: from complete listings to what is asked to go, in areas and in the quarantine alike.

    listings -> deciding, with the inventory's word -> limits -> a look at each -> requests

Rules
  * All is decided before anything is asked for; what was decided is kept as a table.
  * A site that is halted or disabled is left alone. At one that is not in mode act
    nothing is asked for; it is told what would be.
  * Where too much would go, nothing of its kind is asked for.
  * Nothing is changed but that requests are made.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from holdfast.consistency import findings
from holdfast.consistency.checking import left_over
from holdfast.consistency.checking.halting import unless_halted
from holdfast.consistency.cleaning.areas import is_at_or_below
from holdfast.consistency.cleaning.asking import CleaningAsker
from holdfast.consistency.cleaning.cleaned import Cleaned, PlaceCleaned
from holdfast.consistency.cleaning.deciding import (
    Ages,
    Decider,
    Reason,
    asked_already,
    unless,
    unless_one_below_stays,
)
from holdfast.consistency.cleaning.found import old_files
from holdfast.consistency.cleaning.inventory_word import InventoryWord
from holdfast.consistency.cleaning.last_check import last_lacking
from holdfast.consistency.cleaning.limits import GoingLimits
from holdfast.consistency.cleaning.tools import CleaningTools
from holdfast.consistency.cleaning.work_folder import WorkFolder
from holdfast.consistency.comparing import duckdb_session
from holdfast.consistency.comparing.duckdb_session import literal
from holdfast.consistency.doors import require_live
from holdfast.consistency.findings import Finding
from holdfast.consistency.history.kept_report import require_here
from holdfast.consistency.tree.empty import empty_directories
from holdfast.consistency.unlisted import Unlisted
from holdfast.model import steps
from holdfast.model.records import DeletionRequest
from holdfast.storage.driver import NotThere, StorageDriver
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.site_listing import list_site
from holdfast.storage.listing.skipping import Skip, enter_all
from holdfast.storage.listing.summary import ListingPlan

Spares = Callable[[str], Reason | None]
"""Why what has a path stays, whatever its age; None if nothing speaks for it."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is listed by itself: an area, or the quarantine. ``skip_words`` differ if ``skip`` does."""

    path: str
    least_age_s: int
    """What is younger goes nowhere there."""
    skip: Skip = enter_all
    skip_words: str = ""


def require_usable(tools: CleaningTools, doors: Sequence[StorageDriver]) -> None:
    """Conflict for a site that is to be left alone, or whose last report is elsewhere; BadInput for doors that show an
    earlier listing.
    """
    tools.state().require_ready()
    last = tools.history.last_report(tools.site)
    if last is not None:
        require_here(last)  # Before anything is listed.
    require_live(doors, hint="clean through another door")


@dataclass
class Cleaning:
    """One cleaning of a site, by its first door; all doors show the same.

    ``ages`` say how old things have to be, ``limits`` how many may go at once, ``cause`` why.
    """

    tools: CleaningTools
    doors: Sequence[StorageDriver]
    folder: WorkFolder
    places: Sequence[Place]
    limits: GoingLimits
    cause: str
    result: Cleaned

    async def list(self) -> None:
        """List all places, or go on with that; a place that is not there is told as such."""
        for number in range(len(self.places)):
            self.result.places.append(await self._list(number))
        steps.reach("clean.listed")

    async def _list(self, number: int) -> PlaceCleaned:
        tools, place, folder = self.tools, self.places[number], self.folder.listing(number)
        plan = ListingPlan(tools.site, place.path, tuple(door.label for door in self.doors), place.skip_words)
        if not left_over.listing_opens(folder, plan):
            shutil.rmtree(folder)
        listing = list_site(
            self.doors,
            folder,
            plan,
            limits=tools.listing,
            skip=place.skip,
            workers=tools.walk_processes,
            progress=tools.progress,
            clock=tools.clock,
        )
        try:
            counts = (await unless_halted(listing, lambda: tools.state().require_ready())).summary.counts
        except NotThere:
            return PlaceCleaned(place.path, is_there=False)
        return PlaceCleaned(place.path, files_listed=counts.files, directories_listed=counts.directories)

    async def finish(self, ages: Ages, spares: Spares) -> None:
        """Decide on all that was listed, and ask for what may go; told in ``result``."""
        lacking = list(last_lacking(self.tools.history, self.tools.site))
        self._decide(ages, spares, lacking)
        steps.reach("clean.decided")
        state, total = self.tools.state(), self.result.total
        state.require_ready()
        too_many_files = self.limits.of_files(total.files, self.result.files_listed)
        too_many_directories = self.limits.of_directories(total.directories, self.result.directories_listed)
        self.result.refusals += filter(None, (state.mode_refusal, too_many_files, too_many_directories))
        tools = replace(self.tools, dry_run=self.tools.dry_run or bool(state.mode_refusal))
        asker = CleaningAsker(tools, self.doors[0], ages, lacking, self.cause, self.result)
        if not too_many_files:
            await asker.ask_for_files(self.folder.decisions)
        if not too_many_directories:
            await asker.ask_for_directories(self.folder.decisions)

    def _decide(self, ages: Ages, spares: Spares, lacking: Sequence[Finding]) -> None:
        """Write down what goes, and what stays with the reason, by path."""
        tools = self.tools
        with tools.store.snapshot() as view:
            requests = view.deletion_requests(site=tools.site)
            word = InventoryWord(view, tools.site, now_us=tools.clock(), lacking=lacking)
            decided = self._decided(ages, spares, asked_already(requests), word)
            findings.write_table(decided, self.folder.found)
        self.result.earlier = [request.id for request in requests if self._is_about(request)]
        with (
            duckdb_session.work_folder(tools.limits) as spill,
            duckdb_session.session(tools.limits, spill) as connection,
        ):
            found, target = literal(str(self.folder.found)), literal(str(self.folder.decisions))
            by_path = f"SELECT * FROM read_parquet({found}) ORDER BY dir, name"
            connection.execute(f"COPY ({by_path}) TO {target} (FORMAT parquet, COMPRESSION zstd)")
        self.folder.found.unlink()
        self.result.decisions = self.folder.kept

    def _is_about(self, request: DeletionRequest) -> bool:
        paths = map(request.path, range(request.n_paths))
        return any(is_at_or_below(path, place.path) for path in paths for place in self.places)

    def _decided(self, ages: Ages, spares: Spares, asked: frozenset[str], word: InventoryWord) -> Iterator[Finding]:
        for number, place in enumerate(self.places):
            if not self.result.places[number].is_there:
                continue
            tally, listing = self.result.places[number].tally, Listing.open(self.folder.listing(number))
            decider = Decider(ages, Unlisted.read(listing), asked, spares)
            youngest_ns = self.tools.clock() * 1000 - place.least_age_s * 1_000_000_000
            files = ((each, decider.file(each)) for each in old_files(listing, youngest_ns, tally.stays))
            yield from tally.note(unless(unless(files, word.reasons), self.tools.called_off))
            empty = decider.directories(empty_directories(listing, self.tools.limits, fixed=[place.path]))
            staying = unless(unless(empty, word.reasons), self.tools.called_off)
            yield from tally.note(unless_one_below_stays(staying))
