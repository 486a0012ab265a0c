"""Pictures of amounts over time: in scale, inside their frame, with words for every point."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from read_page import Page

from holdfast.consistency.pages import time_line
from holdfast.consistency.pages.time_line import HEIGHT, WIDTH, Mark, Point
from holdfast.model.wording import size
from support.soak import examples

DAY_US = 86_400_000_000
START_US = 1_795_000_000_000_000
VALUES = st.one_of(st.integers(0, 9), st.integers(0, 2**62))
MOMENTS = st.integers(START_US, START_US + 4000 * DAY_US)
POINTS = st.lists(st.tuples(MOMENTS, VALUES), min_size=1, max_size=30).map(sorted)


def drawn(points: list[tuple[int, int]], marks: list[tuple[int, str]] | None = None) -> Page:
    picture = time_line.picture(
        [Point(at_us, value, f"{value}") for at_us, value in points],
        [Mark(at_us, kind, kind) for at_us, kind in marks or []],
        title="Orphans",
        kind="orphan",
        show=size,
    )
    return Page(picture)


def places(page: Page) -> list[tuple[float, float]]:
    return [(float(each["cx"] or ""), float(each["cy"] or "")) for each in page.all("circle")]


@given(POINTS, st.lists(st.tuples(MOMENTS, st.sampled_from(("asked", "failed", "said"))), max_size=5))
@settings(max_examples=examples(200), deadline=None)
def test_points_are_in_order_in_scale_and_in_the_frame(points: list[tuple[int, int]], marks: list[tuple[int, str]]):
    page = drawn(points, marks)
    found = places(page)
    assert len(found) == len(points)
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in found)
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    for (_, low), (_, one) in zip(found, points, strict=True):
        for (_, high), (_, other) in zip(found, points, strict=True):
            assert low <= high + 0.01 if one >= other else True, "what is more stands higher"
    for line in page.all("line"):
        assert 0 <= float(line["x1"] or "") <= WIDTH
        assert 0 <= float(line["y1"] or "") <= HEIGHT
    assert [each for each in "▼✕◆" if each in page.text] == [
        sign for kind, sign in time_line.MARKS.items() if kind in {kind for _, kind in marks}
    ]


@given(st.integers(0, 2**62))
def test_a_scale_has_few_round_lines_that_hold_the_highest(highest: int):
    lines = time_line._grid(highest)
    step = lines[1]
    assert lines == [step * number for number in range(len(lines))]
    assert lines[-1] >= max(highest, 1)
    assert lines[-2] < max(highest, 1)
    assert 2 <= len(lines) <= 5
    assert str(step).rstrip("0") in ("1", "2", "5")


def test_what_a_run_found_holds_until_the_next():
    page = drawn([(START_US, 0), (START_US + DAY_US, 4), (START_US + 2 * DAY_US, 2)])
    (left, ground), (middle, top), (right, half) = places(page)
    assert middle - left == pytest.approx(right - middle)
    assert ground - half == pytest.approx(half - top)
    (steps,) = [each["points"] for each in page.all("polyline")]
    corners = [tuple(map(float, each.split(","))) for each in (steps or "").split()]
    assert corners == [(left, ground), (middle, ground), (middle, top), (right, top), (right, half)]


def test_one_run_stands_in_the_middle_and_nothing_at_the_bottom():
    page = drawn([(START_US, 0)])
    ((x, y),) = places(page)
    assert WIDTH / 3 < x < 2 * WIDTH / 3
    assert y > HEIGHT / 2
    assert page.text.count("2026-11-18") == 3, "twice in its words, once below"


def test_a_spark_line_has_a_point_for_now():
    page = Page(time_line.spark_line([0, 5, 10], title="Bytes", kind="orphan"))
    assert [each["points"] for each in page.all("polyline")] == ["3,25 60,14 117,3"]
    assert places(page) == [(117, 3)]
    assert Page(time_line.spark_line([0], title="Bytes", kind="orphan")).all("circle") == [
        {"cx": "3", "cy": "25", "r": "2.5"}
    ]
