"""Aftermath: deletions of replicas that nobody goes on with, looked at, so that it is told what they had done.

Whoever had begun such a batch may have deleted of it what he told nobody
(``batches.begun``). What his storage shows now is told in one transaction.

Rules
  * A file is gone if its storage says that it is not there; that of a storage only which shows anything at all.
  * What is gone is told, whether its request is open or not; what is there is as if nobody had begun it.
  * What cannot be asked stays as it is, in the queue, to be looked at again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from holdfast import logs
from holdfast.inventory.store import Head, Snapshot, Store
from holdfast.model import steps
from holdfast.model.changes import Change, ChangeSet, FilesDeleted, FilesGone
from holdfast.model.errors import BadInput, BrokenInvariant, Conflict, HoldfastError, InvalidName, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.records import Evidence, RequestState
from holdfast.model.requirements import DatasetUnchanged, RequestIsOpen, Requirement
from holdfast.operations.actor import ACTOR
from holdfast.operations.batch import Batch
from holdfast.operations.batches.queue import Queue
from holdfast.operations.deleting.blank import is_blank
from holdfast.operations.places import OpenDoor, Places
from holdfast.storage.driver import NotADirectory, NotThere

AT_ONCE = 20

_log = logs.get("operations")


@dataclass(frozen=True, slots=True)
class Looked:
    """What a storage shows of a batch; what is in neither could not be asked. ``before``: the head before the look."""

    before: Head
    gone: FileSet
    there: FileSet
    sizes: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.gone or self.there)


async def look(store: Store, places: Places, batch: Batch) -> Looked:
    """See what is there of a batch; raises what opening its site raises."""
    with store.snapshot() as view:
        head = view.head
        if not _is_anybodys(view, batch):
            return Looked(head, FileSet(), batch.files)
        files = view.files(batch.block_key)
        known = batch.files & FileSet.full(len(files))
        lfns = {ordinal: files.lfn(ordinal) for ordinal in known}
        sizes = {ordinal: files.sizes[ordinal] for ordinal in known}
    door = places.door(batch.site)
    gate = asyncio.Semaphore(AT_ONCE)
    seen = await asyncio.gather(*(_is_there(gate, door, lfn) for lfn in lfns.values()))
    gone = FileSet.of(ordinal for ordinal, is_there in zip(lfns, seen, strict=True) if is_there is False)
    there = FileSet.of(ordinal for ordinal, is_there in zip(lfns, seen, strict=True) if is_there)
    if gone and await is_blank(door.driver):
        gone = FileSet()
    return Looked(head, gone, there | (batch.files - known), sizes)


def _is_anybodys(view: Snapshot, batch: Batch) -> bool:
    """Whether anybody asks for these files to go, or counts them as a copy there."""
    if not view.find_blocks([batch.block_key]):
        return False
    request = view.request(batch.request.id)
    is_open = request is not None and request.state is RequestState.OPEN
    return is_open or batch.block_key in view.find_replicas([batch.block_key], batch.site)


async def _is_there(gate: asyncio.Semaphore, door: OpenDoor, lfn: str) -> bool | None:
    """None: that cannot be said."""
    async with gate:
        try:
            await door.driver.stat(door.place(lfn).path)
        except (NotThere, NotADirectory):
            return False
        except InvalidName:
            return True  # It has no place there, so nobody has deleted it.
        except BrokenInvariant:
            raise
        except HoldfastError:
            return None
    return True


class _ElsewhereError(Exception):
    """The batch is not as it was any more: somebody else sees to it."""


def tell(store: Store, queue: Queue, batch: Batch, looked: Looked) -> bool:
    """Write down what was seen, in the inventory and in the queue; False: somebody else was quicker."""

    def also(connection: Connection) -> None:
        if not queue.looked(connection, batch, looked.gone, looked.there, sizes=looked.sizes):
            raise _ElsewhereError

    with store.snapshot() as view:
        changes, requirements = _said(view, batch, looked)
    cause = f"deletion {batch.request.id}"
    try:
        if changes:
            store.commit(ChangeSet(changes, actor=ACTOR, cause=cause, requirements=requirements), also=also)
        else:
            with queue.write() as connection:
                also(connection)
    except _ElsewhereError:
        return False
    except (Conflict, BadInput, UnknownName) as error:
        _log.info("what a deletion had done is looked at again", request=batch.request.id, reason=str(error))
        return False
    steps.reach("deletion.reported")
    about = {"request": batch.request.id, "site": batch.site, "block": batch.block}
    _log.info("what a deletion had done is told", **about, gone=len(looked.gone), there=len(looked.there))
    return True


def _said(view: Snapshot, batch: Batch, looked: Looked) -> tuple[tuple[Change, ...], tuple[Requirement, ...]]:
    """What the inventory is told, and what has to hold for it to be true."""
    key, id = batch.block_key, batch.request.id
    if not looked.gone:
        return (), ()
    request = view.request(id)
    if request is not None and request.state is RequestState.OPEN:
        return (FilesDeleted(key, batch.site, tuple(looked.gone), id),), (RequestIsOpen(id),)
    replica = view.find_replicas([key], batch.site).get(key)
    block = view.find_blocks([key]).get(key)
    held = FileSet() if replica is None or block is None else looked.gone & replica.files(block.n_files)
    if not held:
        return (), ()
    # Nothing keeps a copy from there now, which may have arrived since we looked.
    unchanged = DatasetUnchanged(key.dataset, looked.before.position, looked.before.epoch)
    reason = f"deleted for request {id}, which was closed meanwhile"
    return (FilesGone(key, batch.site, tuple(held), Evidence.STATED, reason),), (unchanged,)
