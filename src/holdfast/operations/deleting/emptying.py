"""Emptying: one directory that is asked to go, looked at once more, and removed if the storage finds it empty.

Rules
  * Only a directory goes; not one whose own time has changed since it was
    listed, unless the request names something right in it, which has gone since.
  * After the look, the claim is asked for again, and whether the inventory still
    has nothing in it.
  * The storage decides whether it is empty, in the call that removes it.
  * "Already gone" is success.
"""

from __future__ import annotations

from holdfast.model import steps
from holdfast.model.errors import HoldfastError
from holdfast.operations.codes import Code
from holdfast.operations.deleting import directories
from holdfast.operations.deleting.removal import Objection, Target, without_it
from holdfast.operations.deletion_report import PathState, Removed
from holdfast.storage.driver import NOT_TOLD, DirectoryNotEmpty, Kind, StorageDriver

NOT_EMPTY = Removed(PathState.SKIPPED, Code.CHANGED, "it is not empty")


async def remove_directory(
    target: Target, driver: StorageDriver, *, object_to: Objection, is_holding: bool
) -> Removed | None:
    """Remove one directory, or say why not; None: it is not empty. ``is_holding``: more that lies right in it goes."""
    if not directories.can_remove(driver):
        return Removed(PathState.FAILED, Code.UNSUPPORTED, "its storage cannot remove directories without a risk")
    try:
        found = await driver.stat(target.path)
        if found.kind is not Kind.DIRECTORY:
            return Removed(PathState.SKIPPED, Code.CHANGED, "it is no directory any more")
        resolution_ns = driver.capabilities.mtime_resolution_ns
        is_told = target.mtime_ns > 0 and found.mtime_ns != NOT_TOLD
        if is_told and not is_holding and found.mtime_ns // resolution_ns != target.mtime_ns // resolution_ns:
            return Removed(PathState.SKIPPED, Code.CHANGED, "something came into it, or went, after it was listed")
    except HoldfastError as error:
        return without_it(error)
    objection = await object_to(target)
    if objection is not None:
        return objection
    try:
        await driver.remove_directory(target.path)
    except DirectoryNotEmpty:
        return None
    except HoldfastError as error:
        return without_it(error)
    steps.reach("orphans.directory-removed")
    return Removed(PathState.DELETED)
