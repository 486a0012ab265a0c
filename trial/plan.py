"""Plan: which dataset lies at which sites, and what its blocks are for.

Pure. Datasets are numbered: first those at the real sites, each at two of the
three; then those that both sites in memory have; then those at simulated sites
of which a dump tells, one site each. Of each dataset at real sites the first
block is there to be copied, the second to be deleted, and so on: nothing is done
to a block for two reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from trial.amounts import BLOCKS_A_DATASET, Amounts
from trial.files import blocks_of

REAL = ("ALPHA", "BETA", "GAMMA")
"""Two XRootD servers and a WebDAV server."""
MEMORY = ("MEMORY1", "MEMORY2")


class Use(IntEnum):
    """What a block of a dataset at real sites is for, by its place in the dataset."""

    COPIED = 0
    DELETED = 1
    LOST = 2
    LOCKED = 3
    WORN = 4
    """Single files of it are damaged."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything is when the day begins."""

    amounts: Amounts

    @property
    def dumps(self) -> tuple[str, ...]:
        """The simulated sites of which a dump tells."""
        return tuple(f"DUMP{number:02d}" for number in range(1, self.amounts.n_dumps + 1))

    @property
    def sites(self) -> tuple[str, ...]:
        """All sites."""
        return (*REAL, *MEMORY, *self.dumps)

    def sites_of(self, dataset: int) -> tuple[str, ...]:
        """Where a dataset lies."""
        amounts = self.amounts
        if dataset < amounts.n_real:
            return REAL[dataset % 3], REAL[(dataset + 1) % 3]
        if dataset < amounts.n_real + amounts.n_memory:
            return MEMORY
        return (self.dumps[dataset % amounts.n_dumps],)

    def blocks_at(self, site: str) -> Iterator[int]:
        """The blocks that lie at a site."""
        datasets = (dataset for dataset in range(self.amounts.n_datasets) if site in self.sites_of(dataset))
        return (block for dataset in datasets for block in blocks_of(dataset))

    def blocks_for(self, use: Use, site: str) -> list[int]:
        """The blocks for one use, of datasets that lie at several sites and have this one as their first."""
        several = range(self.amounts.n_real + self.amounts.n_memory)
        datasets = (dataset for dataset in several if self.sites_of(dataset)[0] == site)
        return [dataset * BLOCKS_A_DATASET + use for dataset in datasets]

    def third_site(self, block: int) -> str:
        """The real site at which a block is not."""
        (third,) = set(REAL) - set(self.sites_of(block // BLOCKS_A_DATASET))
        return third
