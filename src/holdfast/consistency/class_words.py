"""Class words: what people read of the classes of findings, on screens, on pages and in reasons.

Rules
  * Nobody else makes words of a class, so that it is called the same everywhere.
  * Programs get the values of ``Class``; these are no words.

Pure.
"""

from __future__ import annotations

from holdfast.consistency.findings import Class
from holdfast.model.wording import number

NAMES = {cls: cls.value.replace("_", " ") for cls in Class}
"""What a class is called."""

NOUNS = {
    Class.MISSING: ("missing file", "missing files"),
    Class.ORPHAN: ("orphan", "orphans"),
    Class.SIZE_MISMATCH: ("file of wrong size", "files of wrong size"),
    Class.CHECKSUM_MISMATCH: ("file of wrong content", "files of wrong content"),
    Class.SUSPECT: ("suspect file", "suspect files"),
    Class.EMPTY_DIRECTORY: ("empty directory", "empty directories"),
    Class.AWAITED: ("awaited file", "awaited files"),
    Class.UNLISTED: ("file not seen", "files not seen"),
    Class.IGNORED: ("ignored file", "ignored files"),
}
"""What one and many of each class are called."""

MISMATCHED = "wrong files"
"""Those of wrong size and those of wrong content together."""

HEADS = {
    Class.MISSING: "missing",
    Class.ORPHAN: "orphans",
    Class.SIZE_MISMATCH: "wrong size",
    Class.CHECKSUM_MISMATCH: "wrong checksum",
    Class.SUSPECT: "suspect",
    Class.EMPTY_DIRECTORY: "empty directories",
    Class.AWAITED: "awaited",
    Class.UNLISTED: "unlisted",
    Class.IGNORED: "ignored",
}
"""A few words for each class, for the head of a column."""

MEANINGS = {
    Class.MISSING: "should be there",
    Class.ORPHAN: "nobody knows them (dark data)",
    Class.SIZE_MISMATCH: "wrong size",
    Class.CHECKSUM_MISMATCH: "right size, wrong content",
    Class.SUSPECT: "not judged: not believed about",
    Class.EMPTY_DIRECTORY: "directories with nothing below",
    Class.AWAITED: "asked for, not there yet",
    Class.UNLISTED: "not judged: not listed or not readable",
    Class.IGNORED: "young, in flight or left alone",
}
"""What each class means, in a few words beside its numbers."""

DEFINITIONS = {
    Class.MISSING: "expected before and after the listing, and not there",
    Class.ORPHAN: "there, and expected by nobody",
    Class.SIZE_MISMATCH: "there, and not of the size that the inventory knows",
    Class.CHECKSUM_MISMATCH: "read, and not of the checksum that the inventory knows",
    Class.SUSPECT: "expected, and not shown by a directory whose answer is not believed",
    Class.EMPTY_DIRECTORY: "with nothing below but empty directories",
    Class.AWAITED: "what open copies are still to bring",
    Class.UNLISTED: "expected below places that could not be listed: not judged",
    Class.IGNORED: "different and left alone: young, in flight, changed meanwhile, or by the configuration",
}
"""What each class means, in full."""


def counted(count: int, cls: Class) -> str:
    """``1 orphan``, ``2,000 empty directories``."""
    return f"{number(count)} {NOUNS[cls][count != 1]}"
