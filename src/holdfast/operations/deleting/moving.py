"""Moving: one orphan that is to be moved into the quarantine, looked at once more, and moved or left with a reason.

Rules
  * The looks and the check are those of a deletion (``removal``).
  * Nothing is replaced: if something of that name lies there already, the orphan stays.
  * Nothing comes late into a day's folder: there it would count as having lain since that day.
  * A directory of the quarantine that somebody removes before the file is in it is made once more, after another check.
  * A storage moves a file as such; one that would have to copy it does not.
  * After the move it is looked at again: another file that came under the name
    in that moment is moved back.
  * One that is not there any more and lies in the quarantine, as it was listed,
    was moved before: by us, who died before writing it down.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from holdfast.model import names, quarantine, steps
from holdfast.model.clock import SECOND_US
from holdfast.model.errors import BrokenInvariant, HoldfastError, InvalidName
from holdfast.operations import codes
from holdfast.operations.codes import Code
from holdfast.operations.deleting.removal import IsLivePart, Objection, Target, cause_to_stay, without_it
from holdfast.operations.deletion_report import PathState, Removed
from holdfast.storage.driver import AlreadyThere, NotADirectory, NotThere, StorageDriver

UNSUPPORTED = Removed(
    PathState.FAILED,
    Code.UNSUPPORTED,
    "its storage cannot move a file without copying it; with `consistency.quarantine = false` it is deleted instead",
)

OVER = Removed(
    PathState.SKIPPED, Code.MUST_STAY, "the day of the quarantine that it was asked into is over; a check asks anew"
)
LATE_DAYS_MAX = 2
"""So many days after it was asked for a file is moved at the latest."""


def is_over(path: str, now_us: int) -> bool:
    """Whether a place in the quarantine belongs to a day that is over."""
    day = quarantine.day_of(path)
    return day is None or datetime.fromtimestamp(now_us // SECOND_US, UTC).date() - day > timedelta(days=LATE_DAYS_MAX)


def can_move(driver: StorageDriver) -> bool:
    """Whether this storage moves a file without copying it."""
    can = driver.capabilities
    # Where there are no directories a name is a key, and another name another object.
    return can.rename and (can.atomic_rename or can.directories)


class Folders:
    """Directories that files are moved into; each is made once."""

    def __init__(self, driver: StorageDriver) -> None:
        self._driver = driver
        self._made: set[str] = set()

    async def make(self, directory: str) -> None:
        """Make a directory and those above it."""
        if directory not in self._made:
            await self._driver.make_directory(directory)
            self._made.add(directory)

    def forget(self, directory: str) -> None:
        """It may have been removed again."""
        self._made.discard(directory)


async def move(
    target: Target,
    driver: StorageDriver,
    folders: Folders,
    *,
    object_to: Objection,
    is_live_part: IsLivePart,
    now_us: int,
) -> Removed:
    """Move one file to its place in the quarantine, or say why not."""
    if not can_move(driver):
        return UNSUPPORTED
    try:
        names.lfn(target.moved_to)
        found = await driver.stat(target.path)
    except InvalidName as error:
        return Removed(PathState.FAILED, Code.UNNAMEABLE, str(error))
    except (NotThere, NotADirectory):
        return await _moved_before(target, driver)
    except HoldfastError as error:
        return without_it(error)
    if is_over(target.moved_to, now_us):
        return OVER
    reason = await cause_to_stay(target, found, driver, object_to=object_to, is_live_part=is_live_part)
    if reason is not None:
        return reason
    try:
        objection = await _rename(target, driver, folders, object_to)
    except (NotThere, NotADirectory) as error:
        return await _without_place(target, driver, error)
    except AlreadyThere:
        reason_there = f"{target.moved_to} is there already"
        return Removed(PathState.FAILED, Code.DESTINATION_OCCUPIED, reason_there)
    except HoldfastError as error:
        return without_it(error)
    if objection is not None:
        return objection
    steps.reach("orphans.moved")
    # An inode's version changes with its name, so that of the target says nothing.
    return await _confirmed(replace(target, size=found.size, mtime_ns=found.mtime_ns, version=""), driver)


async def _rename(target: Target, driver: StorageDriver, folders: Folders, object_to: Objection) -> Removed | None:
    """Move it; what speaks against trying once more, after the first try, else None."""
    directory = names.split(target.moved_to)[0]
    await folders.make(directory)
    try:
        await driver.rename(target.path, target.moved_to)
    except NotThere:
        # If it is the file, it may have been moved and only the answer be wrong; the caller finds out.
        await driver.stat(target.path)
        # If it is the directory, somebody has removed it; that took time, in which more may have happened.
        folders.forget(directory)
        objection = await object_to(target)
        if objection is not None:
            return objection
        await folders.make(directory)
        await driver.rename(target.path, target.moved_to)
    return None


async def _without_place(target: Target, driver: StorageDriver, error: HoldfastError) -> Removed:
    """What it means that one end of the move is not there."""
    try:
        await driver.stat(target.path)
    except (NotThere, NotADirectory):
        return await _moved_before(target, driver)
    except HoldfastError as unknown:
        return _failed(unknown)
    return _failed(error)


async def _moved_before(target: Target, driver: StorageDriver) -> Removed:
    """What it means that an orphan is not there: it was moved before, or somebody else has removed it."""
    try:
        there = await driver.stat(target.moved_to)
    except (NotThere, NotADirectory):
        return Removed(PathState.GONE)
    except HoldfastError as error:
        return _failed(error)
    is_it = not replace(target, version="").difference(there, driver.capabilities.mtime_resolution_ns)
    return Removed(PathState.MOVED if is_it else PathState.GONE)


async def _confirmed(moved: Target, driver: StorageDriver) -> Removed:
    """Whether what was moved is what was looked at; another file goes back."""
    try:
        there = await driver.stat(moved.moved_to)
    except HoldfastError as error:
        return _failed(error)
    if not moved.difference(there, driver.capabilities.mtime_resolution_ns):
        return Removed(PathState.MOVED)
    changed = "it was changed or replaced while it was about to be moved"
    try:
        await driver.rename(moved.moved_to, moved.path)
    except HoldfastError as error:
        changed = f"{changed}, and lies at {moved.moved_to} now: {error}"
    return Removed(PathState.SKIPPED, Code.CHANGED, changed)


def _failed(error: HoldfastError) -> Removed:
    if isinstance(error, BrokenInvariant):
        raise error
    return Removed(PathState.FAILED, codes.of_storage(error), str(error))
