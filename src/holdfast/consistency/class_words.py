"""Class words: what people read of the classes of findings, on screens, on pages and in reasons.

Rules
  * They come from ``classes.TRAITS``; nobody else makes words of a class, so that it is called the same everywhere.
  * Programs get the values of ``Class``; these are no words.

Pure.
"""

from __future__ import annotations

from holdfast.consistency.classes import TRAITS, Class
from holdfast.model.wording import number

NAMES = {cls: cls.value.replace("_", " ") for cls in Class}
"""What a class is called."""

NOUNS = {cls: (traits.one, traits.many) for cls, traits in TRAITS.items()}
"""What one and many of each class are called."""

HEADS = {cls: traits.head for cls, traits in TRAITS.items()}
"""A few words for each class, for the head of a column."""

MEANINGS = {cls: traits.meaning for cls, traits in TRAITS.items()}
"""What each class means, in a few words beside its numbers."""

DEFINITIONS = {cls: traits.definition for cls, traits in TRAITS.items()}
"""What each class means, in full."""

MISMATCHED = "wrong files"
"""Those of wrong size and those of wrong content together."""


def counted(count: int, cls: Class) -> str:
    """``1 orphan``, ``2,000 empty directories``."""
    return f"{number(count)} {NOUNS[cls][count != 1]}"
