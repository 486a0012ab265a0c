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
  * What partial replicas lack is awaited (``awaited.py``), by the inventory's
    word after the listing: no listing shows it.
  * The report appears whole or not at all; killed, a check is simply run again.

Raises what the store and the driver raise; a directory that fails is no
error but a finding.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from holdfast import logs
from holdfast.consistency import findings, proof, site_differences
from holdfast.consistency.awaited import UNASKED, awaited
from holdfast.consistency.duckdb_session import EngineLimits
from holdfast.consistency.expected import Expected, write_expected
from holdfast.consistency.findings import Class, Finding
from holdfast.consistency.judge import Judge
from holdfast.consistency.report import FINDINGS, Report, work_folder, write_json
from holdfast.consistency.site_differences import DIFFERENCES, EXPECTED
from holdfast.consistency.unlisted import Unlisted
from holdfast.inventory.store import Head, Store
from holdfast.model import steps
from holdfast.model.changes import ChangeSet, FilesVerified
from holdfast.model.clock import Clock
from holdfast.model.names import BlockKey
from holdfast.model.records import Site
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.tables import ENTRIES, ParquetSink
from holdfast.storage.listing.walk import WalkProgress, WalkSummary, walk

BLOCKS_A_COMMIT = 1000

_log = logs.get("consistency")

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and of how much (None: not known)."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """How to check. ``limits`` are those of the comparison's engine; a dry run does not note what was proved."""

    limits: EngineLimits
    with_checksums: bool = False
    list_concurrency: int = 16
    read_concurrency: int = 4
    ignore_age_s: int = 86_400
    dry_run: bool = False


def _silent(what: str, done: int, total: int | None) -> None:
    """Progress that nobody sees."""


@dataclass
class _Run:
    """What one run carries from step to step."""

    store: Store
    driver: StorageDriver
    site: Site
    settings: CheckSettings
    clock: Clock
    actor: str
    run: str
    folder: Path
    progress: Progress


async def check(
    store: Store,
    driver: StorageDriver,
    site: str,
    *,
    reports: Path,
    settings: CheckSettings,
    clock: Clock,
    actor: str,
    run: str,
    progress: Progress = _silent,
) -> Report:
    """Check one site; the report's folder is ``reports``/``site``/``run``."""
    with store.snapshot() as view:
        record = view.site(site)
    _log.info("check begun", site=site, run=run, with_checksums=settings.with_checksums)
    with work_folder(reports, site, run) as folder:
        state = _Run(store, driver, record, settings, clock, actor, run, folder, progress)
        report = await _check(state)
        report = replace(report, folder=str(reports / site / run))
        write_json(folder, report.to_json())
    steps.reach("check.reported")
    counts = {cls.value: report.counts[cls] for cls in Class}
    _log.info("check ended", site=site, run=run, expected=report.expected, actual=report.actual, **counts)
    return report


async def _check(state: _Run) -> Report:
    started_us, started = state.clock(), time.monotonic()
    with state.store.snapshot() as view:
        expected = write_expected(view, state.site, state.folder / EXPECTED)
    steps.reach("check.snapshot-taken")
    listing = await _list(state)
    steps.reach("check.listed")
    proved: Counter[BlockKey] = Counter()
    after = await _judge(state, expected, proved)
    steps.reach("check.compared")
    for name in (EXPECTED, ENTRIES, DIFFERENCES):
        (state.folder / name).unlink()
    sums = _sums(state.folder / FINDINGS)
    if state.settings.with_checksums and not state.settings.dry_run:
        _tell_proved(state, proved, started_us)
    return Report(
        site=state.site.name,
        run=state.run,
        started_us=started_us,
        seconds=round(time.monotonic() - started, 3),
        epoch=after.epoch,
        position_before=expected.head.position,
        position_after=after.position,
        top_listed=listing.top_listed,
        directories=listing.listed,
        unlisted_places=sums.places,
        expected=expected.files,
        expected_size=expected.size,
        actual=listing.files,
        actual_size=listing.bytes,
        proved=sum(proved.values()),
        with_checksums=state.settings.with_checksums,
        awaited_unasked=sums.unasked,
        counts=sums.counts,
        sizes=sums.sizes,
    )


async def _list(state: _Run) -> WalkSummary:
    def tell(so_far: WalkProgress) -> None:
        state.progress("listing", so_far.directories, so_far.directories + so_far.queue)

    sink = ParquetSink(state.folder)
    return await walk(state.driver, concurrency=state.settings.list_concurrency, sink=sink, progress=tell)


async def _judge(state: _Run, expected: Expected, proved: Counter[BlockKey]) -> Head:
    """Write the table of findings; returns the position it was judged at."""
    folder, limits = state.folder, state.settings.limits
    state.progress("comparing", 0, None)
    unlisted = Unlisted.read(folder)
    await asyncio.to_thread(site_differences.compare_site, folder, limits)
    wrong: list[Finding] = []
    if state.settings.with_checksums:
        there = site_differences.suspects(folder, limits)
        suspects = (each for each in there if unlisted.hiding(each.finding.path) is None)
        wrong = await _prove(state, suspects, proved, expected.size)
    # The snapshot comes last, so that it knows all that happened while we listed and read.
    with state.store.snapshot() as view:
        age_s = state.settings.ignore_age_s
        judge = Judge(view, state.site, unlisted, before=expected.head, now_us=state.clock(), ignore_age_s=age_s)
        found = _found(judge, folder, wrong, awaited(view, state.site), expected.without_path, unlisted)
        findings.write_table(found, folder / FINDINGS)
        return view.head


def _found(
    judge: Judge,
    folder: Path,
    wrong: Sequence[Finding],
    still_awaited: Iterator[Finding],
    without_path: Sequence[str],
    unlisted: Unlisted,
) -> Iterator[Finding]:
    for piece in findings.pieces(site_differences.read(folder)):
        yield from judge.judge(piece)
    for piece in findings.pieces(wrong):
        yield from judge.judge(piece)
    yield from still_awaited
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
    found = proof.prove(state.driver, suspects, concurrency=concurrency, proved=proved, progress=tell)
    return [finding async for finding in found]


def _tell_proved(state: _Run, proved: Counter[BlockKey], at_us: int) -> None:
    """Tell the inventory which block replicas were proved whole."""
    with state.store.snapshot() as view:
        replicas = view.replicas(site=state.site.name)
    whole = [each.block for each in replicas if each.n_files and proved[each.block] == each.n_files]
    cause = f"check {state.run} of {state.site.name}"
    for start in range(0, len(whole), BLOCKS_A_COMMIT):
        change = FilesVerified(state.site.name, tuple(whole[start : start + BLOCKS_A_COMMIT]), at_us)
        state.store.commit(ChangeSet((change,), actor=state.actor, cause=cause))


@dataclass
class _Sums:
    """Files and bytes by class, places that were not listed, awaited files that nobody asked for."""

    counts: dict[Class, int] = field(default_factory=lambda: dict.fromkeys(Class, 0))
    sizes: dict[Class, int] = field(default_factory=lambda: dict.fromkeys(Class, 0))
    places: int = 0
    unasked: int = 0


def _sums(table: Path) -> _Sums:
    sums = _Sums()
    for finding in findings.read_table(table):
        sums.counts[finding.cls] += finding.n_files
        sums.sizes[finding.cls] += finding.size
        sums.places += finding.cls is Class.UNLISTED
        sums.unasked += finding.cls is Class.AWAITED and finding.reason == UNASKED
    return sums
