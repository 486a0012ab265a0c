"""What a stat confirms, and what it does not, where the listing told all, a time only, or nothing."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.mending.seen import as_seen
from holdfast.testing.memory_driver import MemoryDriver

TIME_NS = 1_000_000_000_000_000_000


def seen(**told: int) -> tuple[list[Finding], list[Finding]]:
    """What is confirmed of an orphan of four bytes of which the listing has ``told`` that, and what is not."""
    driver = MemoryDriver(lambda: TIME_NS // 1000)
    driver.put("/dark", b"dark")
    changed: list[Finding] = []
    finding = Finding(Class.ORPHAN, "/dark", **told)  # type: ignore[arg-type]
    return asyncio.run(as_seen(driver, [finding], changed)), changed


@pytest.mark.parametrize("told", [{}, {"mtime_ns": TIME_NS}, {"actual_size": 4}, {"changed_ns": TIME_NS}])
def test_what_the_listing_told_is_confirmed_and_the_rest_is_as_the_stat_has_it(told: dict[str, int]) -> None:
    (confirmed,), changed = seen(**told)
    assert confirmed.actual_size == 4
    assert changed == []


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"actual_size": 5}, "its size has changed"),
        ({"mtime_ns": TIME_NS - 9_000_000_000}, "changed since"),
        ({"actual_size": 4, "changed_ns": TIME_NS - 1}, "moved or changed since"),
    ],
)
def test_what_is_otherwise_than_told_is_left_alone(told: dict[str, int], reason: str) -> None:
    confirmed, (changed,) = seen(**told)
    assert confirmed == []
    assert reason in changed.reason
