"""Prove the files that a listing found right in size: read each and compare its checksum.

Rules
  * One strong checksum that the inventory knows is enough, beside it adler32
    where known; a file of which it knows none is ignored, with that reason.
  * A file that cannot be read, or changes while it is, is unlisted: not wrong,
    not proved. One that is gone since the listing is ignored.
  * A replica counts as proved only if every file it holds was.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.model import checksums
from holdfast.model.checksums import ChecksumComparison
from holdfast.model.errors import HoldfastError
from holdfast.model.names import BlockKey
from holdfast.storage.driver import NotThere, StorageDriver

BATCH = 512


@dataclass(frozen=True, slots=True)
class Suspect:
    """A file to prove: the finding it becomes if it is wrong, and its known checksums."""

    finding: Finding
    checksums: Mapping[str, str]


async def prove(
    driver: StorageDriver,
    suspects: Iterator[Suspect],
    *,
    concurrency: int,
    proved: Counter[BlockKey],
    progress: Callable[[int, int], None],
) -> AsyncIterator[Finding]:
    """Findings for all that is not right; ``proved`` counts the right ones by block. Order is that of suspects.

    ``progress`` is called with files and bytes as they are done.
    """
    gate = asyncio.Semaphore(concurrency)

    async def one(suspect: Suspect) -> Finding | None:
        async with gate:
            finding = await _prove_one(driver, suspect)
        progress(1, suspect.finding.expected_size or 0)
        return finding

    while batch := list(islice(suspects, BATCH)):
        for suspect, finding in zip(batch, await asyncio.gather(*map(one, batch)), strict=True):
            if finding is not None:
                yield finding
            elif suspect.finding.block is not None:
                proved[suspect.finding.block] += 1


async def _prove_one(driver: StorageDriver, suspect: Suspect) -> Finding | None:
    finding = suspect.finding
    algorithms = [name for name in suspect.checksums if name in driver.capabilities.checksums]
    if not algorithms:
        return replace(finding, cls=Class.IGNORED, reason="no checksum that both sides know")
    try:
        digest = await driver.checksum(finding.path, algorithms)
    except NotThere:
        return replace(finding, cls=Class.IGNORED, reason="gone since the listing")
    except HoldfastError as error:
        return replace(finding, cls=Class.UNLISTED, reason=f"cannot be read: {error.message}")
    if checksums.compare(suspect.checksums, digest.checksums) is ChecksumComparison.EQUAL:
        return None
    wrong = [name for name in algorithms if digest.checksums.get(name) != suspect.checksums[name]]
    return replace(
        finding,
        cls=Class.CHECKSUM_MISMATCH,
        reason=f"{wrong[0]} differs",
        actual_size=digest.stat.size,
        mtime_ns=digest.stat.mtime_ns,
        version=digest.stat.version,
        changed_ns=digest.stat.changed_ns,
    )
