"""DeletionJob: the files of one claimed batch, deleted or moved a few at a time, and its directories.

Rules
  * A file is looked at, the inventory is asked once more, and only then it goes
    (``removal``, ``gate``, ``elsewhere``).
  * What is not there is gone only if the storage shows anything at all (``blank``).
  * However a job ends, every file has an outcome, or is given back, or is not
    ours any more. What is given back is begun if the storage may have been told
    to delete it, and else as if untried.
  * Directories that are asked to go come after the files, from the deepest up. One that is not empty waits while
    anything that is asked to go from below it has no outcome, here or under another claim; if that is held, so is it.
  * Directories that were left empty go last, where the site's settings let them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import groupby

from holdfast.model.errors import BrokenInvariant, DatabaseAway, HoldfastError, OutcomeUnknown
from holdfast.model.fileset import FileSet
from holdfast.operations.batch import BatchFailure, BatchState, Held
from holdfast.operations.carrying import outcomes
from holdfast.operations.carrying.claimed import Claimed
from holdfast.operations.carrying.fence import Fence, Shared
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.codes import Code
from holdfast.operations.deleting import directories, emptying, moving
from holdfast.operations.deleting.below import Below, Waits
from holdfast.operations.deleting.blank import is_blank
from holdfast.operations.deleting.removal import Objection, Target, remove
from holdfast.operations.deletion_report import PathState, Removed
from holdfast.operations.engine import ClaimLost
from holdfast.operations.places import OpenDoor


class DeletionJob:
    """One claimed batch of deletions at one site."""

    def __init__(
        self,
        tools: Tools,
        fence: Fence,
        claimed: Claimed,
        door: OpenDoor,
        targets: Sequence[Target],
        *,
        object_to: Objection,
        streams: int,
        below: Below,
    ) -> None:
        """``object_to``: asked before each of them goes; ``below``: what else the request names."""
        self.claimed = claimed
        self._tools = tools
        self._check = fence.shared(claimed.batch.claim)
        self._door = door
        self._targets = targets
        self._object_to = object_to
        self._is_blank = False
        self._look_at_root = Shared(self._see_whether_blank)
        self._streams = streams
        self._begun: set[int] = set()
        """Files that the storage may have been told to delete."""
        self._deleted: list[str] = []
        self._below = below
        self._folders = moving.Folders(door.driver)
        self._waiting: dict[Waits, list[int]] = {}
        """Directories that are not empty yet."""
        self._tried_again: set[int] = set()
        """What has failed, and may not the next time."""

    async def carry(self) -> None:
        """Delete what may go; returns when all is said that ever will be."""
        try:
            for alike in _in_order(self._targets):
                await self._delete_all(alike)
            self._wait_for_below()
            if self._deleted and self._may_remove_directories():
                rules = self._door.site.first_door.rules
                await directories.remove_empty(self._door.driver, self._deleted, rules, self._check)
        except ClaimLost as lost:
            # If the claim is lost indeed, that is found when this is written down.
            self._end_early(str(lost))
        except asyncio.CancelledError:
            self._end_early("interrupted")
            raise
        except BrokenInvariant:
            raise
        except (DatabaseAway, OutcomeUnknown) as error:
            self._end_early(str(error))
        except HoldfastError as error:
            for target in self._targets:
                self._fail(target, Code.STORAGE_FAILED, str(error))

    def _end_early(self, why: str) -> None:
        """What was not begun goes back as if nobody had claimed it; the rest is known as begun."""
        batch, untouched = self.claimed.batch, self.claimed.rest() - FileSet.of(self._begun)
        back = BatchFailure(untouched, 0, BatchState.QUEUED, batch.attempts, batch.code, batch.error, left=batch.left)
        self.claimed.decided(back)
        self.claimed.ends_early(why)

    async def _delete_all(self, targets: Sequence[Target]) -> None:
        waiting = iter(targets)
        async with _Streams() as streams:
            for _ in range(max(1, min(self._streams, len(targets)))):
                streams.begin(lambda: self._stream(waiting))

    async def _stream(self, waiting: Iterator[Target]) -> None:
        for target in waiting:
            if target.ordinal not in self.claimed.left:
                continue
            removed = await self._removed(target)
            if removed is not None and removed.state is PathState.GONE:
                removed = await self._if_not_blank(removed)
            if removed is not None:
                self._settle(target, removed)

    async def _removed(self, target: Target) -> Removed | None:
        """What became of one file or directory; None: it waits for others."""
        driver, is_live_part = self._door.driver, self._tools.queue.is_live_part
        if target.moved_to:
            return await moving.move(
                target,
                driver,
                self._folders,
                object_to=self._object,
                is_live_part=is_live_part,
                now_us=self._tools.outside.clock(),
            )
        if not target.is_directory:
            return await remove(target, driver, object_to=self._object, is_live_part=is_live_part)
        is_holding = target.path in self._below.holding
        removed = await emptying.remove_directory(target, driver, object_to=self._object, is_holding=is_holding)
        waits = Waits.NOT if removed is not None else self._below.waits_for(target.path, self._tried_again)
        if waits is Waits.NOT:
            return removed or emptying.NOT_EMPTY
        self._waiting.setdefault(waits, []).append(target.ordinal)
        if waits is Waits.FOR_WORK:
            self._tried_again.add(target.ordinal)
        return None

    def _wait_for_below(self) -> None:
        """Directories that wait come back together, as if untried: after a while, or with what is held."""
        batch, why = self.claimed.batch, "what is asked to go from below it is there"
        now_us, wait_s = self._tools.outside.clock(), self._tools.settings.retry_delay_s_min
        for waits, ordinals in self._waiting.items():
            files = FileSet.of(ordinals)
            if waits is Waits.FOR_HELD:
                self.claimed.decided(outcomes.held(batch, files, 0, Held.ALL_FAILED, why, None))
            else:
                self.claimed.decided(outcomes.later(batch, files, 0, why, now_us=now_us, wait_s=wait_s))

    async def _object(self, target: Target) -> Removed | None:
        objection = await self._object_to(target)
        if objection is None:
            self._begun.add(target.ordinal)
        return objection

    async def _if_not_blank(self, gone: Removed) -> Removed:
        """What is not there counts as gone if the storage, looked at after that, shows anything at all."""
        await self._look_at_root()
        if not self._is_blank:
            return gone
        reason = "it is not there, but nor is anything else: is the storage mounted?"
        return Removed(PathState.FAILED, Code.STORAGE_FAILED, reason)

    async def _see_whether_blank(self) -> None:
        self._is_blank = await is_blank(self._door.driver)

    def _settle(self, target: Target, removed: Removed) -> None:
        request = self.claimed.batch.request
        if request.dataset is None:
            self._tools.tally.removed(request.id, target.name, removed)
        if removed.state in (PathState.SKIPPED, PathState.FAILED):
            self._fail(target, removed.code or Code.STORAGE_FAILED, removed.reason)
            return
        if self.claimed.done(target.ordinal, is_found=removed.state is PathState.GONE):
            self._tools.tally.deleted(self.claimed.batch.claim)
            if not target.is_directory:  # What a directory leaves empty nobody has asked to go.
                self._deleted.append(target.path)

    def _fail(self, target: Target, code: Code, error: str) -> None:
        if not code.is_permanent:
            self._tried_again.add(target.ordinal)
        if self.claimed.failed(target.ordinal, code, error):
            batch = self.claimed.batch
            self._tools.tally.failed(batch.claim, target.name, error, site=batch.site, code=code)

    def _may_remove_directories(self) -> bool:
        settings = self._tools.settings.for_site(self._door.site.name)
        return settings.remove_empty_directories and directories.can_remove(self._door.driver)


def _in_order(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """What may go at once: the files, then directories of one depth after the other, from the deepest up."""
    files = [target for target in targets if not target.is_directory]
    if files:
        yield files
    directories = sorted((target for target in targets if target.is_directory), key=_depth, reverse=True)
    for _, alike in groupby(directories, _depth):
        yield list(alike)


def _depth(target: Target) -> int:
    return target.path.count("/")


class _Streams:
    """Coroutines that end together: the first that fails cancels the others, and all are waited for.

    Most streams delete a few files only; so they count themselves, which costs
    less than a callback for each that somebody waits for.
    """

    def __init__(self) -> None:
        self._running: list[asyncio.Task[None]] = []
        self._has_failed = False
        self._n_left = 0
        self._is_over = asyncio.Event()

    def begin(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        self._n_left += 1
        self._running.append(asyncio.ensure_future(self._counted(work)))

    async def _counted(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        try:
            await work()
        except BaseException:
            self._has_failed = True
            raise
        finally:
            self._n_left -= 1
            if self._has_failed or not self._n_left:
                self._is_over.set()

    async def __aenter__(self) -> _Streams:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._is_over.wait()
        finally:
            left = [each for each in self._running if not each.done()]
            for each in left:
                each.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        ends = [asyncio.CancelledError() if each.cancelled() else each.exception() for each in self._running]
        errors = [error for error in ends if error is not None]
        for error in sorted(errors, key=lambda each: isinstance(each, ClaimLost | asyncio.CancelledError)):
            raise error
