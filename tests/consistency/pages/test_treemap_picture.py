"""The picture of where files lie: everything in it is in its frame and in the list beside it."""

from __future__ import annotations

import random

import pytest
from read_page import Page
from shown_site import branch, tree

from holdfast.consistency.pages import branches, drill_down, treemap_picture
from holdfast.consistency.pages.branches import DirectorySum
from holdfast.consistency.pages.markup import Html
from holdfast.consistency.pages.model import Amount, Branch, Rest, total
from holdfast.consistency.pages.treemap_picture import SHAPES


def picture(root: Branch) -> Html:
    return treemap_picture.pictures(root, title="Orphans", place="orphan-0")


def random_tree(seed: int) -> Branch:
    chance = random.Random(seed)
    sums: dict[str, tuple[int, int]] = {}
    for _ in range(chance.randint(1, 300)):
        dir = "".join(f"/{chance.choice('abcdefgh') * chance.randint(1, 30)}" for _ in range(chance.randint(1, 6)))
        sums[dir] = (chance.randint(1, 50), int(chance.paretovariate(0.7) * 1000))
    rows = [DirectorySum(dir, *sums[dir]) for dir in sorted(sums, key=lambda dir: dir + "/")]
    return branches.tree(rows, total(Amount(row.files, row.size) for row in rows))


@pytest.mark.parametrize("seed", range(12))
def test_everything_is_in_the_frame_and_leads_to_the_list(seed: int):
    root = random_tree(seed)
    listed = set(Page(drill_down.drill_down(root, place="orphan-0", kind="orphan")).values("id"))
    document = picture(root)
    assert {address.removeprefix("#") for address in Page(document).values("href")} <= listed
    parts = document.split("</svg>")[:-1]
    assert len(parts) == len(SHAPES)
    for shape, part in zip(SHAPES, parts, strict=True):
        cells = Page(part.removeprefix('<div class="treemap">') + "</svg>")
        assert len(cells.all("rect")) > 0
        for cell in cells.all("rect"):
            x, y, width, height = (float(cell[name] or "") for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + width <= shape.width
            assert 0 <= y <= y + height <= shape.height
        for words in cells.all("text"):
            assert 0 <= float(words["x"] or "") <= shape.width
            assert 0 <= float(words["y"] or "") <= shape.height


def test_areas_on_the_first_level_are_as_bytes():
    root = branch("/", 1000, branch("a", 750), branch("b", 250))
    wide = Page(picture(root).split("</svg>")[0].removeprefix('<div class="treemap">') + "</svg>")
    areas = [float(each["width"] or "") * float(each["height"] or "") for each in wide.all("rect")]
    assert areas[0] / areas[1] == pytest.approx(3, rel=0.01)


def test_names_and_amounts_are_written_where_there_is_room():
    text = Page(picture(tree())).text
    for words in ("mc  6.0 kB", "high", "4.0 kB", "data", "2.0 kB", "12 directories more"):
        assert words in text


def test_a_leaf_is_one_rectangle_under_its_own_name():
    page = Page(picture(branch("/store/mc", 70, own=70)))
    assert len(page.all("rect")) == len(SHAPES)
    assert "/store/mc" in page.text


def test_what_is_left_out_has_its_place():
    root = branch("/", 1000, branch("a", 100), rest=Rest(7, Amount(90, 900)))
    assert "7 directories more in /: 90 files, 900 B" in picture(root)


@pytest.mark.parametrize(
    ("name", "room", "shown"),
    [
        ("short", 5, "short"),
        ("RunIISummer20", 8, "RunIISu…"),
        ("store/mc/Run", 8, "…/Run"),
        ("store/mc/RunIISummer20", 8, "…/RunII…"),
        ("anything", 4, ""),
        ("x/y", 3, "x/y"),
    ],
)
def test_names_are_cut_to_their_room(name: str, room: int, shown: str):
    assert treemap_picture._cut(name, room) == shown
