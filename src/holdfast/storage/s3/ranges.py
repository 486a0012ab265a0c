"""Ranges of keys: how one flat prefix is cut so that several pieces of it are listed at once.

Object stores list keys in the order of their bytes, a thousand at a time, and
each page says where the next begins: one after the other. But they also list
from any key on. So the keys after a page are cut into ranges at places that
need not be keys: where the ranges meet is exact, whatever keys there are; how
even they are depends on how well the places are guessed.

Pure: bounds and what was seen in, cuts out. Bounds are text without the
delimiter, so that everything below one directory is on one side of a cut.

Rules
  * A range is what comes after ``after`` up to and with ``upto``; the cuts of a
    range are strictly within it, ascending, and none is there twice.
  * Every key is in exactly one of the pieces that cuts make of a range.
  * Text is compared as stores do, by code point, which is by the bytes of UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

TOP = "\U0010fffd"
"""Sorts behind whatever is in use."""


class KeyRange(NamedTuple):
    """The keys after ``after`` up to ``upto``; None: to the end. Both lack the prefix that is listed."""

    after: str = ""
    upto: str | None = None

    @property
    def depth(self) -> int:
        """How many characters all keys of it share at least: the fewer, the more it may hold."""
        return 0 if self.upto is None else shared(self.after, self.upto)


def shared(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def split(whole: KeyRange, cuts: Sequence[str]) -> list[KeyRange]:
    """The pieces that ``cuts`` make of a range, in order."""
    bounds: list[str | None] = [whole.after, *cuts, whole.upto]
    return [KeyRange(after or "", upto) for after, upto in pairwise(bounds)]


def first_cuts(first: str, last: str) -> list[str]:
    """Where to cut what comes after the first page, of which the first and the last name are known.

    Between two of these cuts lie the names that begin with the same n characters as the last one and have a
    greater one next: one round of requests shows at which n names differ. Where the names of the page itself
    begin to differ is deep enough.
    """
    deepest = shared(first, last)
    cuts = [last[:length] + TOP for length in range(deepest, -1, -1)]
    return _within(KeyRange(last), cuts)


def cuts(seen: KeyRange, alphabet: Iterable[str], count: int) -> list[str]:
    """Up to ``count`` places at which to cut what is left of a range that is known to hold more.

    They are at the first characters at which its names may differ, and at characters that names have been seen
    to have (``alphabet``): digits where there is a digit, letters where there is a letter.
    """
    letters = sorted(set(alphabet))
    found: list[str] = []
    for length in range(seen.depth, len(seen.after)):
        at = seen.after[length]
        alike = [c for c in letters if c > at and _sort_of(c) == _sort_of(at)]
        here = _within(seen, [seen.after[:length] + c for c in alike])
        found += _thinned(here, count - len(found))
        if len(found) >= count:
            break
    return sorted(found)


def _sort_of(character: str) -> str:
    if character.isdigit():
        return "digit"
    if character.isalpha():
        return "upper" if character.isupper() else "lower"
    return "other"


def _thinned(many: Sequence[str], count: int) -> list[str]:
    """``count`` of them, evenly."""
    if len(many) <= count:
        return list(many)
    return [many[(2 * number + 1) * len(many) // (2 * count)] for number in range(count)]


def _within(whole: KeyRange, cuts: Sequence[str]) -> list[str]:
    return [cut for cut in cuts if "/" not in cut and cut > whole.after and (whole.upto is None or cut < whole.upto)]
