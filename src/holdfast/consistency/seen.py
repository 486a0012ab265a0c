"""Seen: whether files are still as a check saw them, asked of the storage right before anything is done.

A listing is hearsay. What a stat does not confirm is left alone, with the
reason, until the next check.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from holdfast.consistency.findings import Class, Finding
from holdfast.model.errors import HoldfastError
from holdfast.storage.driver import Kind, NotThere, StorageDriver

STATS_AT_ONCE = 32


async def as_seen(driver: StorageDriver, piece: Sequence[Finding], changed: list[Finding]) -> list[Finding]:
    """Those findings that a stat confirms; the others go to ``changed`` with the reason."""
    gate = asyncio.Semaphore(STATS_AT_ONCE)

    async def one(finding: Finding) -> str:
        async with gate:
            return await _difference(driver, finding)

    verdicts = await asyncio.gather(*map(one, piece))
    changed += [replace(each, reason=why) for each, why in zip(piece, verdicts, strict=True) if why]
    return [finding for finding, why in zip(piece, verdicts, strict=True) if not why]


async def shows_anything(driver: StorageDriver) -> bool:
    """Whether the storage has anything below its root now; what the driver raises if it cannot be listed."""
    listing = await driver.list("/")
    return bool(listing.entries or listing.unnameable)


async def _difference(driver: StorageDriver, finding: Finding) -> str:
    """Why a file is no longer as the check saw it; "" if it is."""
    try:
        stat = await driver.stat(finding.path)
    except NotThere:
        return "" if finding.cls is Class.MISSING else "gone since the check"
    except HoldfastError as error:
        return f"cannot be stat'ed: {error.message}"
    if stat.kind is not Kind.FILE:
        what = "a directory" if stat.kind is Kind.DIRECTORY else "a link or another thing that is no file"
        return f"{what} is in its place; take that away first"
    if finding.cls is Class.MISSING:
        return "it is there now"
    if finding.version and stat.version != finding.version:
        return "changed since the check"
    return "" if stat.size == finding.actual_size else "its size has changed since the check"
