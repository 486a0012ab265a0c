"""FileTrail: what the journal has about one file, and not about the others of its block.

Changes name files by their ordinals, and these move: where files of a block
are forgotten, those behind them move up. So a trail goes along the journal step
by step, from the place that the file has now, and sees every entry that touches
its dataset; the side table of the journal knows no files.

Rules
  * About a file is what names it, or all of its block, replica or dataset; with a site, only what names that site.
  * What becomes of a request is about the file if the request was, when it was asked. That is looked up further back;
    where it is not kept any more, the request counts as about the file.
  * Before it was registered, or after it was forgotten, nothing that names files by ordinals is about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from holdfast.inventory import journal_reading
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import JournalEntry
from holdfast.model import changes as c
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockFiles, FileRecord

Verdict = bool | str
"""Whether a change is about the file; the id of a request: if that was."""


@dataclass(frozen=True, slots=True)
class Told:
    """An entry, and those of its changes that are about what was asked."""

    entry: JournalEntry
    changes: tuple[c.Change, ...]


@dataclass(slots=True)
class _Kept:
    """What was met on the way back, the latest first."""

    entries: list[tuple[JournalEntry, list[tuple[c.Change, Verdict]]]] = field(default_factory=list)
    n_sure: int = 0
    open: set[str] = field(default_factory=set)
    """Requests of which it is not known yet whether they were about the file."""


class FileTrail:
    """Reads the journal about one file: first the last entries, then those that come."""

    def __init__(self, store: SqlStore, file: FileRecord, site: str | None = None) -> None:
        self._store, self._site = store, site
        self._block: BlockKey = file.block
        self._ordinal: int | None = file.ordinal
        self._was_about: dict[str, bool] = {}

    def last(self, count: int, *, until: int) -> list[Told]:
        """The last entries up to a position, oldest first; the file is as it was found at that position."""
        kept, ordinal = _Kept(), self._ordinal
        if not count:
            return []
        items = [("dataset", str(self._block.dataset))]
        for entry in journal_reading.backwards(self._store, items, until=until):
            verdicts, ordinal = self._back_through(entry, ordinal)
            kept.open -= self._was_about.keys()
            if kept.n_sure < count:
                self._keep(kept, entry, verdicts)
            if kept.n_sure >= count and not kept.open:
                break
        told = [self._told(entry, verdicts) for entry, verdicts in kept.entries]
        return [each for each in told if each.changes][:count][::-1]

    def go_on(self, entries: Iterable[JournalEntry]) -> list[Told]:
        """Those of ``entries``, the next ones, that are about the file."""
        told = []
        for entry in entries:
            verdicts = []
            for change in entry.changes:
                verdicts.append((change, self._judge(change, self._ordinal)))
                self._ordinal = _after(change, self._block, self._ordinal)
            told.append(self._told(entry, verdicts))
        return [each for each in told if each.changes]

    def _back_through(
        self, entry: JournalEntry, ordinal: int | None
    ) -> tuple[list[tuple[c.Change, Verdict]], int | None]:
        """What is to be thought of each change, and the file's ordinal before all of them."""
        verdicts: list[tuple[c.Change, Verdict]] = []
        for change in reversed(entry.changes):
            later, ordinal = ordinal, _before(change, self._block, ordinal)
            # Changes name files as they were before them, but for the one that brings the file in.
            verdicts.append((change, self._judge(change, later if ordinal is None else ordinal)))
        return verdicts[::-1], ordinal

    def _keep(self, kept: _Kept, entry: JournalEntry, verdicts: list[tuple[c.Change, Verdict]]) -> None:
        if not any(verdict for _, verdict in verdicts):
            return
        kept.entries.append((entry, verdicts))
        kept.n_sure += any(verdict is True for _, verdict in verdicts)
        kept.open |= {verdict for _, verdict in verdicts if isinstance(verdict, str)} - self._was_about.keys()

    def _told(self, entry: JournalEntry, verdicts: Sequence[tuple[c.Change, Verdict]]) -> Told:
        def is_so(verdict: Verdict) -> bool:
            return self._was_about.get(verdict, True) if isinstance(verdict, str) else verdict

        return Told(entry, tuple(change for change, verdict in verdicts if is_so(verdict)))

    def _judge(self, change: c.Change, ordinal: int | None) -> Verdict:
        if isinstance(change, c.CloseRequest):
            return self._by_request(change.id)
        if isinstance(change, c.ReduceRequest):
            return self._is_among(change.scope, ordinal) and self._by_request(change.id)
        datasets, sites = c.touched(change)
        is_here = self._block.dataset in datasets and (self._site is None or self._site in sites)
        is_about = is_here and self._is_about(change, ordinal)
        if isinstance(change, c.RequestCopy | c.RequestDeletion):
            self._was_about[change.request.id] = is_about
        return is_about

    def _is_about(self, change: c.Change, ordinal: int | None) -> bool:
        """Whether a change of the file's dataset names it, or all of its block, replica or dataset."""
        match change:
            case c.RegisterFiles():
                place = None if ordinal is None else ordinal - change.first_ordinal
                return change.block == self._block and place is not None and 0 <= place < len(change.files)
            case c.FilesArrived() | c.FilesGone() | c.FilesDeleted() | c.RemoveFiles() | c.RenameFiles():
                return change.block == self._block and (change.ordinals is None or ordinal in change.ordinals)
            case c.RequestCopy() | c.RequestDeletion():
                return self._is_among(change.request.scope, ordinal)
            case c.FilesVerified() | c.BlocksArrived() | c.RemoveReplicas() | c.AssignReplicas():
                return self._block in change.blocks
            case _:
                return True

    def _is_among(self, scope: Iterable[BlockFiles], ordinal: int | None) -> bool:
        parts = [part for part in scope if part.block == self._block.block]
        return any(part.ordinals is None or ordinal in part.ordinals for part in parts)

    def _by_request(self, id: str) -> Verdict:
        """As the request was, unless it is one of another dataset or site: that is never met on the way back."""
        if id in self._was_about:
            return self._was_about[id]
        with self._store.snapshot() as snapshot:
            request = snapshot.request(id)
        if request is None:
            return id
        datasets, sites = c.touched_by(request)
        return id if self._block.dataset in datasets and (self._site is None or self._site in sites) else False


def _before(change: c.Change, block: BlockKey, ordinal: int | None) -> int | None:
    """Where a file was before a change, by where it was after it; None before it was registered."""
    if ordinal is None or not isinstance(change, c.RegisterFiles | c.RemoveFiles) or change.block != block:
        return ordinal
    if isinstance(change, c.RegisterFiles):
        return ordinal if ordinal < change.first_ordinal else None
    for removed in sorted(set(change.ordinals)):
        ordinal += removed <= ordinal
    return ordinal


def _after(change: c.Change, block: BlockKey, ordinal: int | None) -> int | None:
    """Where a file is after a change, by where it was before it; None if it was forgotten."""
    if ordinal is None or not isinstance(change, c.RemoveFiles) or change.block != block:
        return ordinal
    removed = set(change.ordinals)
    return None if ordinal in removed else ordinal - sum(each < ordinal for each in removed)
