"""Check a site: list it, compare with the inventory at a known position, judge, report.

    snapshot before -> listing -> snapshot after -> comparison -> judgement
                                                 -> proof by checksum, if asked

Rules
  * The inventory is read before the listing begins and asked again after it:
    what changed meanwhile is ignored, not reported.
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
  * The report appears whole or not at all.

Raises what the store and the driver raise; a directory that fails is no
error but a finding.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast import logs
from holdfast.consistency import findings, left_over, proof, site_differences
from holdfast.consistency.awaited import Asked, Awaited
from holdfast.consistency.duckdb_session import EngineLimits
from holdfast.consistency.expected import Expected, write_expected
from holdfast.consistency.expected_names import expected_names
from holdfast.consistency.findings import Class, Finding
from holdfast.consistency.held import HeldCopies, HeldCopy
from holdfast.consistency.judge import Judge
from holdfast.consistency.report import FINDINGS, Report, sums_of, write_json
from holdfast.consistency.run_folder import EXPECTED, Begun, RunFolder, previous_directories, run_folder
from holdfast.consistency.unlisted import Unlisted
from holdfast.inventory.store import Head, Store
from holdfast.model import steps
from holdfast.model.changes import ChangeSet, FilesVerified
from holdfast.model.clock import Clock
from holdfast.model.errors import BadInput
from holdfast.model.names import BlockKey
from holdfast.model.records import Site
from holdfast.model.requirements import SameDoor
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.limits import DEFAULTS, Limits
from holdfast.storage.listing.progress import Progress as ListingProgress
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.site_listing import list_site
from holdfast.storage.listing.summary import LISTING, Plan, Summary

BLOCKS_A_COMMIT = 1000

_log = logs.get("consistency")

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and of how much (None: not known)."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """How to check. ``limits`` are those of the comparison's engine, ``listing`` those of the listing.

    Interrupted checks older than ``resume_age_s`` are not gone on with, none are ``afresh``. A dry run does not note
    what was proved.
    """

    limits: EngineLimits
    with_checksums: bool = False
    listing: Limits = DEFAULTS
    walk_processes: int | None = None
    read_concurrency: int = 4
    ignore_age_s: int = 86_400
    resume_age_s: int = 604_800
    afresh: bool = False
    dry_run: bool = False


def _silent(what: str, done: int, total: int | None) -> None:
    """Progress that nobody sees."""


@dataclass
class _Run:
    """What one run carries from step to step. The first of the ``doors`` is the one that is read through."""

    store: Store
    doors: Sequence[StorageDriver]
    site: Site
    settings: CheckSettings
    clock: Clock
    actor: str
    folder: RunFolder
    progress: Progress

    @property
    def path(self) -> Path:
        return self.folder.path


async def check(
    store: Store,
    doors: Sequence[StorageDriver],
    site: str,
    *,
    reports: Path,
    settings: CheckSettings,
    clock: Clock,
    actor: str,
    run: str,
    progress: Progress = _silent,
) -> Report:
    """Check one site through its ``doors``, which show the same files.

    The report's folder is ``reports``/``site``/``run``, or that of the interrupted run that was gone on with.
    """
    _require_live(doors)
    with store.snapshot() as view:
        record, head = view.site(site), view.head

    def usable(left: RunFolder) -> bool:
        begun = left.begun
        if begun is None or settings.afresh:
            return False
        is_young = 0 <= clock() - begun.started_us <= settings.resume_age_s * 1_000_000
        same = begun.site == _identity(record, doors) and begun.expected.head.epoch == head.epoch
        return same and is_young and left_over.opens(left, _plan(record, doors))

    with run_folder(reports, site, run, usable=usable) as folder:
        resumed = folder.begun is not None
        _log.info("check begun", site=site, run=folder.run, with_checksums=settings.with_checksums, resumed=resumed)
        state = _Run(store, doors, record, settings, clock, actor, folder, progress)
        report = await _check(state)
        report = replace(report, folder=str(reports / site / folder.run))
        write_json(folder.path, report.to_json())
    steps.reach("check.reported")
    counts = {cls.value: report.counts[cls] for cls in Class}
    _log.info("check ended", site=site, run=report.run, expected=report.expected, actual=report.actual, **counts)
    return report


def _require_live(doors: Sequence[StorageDriver]) -> None:
    """BadInput for doors that show an earlier listing: what came and went since would be called missing or orphan."""
    for door in doors:
        if not door.capabilities.live:
            raise BadInput(
                "shows a listing that was made earlier, not the storage as it is",
                place=door.label,
                hint="make `holdfast site listing` of it, and `holdfast compare`; check through another door",
            )


def _plan(site: Site, doors: Sequence[StorageDriver]) -> Plan:
    return Plan(site.name, "/", tuple(door.label for door in doors))


def _identity(site: Site, doors: Sequence[StorageDriver]) -> str:
    return repr((site.name, site.doors, [door.label for door in doors]))


async def _check(state: _Run) -> Report:
    started = time.monotonic()
    begun = state.folder.begun or _begin(state)
    steps.reach("check.snapshot-taken")
    listed = await _list(state, begun)
    steps.reach("check.listed")
    proved: Counter[BlockKey] = Counter()
    after, held = await _judge(state, begun.expected, proved)
    steps.reach("check.compared")
    sums = sums_of(state.path / FINDINGS)
    if state.settings.with_checksums and not state.settings.dry_run:
        _tell_proved(state, proved, begun.started_us)
    counts = listed.counts
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
        resumed=listed.resumed,
        held=held,
        counts=sums.counts,
        sizes=sums.sizes,
    )


def _begin(state: _Run) -> Begun:
    with state.store.snapshot() as view:
        expected = write_expected(view, state.site, state.path / EXPECTED)
    begun = Begun(_identity(state.site, state.doors), state.clock(), expected)
    state.folder.begin(begun)
    return begun


async def _list(state: _Run, begun: Begun) -> Summary:
    if (state.folder.listing / LISTING).exists():  # Killed after it was complete.
        return Listing.open(state.folder.listing).summary
    before = previous_directories(state.path.parent, state.folder.run)
    expected = await asyncio.to_thread(expected_names, state.path / EXPECTED, before, state.settings.limits)

    def tell(so_far: ListingProgress) -> None:
        state.progress("listing", so_far.directories, so_far.directories + so_far.queue)

    listing = await list_site(
        state.doors,
        state.folder.listing,
        _plan(state.site, state.doors),
        limits=state.settings.listing,
        expected=expected,
        workers=state.settings.walk_processes,
        progress=tell,
        clock=state.clock,
    )
    return listing.summary


async def _judge(state: _Run, expected: Expected, proved: Counter[BlockKey]) -> tuple[Head, tuple[HeldCopy, ...]]:
    """Write the table of findings; returns the position it was judged at, and what is held of what is awaited."""
    folder, limits = state.path, state.settings.limits
    state.progress("comparing", 0, None)
    unlisted = Unlisted.read(Listing.open(state.folder.listing))
    await asyncio.to_thread(site_differences.compare_site, folder, limits)
    wrong: list[Finding] = []
    if state.settings.with_checksums:
        there = site_differences.suspects(folder, limits)
        suspects = (each for each in there if unlisted.hiding(each.finding.path, seen=True) is None)
        wrong = await _prove(state, suspects, proved, expected.size)
    # The snapshot comes last, so that it knows all that happened while we listed and read.
    with state.store.snapshot() as view:
        age_s, now_us, asked = state.settings.ignore_age_s, state.clock(), Asked(view, state.site.name)
        held = HeldCopies(state.store, asked.requests, now_us=now_us)
        awaited = Awaited(view, state.site, asked, held)
        judge = Judge(view, state.site, unlisted, asked, before=expected.head, now_us=now_us, ignore_age_s=age_s)
        found = _found(judge, folder, wrong, awaited, expected.without_path, unlisted)
        findings.write_table(found, folder / FINDINGS)
        return view.head, tuple(HeldCopy(id, n, held.why(id)) for id, n in sorted(awaited.n_held.items()))


def _found(
    judge: Judge,
    folder: Path,
    wrong: Sequence[Finding],
    awaited: Awaited,
    without_path: Sequence[str],
    unlisted: Unlisted,
) -> Iterator[Finding]:
    for piece in findings.pieces(site_differences.read(folder)):
        yield from judge.judge(piece)
    for piece in findings.pieces(wrong):
        yield from judge.judge(piece)
    yield from awaited.findings()
    for lfn in without_path:
        yield Finding(Class.UNLISTED, lfn, "the site's rules have no path for it", lfn=lfn)
    yield from unlisted.findings()  # Last: judging counts what each place hides.


async def _prove(
    state: _Run, suspects: Iterator[proof.Suspect], proved: Counter[BlockKey], total: int
) -> list[Finding]:
    done = 0

    def tell(files: int, size: int) -> None:
        nonlocal done
        done += size
        state.progress("proving", done, total)

    concurrency = state.settings.read_concurrency
    found = proof.prove(state.doors[0], suspects, concurrency=concurrency, proved=proved, progress=tell)
    return [finding async for finding in found]


def _tell_proved(state: _Run, proved: Counter[BlockKey], at_us: int) -> None:
    """Tell the inventory which block replicas were proved whole."""
    with state.store.snapshot() as view:
        replicas = view.replicas(site=state.site.name)
    whole = [each.block for each in replicas if each.n_files and proved[each.block] == each.n_files]
    cause = f"check {state.folder.run} of {state.site.name}"
    for start in range(0, len(whole), BLOCKS_A_COMMIT):
        change = FilesVerified(state.site.name, tuple(whole[start : start + BLOCKS_A_COMMIT]), at_us)
        # What was read behind another door than the present one proves nothing.
        required = (SameDoor(state.site.name, state.site.doors[0]),)
        state.store.commit(ChangeSet((change,), actor=state.actor, cause=cause, requirements=required))
