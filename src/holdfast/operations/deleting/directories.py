"""Directories: those that a deletion has left empty, removed where the site's settings say so.

Rules
  * Only a directory that the storage itself finds empty goes, and only where
    the driver can remove it without a risk to a full one.
  * Nothing goes that all files of the site have in common by its PFN rules, nor
    what is above that.
  * The claim is asked for before each call, as before every deletion.
  * An error ends it for that branch, and is nobody's failure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from holdfast import logs
from holdfast.model import names, pfn
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.model.pfn import PfnRules
from holdfast.storage.driver import NotThere, StorageDriver

_log = logs.get("operations")


def can_remove(driver: StorageDriver) -> bool:
    """Whether this storage has directories, and lets go of empty ones safely."""
    return driver.capabilities.directories and driver.capabilities.removes_directories


async def remove_empty(
    driver: StorageDriver, paths: Iterable[str], rules: PfnRules, check: Callable[[], Awaitable[None]]
) -> int:
    """Remove the directories of deleted files, and those above them, as far as they are empty; returns how many."""
    fixed = pfn.common_beginnings(rules)
    waiting = {directory for path in paths if (directory := names.split(path)[0]) and _may_go(directory, fixed)}
    n_removed = 0
    while waiting:
        directory = max(waiting, key=lambda each: (each.count("/"), each))
        waiting.remove(directory)
        await check()
        try:
            await driver.remove_directory(directory)
            n_removed += 1
        except NotThere:
            pass  # Somebody else has; what is above it may be empty now.
        except BrokenInvariant:
            raise
        except HoldfastError as error:
            _log.debug("a directory stays", directory=directory, reason=str(error))
            continue
        above = names.split(directory)[0]
        if _may_go(above, fixed):
            waiting.add(above)
    return n_removed


def _may_go(directory: str, fixed: Iterable[str]) -> bool:
    """Whether a directory is there because of some file's name, and not because of all of them."""
    is_below = any(directory.startswith(text) for text in fixed)
    return is_below and directory != "/" and not any(f"{text}/".startswith(f"{directory}/") for text in fixed)
