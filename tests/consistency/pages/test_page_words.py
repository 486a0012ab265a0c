"""How pages tell ages and lengths of time."""

from __future__ import annotations

import pytest

from holdfast.consistency.pages import words

NOW_US = 1_795_000_000_000_000


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86_399, "23 hours ago"),
        (86_400, "1 day ago"),
        (100 * 86_400, "100 days ago"),
        (-1, "at 2026-11-18T11:06:41Z"),
    ],
)
def test_ago(seconds: int, told: str):
    assert words.ago(NOW_US - seconds * 1_000_000, NOW_US) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (3569, "59 min"),
        (3571, "1 h 00 min"),
        (9e4, "25 h 00 min"),
    ],
)
def test_lasting(seconds: float | None, told: str):
    assert words.lasting(seconds) == told
