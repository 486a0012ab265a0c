"""Looks: whether what is to go is still as it was listed, and still old, asked of the storage right before.

A listing is hearsay, and it may have taken days. What a stat does not confirm
stays until the next run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from holdfast.consistency.classes import Class
from holdfast.consistency.cleaning.deciding import Ages, Reason, Stays
from holdfast.consistency.findings import Finding
from holdfast.model.errors import HoldfastError
from holdfast.storage.driver import NOT_TOLD, Kind, NotThere, Stat, StorageDriver

STATS_AT_ONCE = 32


async def still_old(driver: StorageDriver, piece: Sequence[Finding], ages: Ages) -> list[Finding | Reason]:
    """Each of them with what its stat tells, or why it stays, in their order."""
    gate = asyncio.Semaphore(STATS_AT_ONCE)

    async def one(finding: Finding) -> Finding | Reason:
        async with gate:
            return await _looked_at(driver, finding, ages)

    return await asyncio.gather(*map(one, piece))


async def _looked_at(driver: StorageDriver, finding: Finding, ages: Ages) -> Finding | Reason:
    try:
        stat = await driver.stat(finding.path)
    except NotThere:
        return Reason(Stays.NOT_SO, "it is gone")
    except HoldfastError as error:
        return Reason(Stays.NOT_SO, f"it cannot be stat'ed: {error.message}")
    difference = _difference(finding, stat, driver.capabilities.mtime_resolution_ns)
    if difference:
        return Reason(Stays.NOT_SO, difference)
    told = _told(finding, stat)
    if told.since_ns is None or told.since_ns > ages.youngest_ns(finding.path):
        return Reason(Stays.NOT_SO, "it was changed or moved there lately")
    return told


def _difference(finding: Finding, stat: Stat, resolution_ns: int) -> str:
    """In what something differs from what the listing told of it; "" if in nothing."""
    if stat.kind is not (Kind.DIRECTORY if finding.cls is Class.EMPTY_DIRECTORY else Kind.FILE):
        return "something else is in its place"
    if finding.cls is not Class.EMPTY_DIRECTORY:
        if stat.size == NOT_TOLD:
            return "the storage does not tell its size"
        if finding.actual_size not in (None, stat.size) or finding.version not in ("", stat.version):
            return "it was changed since it was listed"
    if finding.mtime_ns is None or stat.mtime_ns == NOT_TOLD:
        return ""
    same = stat.mtime_ns // resolution_ns == finding.mtime_ns // resolution_ns
    return "" if same else "it was modified since it was listed"


def _told(finding: Finding, stat: Stat) -> Finding:
    """The finding, and beside that all that only the stat tells."""
    mtime_ns = None if stat.mtime_ns == NOT_TOLD else stat.mtime_ns
    told = replace(
        finding,
        mtime_ns=mtime_ns if finding.mtime_ns is None else finding.mtime_ns,
        changed_ns=finding.changed_ns if stat.changed_ns is None else stat.changed_ns,
    )
    if finding.cls is Class.EMPTY_DIRECTORY:
        return told
    return replace(told, actual_size=stat.size, version=finding.version or stat.version)
