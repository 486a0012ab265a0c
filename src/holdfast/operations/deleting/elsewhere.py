"""Elsewhere: the other copies that a deletion rests on, looked at if they were not proved for long.

The check of the inventory has counted enough copies at other sites. It knows
them by its own word. What was last proved longer ago than ``verified_age`` is
looked at, kind and size, until enough have been seen.

Rules
  * A copy that was proved lately counts without a look. A proof from the future
    is none: it was noted under a clock that was ahead.
  * One that is not there, or not in its size, does not count, and is told of.
  * If too few were seen and some could not be asked, the file is tried again
    later; if all could be asked, it stays.
  * The same holds for an orphan of which the inventory knows other copies, by
    the path that it had if it lies in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from holdfast import logs
from holdfast.inventory.copies import GoodCopies, held_by
from holdfast.inventory.store import Snapshot
from holdfast.model import pfn, quarantine
from holdfast.model.clock import DAY_US
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, DeletionRequest
from holdfast.operations.batch import Batch
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.codes import Code
from holdfast.operations.deleting.removal import Target
from holdfast.operations.deletion_report import PathState, Removed
from holdfast.operations.places import Places
from holdfast.storage.driver import Kind, NotADirectory, NotThere

SKEW_US = 300_000_000
"""So far ahead of ours a clock may be that notes when a copy was proved."""

_log = logs.get("operations")


Copy = tuple[str, FileSet, int]
"""Another copy of a block: its site, the files that it holds to stay, when they were proved (0: never)."""


class CopyLooks(Protocol):
    """What has to be seen before a file goes."""

    async def object_to(self, target: Target) -> Removed | None:
        """Why a file does not go: too few others were seen."""


class Elsewhere:
    """The other usable copies of one block."""

    def __init__(self, places: Places, others: Sequence[Copy], *, n_required: int, proved_after_us: int) -> None:
        self._places = places
        self._n_required = n_required
        self._proved = [files for _, files, verified_us in others if verified_us > proved_after_us]
        self._enough = held_by(n_required, self._proved)
        self._doubtful = [(site, files) for site, files, verified_us in others if verified_us <= proved_after_us]

    async def object_to(self, target: Target) -> Removed | None:
        """Why a file does not go: too few others were seen."""
        if target.ordinal in self._enough:
            return None
        n_seen = sum(target.ordinal in files for files in self._proved)
        missing: list[str] = []
        unasked: list[str] = []
        for site, files in self._doubtful:
            if n_seen >= self._n_required:
                break
            if target.ordinal not in files:
                continue
            try:
                difference = await self._look(site, target)
            except BrokenInvariant:
                raise
            except HoldfastError as error:
                unasked.append(f"{site}: {error}")
                continue
            if difference:
                _log.warning("a copy is not as the inventory says", site=site, file=target.name, found=difference)
                missing.append(f"{site}: {difference}")
            else:
                n_seen += 1
        if n_seen >= self._n_required:
            return None
        told = f"only {n_seen} of {self._n_required} other copies could be seen: {'; '.join([*missing, *unasked])}"
        if unasked:
            return Removed(PathState.FAILED, Code.STORAGE_FAILED, told)
        return Removed(PathState.SKIPPED, Code.MUST_STAY, f"must stay: {told}")

    async def _look(self, site: str, target: Target) -> str:
        """What is wrong with the copy at a site; "" if it is there in its size."""
        door = self._places.door(site)  # Held until it has answered, so that nobody closes it.
        place = door.place(target.name)
        try:
            found = await door.driver.stat(place.path)
        except (NotThere, NotADirectory):
            return "it is not there"
        if found.kind is not Kind.FILE:
            return "it is no file"
        return "" if found.size == target.size else f"it has {found.size} bytes, not {target.size}"


def _was(path: str) -> str:
    return quarantine.original(path) or path


class OrphansElsewhere:
    """The other copies of files that the inventory knows, and that nobody asked for where they are to go."""

    def __init__(self, known: Mapping[int, tuple[Elsewhere, Target]]) -> None:
        """``known``: by an orphan's ordinal, the copies of its block, and what it is there."""
        self._known = known

    async def object_to(self, target: Target) -> Removed | None:
        """Why a file does not go; None of what the inventory does not know."""
        if target.ordinal not in self._known:
            return None
        elsewhere, there = self._known[target.ordinal]
        return await elsewhere.object_to(there)


class OtherCopies:
    """The other copies that some batches of deletions rest on, by one view of the inventory, while that is open."""

    def __init__(self, view: Snapshot, tools: Tools, batches: Iterable[Batch]) -> None:
        self._view = view
        self._tools = tools
        self._now_us = tools.outside.clock()
        self._copies: dict[BlockKey, GoodCopies] = {}
        self._read({batch.block_key: None for batch in batches if batch.request.dataset is not None})

    def looks(self, batch: Batch, asked: DeletionRequest) -> CopyLooks:
        """The looks for one batch of a request."""
        if asked.dataset is not None:
            return self._elsewhere(batch.block_key, batch.site, batch.files)
        rules = self._view.site(asked.site).first_door.rules
        lfns = {
            ordinal: pfn.lfn_of(rules, _was(asked.orphans[ordinal].path))
            for ordinal in batch.files
            if asked.directory(ordinal) is None
        }
        there = {ordinal: lfn for ordinal, lfn in lfns.items() if lfn is not None}
        records = dict(zip(there, self._view.lookup(list(there.values())), strict=True))
        files: dict[BlockKey, list[int]] = {}
        for record in filter(None, records.values()):
            files.setdefault(record.block, []).append(record.ordinal)
        self._read(files)
        copies = {key: self._elsewhere(key, asked.site, FileSet.of(ordinals)) for key, ordinals in files.items()}
        return OrphansElsewhere(
            {
                ordinal: (copies[record.block], Target(record.ordinal, record.lfn, "", record.size))
                for ordinal, record in records.items()
                if record is not None
            }
        )

    def _read(self, keys: Iterable[BlockKey]) -> None:
        new = [key for key in keys if key not in self._copies]
        if new:
            self._copies |= dict.fromkeys(new, GoodCopies(self._view, new))

    def _elsewhere(self, key: BlockKey, site: str, files: FileSet) -> Elsewhere:
        copies = self._copies[key]
        proved_us = {replica.site: self._proved_us(replica) for replica in copies.replicas.get(key, ())}
        staying = copies.staying(key, besides=site) if key in copies.blocks else {}
        others = [(name, there, proved_us[name]) for name, there in staying.items() if there & files]
        n_required = copies.required(key) if key in copies.blocks else 1
        proved_after_us = self._now_us - int(self._tools.settings.verified_age_days * DAY_US)
        return Elsewhere(self._tools.places, others, n_required=n_required, proved_after_us=proved_after_us)

    def _proved_us(self, replica: BlockReplica) -> int:
        """When a copy was proved; 0: never, or under a clock that was ahead, so that nobody knows when."""
        proved_us = replica.verified_us or 0
        return proved_us if proved_us <= self._now_us + SKEW_US else 0
