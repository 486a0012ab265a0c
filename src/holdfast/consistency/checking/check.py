"""Check a site: list it, compare with the inventory at a known position, judge, report.

    snapshot before -> listing -> snapshot after -> comparison -> judgement
                                                 -> proof by checksum, if asked

Rules
  * The inventory is read before the listing begins and asked again after it:
    what changed meanwhile is ignored, not reported.
  * The site's record by which its doors were opened is the one that is judged by, from the beginning to the end.
  * What could not be listed is not judged (``unlisted.py``, ``judge.py``).
  * A check changes nothing at the site. In the inventory it changes only when
    blocks were last proved, and only with checksums asked for and not in a dry
    run. The report is written in any case: it is the result.
  * What open copies are still to bring is awaited (``awaited.py``), by the
    inventory's word after the listing: no listing shows it. What of it is held,
    and why, operations say (``held.py``).
  * A check that was interrupted is gone on with by the next one of the site, with
    the inventory as it was read then, unless the site's record, the inventory's
    epoch or too much time stand against that, or what it left cannot be opened
    any more (``left_over.py``); ``afresh`` does too.
  * A site that somebody has halted or disabled is not checked; one that is halted
    meanwhile is left, and gone on with by the next check.
  * What each run has found, and when it was first found, is carried on (``history``), a dry run's, too: dry is what
    is done, not what is seen. What was done longer ago than that is remembered is forgotten.
  * The report appears whole or not at all.

Raises what the store and the driver raise; a directory that fails is no
error but a finding.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from holdfast import logs
from holdfast.consistency.checking import judging, run_listing
from holdfast.consistency.checking.halting import unless_halted
from holdfast.consistency.checking.run import CheckRun, CheckSettings, Progress, silent
from holdfast.consistency.classes import Class
from holdfast.consistency.doors import identity_of, require_live
from holdfast.consistency.expected import write_expected
from holdfast.consistency.history.deeds import Deeds
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.sightings import previous_sightings, write_sightings
from holdfast.consistency.history.states import States
from holdfast.consistency.report import FINDINGS, Report, sums_of, write_json
from holdfast.consistency.run_folder import EXPECTED, Begun, RunFolder, run_folder
from holdfast.consistency.tree.lost_subtrees import lost_subtrees
from holdfast.consistency.tree.table import TREE, write_tree
from holdfast.inventory.store import Head, Store
from holdfast.model import steps
from holdfast.model.clock import Clock
from holdfast.model.errors import Conflict
from holdfast.model.names import BlockKey
from holdfast.model.records import Site
from holdfast.storage.driver import StorageDriver

LOST_SHOWN = 100
"""So many lost subtrees are in a report."""

_log = logs.get("consistency")


async def check(
    store: Store,
    doors: Sequence[StorageDriver],
    site: Site,
    *,
    reports: Path,
    settings: CheckSettings,
    clock: Clock,
    actor: str,
    run: str,
    progress: Progress = silent,
) -> Report:
    """Check one site through its ``doors``, which show the same files.

    The report's folder is ``reports``/``site``/``run``, or that of the interrupted run that was gone on with.
    Conflict if the site's record is not any more the one by which the doors were opened.
    """
    require_live(doors, hint="make `holdfast site listing` of it, and `holdfast compare`; check through another door")
    history, states = History(store, clock=clock), States(store)
    name = site.name
    states.get(name).require_ready()
    head = _head(store, site)

    def usable(left: RunFolder) -> bool:
        same = left.begun is not None and left.begun.expected.head.epoch == head.epoch
        return same and run_listing.usable(left, identity_of(site, doors), site, doors, settings, now_us=clock())

    with run_folder(reports, name, run, usable=usable) as folder:
        resumed = folder.begun is not None
        _log.info("check begun", site=name, run=folder.run, with_checksums=settings.with_checksums, resumed=resumed)
        state = CheckRun(
            store=store,
            doors=doors,
            site=site,
            settings=settings,
            clock=clock,
            actor=actor,
            folder=folder,
            progress=progress,
        )
        with _told(history, state, reports / name / folder.run):
            report = await _check(state)
            report = replace(report, folder=str(reports / name / folder.run))
            write_json(folder.path, report.to_json())
    steps.reach("check.reported")
    history.finish(report.run, report)
    if not settings.dry_run:
        Deeds(store).forget(clock() - settings.history_us)
    steps.reach("check.told")
    counts = {cls.value: report.counts[cls] for cls in Class}
    _log.info("check ended", site=name, run=report.run, expected=report.expected, actual=report.actual, **counts)
    return report


def _head(store: Store, site: Site) -> Head:
    """Where the inventory stands; what is found behind the doors of ``site`` is judged by that record, and no other."""
    with store.snapshot() as view:
        if view.site(site.name) != site:
            message = f"the record of {site.name} was changed while its doors were opened"
            raise Conflict(message, rows=(site.name,), hint="check it again")
        return view.head


@contextmanager
def _told(history: History, state: CheckRun, folder: Path) -> Iterator[None]:
    """Tell the history that a run begins, and why it failed if it does. One that is interrupted can tell nothing."""
    started_us = state.clock() if state.folder.begun is None else state.folder.begun.started_us
    history.begin(state.folder.run, state.site.name, started_us, folder)
    steps.reach("check.begun")
    try:
        yield
    except Exception as error:
        history.fail(state.folder.run, str(error))
        raise


async def _check(state: CheckRun) -> Report:
    started = time.monotonic()
    begun = state.folder.begun or _begin(state)
    steps.reach("check.snapshot-taken")
    states = States(state.store)
    listing = await unless_halted(run_listing.listed(state), lambda: states.get(state.site.name).require_ready())
    steps.reach("check.listed")
    limits = state.settings.limits
    await asyncio.to_thread(write_tree, listing, state.path / TREE, limits)
    proved: Counter[BlockKey] = Counter()
    after, held = await judging.judge(state, begun.expected, proved)
    await asyncio.to_thread(_remember, state, begun.started_us, listing.summary.counts.files)
    steps.reach("check.compared")
    sums = sums_of(state.path / FINDINGS)
    n_missing = sums.counts[Class.MISSING]
    lost = await asyncio.to_thread(lost_subtrees, state.path, limits, most=LOST_SHOWN) if n_missing else []
    if state.settings.with_checksums and not state.settings.dry_run:
        judging.tell_proved(state, proved, begun.started_us)
    counts = listing.summary.counts
    return Report(
        site=state.site.name,
        run=state.folder.run,
        started_us=begun.started_us,
        seconds=round(time.monotonic() - started, 3),
        epoch=after.epoch,
        position_before=begun.expected.head.position,
        position_after=after.position,
        directories=counts.listed,
        unlisted_places=sums.places,
        expected=begun.expected.files,
        expected_size=begun.expected.size,
        actual=counts.files,
        actual_size=counts.bytes,
        proved=sum(proved.values()),
        with_checksums=state.settings.with_checksums,
        dry_run=state.settings.dry_run,
        resumed=listing.summary.resumed,
        held=held,
        lost_subtrees=tuple(lost),
        counts=sums.counts,
        sizes=sums.sizes,
        door=state.site.first_door.way,
    )


def _remember(state: CheckRun, began_us: int, files: int) -> None:
    """Carry on what was seen in the runs before; in this one, begun then, the site has shown so many files."""
    settings = state.settings
    write_sightings(
        state.path,
        previous_sightings(state.path.parent, state.folder.run),
        run=state.folder.run,
        at_us=state.clock(),
        began_us=began_us,
        files=files,
        door=state.site.first_door.way,
        shrunk_fraction_max=settings.shrunk_fraction_max,
        limits=settings.limits,
        history_us=settings.history_us,
    )


def _begin(state: CheckRun) -> Begun:
    with state.store.snapshot() as view:
        expected = write_expected(view, state.site, state.path / EXPECTED)
    begun = Begun(identity_of(state.site, state.doors), state.clock(), expected)
    state.folder.begin(begun)
    return begun
