"""Judging: the stage of a check after the listing, in which differences become findings.

    comparison -> proof by checksum, if asked -> snapshot after -> judgement -> the table of findings

Rules
  * The snapshot comes last, so that it knows all that happened while we listed and read.
  * The table is written in pieces, in the order in which things are found.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from holdfast.consistency import findings
from holdfast.consistency.checking import proof, site_differences
from holdfast.consistency.checking.awaited import Asked, Awaited
from holdfast.consistency.checking.empty import empty_findings
from holdfast.consistency.checking.held import HeldCopies
from holdfast.consistency.checking.judge import Judge
from holdfast.consistency.checking.run import CheckRun
from holdfast.consistency.classes import Class
from holdfast.consistency.expected import Expected
from holdfast.consistency.findings import Finding
from holdfast.consistency.report import FINDINGS, HeldCopy
from holdfast.consistency.tree.empty import empty_directories
from holdfast.consistency.unlisted import Unlisted
from holdfast.inventory.store import Head, Snapshot
from holdfast.model import names, pfn
from holdfast.model.changes import ChangeSet, FilesVerified
from holdfast.model.names import BlockKey
from holdfast.model.requirements import SameDoor
from holdfast.storage.listing.reading import Listing

BLOCKS_A_COMMIT = 1000


async def judge(state: CheckRun, expected: Expected, proved: Counter[BlockKey]) -> tuple[Head, tuple[HeldCopy, ...]]:
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
    with state.store.snapshot() as view:
        found = _Found(state, view, expected, unlisted)
        findings.write_table(found.all(wrong), folder / FINDINGS)
        return view.head, found.held_copies()


class _Found:
    """All findings of a run, by the snapshot after it."""

    def __init__(self, state: CheckRun, view: Snapshot, expected: Expected, unlisted: Unlisted) -> None:
        self._state, self._view, self._expected, self._unlisted = state, view, expected, unlisted
        self._now_us = state.clock()
        asked = Asked(view, state.site.name)
        self._held = HeldCopies(state.store, asked.requests, now_us=self._now_us)
        self._awaited = Awaited(view, state.site, asked, self._held, state.settings.ignored)
        self._wanted_in: set[str] = set()
        self._judge = Judge(
            view,
            state.site,
            unlisted,
            asked,
            ignored=state.settings.ignored,
            before=expected.head,
            now_us=self._now_us,
            ignore_age_s=state.settings.ignore_age_s,
            resolution_ns=max(door.capabilities.mtime_resolution_ns for door in state.doors),
        )

    def all(self, wrong: Sequence[Finding]) -> Iterator[Finding]:
        """The findings, judged; ``wrong`` are those of which the content was read."""
        for piece in findings.pieces(chain(site_differences.read(self._state.path), wrong)):
            for finding in self._judge.judge(piece):
                self._note_wanted(finding)
                yield finding
        for finding in self._awaited.findings():
            self._note_wanted(finding)
            yield finding
        for lfn in self._expected.without_path:
            yield Finding(Class.UNLISTED, lfn, "the site's rules have no path for it", lfn=lfn)
        yield from self._empty()
        # Last: judging counts what each place hides.
        yield from map(self._state.settings.ignored.of_hidden, self._unlisted.findings())

    def held_copies(self) -> tuple[HeldCopy, ...]:
        """What is held of what is awaited, once all was found."""
        return tuple(HeldCopy(id, n, self._held.why(id)) for id, n in sorted(self._awaited.n_held.items()))

    def _note_wanted(self, finding: Finding) -> None:
        """Remember directories that may look empty, because what should be in them is not there."""
        if finding.block is not None:
            self._wanted_in.add(names.split(finding.path)[0])

    def _empty(self) -> Iterator[Finding]:
        settings, listing = self._state.settings, Listing.open(self._state.folder.listing)
        fixed = pfn.common_beginnings(self._state.site.first_door.rules)
        return empty_findings(
            empty_directories(listing, settings.limits, fixed=fixed),
            self._view,
            self._state.site.name,
            wanted=self._wanted_in,
            ignored=settings.ignored,
            now_us=self._now_us,
            ignore_age_s=settings.ignore_age_s,
        )


async def _prove(
    state: CheckRun, suspects: Iterator[proof.Suspect], proved: Counter[BlockKey], total: int
) -> list[Finding]:
    done = 0

    def tell(files: int, size: int) -> None:
        nonlocal done
        done += size
        state.progress("proving", done, total)

    concurrency = state.settings.read_concurrency
    found = proof.prove(state.doors[0], suspects, concurrency=concurrency, proved=proved, progress=tell)
    return [finding async for finding in found]


def tell_proved(state: CheckRun, proved: Counter[BlockKey], at_us: int) -> None:
    """Tell the inventory which block replicas were proved whole."""
    with state.store.snapshot() as view:
        replicas = view.replicas(site=state.site.name)
    whole = [each.block for each in replicas if each.n_files and proved[each.block] == each.n_files]
    cause = f"check {state.folder.run} of {state.site.name}"
    for start in range(0, len(whole), BLOCKS_A_COMMIT):
        change = FilesVerified(state.site.name, tuple(whole[start : start + BLOCKS_A_COMMIT]), at_us)
        # What was read behind another door than the present one proves nothing.
        required = (SameDoor(state.site.name, state.site.first_door),)
        state.store.commit(ChangeSet((change,), actor=state.actor, cause=cause, requirements=required))
