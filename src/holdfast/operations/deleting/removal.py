"""Removal: one file that is to go, looked at once more, and then deleted or left with a reason.

Rules
  * Only a regular file that is still the one that was asked to go is deleted:
    of an orphan size, modification time and version are compared, as far as
    the listing knew them; of a file that the inventory knows, the size.
    Anything else is left alone, and never touched.
  * After the look, the claim is asked for again, and whether the file may still
    go; so a lock counts once it is acknowledged.
  * The storage is told which file is meant; another one that comes under the
    name in that moment stays.
  * A temporary part of a copy that is under way is never deleted.
  * "Already gone" is success. Directories are not deleted, links not followed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from holdfast.model import names, steps
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations import codes
from holdfast.operations.codes import Code
from holdfast.operations.deletion_report import PathState, Removed
from holdfast.storage import parts
from holdfast.storage.driver import ChangedWhileRead, Kind, NotADirectory, NotThere, Stat, StorageDriver


@dataclass(frozen=True, slots=True)
class Target:
    """A file or directory that is to go, as whoever asked for it knows it; 0 and "": not known."""

    ordinal: int
    name: str
    """What people know it by: the LFN, or an orphan's path."""
    path: str
    size: int
    mtime_ns: int = 0
    version: str = ""
    moved_to: str = ""
    """Where it is moved to; "" if it is deleted."""
    is_directory: bool = False

    def difference(self, found: Stat, resolution_ns: int) -> str:
        """Why what is there now is not the file that was asked to go; "" if it is."""
        if found.kind is not Kind.FILE:
            return "it is no file any more"
        if found.size != self.size:
            known = "when it was listed" if self.mtime_ns or self.version else "by what was known of it"
            return f"it has {found.size} bytes now, {self.size} {known}"
        if self.mtime_ns > 0 and found.mtime_ns // resolution_ns != self.mtime_ns // resolution_ns:
            return "it was modified after it was listed"
        if self.version and found.version and self.version != found.version:
            return "it was changed or replaced after it was listed"
        return ""


Objection = Callable[[Target], Awaitable["Removed | None"]]
"""Asked right before a file goes: why it does not; None if it may. Raises ClaimLost."""
IsLivePart = Callable[[str], bool]
"""Whether the token in a part's name is of something that is not over."""


async def remove(
    target: Target,
    driver: StorageDriver,
    *,
    object_to: Objection,
    is_live_part: IsLivePart,
) -> Removed:
    """Delete one file, or say why not."""
    try:
        found = await driver.stat(target.path)
    except HoldfastError as error:
        return without_it(error)
    reason = await cause_to_stay(target, found, driver, object_to=object_to, is_live_part=is_live_part)
    if reason is not None:
        return reason
    try:
        await driver.delete(target.path, expected=found)
    except HoldfastError as error:
        return without_it(error)
    steps.reach("deletion.deleted")
    return Removed(PathState.DELETED)


async def cause_to_stay(
    target: Target, found: Stat, driver: StorageDriver, *, object_to: Objection, is_live_part: IsLivePart
) -> Removed | None:
    """Why a file that was found does not go; None if it may at once."""
    difference = target.difference(found, driver.capabilities.mtime_resolution_ns)
    if difference:
        return Removed(PathState.SKIPPED, Code.CHANGED, difference)
    objection = await object_to(target)
    if objection is not None:
        return objection
    token = parts.token_of(names.split(target.path)[1])
    if token is not None and is_live_part(token):
        return Removed(PathState.SKIPPED, Code.MUST_STAY, "it is the temporary part of a transfer")
    return None


def must_stay(reason: str) -> Removed:
    """What the check has against a file."""
    return Removed(PathState.SKIPPED, Code.MUST_STAY, f"must stay: {reason}")


def without_it(error: HoldfastError) -> Removed:
    """What it means that the storage would not."""
    match error:
        case BrokenInvariant():
            raise error
        case NotThere() | NotADirectory():
            return Removed(PathState.GONE)
        case ChangedWhileRead():
            reason = "it was changed or replaced while it was about to go"
            return Removed(PathState.SKIPPED, Code.CHANGED, reason)
        case _:
            return Removed(PathState.FAILED, codes.of_storage(error), str(error))
