"""Errors: the nearest names are told, also when there are very many."""

from __future__ import annotations

import pytest

from holdfast.model import errors
from holdfast.model.errors import unknown_name

MANY = [f"/primary/run{number:05d}/raw" for number in range(0, 60_000, 7)]


@pytest.mark.parametrize("known", [MANY, MANY[:40], [*MANY[:40], MANY[6_000]]], ids=len)
@pytest.mark.parametrize("wrong", ["/primary/run00014/rawe", "/primary/rin00014/raw", "/Primary/run00014/raw"])
def test_the_nearest_names_are_told(known: list[str], wrong: str) -> None:
    assert "/primary/run00014/raw" in unknown_name("dataset", wrong, iter(known)).hint


def test_nothing_like_it_is_told_as_such() -> None:
    assert unknown_name("dataset", "\u1234", MANY).hint == ""
    assert unknown_name("site", "A", []).hint == ""
    assert unknown_name("site", "A", ["B"], hint="look").hint == "look"
    assert unknown_name("site", "run1", ["run2"], hint="look").hint == "did you mean run2?"


def test_few_are_compared_letter_by_letter() -> None:
    assert len(errors._likely("/primary/run01000/raw", MANY)) <= errors.COMPARED_MAX
