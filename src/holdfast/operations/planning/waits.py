"""Waits: how long a batch rests after a failure.

Pure. Waits double from the least to the longest, less up to half by chance, so
that what failed together is not tried again together. The chance follows from
the seed, the batch and the attempt.
"""

from __future__ import annotations

import random

from holdfast.model.clock import SECOND_US


def retry_delay_us(attempts: int, batch: int, *, seed: int, delay_s_min: float, delay_s_max: float) -> int:
    """How long the batch with the number ``batch`` rests after the failure number ``attempts`` (1, 2 ...)."""
    # Beyond 2**40 no configured maximum is in reach, and floats stay finite.
    delay_s = min(delay_s_max, delay_s_min * 2.0 ** min(attempts - 1, 40))
    chance = random.Random(f"{seed}:{batch}:{attempts}").random()
    return int(delay_s * (1 - chance / 2) * SECOND_US)
