"""How long failures rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.operations.planning.waits import retry_delay_us


@given(st.integers(1, 2000), st.integers(0, 10), st.integers(0, 10))
def test_waits_grow_within_bounds_and_follow_from_the_seed(attempts: int, batch: int, seed: int) -> None:
    wait_us = retry_delay_us(attempts, batch, seed=seed, delay_s_min=1.0, delay_s_max=60.0)
    full_us = min(60.0, 2.0 ** min(attempts - 1, 10)) * 1e6
    assert full_us / 2 <= wait_us <= full_us
    assert wait_us == retry_delay_us(attempts, batch, seed=seed, delay_s_min=1.0, delay_s_max=60.0)


def test_what_failed_together_is_not_tried_again_together() -> None:
    waits = {retry_delay_us(3, batch, seed=1, delay_s_min=1.0, delay_s_max=60.0) for batch in range(100)}
    assert len(waits) > 90
