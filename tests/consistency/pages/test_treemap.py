"""The squarified layout: by example, and for any weights what must be so of areas."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.consistency.pages.treemap import Rectangle, divide
from support.soak import examples

SIDES = st.floats(1, 5000)
AREAS = st.builds(Rectangle, st.floats(0, 100), st.floats(0, 100), SIDES, SIDES)
WEIGHTS = st.lists(st.one_of(st.integers(0, 100), st.integers(0, 2**62)), max_size=40)


def overlap(one: Rectangle, other: Rectangle) -> float:
    """The area that two rectangles share."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(width, 0.0) * max(height, 0.0)


def size(part: Rectangle) -> float:
    return part.width * part.height


@given(WEIGHTS, AREAS)
@settings(max_examples=examples(300), deadline=None)
def test_areas_are_as_weights_inside_and_apart(weights: list[int], area: Rectangle):
    parts = divide(weights, area)
    assert len(parts) == len(weights)
    almost = size(area) * 1e-9
    for weight, part in zip(weights, parts, strict=True):
        share = weight / sum(weights) if weight else 0.0
        assert math.isclose(size(part), share * size(area), rel_tol=1e-6, abs_tol=almost)
        assert part.x >= area.x - 1e-6
        assert part.y >= area.y - 1e-6
        assert part.x + part.width <= area.x + area.width + 1e-6
        assert part.y + part.height <= area.y + area.height + 1e-6
    for one, other in combinations(parts, 2):
        assert overlap(one, other) <= almost


@given(WEIGHTS, AREAS)
@settings(max_examples=examples(60), deadline=None)
def test_the_same_again_is_the_same(weights: list[int], area: Rectangle):
    assert divide(weights, area) == divide(list(weights), area)


def test_the_example_of_the_paper():
    """Weights 6 6 4 3 2 2 1 in 6 by 4: two sixes on top of each other first, then 4 and 3, then the small ones."""
    parts = divide([6, 6, 4, 3, 2, 2, 1], Rectangle(0, 0, 6, 4))
    assert parts[0] == pytest.approx((0, 0, 3, 2))
    assert parts[1] == pytest.approx((0, 2, 3, 2))
    assert parts[2] == pytest.approx((3, 0, 12 / 7, 7 / 3))
    assert parts[3] == pytest.approx((3 + 12 / 7, 0, 9 / 7, 7 / 3))


def test_equal_weights_in_a_square_are_squares():
    for part in divide([5] * 4, Rectangle(0, 0, 10, 10)):
        assert part.width == pytest.approx(5)
        assert part.height == pytest.approx(5)


def test_falling_weights_are_nowhere_thin():
    weights = [2**number for number in range(9, -1, -1)]
    for part in divide(weights, Rectangle(0, 0, 900, 500)):
        assert max(part.width / part.height, part.height / part.width) < 3


def test_nothing_has_no_area():
    assert divide([], Rectangle(0, 0, 6, 4)) == []
    assert [size(part) for part in divide([0, 0], Rectangle(0, 0, 6, 4))] == [0, 0]
    assert [size(part) for part in divide([0, 3], Rectangle(0, 0, 6, 4))] == [0, 24]
    assert [size(part) for part in divide([3], Rectangle(0, 0, 0, 4))] == [0]


def test_what_is_inside_a_margin():
    area = Rectangle(10, 20, 100, 50)
    assert area.inside(5) == (15, 25, 90, 40)
    assert area.inside(5, top=20) == (15, 40, 90, 25)
    assert area.inside(60) == (70, 80, 0, 0)
