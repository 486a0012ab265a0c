"""Words: how pages name moments, ages and lengths of time; classes are named by ``class_words``. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from holdfast.consistency.pages.model import Amount
from holdfast.model.clock import SECOND_US, show_time
from holdfast.model.wording import number, plural, size

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


class Age(StrEnum):
    """How old a site's last check is, for people who plan them."""

    RECENT = "recent"
    OLD = "old"
    VERY_OLD = "very old"
    NONE = "never checked"


OLD_DAYS = 7
VERY_OLD_DAYS = 31


def age_of(at_us: int | None, now_us: int) -> Age:
    """How old something of ``at_us`` is: up to a week is recent, up to a month old."""
    if at_us is None:
        return Age.NONE
    days = (now_us - at_us) / (86_400 * SECOND_US)
    if days <= OLD_DAYS:
        return Age.RECENT
    return Age.OLD if days <= VERY_OLD_DAYS else Age.VERY_OLD


def ago(at_us: int, now_us: int) -> str:
    """``3 days ago``, in the largest unit that makes one; what lies ahead is told by its time."""
    seconds = (now_us - at_us) // SECOND_US
    if seconds < 0:
        return f"at {show_time(at_us)}"
    return next((f"{plural(seconds // each, unit)} ago" for unit, each in _UNITS if seconds >= each), "just now")


def lasting(seconds: float | None) -> str:
    """``2 h 05 min``, ``12 min``, ``3.4 s``; "" if it is not known."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def day(at_us: int) -> str:
    """The day of a moment, in UTC: ``2026-11-21``."""
    return datetime.fromtimestamp(at_us // SECOND_US, UTC).strftime("%Y-%m-%d")


def moment(at_us: int) -> str:
    """A moment to the minute, in UTC: ``2026-11-21 15:04``."""
    return datetime.fromtimestamp(at_us // SECOND_US, UTC).strftime("%Y-%m-%d %H:%M")


def files_and_bytes(amount: Amount) -> str:
    """``12 files, 3.4 GB``."""
    return f"{plural(amount.files, 'file')}, {size(amount.size)}"


def directories(count: int) -> str:
    """``1 directory``, ``2,000 directories``."""
    return f"{number(count)} {'directory' if count == 1 else 'directories'}"
