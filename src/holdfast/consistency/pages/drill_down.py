"""Drill-down: a tree of directories as nested lists that open and close, with the share of each.

Rules
  * Every line has the id by which the picture beside finds it.
  * What is left out for being small is said at its place, so that sums come out.

Pure: a tree in, markup out.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.consistency.pages import words
from holdfast.consistency.pages.markup import NEW_LINE, Html, join, tag
from holdfast.consistency.pages.model import NOTHING, Amount, Branch

_BAR = 100


def drill_down(root: Branch, *, place: str, kind: str) -> Html:
    """The tree below ``root``, whose line has the id ``place``, in the colours of ``kind``."""
    return tag("div", _line(root, root, place, level=0), class_=f"tree {kind}")


def _line(branch: Branch, root: Branch, place: str, *, level: int) -> Html:
    told = join(
        [tag("span", branch.name, class_="name"), _share(branch.amount, root.amount), _amount(branch.amount)], " "
    )
    if not branch.branches and branch.rest is None:
        return tag("div", told, id=place, class_="leaf")
    within = "\n".join(_inside(branch, root, place, level=level))
    return tag("details", tag("summary", told), NEW_LINE, Html(within), id=place, open=level == 0)


def _inside(branch: Branch, root: Branch, place: str, *, level: int) -> Iterator[Html]:
    for number, each in enumerate(branch.branches):
        yield _line(each, root, f"{place}-{number}", level=level + 1)
    if branch.own != NOTHING:
        yield _leaf("files in it", branch.own, root)
    if branch.rest is not None:
        yield _leaf(f"and {words.directories(branch.rest.directories)} more", branch.rest.amount, root)


def _leaf(name: str, amount: Amount, root: Branch) -> Html:
    told = [tag("span", name, class_="quiet"), _share(amount, root.amount), _amount(amount)]
    return tag("div", join(told, " "), class_="leaf")


def _share(amount: Amount, of: Amount) -> Html:
    part = amount.size / of.size if of.size else amount.files / max(of.files, 1)
    bar = tag("rect", width=part * _BAR, height=10)
    # For eyes only: the words beside say it.
    return tag("svg", bar, viewBox=f"0 0 {_BAR} 10", preserveAspectRatio="none", aria_hidden="true", class_="share")


def _amount(amount: Amount) -> Html:
    return tag("span", words.files_and_bytes(amount), class_="amount")
