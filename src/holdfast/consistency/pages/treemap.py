"""Treemap: a rectangle divided by weights, each part as near to a square as can be.

The way of Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000): parts are
laid in rows along the shorter side of what is left; a row takes one more as long
as its worst part comes nearer to a square by that.

Rules
  * Areas are to each other as the weights are; parts do not overlap and fill the rectangle.
  * A weight of zero (or less) gets a part without area.
  * Equal input gives equal output. Weights that fall give the best parts.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Rectangle(NamedTuple):
    """A rectangle: its upper left corner, and its sides."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, margin: float, top: float | None = None) -> Rectangle:
        """What is left of it inside a margin; ``top`` is the upper one."""
        upper = margin if top is None else top
        width, height = self.width - 2 * margin, self.height - margin - upper
        return Rectangle(self.x + margin, self.y + upper, max(width, 0.0), max(height, 0.0))


def divide(weights: Sequence[int], area: Rectangle) -> list[Rectangle]:
    """The part of ``area`` for each weight, in their order."""
    parts = [Rectangle(area.x, area.y, 0.0, 0.0)] * len(weights)
    left = [place for place, weight in enumerate(weights) if weight > 0]
    weight_left, rest = sum(weights[place] for place in left), area
    start = 0
    while start < len(left) and rest.width > 0 and rest.height > 0:
        scale = rest.width * rest.height / weight_left
        areas = [weights[place] * scale for place in left[start:]]
        n_row = _row(areas, min(rest.width, rest.height))
        row = left[start : start + n_row]
        is_last = start + n_row == len(left)
        laid, rest = _lay(areas[:n_row], rest, is_last=is_last)
        for place, part in zip(row, laid, strict=True):
            parts[place] = part
        weight_left -= sum(weights[place] for place in row)
        start += n_row
    return parts


def _row(areas: Sequence[float], side: float) -> int:
    """How many of the areas, from the first, make the best row along ``side``."""
    together, best = areas[0], _worst(areas[0], areas[0], areas[0], side)
    least = most = areas[0]
    for count, area in enumerate(areas[1:], start=1):
        least, most = min(least, area), max(most, area)
        worst = _worst(together + area, least, most, side)
        if worst > best:
            return count
        together, best = together + area, worst
    return len(areas)


def _worst(together: float, least: float, most: float, side: float) -> float:
    """How far from a square the worst part of a row is: 1 is a square."""
    thickness = together / side
    return max(most / thickness**2, thickness**2 / least)


def _lay(areas: Sequence[float], area: Rectangle, *, is_last: bool) -> tuple[list[Rectangle], Rectangle]:
    """A row along the shorter side of ``area``, and what is left of that."""
    is_column = area.width >= area.height
    side, depth = (area.height, area.width) if is_column else (area.width, area.height)
    together = sum(areas)
    # What is computed twice differs in the last digits: the last row takes all that is there.
    thickness = depth if is_last else min(together / side, depth)
    laid, done = [], 0.0
    for each in areas:
        begin, end = side * done / together, side * (done + each) / together
        done += each
        if is_column:
            laid.append(Rectangle(area.x, area.y + begin, thickness, end - begin))
        else:
            laid.append(Rectangle(area.x + begin, area.y, end - begin, thickness))
    if is_column:
        return laid, Rectangle(area.x + thickness, area.y, depth - thickness, side)
    return laid, Rectangle(area.x, area.y + thickness, side, depth - thickness)
