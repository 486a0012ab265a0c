"""Acting: what is wished for about a report, class by class, through the gates.

Rules
  * All gates before anything is asked for: half of what was wanted is not what
    was wanted. Who wishes for as much as may be gets what is open, and is told of
    the rest.
  * A gate matters only if there is something behind it.
  * Only what is confirmed is asked for; what is not yet is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from holdfast.consistency import findings
from holdfast.consistency import gates as gates_
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.findings import WRONG, Class, Finding
from holdfast.consistency.gates import GateSettings
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.sightings import confirmed, confirmed_counts
from holdfast.consistency.history.states import SiteState
from holdfast.consistency.mending.asker import Asker, Gates, Repair, require_open
from holdfast.consistency.mending.removals import delete_orphans, remove_empty
from holdfast.consistency.mending.repair import repair
from holdfast.consistency.mending.sought import NEEDED
from holdfast.consistency.report import FINDINGS, Report
from holdfast.inventory.store import Store


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be done. With ``as_far_as_open``, classes whose gate is closed are left; else nothing is done then."""

    copies: bool = False
    orphans: bool = False
    empty_directories: bool = False
    is_quarantined: bool = True
    is_again: bool = False
    """Removals are asked for even if somebody has cancelled them."""
    as_far_as_open: bool = False

    @property
    def classes(self) -> tuple[Class, ...]:
        """The classes that something is to be done about."""
        wished = [*WRONG] if self.copies else []
        wished += [Class.ORPHAN] if self.orphans else []
        wished += [Class.EMPTY_DIRECTORY] if self.empty_directories else []
        return tuple(wished)


def gates_of(
    store: Store, report: Report, settings: GateSettings, state: SiteState, limits: EngineLimits, *, now_us: int
) -> Gates:
    """The gates of a report whose folder is there."""
    counts = confirmed_counts(Path(report.folder), settings.confirmations, now_us=now_us, limits=limits)
    measure = gates_.believed(History(store).earlier(report.site, report.run), settings)
    return gates_.gates(report, counts, settings, state, measure)


def closed(gates: Gates, wishes: Wishes) -> tuple[Class, ...]:
    """The classes that are wished for, found, and must be left."""
    return tuple(cls for cls in wishes.classes if gates[cls].found and not gates[cls].is_open)


@dataclass(frozen=True, slots=True)
class Acting:
    """What everybody here needs: who asks, about which report, through which gates."""

    asker: Asker
    report: Report
    gates: Gates
    settings: GateSettings
    limits: EngineLimits

    async def act(self, wishes: Wishes, result: Repair) -> None:
        """Ask for what is wished; told in ``result`` as it goes."""
        shut = closed(self.gates, wishes)
        if not wishes.as_far_as_open:
            require_open(self.report, self.gates, *shut)
        wished = [cls for cls in wishes.classes if cls not in shut]
        if wishes.copies:
            await repair(self.asker, self.report, self._lacking(wished), result, gates=self.gates)
        if Class.ORPHAN in wished and self.gates[Class.ORPHAN].found:
            await delete_orphans(
                self.asker,
                self.report,
                self._confirmed(Class.ORPHAN),
                result,
                gates=self.gates,
                lacking=findings.read_table(self._table, NEEDED),
                is_quarantined=wishes.is_quarantined,
                is_again=wishes.is_again,
            )
        if Class.EMPTY_DIRECTORY in wished:
            await remove_empty(
                self.asker,
                self.report,
                self._confirmed(Class.EMPTY_DIRECTORY),
                result,
                gates=self.gates,
                is_again=wishes.is_again,
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
        return confirmed(Path(self.report.folder), cls, needed, now_us=now_us, limits=self.limits)

    @property
    def _table(self) -> Path:
        return Path(self.report.folder) / FINDINGS
