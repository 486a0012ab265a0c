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
from holdfast.operations.deleting.report import PathState
from holdfast.storage import parts
from holdfast.storage.driver import ChangedWhileRead, Kind, NotADirectory, NotThere, Stat, StorageDriver


@dataclass(frozen=True, slots=True)
class Target:
    """A file that is to go, as whoever asked for it knows it; 0 and "": not known."""

    ordinal: int
    name: str
    """What people know it by: the LFN, or an orphan's path."""
    path: str
    size: int
    mtime_ns: int = 0
    version: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of a target: DELETED, GONE, SKIPPED or FAILED; the last two with a code and a reason."""

    state: PathState
    code: Code | None = None
    reason: str = ""


Objection = Callable[[Target], Awaitable["Removed | None"]]
"""Asked right before a file goes: why it does not; None if it may. Raises ClaimLost."""


async def remove(
    target: Target,
    driver: StorageDriver,
    *,
    object_to: Objection,
    is_live_part: Callable[[str], bool],
) -> Removed:
    """Delete one file, or say why not."""
    try:
        found = await driver.stat(target.path)
    except HoldfastError as error:
        return _without_it(error)
    difference = _difference(target, found, driver.capabilities.mtime_resolution_ns)
    if difference:
        return Removed(PathState.SKIPPED, Code.CHANGED, difference)
    objection = await object_to(target)
    if objection is not None:
        return objection
    token = parts.token_of(names.split(target.path)[1])
    if token is not None and is_live_part(token):
        return Removed(PathState.SKIPPED, Code.MUST_STAY, "it is the temporary part of a transfer")
    try:
        await driver.delete(target.path, expected=found)
    except HoldfastError as error:
        return _without_it(error)
    steps.reach("deletion.deleted")
    return Removed(PathState.DELETED)


def must_stay(reason: str) -> Removed:
    """What the check has against a file."""
    return Removed(PathState.SKIPPED, Code.MUST_STAY, f"must stay: {reason}")


def _without_it(error: HoldfastError) -> Removed:
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


def _difference(target: Target, found: Stat, resolution_ns: int) -> str:
    """Why what is there now is not what was asked to go; "" if it is."""
    if found.kind is not Kind.FILE:
        return "it is no file any more"
    if found.size != target.size:
        known = "when it was listed" if target.mtime_ns or target.version else "by what was known of it"
        return f"it has {found.size} bytes now, {target.size} {known}"
    if target.mtime_ns > 0 and found.mtime_ns // resolution_ns != target.mtime_ns // resolution_ns:
        return "it was modified after it was listed"
    if target.version and found.version and target.version != found.version:
        return "it was changed or replaced after it was listed"
    return ""
