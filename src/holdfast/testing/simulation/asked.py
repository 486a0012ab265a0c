"""What Holdfast asks for because of checks and cleanings, held to what it may: confirmed, wished for, not protected.

Each function yields a line for each violation, with the number of the rule in
``docs/invariants.md``. What was asked for is read from the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.consistency.classes import WRONG, Class
from holdfast.consistency.cleaning import areas_cleaning, quarantine_purge
from holdfast.consistency.history.states import Mode, State
from holdfast.consistency.report import Report
from holdfast.inventory.store import JournalEntry, Snapshot
from holdfast.model import changes as c
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockFiles, DeletionRequest, Evidence
from holdfast.testing.simulation.checking import Checked
from holdfast.testing.simulation.cleaning import AREA_AGE_S
from holdfast.testing.simulation.deeds import Deeds
from holdfast.testing.simulation.effects import SECOND_NS
from holdfast.testing.simulation.gated import judge_gates, judge_wished
from holdfast.testing.simulation.looks import Looks
from holdfast.testing.simulation.mending import Said
from holdfast.testing.simulation.moved import judge_moved
from holdfast.testing.simulation.quarantined import CLOCK_DOUBT_S
from holdfast.testing.simulation.removed import RemovalsAsked
from holdfast.testing.simulation.span import Span, files_of
from holdfast.testing.simulation.world import AREA, DAY_S, World


@dataclass
class AskedChecker:
    """S8, S9, S11, S12: what checks and cleanings have asked for in one deed."""

    looks: Looks = field(default_factory=Looks)
    removals: RemovalsAsked = field(default_factory=RemovalsAsked)

    def check(self, world: World, span: Span, deeds: Deeds) -> Iterator[str]:
        """Everything that this deed has brought into the journal; a check that has ended is learnt first."""
        self.looks.learn(world, deeds)
        site = deeds.just_checked
        if site and world.said[site][0] is not State.READY:
            yield f"S9: {site} was checked, and is {world.said[site][0].value}"
        for entry in span.entries:
            if entry.cause.startswith("check "):
                yield from self._judge_acted(world, span, entry, deeds)
            elif entry.cause in (areas_cleaning.CAUSE, quarantine_purge.CAUSE):
                for change in entry.changes:
                    if isinstance(change, c.RequestDeletion):
                        yield from _judge_state(world, change.request.site)
                        checked = self.looks.last(change.request.site)
                        yield from judge_moved(world, span.before, change.request, checked)
                        yield from self.removals.judge_called_off(span.before, change.request, is_again=deeds.is_again)
                        if entry.cause == quarantine_purge.CAUSE:
                            yield from _judge_checked(world, change.request.site, checked, deeds.began_us)
                        if entry.cause == areas_cleaning.CAUSE:
                            yield from _judge_area(world, change.request, deeds)

    def _judge_acted(self, world: World, span: Span, entry: JournalEntry, deeds: Deeds) -> Iterator[str]:
        """One transaction that was made because of a check."""
        for change in entry.changes:
            site, found = _acted_on(world, span.after, change, deeds)
            if not found:
                continue
            if deeds.said is None or site not in deeds.checked:
                yield f"S8: something was asked for at {site} because of a check, and nobody has wished for that"
                continue
            report = deeds.checked[site].report
            yield from _judge_state(world, site)
            yield from _judge_cause(report, deeds.said, entry.cause)
            yield from judge_wished(report, deeds.said, found)
            yield from judge_gates(report, deeds.said, found, self.looks.reports_before(report))
            for cls, paths in found.items():
                needed = deeds.said.settings.confirmations[cls]
                for path in paths:
                    yield from self.looks.judge(site, cls, path, needed, now_us=world.clock.now_us)
            if isinstance(change, c.RequestDeletion):
                yield from self.removals.judge(span.before, change.request, deeds.said)
                yield from judge_moved(world, span.before, change.request, deeds.checked[site])
            elif isinstance(change, c.FilesGone) and change.evidence is Evidence.DECLARED:
                yield from _judge_declared(span.before, change, deeds.said)


def _acted_on(world: World, view: Snapshot, change: c.Change, deeds: Deeds) -> tuple[str, dict[Class, list[str]]]:
    """Where and about which paths a change says or asks something because of a check, by what that has called them."""
    found: dict[Class, list[str]] = {}
    site = ""
    if isinstance(change, c.RequestDeletion):
        site = change.request.site
        found = {
            Class.ORPHAN: [each.path for each in change.request.orphans],
            Class.EMPTY_DIRECTORY: [each.path for each in change.request.directories],
        }
    elif isinstance(change, c.FilesGone):
        site, part = change.site, BlockFiles(change.block.block, change.ordinals)
        checked = deeds.checked.get(change.site)
        called = {each.path: each.cls for each in (checked.findings if checked else ()) if each.cls in WRONG}
        for _, lfn in sorted(files_of(view, change.block.dataset, change.site, (part,))):
            path = world.path(site, lfn)
            found.setdefault(called.get(path, Class.MISSING), []).append(path)
    return site, {cls: paths for cls, paths in found.items() if paths}


def _judge_state(world: World, site: str) -> Iterator[str]:
    state, mode = world.said[site]
    if state is not State.READY or mode is not Mode.ACT:
        yield f"S9: something was asked for at {site}, which is {state.value} and in mode {mode.value}"


def _judge_cause(report: Report, said: Said, cause: str) -> Iterator[str]:
    """S8: whoever asks later learns by which check something was asked for, and by which words despite the gates."""
    run, _, told = cause.removeprefix("check ").partition(" of ")
    if run != report.run or not told.startswith(report.site):
        yield f"S8: something was asked for at {report.site} by the check {run}, and the last one is {report.run}"
    for words in said.words:
        if words not in told:
            yield f"S8: something was asked for at {report.site}, and its cause does not tell of: {words}"


def _judge_declared(before: Snapshot, change: c.FilesGone, said: Said) -> Iterator[str]:
    """S11: what is declared lost was held by nobody else, and it was a person who has said so."""
    if not said.is_declaring:
        yield f"S11: files were declared lost at {change.site}, and no person has said so"
    key = BlockKey(change.block.dataset, change.block.block)
    for replica in before.replicas(block=key):
        for ordinal in change.ordinals:
            if replica.site != change.site and replica.holds(ordinal):
                yield f"S11: file {ordinal} of {key} was declared lost at {change.site}, and {replica.site} holds it"


def _judge_checked(world: World, site: str, checked: Checked | None, began_us: int) -> Iterator[str]:
    """S10: nothing is purged where nobody has checked lately what may have its last copy there."""
    most_us = world.settings[site].quarantine_check_days * DAY_S * 1_000_000
    if checked is None or began_us - checked.report.started_us > most_us:
        yield f"S10: a purge was asked for at {site}, which was not checked lately"


def _judge_area(world: World, request: DeletionRequest, deeds: Deeds) -> Iterator[str]:
    """S12: what is cleaned lies in the area, is old, and was named by no list."""
    site, area = request.site, world.path(request.site, AREA)
    youngest_ns = (world.clock.now_us // 1_000_000 - AREA_AGE_S + CLOCK_DOUBT_S) * SECOND_NS
    for path in map(request.path, range(request.n_paths)):
        if not path.startswith(f"{area}/"):
            yield f"S12: {site}:{path} was asked to go by a cleaning, and lies in no area"
        if any(f"{path}/".startswith(f"{each}/") or each.startswith(f"{path}/") for each in deeds.named):
            yield f"S12: {site}:{path} was asked to go by a cleaning, and is protected"
        node = world.mirror[site].get(path)
        if node is not None and max(node.mtime_ns, node.changed_ns or 0) > youngest_ns:
            yield f"S12: {site}:{path} was asked to go by a cleaning, and is young"
