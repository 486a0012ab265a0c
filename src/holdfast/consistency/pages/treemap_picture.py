"""Treemap picture: a tree of directories as nested rectangles, each as large as what lies below it.

Rules
  * What is too small to be seen is drawn with its directory, not by itself.
  * Each rectangle leads to its line in the list of directories beside the picture, which says the same in words.
  * The largest sub-directories have colours of their own, those below them have that of the one they are in.

Pure: a tree in, SVG out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.consistency.pages import treemap, words
from holdfast.consistency.pages.markup import Html, tag
from holdfast.consistency.pages.model import NOTHING, Amount, Branch
from holdfast.consistency.pages.treemap import Rectangle
from holdfast.model.wording import plural, size

COLOURS = 8
_HEAD, _MARGIN = 18.0, 2.0
_SMALLEST = 3.0
_CHARACTER, _LINE = 7.5, 15.0
_LEVELS_MAX = 3
_ROOM_MIN = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a picture is, in its own units, and for which screens."""

    width: int
    height: int
    kind: str


SHAPES = (Shape(960, 520, "wide"), Shape(380, 520, "narrow"))
"""One for wide screens and one for narrow ones: a page shows that which fits."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """One rectangle to be: a sub-directory, or the files that are in none."""

    name: str
    label: str
    amount: Amount
    place: str
    branch: Branch | None = None


def pictures(root: Branch, *, title: str, place: str) -> Html:
    """The tree in each of ``SHAPES``; ``place`` is the id of its line in the list beside."""
    return tag("div", *(_picture(root, shape, title=title, place=place) for shape in SHAPES), class_="treemap")


def _picture(root: Branch, shape: Shape, *, title: str, place: str) -> Html:
    told = (
        f"{title}, by directory: {words.files_and_bytes(root.amount)} below {root.path}. The list below says the same."
    )
    area = Rectangle(0.0, 0.0, float(shape.width), float(shape.height))
    return tag(
        "svg",
        tag("title", told),
        *_inside(root, area, place, by_size=root.amount.size > 0, level=0),
        viewBox=f"0 0 {shape.width} {shape.height}",
        role="group",
        aria_label=told,
        class_=shape.kind,
    )


def _inside(branch: Branch, area: Rectangle, place: str, *, by_size: bool, level: int) -> Iterator[Html]:
    """What is in a directory, divided over ``area``."""
    cells = [*_cells(branch, place)]
    weights = [cell.amount.size if by_size else cell.amount.files for cell in cells]
    for number, (cell, part) in enumerate(zip(cells, treemap.divide(weights, area), strict=True)):
        if min(part.width, part.height) < _SMALLEST:
            continue
        drawn = _drawn(cell, part, by_size=by_size, level=level)
        colour = f"colour{number % COLOURS}" if cell.branch is not None else "other"
        yield tag("g", drawn, class_=colour) if level == 0 else drawn


def _cells(branch: Branch, place: str) -> Iterator[_Cell]:
    for number, each in enumerate(branch.branches):
        yield _Cell(each.name, each.path, each.amount, f"{place}-{number}", each)
    if branch.rest is not None:
        more = f"{words.directories(branch.rest.directories)} more"
        yield _Cell(more, f"{more} in {branch.path}", branch.rest.amount, place)
    if branch.own != NOTHING:
        # A leaf has no other content: it goes by its own name.
        name = "files in it" if branch.branches or branch.rest else branch.name
        yield _Cell(name, f"files in {branch.path} itself", branch.own, place)


def _drawn(cell: _Cell, part: Rectangle, *, by_size: bool, level: int) -> Html:
    has_head = part.width > 5 * _CHARACTER and part.height > 3 * _HEAD
    branch = cell.branch
    is_divided = branch is not None and bool(branch.branches) and has_head and level + 1 < _LEVELS_MAX
    amount = size(cell.amount.size) if by_size else plural(cell.amount.files, "file")
    box = tag(
        "a",
        tag(
            "rect",
            tag("title", f"{cell.label}: {words.files_and_bytes(cell.amount)}"),
            x=part.x + 0.5,
            y=part.y + 0.5,
            width=max(part.width - 1, 1.0),
            height=max(part.height - 1, 1.0),
            rx=2,
        ),
        *_label(cell.name, amount, part, in_one_line=is_divided),
        href=f"#{cell.place}",
        tabindex=-1,
        class_=f"level{level}",
    )
    if branch is None or not is_divided:
        return box
    within = part.inside(_MARGIN + 1, top=_HEAD)
    return Html(box + "".join(_inside(branch, within, cell.place, by_size=by_size, level=level + 1)))


def _label(name: str, amount: str, part: Rectangle, *, in_one_line: bool) -> Iterator[Html]:
    room = int((part.width - 10) / _CHARACTER)
    if room < 3 or part.height < _LINE + 3:
        return
    x, y = part.x + 5, part.y + 13.5
    shown = _cut(name, room)
    if not shown:
        return
    if in_one_line:
        both = f"{name}  {amount}"
        yield tag("text", both if len(both) <= room else shown, x=x, y=y)
        return
    yield tag("text", shown, x=x, y=y)
    if part.height > 2 * _LINE + 4 and len(amount) <= room:
        yield tag("text", amount, x=x, y=y + _LINE, class_="amount")


def _cut(name: str, room: int) -> str:
    """As much of a name as there is room for; "" if that would say nothing. The last part of a path says most."""
    if len(name) > room and "/" in name.rstrip("/"):
        name = f"…/{name.rpartition('/')[2]}"
    if len(name) <= room:
        return name
    return f"{name[: room - 1]}…" if room >= _ROOM_MIN else ""
