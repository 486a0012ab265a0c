"""Gate: whether the files of one claim may still go, at the inventory's present word.

The claim was made in a transaction that ran the whole check. Whatever came into
the journal since may stand in the way: a lock, a lost copy, somebody who needs
the file. So before every deletion the head is compared, and if it has moved on
the check is run again for all that is left.

Rules
  * What comes in between and cannot stand in any file's way needs no new check
    (``since``).
  * Many deletions that are about to be done share one answer, asked for after
    the last of them came to the gate.
  * The check compares the LFN, too: whatever was read before, a file goes only
    if the inventory calls it by that name in the moment of the check.
  * The other copies are looked at as of the same moment (``elsewhere``): if the
    check was made again, so is the look.
  * While the database is away nobody can say, and nothing goes: it is waited for as long as our lease holds
    (``fence``). That is no failure of the storage, and no try.
  * ClaimLost if the claim is not ours any more, or its request was closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from holdfast.inventory.deletion import Ground, directory_obstacles, obstacles, replica_obstacles
from holdfast.inventory.store import Head, Snapshot
from holdfast.model.changes import ChangeSet
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import DeletionRequest
from holdfast.model.requirements import RequestIsOpen, Requirement, StillDeletable, StillNeedless, StillOrphans
from holdfast.operations.actor import ACTOR
from holdfast.operations.batch import Batch, Held, RequestKind
from holdfast.operations.carrying.claimed import Claimed
from holdfast.operations.carrying.fence import Fence, Shared
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.codes import Code
from holdfast.operations.deleting.elsewhere import CopyLooks, OtherCopies
from holdfast.operations.deleting.removal import Target, must_stay
from holdfast.operations.deleting.since import Since
from holdfast.operations.deletion_report import PathState, Removed
from holdfast.operations.engine import ClaimLost

_NO_NAMES: Mapping[int, str] = {}


class ClaimGate:
    """The check of one claim. ``request``: as the inventory has it; ``claimed``: what is still open of it."""

    def __init__(
        self,
        tools: Tools,
        fence: Fence,
        batch: Batch,
        request: DeletionRequest,
        since: Since,
        *,
        checked: Head,
        claimed: Claimed,
        lfns: Mapping[int, str],
        looks: CopyLooks,
    ) -> None:
        """``lfns``: of replicas, for which file each ordinal is taken; ``looks``: at the other copies, for now."""
        self._tools = tools
        self._fence = fence
        self._batch = batch
        self._request = request
        self._since = since
        self._checked = checked
        self._claimed = claimed
        self._lfns = lfns
        self._looks = looks
        self._refused: dict[int, Removed] = {}
        self._pass = Shared(self._check)

    async def object_to(self, target: Target) -> Removed | None:
        """Why a file must stay now; None if it may go at once. ClaimLost."""
        while True:
            looks = self._looks
            objection = await looks.object_to(target)
            if objection is not None:
                return objection
            await self._pass()
            if target.ordinal in self._refused or looks is self._looks:
                return self._refused.get(target.ordinal)

    async def _check(self) -> None:
        await self._fence.patiently(self._ask_inventory)
        # Last, because checking may take its time.
        await self._fence.check(self._batch.claim)

    async def _ask_inventory(self) -> None:
        head = await self._since.head()
        if (head.epoch, head.position) != (self._checked.epoch, self._checked.position):
            if self._since.may_matter(self._checked, head, self._request.id):
                # Both or none: the database may go away in between.
                self._checked, self._looks = self._checked_again(), self._looks_anew()
            else:
                self._checked = head

    def _looks_anew(self) -> CopyLooks:
        with self._tools.store.snapshot() as view:
            return OtherCopies(view, self._tools, [self._batch]).looks(self._batch, self._request)

    def _checked_again(self) -> Head:
        """The whole check for all that is left; what must stay is noted with its reason."""
        store = self._tools.store
        while True:
            files = FileSet.of(ordinal for ordinal in self._claimed.rest() if ordinal not in self._refused)
            if not files:
                return store.head()
            change_set = ChangeSet(
                (),
                actor=ACTOR,
                cause=f"deletion {self._request.id}",
                requirements=requirements(self._request, self._batch.block, files, self._lfns),
            )
            try:
                return store.commit(change_set)
            except (Conflict, BadInput) as error:
                with store.snapshot() as view:
                    refused = refusals(view, self._request, self._batch, files, now_us=self._tools.outside.clock())
                if not refused:
                    # Not about single files: the request was closed or reduced, or its site is gone.
                    raise ClaimLost(str(error)) from error
                for part, removed, held in refused:
                    # What may pass goes back into the queue, untried; the next claim sees why, and holds it.
                    told = Removed(PathState.FAILED, Code.STOPPED, removed.reason) if held else removed
                    self._refused.update(dict.fromkeys(part, told))


def requirements(
    request: DeletionRequest, block: str, files: FileSet, lfns: Mapping[int, str] = _NO_NAMES
) -> tuple[Requirement, ...]:
    """The check of some files of a deletion, as a change set requires it; ``lfns``: which they have to be, if known."""
    if request.dataset is None:
        return RequestIsOpen(request.id), *_of_paths(request, files)
    names = tuple(map(lfns.__getitem__, files)) if lfns else ()
    return (StillDeletable(request.id, BlockKey(request.dataset, block), tuple(files), names),)


def _of_paths(request: DeletionRequest, files: FileSet) -> Iterator[Requirement]:
    orphans, directories = (tuple(map(request.path, some)) for some in _sorted(request, files))
    if orphans:
        yield StillOrphans(request.site, orphans, request=request.id)
    if directories:
        yield StillNeedless(request.site, directories)


def _sorted(request: DeletionRequest, files: FileSet) -> tuple[FileSet, FileSet]:
    """Which of some numbers of a request are those of orphans, and which those of directories."""
    orphans = files & FileSet.full(len(request.orphans))
    return orphans, files - orphans


def refusals(
    view: Snapshot, request: DeletionRequest, batch: Batch, files: FileSet, *, now_us: int
) -> Sequence[tuple[FileSet, Removed, Held]]:
    """Which files must stay, why, and how they are held until that has passed; orphans are not (NOT)."""
    if batch.request.kind is RequestKind.ORPHANS:
        site = view.site(request.site)
        ordinals, directories = ({request.path(each): each for each in some} for some in _sorted(request, files))
        found = obstacles(view, site, list(ordinals), now_us=now_us)
        found += directory_obstacles(view, site, list(directories), now_us=now_us)
        ordinals |= directories
        return [(FileSet.of([ordinals[each.path]]), must_stay(each.reason), Held.NOT) for each in found]
    asked_us = request.created_us
    against = replica_obstacles(view, request.site, batch.block_key, files, now_us=now_us, asked_us=asked_us)
    return [
        (
            each.files,
            Removed(PathState.SKIPPED, Code.MUST_STAY, each.reason),
            Held.NEEDED if each.ground is Ground.NEEDED else Held.MUST_STAY,
        )
        for each in against
    ]
