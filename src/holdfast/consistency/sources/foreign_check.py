"""ForeignCheck: a site beside what another catalogue than ours says should be there.

    asked before -> listing -> asked after -> comparison -> findings, report

Rules
  * Missing is only what the catalogue expects before and after, and what a place
    that was listed lacks; an orphan only what it knows neither before nor after
    (``comparing.windows``, ``window_findings``).
  * The first answer is written down before the listing begins, the second one is
    asked for when it is over. A dump tells the moment it is of: the second one has
    to be of a moment when the listing was over. Where the storage's listing is a
    dump itself, the first has to be of one when that had not begun.
  * An interrupted run is gone on with as a check is (``run_folder``), with what the
    catalogue said then. So is one whose second answer is not there yet, or cannot
    be read: a listing is not thrown away for that.
  * Nothing is changed at the site, in the catalogue or in our inventory.
  * The report appears whole or not at all: report.json, findings.parquet, and what
    the listing says of itself, as those of a check.

Raises what the inventories and the driver raise, and AfterWanted.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from holdfast import logs
from holdfast.consistency import findings
from holdfast.consistency.checking import run_listing
from holdfast.consistency.checking.run import CheckSettings, Progress, SiteRun, silent
from holdfast.consistency.classes import Class
from holdfast.consistency.comparing.windows import compare_windows
from holdfast.consistency.doors import identity_of
from holdfast.consistency.durable import sync
from holdfast.consistency.expected import Expected
from holdfast.consistency.report import FINDINGS, sums_of, write_json
from holdfast.consistency.run_folder import DIFFERENCES, EXPECTED, Begun, RunFolder, run_folder
from holdfast.consistency.sources import moments, window_findings
from holdfast.consistency.sources.foreign_report import ForeignReport
from holdfast.consistency.sources.inventory import Inventory, Written, known_beside
from holdfast.consistency.sources.window_findings import Judgement, Tables
from holdfast.consistency.unlisted import Unlisted
from holdfast.inventory.store import Head
from holdfast.model import steps
from holdfast.model.clock import Clock
from holdfast.model.errors import BadInput, OperatorError
from holdfast.model.records import Site
from holdfast.storage.abilities import Taken
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.tables import ENTRIES

AFTER = "after.parquet"
SAID_BEFORE = "before.json"

_log = logs.get("consistency")


class AfterWanted(OperatorError):
    """The site is listed; what the catalogue says afterwards is still to come, and then the run is gone on with."""


@dataclass(frozen=True, kw_only=True)
class _Run(SiteRun):
    """What one run carries from step to step."""

    before: Inventory
    after: Inventory | None


async def run_foreign_check(
    before: Inventory,
    after: Inventory | None,
    site: Site,
    doors: Sequence[StorageDriver],
    *,
    reports: Path,
    settings: CheckSettings,
    clock: Clock,
    run: str,
    progress: Progress = silent,
) -> ForeignReport:
    """Check one site, through ``doors`` that show the same files, against what ``before`` and ``after`` say.

    They are one and the same for a catalogue that can be asked at any time. Without ``after`` the site is listed, and
    AfterWanted says until when; the same call with it goes on from there. Of ``settings`` those about checksums and
    dry runs mean nothing here. The report's folder is ``reports``/site/run, or that of the run that was gone on with.
    """
    identity = identity_of(site, doors, before.label)

    def usable(left: RunFolder) -> bool:
        has_word = _said_before(left) is not None
        return has_word and run_listing.usable(left, identity, site, doors, settings, now_us=clock())

    with run_folder(reports, site.name, run, usable=usable) as folder:
        _log.info("foreign check begun", site=site.name, run=folder.run, inventory=before.label)
        state = _Run(
            before=before,
            after=after,
            site=site,
            doors=doors,
            settings=settings,
            clock=clock,
            folder=folder,
            progress=progress,
        )
        report = replace(await _check(state, identity), folder=str(reports / site.name / folder.run))
        write_json(folder.path, report.to_json())
    steps.reach("check.reported")
    _tidy(Path(report.folder))
    counts = {cls.value: report.counts[cls] for cls in Class}
    _log.info("foreign check ended", site=site.name, run=report.run, actual=report.actual, **counts)
    return report


async def _check(state: _Run, identity: str) -> ForeignReport:
    started = time.monotonic()
    begun, said_before = await asyncio.to_thread(_begun, state, identity)
    steps.reach("check.snapshot-taken")
    listing = await run_listing.listed(state)
    steps.reach("check.listed")
    since_us, until_us = moments.listed_between(state.doors, listing)
    said_after = await asyncio.to_thread(_ask_after, state, until_us)
    await asyncio.to_thread(_compare, state, listing, said_after)
    steps.reach("check.compared")
    sums, counts = sums_of(state.path / FINDINGS), listing.summary.counts
    return ForeignReport(
        site=state.site.name,
        run=state.folder.run,
        inventory=state.before.label,
        started_us=begun.started_us,
        listed_from_us=since_us,
        listed_until_us=until_us,
        seconds=round(time.monotonic() - started, 3),
        before=said_before,
        after=said_after,
        directories=counts.listed,
        unlisted_places=sums.places,
        actual=counts.files,
        actual_size=counts.bytes,
        resumed=listing.summary.resumed,
        counts=sums.counts,
        sizes=sums.sizes,
    )


def _begun(state: _Run, identity: str) -> tuple[Begun, Written]:
    """What the catalogue said when the run began: now, if that is now."""
    said = _said_before(state.folder)
    if state.folder.begun is not None and said is not None:
        return state.folder.begun, said
    state.progress("asking the catalogue", 0, None)
    now_us = state.clock()
    said = state.before.write(state.site, state.path / EXPECTED)
    moments.check_before(said, state.doors, now_us)
    (state.path / SAID_BEFORE).write_text(json.dumps(asdict(said)), encoding="utf-8")
    sync(state.path / SAID_BEFORE)
    expected = Expected(Head(state.before.label, 0, "", now_us), said.files, said.size, said.without_path_shown)
    begun = Begun(identity, now_us, expected)
    state.folder.begin(begun)
    return begun, said


def _said_before(folder: RunFolder) -> Written | None:
    """What the catalogue said at the beginning of a run; None if it cannot be read."""
    try:
        document = json.loads((folder.path / SAID_BEFORE).read_bytes())
        taken = document.pop("taken")
        shown = tuple(document.pop("without_path_shown"))
        return Written(**document, without_path_shown=shown, taken=Taken(**taken) if taken else None)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ask_after(state: _Run, until_us: int) -> Written:
    """Ask the catalogue the second time. Whatever is wrong with that answer, the listing is kept for a better one."""
    if state.after is None:
        message = "the site is listed; what the catalogue says after that is wanted"
        raise AfterWanted(message, place=state.site.name, hint=moments.later(until_us))
    state.progress("asking the catalogue again", 0, None)
    try:
        said = state.after.write(state.site, state.path / AFTER)
        moments.check_after(said, until_us, place=state.after.label)
    except BadInput as error:
        raise OperatorError(error.message, place=error.place, hint=error.hint) from error
    if said.taken is not None and said.taken.source == "file time":
        _log.warning("nothing but the time of the file tells when this dump was made", place=state.after.label)
    return said


def _compare(state: _Run, listing: Listing, said_after: Written) -> None:
    """Compare, judge, and write the table of findings."""
    state.progress("comparing", 0, None)
    path, settings = state.path, state.settings
    expected = (path / EXPECTED, path / AFTER)
    compare_windows(*expected, state.folder.listing, path / DIFFERENCES, limits=settings.limits)
    known = [known_beside(each) for each in expected if known_beside(each).exists()]
    tables = Tables(path / DIFFERENCES, listing.parts(ENTRIES), expected, known)
    now_ns = state.clock() * 1000
    if said_after.taken is not None:  # What came after that, the catalogue could not tell.
        now_ns = min(now_ns, said_after.taken.earliest_ns)
    judgement = Judgement(
        Unlisted.read(listing),
        settings.ignored,
        state.site.first_door.rules,
        now_ns - settings.ignore_age_s * window_findings.SECOND_NS,
    )
    findings.write_table(window_findings.findings(tables, judgement, settings.limits), path / FINDINGS)


def _tidy(report: Path) -> None:
    """Remove what only the run needed, beside what ``run_folder`` has removed."""
    for name in (AFTER, SAID_BEFORE):
        (report / name).unlink(missing_ok=True)
    for name in (EXPECTED, AFTER):
        known_beside(report / name).unlink(missing_ok=True)
