"""Branches: sums by directory made into a tree that fits on a page.

Rules
  * Each directory keeps its largest sub-directories, at most ``BRANCHES_MAX``, and only those with at least
    ``SHARE_MIN`` of everything; what is left out is its ``rest``. Nothing is lost: a branch's amount is that of its
    own files, of its branches and of the rest.
  * A directory in which there is nothing but one other is shown as one with it.
  * Memory holds what is kept and the directories on the way to the present one, however many there are.

Pure: rows in, a tree out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from holdfast.consistency.pages.model import NOTHING, Amount, Branch, Rest, total

BRANCHES_MAX = 24
SHARE_MIN = 1 / 400
LEVELS_MAX = 10


class DirectorySum(NamedTuple):
    """A directory and what is in itself, not what is below."""

    dir: str
    files: int
    size: int


@dataclass
class _Open:
    """A directory whose rows are being read."""

    parts: tuple[str, ...]
    own: Amount = NOTHING
    below: Amount = NOTHING
    kept: list[Branch] = field(default_factory=list)
    n_directories: int = 0

    @property
    def path(self) -> str:
        return "/" + "/".join(self.parts)


def tree(rows: Iterable[DirectorySum], everything: Amount) -> Branch:
    """The tree of the rows, which sum up to ``everything``.

    All rows at or below a directory follow each other: that is so if they are sorted by the directory and a "/".
    """
    least = everything.size * SHARE_MIN if everything.size else everything.files * SHARE_MIN
    by_size = everything.size > 0
    stack = [_Open(())]
    for row in rows:
        parts = tuple(part for part in row.dir.split("/") if part)
        while stack[-1].parts != parts[: len(stack[-1].parts)]:
            _close(stack, least, by_size=by_size)
        stack += [_Open(parts[:depth]) for depth in range(len(stack[-1].parts) + 1, len(parts) + 1)]
        stack[-1].own += Amount(row.files, row.size)
    while len(stack) > 1:
        _close(stack, least, by_size=by_size)
    return _cut(_branch(stack[0], "/", by_size=by_size), LEVELS_MAX)


def _close(stack: list[_Open], least: float, *, by_size: bool) -> None:
    done = stack.pop()
    parent = stack[-1]
    branch = _branch(done, done.parts[-1], by_size=by_size)
    parent.below += branch.amount
    parent.n_directories += 1
    if _weight(branch.amount, by_size=by_size) >= least:
        parent.kept.append(branch)
        if len(parent.kept) > 2 * BRANCHES_MAX:
            parent.kept = _largest(parent.kept, by_size=by_size)


def _branch(done: _Open, name: str, *, by_size: bool) -> Branch:
    kept = _largest(done.kept, by_size=by_size)
    if len(kept) == done.n_directories == 1 and done.own == NOTHING:
        return replace(kept[0], name=f"{name.rstrip('/')}/{kept[0].name}")
    left_out = done.n_directories - len(kept)
    together = total(branch.amount for branch in kept)
    rest = Amount(done.below.files - together.files, done.below.size - together.size)
    return Branch(
        done.path, name, done.own + done.below, done.own, tuple(kept), Rest(left_out, rest) if left_out else None
    )


def _largest(branches: Sequence[Branch], *, by_size: bool) -> list[Branch]:
    ordered = sorted(branches, key=lambda each: (-_weight(each.amount, by_size=by_size), each.path))
    return ordered[:BRANCHES_MAX]


def _weight(amount: Amount, *, by_size: bool) -> int:
    return amount.size if by_size else amount.files


def _cut(branch: Branch, levels: int) -> Branch:
    """The same without what is more than so many levels down."""
    if levels or not branch.branches:
        return replace(branch, branches=tuple(_cut(each, levels - 1) for each in branch.branches))
    n_rest, amount = (branch.rest.directories, branch.rest.amount) if branch.rest else (0, NOTHING)
    amount += total(each.amount for each in branch.branches)
    return replace(branch, branches=(), rest=Rest(n_rest + len(branch.branches), amount))
