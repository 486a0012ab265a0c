"""Amounts: what a scale means. At 1.0 the trial has ten million files in 20,000 datasets at 20 sites.

Pure. Every number that grows with the scale stands here, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

FILES_A_BLOCK = 100
BLOCKS_A_DATASET = 5
FILES_A_DATASET = FILES_A_BLOCK * BLOCKS_A_DATASET
DATASETS = 20_000
REAL_DATASETS = 750
"""Each is at two of the three real sites: 250,000 files at each."""
SMALL = 0.01
"""Below that there are fewer sites: each costs seconds whatever lies there."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much there is of everything."""

    scale: float
    n_dumps: int
    """Simulated sites of which a dump tells; beside them two in memory and three real ones."""
    n_real: int
    """Datasets at the real sites."""
    n_memory: int
    """Datasets at both sites in memory."""
    n_dumped: int
    """Datasets at the other simulated sites."""
    copied_blocks: int
    deleted_blocks: int
    by_command: int
    """So many of these copies, and of the deletions, are asked for by commands, the others by the Python API."""
    single_files: int
    """Files that are registered one by one."""
    damaged: int
    """Files of each class of damage at each site."""
    lost_blocks: int
    """Blocks of a lost subtree."""
    compared_rows: int
    """Lines of each side of the large comparison."""

    @property
    def n_datasets(self) -> int:
        """All datasets that are registered in bulk."""
        return self.n_real + self.n_memory + self.n_dumped

    @property
    def n_blocks(self) -> int:
        """All their blocks."""
        return self.n_datasets * BLOCKS_A_DATASET

    @property
    def n_files(self) -> int:
        """All files that are registered in bulk."""
        return self.n_datasets * FILES_A_DATASET


def of_scale(scale: float) -> Amounts:
    """The amounts of a scale above 0 and up to 1; never less than one of each thing."""
    if not 0 < scale <= 1:
        raise ValueError(f"the scale is {scale}, not above 0 and up to 1")
    n_dumps = 15 if scale >= SMALL else 2
    n_real = max(3, round(REAL_DATASETS * scale))
    n_memory = max(1, round(8 * scale))
    return Amounts(
        scale=scale,
        n_dumps=n_dumps,
        n_real=n_real,
        n_memory=n_memory,
        n_dumped=max(n_dumps, round(DATASETS * scale) - n_real - n_memory),
        copied_blocks=max(3, round(90 * scale)),
        deleted_blocks=max(3, round(90 * scale)),
        by_command=6 if scale >= SMALL else 1,
        single_files=max(60, round(4_000 * scale)),
        damaged=max(3, round(150 * scale)),
        lost_blocks=1 if scale < 0.1 else BLOCKS_A_DATASET,
        compared_rows=round(100_000_000 * scale),
    )
