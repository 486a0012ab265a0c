"""Asking: from what was decided to requests for deletion, the way that orphans go.

Rules
  * Each file and each directory is looked at once more right before, and the
    inventory is asked again; what changed stays.
  * Files and directories are asked for by themselves, the deepest directories first.
  * Nothing is done here but asking: operations ask the inventory once more for
    each file before it goes, and let no directory go that is not empty.
  * What was asked for is noted by path, in the same transaction, so that nobody asks again for what is called off.
  * A dry run goes through the same transactions, which are then undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast import logs
from holdfast.consistency import findings
from holdfast.consistency.classes import Class
from holdfast.consistency.cleaning.cleaned import Cleaned
from holdfast.consistency.cleaning.deciding import Ages, Reason
from holdfast.consistency.cleaning.inventory_word import InventoryWord
from holdfast.consistency.cleaning.looks import still_old
from holdfast.consistency.cleaning.tools import CleaningTools
from holdfast.consistency.findings import Finding
from holdfast.consistency.history.deeds import DeedKind, Deeds
from holdfast.consistency.mending.request_sizes import cut, orphan_cost
from holdfast.model import steps
from holdfast.model.records import EmptyDirectory, Orphan
from holdfast.operations import requests
from holdfast.storage.driver import StorageDriver

_log = logs.get("consistency")


@dataclass
class CleaningAsker:
    """Who asks that what was decided goes. ``lacking``: what the last check found missing or wrong."""

    tools: CleaningTools
    driver: StorageDriver
    ages: Ages
    lacking: Sequence[Finding]
    cause: str
    result: Cleaned

    async def ask_for_files(self, decisions: Path) -> None:
        """Ask for all files that were decided to go, in the order of their paths."""
        await self._ask(findings.read_table(decisions, (Class.ORPHAN,)))

    async def ask_for_directories(self, decisions: Path) -> None:
        """Ask for all empty directories that were decided to go."""
        await self._ask(reversed(list(findings.read_table(decisions, (Class.EMPTY_DIRECTORY,)))))

    async def _ask(self, found: Iterable[Finding]) -> None:
        for piece in findings.pieces(found):
            good = await self._still_going(piece)
            for part in cut(good, orphan_cost):
                self._request(part)

    async def _still_going(self, piece: Sequence[Finding]) -> list[Finding]:
        """Those of them that may go at this moment, by their stat; the others are counted as changed."""
        looked = await still_old(self.driver, piece, self.ages)
        good = [each for each in looked if not isinstance(each, Reason)]
        with self.tools.store.snapshot() as view:
            word = InventoryWord(view, self.tools.site, now_us=self.tools.clock(), lacking=self.lacking)
            reasons = word.reasons(good)
        # A listing need not tell all that a file is known by again; a stat does.
        reasons |= self.tools.called_off(good)
        good = [each for each in good if each.path not in reasons]
        self.result.changed += len(piece) - len(good)
        return good

    def _request(self, part: Sequence[Finding]) -> None:
        tools = self.tools
        files = [each for each in part if each.cls is Class.ORPHAN]
        directories = [each for each in part if each.cls is Class.EMPTY_DIRECTORY]
        id = tools.new_id()
        kind = DeedKind.DIRECTORY_REMOVAL if directories else DeedKind.DELETION
        request = requests.request_deletion(
            tools.store,
            tools.site,
            [Orphan(each.path, each.actual_size or 0, each.mtime_ns or 0, each.version) for each in files],
            directories=[EmptyDirectory(each.path, each.mtime_ns) for each in directories],
            reason=self.cause,
            actor=tools.actor,
            clock=tools.clock,
            also=Deeds(tools.store).recorder(tools.site, kind, id, part, tools.clock()),
            dry_run=tools.dry_run,
            new_id=lambda: id,
        )
        self.result.files += len(files)
        self.result.size += sum(each.size for each in files)
        self.result.directories += len(directories)
        if not tools.dry_run:
            self.result.requests.append(request.id)
            steps.reach("clean.requested")
        counts = {"files": len(files), "directories": len(directories), "dry_run": tools.dry_run}
        _log.info("cleaning asked", site=tools.site, request=request.id, **counts)
