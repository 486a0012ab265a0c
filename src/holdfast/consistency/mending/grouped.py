"""Grouped: findings of files that the inventory knows, by what requests and changes name them by. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.consistency.findings import Finding
from holdfast.model.names import BlockKey, DatasetKey


def by_dataset(findings: Iterable[Finding]) -> dict[DatasetKey, list[Finding]]:
    """The findings of each dataset; what is of none is left out."""
    found: dict[DatasetKey, list[Finding]] = {}
    for finding in findings:
        if finding.block is not None:
            found.setdefault(finding.block.dataset, []).append(finding)
    return found


def by_block(findings: Iterable[Finding]) -> dict[BlockKey, tuple[int, ...]]:
    """The ordinals in each block, ascending, in the order of the blocks; what is of none is left out."""
    found: dict[BlockKey, list[int]] = {}
    for finding in findings:
        if finding.block is not None:
            found.setdefault(finding.block, []).append(finding.ordinal)
    return {block: tuple(sorted(ordinals)) for block, ordinals in sorted(found.items())}
