"""Image: the inventory in memory, a fold over journal entries.

It answers what the store answers, from memory, at the position it has reached.
It is filled by replaying the journal (``empty`` and ``follow``), from a
snapshot of the store (``load``), or faster by ``sql_load``; ``follow`` keeps it
up.

Rules
  * Entries are taken in one after the other, without a gap and without a
    change of epoch that the journal does not tell; else ResyncNeeded, and the
    image must be made anew.
  * Several entries taken in together become visible together. If one of them
    cannot be taken in, none of them was.
  * A snapshot is a reference: it costs nothing, never moves, and neither holds
    up nor waits for those who take entries in or bring changes into columns.
  * ``fold_step`` changes where things lie, never what is said of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

from holdfast.inventory import rules
from holdfast.inventory.image import apply
from holdfast.inventory.image.file_table import FileTable
from holdfast.inventory.image.layered import Layered
from holdfast.inventory.image.snapshot import ImageSnapshot
from holdfast.inventory.image.tables import ImageTables
from holdfast.inventory.store import Head, JournalEntry, Snapshot, Store
from holdfast.model import steps
from holdfast.model.changes import StartEpoch
from holdfast.model.errors import BrokenInvariant, ResyncNeeded
from holdfast.model.records import Request, RequestState


class Image:
    """The inventory in memory. Any number of threads read; those who write wait for one another."""

    def __init__(self, tables: ImageTables) -> None:
        self._tables = tables
        self._writing = threading.Lock()

    @classmethod
    def empty(cls, epoch: str = "") -> Image:
        """An image before the first entry, which may be of any epoch unless ``epoch`` says which."""
        return cls(ImageTables.empty(epoch))

    @property
    def tables(self) -> ImageTables:
        """The state itself, for reading; it never changes."""
        return self._tables

    @property
    def head(self) -> Head:
        """How far the image has come."""
        return self._tables.head

    def snapshot(self) -> ImageSnapshot:
        """The inventory as the image has it now, held still."""
        return ImageSnapshot(self._tables)

    def apply(self, entry: JournalEntry) -> None:
        """Take in the next entry; ResyncNeeded if it is not the next."""
        self.apply_all((entry,))

    def apply_all(self, entries: Iterable[JournalEntry], *, checked: bool = False) -> None:
        """Take in the next entries, together; ``checked``: raise what the rules say against one of their changes."""
        with self._writing:
            tables = self._tables
            for entry in entries:
                tables = _after(tables, entry, checked=checked)
            self._tables = tables

    def fold_step(self) -> bool:
        """Bring some of the changes into columns; False if it would not pay. Readers see no difference."""
        work = self._tables.files.merge_work()
        if work is None:
            return self._fold_blocks()
        done = work.run()  # The longest part, for which nobody has to wait.
        with self._writing:
            files = done.applied(self._tables.files)
            if files is not None:  # Else the table has changed too much meanwhile, and the next step begins anew.
                self._tables = replace(self._tables, files=files)
        steps.reach("image.folded")
        return True

    def _fold_blocks(self) -> bool:
        with self._writing:
            tables = self._tables.with_folded_blocks()
            if tables is None:
                return False
            self._tables = tables
        steps.reach("image.folded")
        return True

    def fold(self) -> None:
        """All the steps that pay."""
        while self.fold_step():
            pass

    def settle(self, changed_max: int) -> None:
        """Bring changes into what is published once, until of each table at most so many are beside it."""
        with self._writing:
            self._tables = self._tables.settled(changed_max)

    def adopt_files(self, files: FileTable, of: FileTable) -> None:
        """Go on with ``files``, which must say the same as ``of``; nothing happens if files have changed since."""
        with self._writing:
            if self._tables.files is of:
                self._tables = replace(self._tables, files=files)


def follow(store: Store, image: Image, limit: int = 1000) -> Head:
    """Take in at most ``limit`` of the entries that ``image`` lacks; returns how far it has come.

    ResyncNeeded if the store's history is not the image's any more.
    """
    after = image.head.cursor if image.head.epoch else None
    image.apply_all(store.entries(after, limit=limit))
    return image.head


def load(snapshot: Snapshot) -> Image:
    """An image of what ``snapshot`` shows, made without replaying the journal."""
    tables = small_tables(snapshot)
    for key in tables.datasets:
        for block in snapshot.blocks(key):
            blocks, number = tables.blocks.with_row(block.key, block.n_files, block.size)
            files = snapshot.files(block.key)
            tables = replace(tables, blocks=blocks, files=tables.files.appended(number, 0, files))
    return Image(tables.with_replicas(snapshot.replicas()))


def small_tables(snapshot: Snapshot) -> ImageTables:
    """All that ``snapshot`` shows but blocks, files and replicas."""
    datasets, sites = snapshot.last_touched()
    requests: list[Request] = [*snapshot.copy_requests(only_open=False), *snapshot.deletion_requests(only_open=False)]
    return ImageTables(
        snapshot.head,
        sites=Layered({site.name: site for site in snapshot.sites()}),
        groups=Layered(dict.fromkeys(snapshot.groups())),
        datasets=Layered({dataset.key: dataset for dataset in snapshot.datasets(staged=True)}),
        locks=Layered({lock.id: lock for lock in snapshot.locks()}),
        open_requests=Layered({each.id: each for each in requests if each.state is RequestState.OPEN}),
        closed_requests=Layered({each.id: each for each in requests if each.state is not RequestState.OPEN}),
        permissions=Layered({(item.dir, item.name): item for item in snapshot.permissions()}),
        touched_datasets=Layered(datasets),
        touched_sites=Layered(sites),
        restore=snapshot.restored(),
    )


def _after(tables: ImageTables, entry: JournalEntry, *, checked: bool) -> ImageTables:
    _check_next(tables.head, entry)
    try:
        for change in entry.changes:
            if checked and not isinstance(change, StartEpoch):
                rules.check_change(change, ImageSnapshot(tables), now_us=entry.at_us)
            tables = apply.apply(change, tables, at_us=entry.at_us, position=entry.position)
    except LookupError as error:
        place = f"position {entry.position} of epoch {entry.epoch}"
        raise BrokenInvariant("the journal changes what is not there", place=place) from error
    return replace(tables, head=Head(entry.epoch, entry.position, entry.digest, entry.at_us))


def _check_next(head: Head, entry: JournalEntry) -> None:
    """ResyncNeeded unless ``entry`` is what follows ``head`` on one history."""
    if entry.position != head.position + 1:
        raise _resync(head, f"position {entry.position} does not follow {head.position}")
    starts = [change for change in entry.changes if isinstance(change, StartEpoch)]
    before = head.epoch
    if starts:
        (start,) = starts
        if head.epoch and (start.restored_position, start.restored_digest) != (head.position, head.digest):
            raise _resync(head, f"epoch {entry.epoch} begins at another point")
        before = start.previous_epoch
    if head.epoch not in ("", before) or (not starts and head.epoch not in ("", entry.epoch)):
        raise _resync(head, f"epoch {entry.epoch} does not follow {head.epoch}")


def _resync(head: Head, problem: str) -> ResyncNeeded:
    return ResyncNeeded(
        f"resync needed: {problem}", hint=f"make a new image; this one is at {head.position} of epoch {head.epoch}"
    )
