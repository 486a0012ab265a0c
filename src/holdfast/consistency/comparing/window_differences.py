"""What a storage's listing lacks and has beside what was expected before it and after it: classes and totals.

Classes
  * ``missing``: expected before and after, not there. ``orphan``: there,
    expected neither before nor after. ``size_mismatch``, ``checksum_mismatch``:
    expected before and after alike, and there with another size, or with the
    size and another adler32, both known.
  * ``in_flight``: whatever else is not the same in all three listings: expected
    in one of the two only, or not alike, or too young. The column ``reason`` says
    which. A path is in one of these classes at most.
  * ``duplicate_before``, ``duplicate_after``, ``duplicate_storage``: a listing has
    the path more than once, and the others not in the same way. This is said of
    the listing, beside the class the file is in.
  * ``unlisted``: a listing folder tells that it could not see whether the file is
    there (``listing_folder.py``).

Columns of the class files: ``path``, then ``before_size``, ``after_size``,
``storage_size``, the same of ``adler32``, ``storage_mtime``, ``before_rows``,
``after_rows``, ``storage_rows``, ``reason``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from holdfast.consistency.comparing.difference_table import Compared, Form


class WindowClass(StrEnum):
    """What is said of a path."""

    MISSING = "missing"
    ORPHAN = "orphan"
    SIZE_MISMATCH = "size_mismatch"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    IN_FLIGHT = "in_flight"
    DUPLICATE_BEFORE = "duplicate_before"
    DUPLICATE_AFTER = "duplicate_after"
    DUPLICATE_STORAGE = "duplicate_storage"
    UNLISTED = "unlisted"


FORM = Form(WindowClass, ("before", "after", "storage"), ("reason",))


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowComparison(Compared):
    """What comparing a storage's listing with what was expected before and after it found; their rows are counted."""

    form: ClassVar[Form] = FORM

    before: int
    after: int
    storage: int
