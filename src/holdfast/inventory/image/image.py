"""Image: the inventory in memory, a fold over journal entries.

It answers what the store answers, from memory, at the position it has reached.
It is filled by replaying the journal (``empty`` and ``follow``) or from a
snapshot of the store (``load``), and kept up by ``follow``.

Rules
  * Entries are taken in one after the other, without a gap and without a
    change of epoch that the journal does not tell; else ResyncNeeded, and the
    image must be made anew.
  * Several entries taken in together become visible together. If one of them
    cannot be taken in, none of them was.
  * A snapshot is a reference: it costs nothing, never moves, and neither holds
    up nor waits for the one thread that takes entries in.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.inventory import rules
from holdfast.inventory.image import apply
from holdfast.inventory.image.snapshot import ImageSnapshot
from holdfast.inventory.image.tables import Table, Tables
from holdfast.inventory.store import Entry, Head, Snapshot, Store
from holdfast.model.changes import StartEpoch
from holdfast.model.errors import BrokenInvariant, ResyncNeeded
from holdfast.model.records import Block, Request


class Image:
    """The inventory in memory. One thread takes entries in, any number read."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    @classmethod
    def empty(cls, epoch: str = "") -> Image:
        """An image before the first entry, which may be of any epoch unless ``epoch`` says which."""
        return cls(Tables.empty(epoch))

    @property
    def tables(self) -> Tables:
        """The state itself, for reading; it never changes."""
        return self._tables

    @property
    def head(self) -> Head:
        """How far the image has come."""
        return self._tables.head

    def snapshot(self) -> Snapshot:
        """The inventory as the image has it now, held still."""
        return ImageSnapshot(self._tables)

    def apply(self, entry: Entry) -> None:
        """Take in the next entry; ResyncNeeded if it is not the next."""
        self.apply_all((entry,))

    def apply_all(self, entries: Iterable[Entry], *, checked: bool = False) -> None:
        """Take in the next entries, together; ``checked``: raise what the rules say against one of their changes."""
        draft = self._tables.draft()
        view = ImageSnapshot(draft)
        for entry in entries:
            _check_next(draft.head, entry)
            try:
                for change in entry.changes:
                    if checked and not isinstance(change, StartEpoch):
                        rules.check_change(change, view, now_us=entry.at_us)
                    apply.apply(change, draft, at_us=entry.at_us, position=entry.position)
            except LookupError as error:
                place = f"position {entry.position} of epoch {entry.epoch}"
                raise BrokenInvariant("the journal changes what is not there", place=place) from error
            draft.head = Head(entry.epoch, entry.position, entry.digest, entry.at_us)
        self._tables = draft


def follow(store: Store, image: Image, limit: int = 1000) -> Head:
    """Take in at most ``limit`` of the entries that ``image`` lacks; returns how far it has come.

    ResyncNeeded if the store's history is not the image's any more.
    """
    after = image.head.cursor if image.head.epoch else None
    image.apply_all(store.entries(after, limit=limit))
    return image.head


def load(snapshot: Snapshot) -> Image:
    """An image of what ``snapshot`` shows, made without replaying the journal."""
    tables = Tables(snapshot.head)
    tables.restore = snapshot.restored()
    tables.sites = Table({site.name: site for site in snapshot.sites()})
    tables.groups = Table(dict.fromkeys(snapshot.groups()))
    tables.datasets = Table({dataset.key: dataset for dataset in snapshot.datasets(staged=True)})
    for key in tables.datasets.rows:
        blocks = {block.key.block: block for block in snapshot.blocks(key)}
        if blocks:
            tables.blocks.own()[key] = blocks
        _load_files(snapshot, blocks.values(), tables)
    for replica in snapshot.replicas():
        tables.replicas.own().setdefault(replica.block, {})[replica.site] = replica
    tables.locks = Table({lock.id: lock for lock in snapshot.locks()})
    requests: list[Request] = [*snapshot.copy_requests(only_open=False), *snapshot.deletion_requests(only_open=False)]
    tables.requests = Table({request.id: request for request in requests})
    tables.permissions = Table({(item.dir, item.name): item for item in snapshot.permissions()})
    datasets, sites = snapshot.last_touched()
    tables.touched_datasets, tables.touched_sites = Table(datasets), Table(sites)
    return Image(tables)


def _load_files(snapshot: Snapshot, blocks: Iterable[Block], tables: Tables) -> None:
    for block in blocks:
        files = snapshot.files(block.key)
        tables.files.own()[block.key] = files
        tables.index_files(block.key, files, 0)


def _check_next(head: Head, entry: Entry) -> None:
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
