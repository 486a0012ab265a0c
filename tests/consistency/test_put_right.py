"""A site is put right if nothing is left of all that a check has found; of a class that nobody mends all is left."""

from __future__ import annotations

import pytest

from holdfast.consistency.classes import DIFFERING, Class
from holdfast.consistency.mending.acting import Acted
from holdfast.consistency.mending.put_right import is_put_right
from holdfast.consistency.report import Report


def report(**counts: int) -> Report:
    told = {cls: counts.get(cls.value, 0) for cls in Class}
    return Report(
        "A",
        "run",
        started_us=1,
        seconds=1.0,
        epoch="e",
        position_before=1,
        position_after=1,
        directories=1,
        unlisted_places=0,
        expected=1,
        expected_size=1,
        actual=1,
        actual_size=1,
        proved=0,
        with_checksums=False,
        resumed=False,
        counts=told,
        sizes=told,
    )


def test_a_site_where_nothing_was_found_is() -> None:
    assert is_put_right(report(), Acted())


@pytest.mark.parametrize("cls", DIFFERING)
def test_a_site_where_something_is_left_is_not(cls: Class) -> None:
    assert not is_put_right(report(**{cls.value: 1}), Acted())


def test_what_is_ignored_is_nobodys_to_put_right() -> None:
    assert is_put_right(report(ignored=1), Acted())
