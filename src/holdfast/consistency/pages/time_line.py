"""Time line: how an amount went from run to run, as a picture.

What a run found holds until the next one, so it is drawn in steps; a point
stands for each run. Marks stand for what happened besides: what was asked for, runs that failed, words of people.

Pure: values in, SVG out. Every point and mark has its words in it; tables beside say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from holdfast.consistency.pages import words
from holdfast.consistency.pages.markup import Html, coordinate, join, tag

WIDTH, HEIGHT = 520, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 14, 22, 26
_LINES_MAX = 4


@dataclass(frozen=True, slots=True)
class Point:
    """What a run found, and what is said of it."""

    at_us: int
    value: int
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened; ``kind`` is one of ``MARKS``."""

    at_us: int
    kind: str
    label: str


MARKS = {"asked": "▼", "failed": "✕", "said": "◆"}
"""What each kind of mark looks like: something was asked for, a run failed, a person changed the state."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """From moments and values to places in the picture."""

    first_us: int
    last_us: int
    highest: int

    def x(self, at_us: int) -> float:
        if self.last_us == self.first_us:
            return (_LEFT + WIDTH - _RIGHT) / 2
        part = (at_us - self.first_us) / (self.last_us - self.first_us)
        return _LEFT + part * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - value / self.highest * (HEIGHT - _TOP - _BOTTOM)


def picture(
    points: Sequence[Point], marks: Sequence[Mark], *, title: str, kind: str, show: Callable[[int], str]
) -> Html:
    """The picture of at least one point, in the colours of ``kind``; ``show`` writes a value."""
    moments = [point.at_us for point in points] + [mark.at_us for mark in marks]
    lines = _grid(max(point.value for point in points))
    scale = _Scale(min(moments), max(moments), lines[-1])
    first, last = points[0], points[-1]
    told = f"{title}: {show(first.value)} on {words.day(first.at_us)}"
    told += f", {show(last.value)} on {words.day(last.at_us)}, at most {show(max(each.value for each in points))}."
    return tag(
        "svg",
        tag("title", told),
        *_grid_lines(lines, scale, show),
        *_dates(scale),
        *_steps(points, scale),
        *_marks(marks, scale),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=told,
        class_=f"line {kind}",
    )


def spark_line(values: Sequence[int], *, title: str, kind: str) -> Html:
    """A small picture of how a value went, with no scale."""
    width, height, margin = 120, 28, 3
    highest = max(values) or 1
    step = (width - 2 * margin) / max(len(values) - 1, 1)
    places = [
        (margin + step * number, height - margin - value / highest * (height - 2 * margin))
        for number, value in enumerate(values)
    ]
    x, y = places[-1]
    line = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in places)
    return tag(
        "svg",
        tag("title", title),
        tag("polyline", points=line),
        tag("circle", cx=float(x), cy=float(y), r=2.5),
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=title,
        class_=f"spark {kind}",
    )


def _grid(highest: int) -> list[int]:
    """Round values from 0 to one that is not below ``highest``."""
    step, factors = 1, (2, 5, 10)
    while step * _LINES_MAX < highest:
        base = 10 ** (len(str(step)) - 1)
        step = next(base * factor for factor in factors if base * factor > step)
    n_lines = max(1, -(-highest // step))
    return [step * number for number in range(n_lines + 1)]


def _grid_lines(lines: Sequence[int], scale: _Scale, show: Callable[[int], str]) -> Iterator[Html]:
    for value in lines:
        y = scale.y(value)
        yield tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
        yield tag("text", show(value), x=_LEFT - 6, y=y + 4, text_anchor="end")


def _dates(scale: _Scale) -> Iterator[Html]:
    """The first and the last day below the picture, and one between if there is room and reason for it."""
    anchors = {scale.first_us: "start", (scale.first_us + scale.last_us) // 2: "middle", scale.last_us: "end"}
    seen: set[str] = set()
    for at_us, anchor in anchors.items() if scale.last_us > scale.first_us else [(scale.first_us, "middle")]:
        day = words.day(at_us)
        if day not in seen:
            seen.add(day)
            yield tag("text", day, x=scale.x(at_us), y=HEIGHT - 6, text_anchor=anchor)


def _steps(points: Sequence[Point], scale: _Scale) -> Iterator[Html]:
    places = [(scale.x(point.at_us), scale.y(point.value)) for point in points]
    corners = [places[0]]
    for (_, before), (x, y) in pairwise(places):
        corners += [(x, before), (x, y)]
    ground = scale.y(0)
    outline = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in corners)
    start, end = (
        f"{coordinate(corners[0][0])},{coordinate(ground)}",
        f"{coordinate(corners[-1][0])},{coordinate(ground)}",
    )
    yield tag("polygon", points=f"{start} {outline} {end}", class_="below")
    yield tag("polyline", points=outline)
    for (x, y), point in zip(places, points, strict=True):
        yield tag("circle", tag("title", point.label), cx=x, cy=y, r=3.5)


def _marks(marks: Sequence[Mark], scale: _Scale) -> Iterator[Html]:
    for mark in marks:
        x = scale.x(mark.at_us)
        sign = tag("text", MARKS[mark.kind], x=x, y=_TOP - 8, text_anchor="middle")
        line = tag("line", x1=x, x2=x, y1=_TOP - 4, y2=HEIGHT - _BOTTOM)
        yield tag("g", join([tag("title", mark.label), line, sign]), class_=f"mark {mark.kind}")
