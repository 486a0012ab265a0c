"""Quarantine: what lies there at a site, and how a person has a file back.

Files come there by requests (``DeletionRequest.into``). Out of it they go by
requests, too, or back to where they were, by the word of a person.

Rules
  * A file goes back to the path that it had, and replaces nothing there.
  * Not while an open request is to move or to delete it.
  * What could not be listed is told, not left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from holdfast import logs
from holdfast.inventory.store import Store
from holdfast.model import names, quarantine
from holdfast.model.errors import BadInput, BrokenInvariant, Conflict, HoldfastError
from holdfast.storage.driver import (
    AlreadyThere,
    DirectoryListing,
    Kind,
    NotADirectory,
    NotAFile,
    NotThere,
    StorageDriver,
)

AT_ONCE = 20
"""So many directories are listed at once."""

_log = logs.get("operations")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file in the quarantine; ``size`` and ``mtime_ns`` as of a Stat: NOT_TOLD where the storage does not say."""

    path: str
    size: int
    mtime_ns: int

    @property
    def day(self) -> date | None:
        """Since when it lies there (UTC); None if its path does not say so."""
        return quarantine.day_of(self.path)

    @property
    def original(self) -> str | None:
        """The path that it had; None if its path does not say so."""
        return quarantine.original(self.path)


@dataclass
class Lying:
    """What a site has in its quarantine, in the order of the paths; ``unlisted``: directories, and why not."""

    files: list[Quarantined] = field(default_factory=list)
    unlisted: list[tuple[str, str]] = field(default_factory=list)


async def lying(driver: StorageDriver) -> Lying:
    """All that lies in the quarantine of a site; nothing if it has none."""
    found, gate = Lying(), asyncio.Semaphore(AT_ONCE)
    waiting = [quarantine.QUARANTINE]
    while waiting:
        waiting = _take_in(found, await asyncio.gather(*(_listed(driver, gate, each, found) for each in waiting)))
    found.files.sort(key=lambda file: file.path)
    return found


async def _listed(
    driver: StorageDriver, gate: asyncio.Semaphore, directory: str, found: Lying
) -> tuple[str, DirectoryListing]:
    async with gate:
        try:
            listing = await driver.list(directory)
        except NotThere:
            return directory, DirectoryListing(())
        except BrokenInvariant:
            raise
        except HoldfastError as error:
            found.unlisted.append((directory, str(error)))
            return directory, DirectoryListing(())
    if listing.doubt:
        found.unlisted.append((directory, listing.doubt))
    return directory, listing


def _take_in(found: Lying, listings: Sequence[tuple[str, DirectoryListing]]) -> list[str]:
    """Take in the files of some directories; returns the directories in them."""
    below = []
    for directory, listing in listings:
        for name, stat in listing.entries:
            path = names.join(directory, name)
            if stat.kind is Kind.DIRECTORY:
                below.append(path)
            elif stat.kind is Kind.FILE:
                found.files.append(Quarantined(path, stat.size, stat.mtime_ns))
    return below


async def restore(store: Store, driver: StorageDriver, site: str, path: str, *, dry_run: bool = False) -> str:
    """Move a file from the quarantine of ``site`` back; returns the path that it has then.

    A dry run looks at both ends and moves nothing. BadInput if ``path`` is of no
    file there, Conflict if something is in the way; else what the storage raises.
    """
    original = quarantine.original(path)
    if original is None:
        hint = f"name it as it lies there: {quarantine.QUARANTINE}/<day>/<the path it had>"
        raise BadInput(f"{path} is no file in the quarantine", hint=hint)
    names.lfn(path)
    _refuse_asked(store, site, path, original)
    try:
        if (await driver.stat(path)).kind is not Kind.FILE:
            raise NotAFile("is no file", place=f"{site}:{path}")
        if dry_run:
            await _require_free(driver, original)
            return original
        await driver.make_directory(names.split(original)[0])
        await driver.rename(path, original)
    except (AlreadyThere, NotADirectory) as error:
        hint = "nothing is replaced: move away what is there"
        raise Conflict(f"{site}: {original} is taken", rows=(original,), hint=hint) from error
    _log.info("moved back from the quarantine", site=site, path=original)
    return original


async def _require_free(driver: StorageDriver, path: str) -> None:
    try:
        await driver.stat(path)
    except NotThere:
        return
    raise AlreadyThere("is there", place=path)


def _refuse_asked(store: Store, site: str, path: str, original: str) -> None:
    """Conflict if an open request is about to do something with the file."""
    with store.snapshot() as view:
        for request in view.deletion_requests(site=site):
            for orphan in request.orphans:
                if orphan.path in (path, original):
                    message = f"{site}: request {request.id} is to {'move' if request.into else 'delete'} {orphan.path}"
                    raise Conflict(message, rows=(request.id,), hint="let it end, or cancel it")
