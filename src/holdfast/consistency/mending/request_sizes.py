"""Request sizes: findings cut into as many requests as one change set each can hold. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from holdfast.consistency.findings import Finding
from holdfast.model.changes import BYTES_MAX

REQUEST_BYTES = BYTES_MAX // 2
"""About how much one change set may take up, by an estimate that is on the safe side."""


def cut(files: Sequence[Finding], cost: Callable[[Finding, Finding | None], int]) -> Iterator[list[Finding]]:
    """The same findings in lists that cost at most REQUEST_BYTES each; ``cost`` is told the one before, too."""
    part: list[Finding] = []
    total = 0
    for finding in files:
        more = cost(finding, part[-1] if part else None)
        if part and total + more > REQUEST_BYTES:
            yield part
            part, total, more = [], 0, cost(finding, None)
        part.append(finding)
        total += more
    if part:
        yield part


def copy_cost(finding: Finding, before: Finding | None) -> int:
    """How many bytes one file may add to a request for copies, at most."""
    ordinals = 30
    if finding.block is None or (before is not None and before.block == finding.block):
        return ordinals
    # JSON doubles quotes and backslashes; the block is named in the request and as gone.
    return ordinals + 800 + 4 * len(str(finding.block).encode())


def orphan_cost(finding: Finding, before: Finding | None) -> int:
    """How many bytes one orphan may add to a deletion request, at most. JSON doubles quotes and backslashes."""
    return 150 + 2 * len(finding.path.encode()) + 2 * len(finding.version.encode())
