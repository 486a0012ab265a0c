"""Acting on a report of a site: what is wished for, class by class, through the gates.

    report, wishes, overrides -> gates -> a look at each file -> requests

Rules
  * All gates before anything is asked for: half of what was wanted is not what
    was wanted. Who wishes for as much as may be gets what is open, and is told of
    the rest.
  * A gate matters only if there is something behind it.
  * Only what is confirmed is asked for; what is not yet is counted.
  * At a site in mode dry nothing is asked for, and it is told what would be.
  * Nothing is done here but asking; who waits for what comes of it has operations carry it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from holdfast.consistency import findings
from holdfast.consistency.classes import MAY_BE_LACKING, WRONG, Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.gates import Gates, GateSettings
from holdfast.consistency.history.sightings import confirmed
from holdfast.consistency.history.states import Mode
from holdfast.consistency.mending.acting_tools import ActingTools
from holdfast.consistency.mending.asker import MendingAsker, Repair, require_open
from holdfast.consistency.mending.overrides import NONE, Overrides
from holdfast.consistency.mending.removals import delete_orphans, remove_empty
from holdfast.consistency.mending.repair import repair
from holdfast.consistency.report import FINDINGS, Report
from holdfast.consistency.site_gates import gates_of
from holdfast.operations.deletion_report import DeletionReport
from holdfast.operations.progress import RunReport
from holdfast.storage.driver import StorageDriver


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be done. With ``as_far_as_open``, classes whose gate is closed are left; else nothing is done then."""

    copies: bool = False
    orphans: bool = False
    empty_directories: bool = False
    as_far_as_open: bool = False

    @property
    def classes(self) -> tuple[Class, ...]:
        """The classes that something is to be done about."""
        wished = [*WRONG] if self.copies else []
        wished += [Class.ORPHAN] if self.orphans else []
        wished += [Class.EMPTY_DIRECTORY] if self.empty_directories else []
        return tuple(wished)


@dataclass(slots=True)
class Acted:
    """What was asked for, what the gates said, and what has come of it where somebody waited for that."""

    asked: Repair = field(default_factory=Repair)
    copied: RunReport | None = None
    deleted: tuple[DeletionReport, ...] = ()
    gates: Gates = field(default_factory=dict)
    """Those of the classes that were wished for."""
    dry_mode: str = ""
    """Why this was a dry run, if nobody asked for one."""

    @property
    def left(self) -> dict[Class, tuple[str, ...]]:
        """The classes that something is found of and that may not be acted on, with the reasons."""
        return {cls: gate.reasons for cls, gate in self.gates.items() if gate.found and not gate.is_open}


async def act(
    tools: ActingTools,
    driver: StorageDriver,
    report: Report,
    wishes: Wishes,
    acted: Acted,
    *,
    overrides: Overrides = NONE,
) -> None:
    """Ask for what is wished about a report, whose folder is here; told in ``acted`` as it goes.

    ``driver`` is for the site's first door. Conflict, with all reasons, if a gate is closed; and if the report was made
    through another door.
    """
    tools.require_same_door(report)
    settings = overrides.settings(GateSettings.of(tools.configured))
    state = tools.state
    acted.dry_mode = state.mode_refusal
    # What would be done is asked of the gates as if it could be.
    state = replace(state, mode=Mode.ACT)
    gates = gates_of(tools.history, report, settings, state, tools.limits, now_us=tools.clock())
    acted.gates = {cls: gates[cls] for cls in wishes.classes}
    if not wishes.as_far_as_open:
        require_open(report, gates, *acted.left)
    asker = tools.asker(driver, is_dry=bool(acted.dry_mode), despite=overrides.words)
    await _Acting(tools, asker, report, gates, settings, overrides).act(wishes, acted)


def await_requests(
    tools: ActingTools, wishes: Wishes, acted: Acted, carry_out: Callable[[Sequence[str]], RunReport]
) -> None:
    """Have the open copies and deletions at the site carried out that were wished for; told in ``acted``.

    Those that were just asked for, and those that an earlier run has left: what it asked for is awaited, and no check
    finds it missing again. Nothing, if this was a dry run.
    """
    if tools.dry_run or acted.dry_mode:
        return
    with tools.store.snapshot() as view:
        copies = [each.id for each in view.copy_requests(site=tools.site.name)] if wishes.copies else []
        removes = wishes.orphans or wishes.empty_directories
        deletions = [each.id for each in view.deletion_requests(site=tools.site.name)] if removes else []
    if copies or deletions:
        done = carry_out([*copies, *deletions])
        acted.copied = replace(done, deletions=()) if copies else None
        acted.deleted = done.deletions


@dataclass(frozen=True, slots=True)
class _Acting:
    """What everybody here needs: who asks, about which report, through which gates."""

    tools: ActingTools
    asker: MendingAsker
    report: Report
    gates: Gates
    settings: GateSettings
    overrides: Overrides

    async def act(self, wishes: Wishes, acted: Acted) -> None:
        """Ask for what is wished and open."""
        wished = [cls for cls in wishes.classes if cls not in acted.left]
        if wishes.copies:
            await repair(self.asker, self.report, self._lacking(wished), acted.asked, gates=self.gates)
        if Class.ORPHAN in wished and self.gates[Class.ORPHAN].found:
            await delete_orphans(
                self.asker,
                self.report,
                self._confirmed(Class.ORPHAN),
                acted.asked,
                gates=self.gates,
                lacking=findings.read_table(self._table, MAY_BE_LACKING),
                is_quarantined=self.tools.configured.quarantine and not self.overrides.no_quarantine,
                is_again=self.overrides.again,
            )
        if Class.EMPTY_DIRECTORY in wished:
            await remove_empty(
                self.asker,
                self.report,
                self._confirmed(Class.EMPTY_DIRECTORY),
                acted.asked,
                gates=self.gates,
                is_again=self.overrides.again,
            )

    def _lacking(self, wished: list[Class]) -> Iterator[Finding]:
        """What is missing or wrong, confirmed, and what is awaited: that was asked for already."""
        for cls in WRONG:
            if cls in wished:
                yield from self._confirmed(cls)
        yield from findings.read_table(self._table, (Class.AWAITED,))

    def _confirmed(self, cls: Class) -> Iterator[Finding]:
        if not self.gates[cls].found:
            return iter(())
        needed, now_us = self.settings.confirmations[cls], self.asker.clock()
        return confirmed(Path(self.report.folder), cls, needed, now_us=now_us, limits=self.tools.limits)

    @property
    def _table(self) -> Path:
        return Path(self.report.folder) / FINDINGS
