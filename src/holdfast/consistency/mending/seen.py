"""Seen: whether files are still as a check saw them, asked of the storage right before anything is done.

A listing is hearsay. What a stat does not confirm is left alone, with the
reason, until the next check. What the listing did not tell (a size, a time)
cannot be confirmed; those findings go on with what the stat says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from holdfast.consistency.classes import TRAITS, Class
from holdfast.consistency.findings import Finding
from holdfast.model.errors import HoldfastError
from holdfast.storage.driver import NOT_TOLD, Kind, NotThere, Stat, StorageDriver

STATS_AT_ONCE = 32


async def as_seen(driver: StorageDriver, piece: Sequence[Finding], changed: list[Finding]) -> list[Finding]:
    """Those findings that a stat confirms; the others go to ``changed`` with the reason."""
    gate = asyncio.Semaphore(STATS_AT_ONCE)

    async def one(finding: Finding) -> str | Finding:
        async with gate:
            return await _confirmed(driver, finding)

    verdicts = await asyncio.gather(*map(one, piece))
    changed += [
        replace(each, reason=verdict) for each, verdict in zip(piece, verdicts, strict=True) if isinstance(verdict, str)
    ]
    return [verdict for verdict in verdicts if not isinstance(verdict, str)]


async def shows_anything(driver: StorageDriver) -> bool:
    """Whether the storage has anything below its root now; what the driver raises if it cannot be listed."""
    listing = await driver.list("/")
    return bool(listing.entries or listing.unnameable)


async def _confirmed(driver: StorageDriver, finding: Finding) -> str | Finding:
    """The finding with all that the stat tells, or why the file is no longer as the check saw it."""
    try:
        stat = await driver.stat(finding.path)
    except NotThere:
        return finding if not TRAITS[finding.cls].is_there else "gone since the check"
    except HoldfastError as error:
        return f"cannot be stat'ed: {error.message}"
    if TRAITS[finding.cls].is_directory:
        return _same_directory(finding, stat, driver.capabilities.mtime_resolution_ns)
    if stat.kind is not Kind.FILE:
        what = "a directory" if stat.kind is Kind.DIRECTORY else "a link or another thing that is no file"
        return f"{what} is in its place; take that away first"
    if not TRAITS[finding.cls].is_there:
        return "it is there now"
    if finding.version and stat.version != finding.version:
        return "changed since the check"
    if finding.cls is Class.ORPHAN and _is_later(stat.changed_ns, finding.changed_ns):
        return "moved or changed since the check"
    return _difference(finding, stat, driver.capabilities.mtime_resolution_ns) or _completed(finding, stat)


def _is_later(now_ns: int | None, then_ns: int | None) -> bool:
    """Whether a file was touched meanwhile: one that was moved away and back is as young as one that has just come."""
    return now_ns is not None and then_ns is not None and now_ns > then_ns


def _same_directory(finding: Finding, stat: Stat, resolution_ns: int) -> str | Finding:
    """The finding, or why the directory is not the one that was empty. That it is empty yet, the storage will see."""
    if stat.kind is not Kind.DIRECTORY:
        return "is no directory any more"
    if finding.mtime_ns is None or finding.mtime_ns // resolution_ns != stat.mtime_ns // resolution_ns:
        return "something has come or gone in it since the check"
    return finding


def _difference(finding: Finding, stat: Stat, resolution_ns: int) -> str:
    """In what a file differs from what the listing told of it; "" if in nothing."""
    if finding.actual_size is not None:
        return "" if stat.size == finding.actual_size else "its size has changed since the check"
    if finding.mtime_ns is None or NOT_TOLD in (finding.mtime_ns, stat.mtime_ns):
        return ""
    same = stat.mtime_ns // resolution_ns == finding.mtime_ns // resolution_ns
    return "" if same else "changed since the check"


def _completed(finding: Finding, stat: Stat) -> Finding:
    """What the listing did not tell is as the stat has it."""
    if finding.actual_size is not None:
        return finding
    return replace(finding, actual_size=stat.size, mtime_ns=stat.mtime_ns, version=finding.version or stat.version)
