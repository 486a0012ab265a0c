"""Times as WebDAV servers write them, in nanoseconds since 1970 UTC.

``getlastmodified`` is a date of RFC 1123 and always the same 29 characters;
servers that write ISO 8601 or the older HTTP dates instead are understood.

Rules
  * What is no time is NOT_TOLD, never an old one: what looks old may be removed.
  * Finer than a second nothing is kept: a second is what the common form has.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from holdfast.storage.driver import NOT_TOLD

SECOND_NS = 1_000_000_000

_EPOCH_DAY = datetime(1970, 1, 1).toordinal()
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(rf"[A-Z][a-z]{{2}}, (\d\d) ({'|'.join(_MONTHS)}) (\d{{4}}) \Z", re.ASCII)
_SIXTY = {f"{number:02d}": number for number in range(60)}
_HOURS = {f"{number:02d}": number * 3600 for number in range(24)}
_YEARS_KEPT = range(1970, 2262)
"""Those of which every moment fits into 64 bits of nanoseconds."""


def parse(text: str) -> int:
    """The moment ``text`` names; NOT_TOLD if it names none."""
    try:
        # In listings this runs once per file: the date is the same for many, the rest are look-ups.
        if text[19] == text[22] == ":" and text[25:] == " GMT":
            day = _day(text[:17])
            return (day + _HOURS[text[17:19]] + _SIXTY[text[20:22]] * 60 + _SIXTY[text[23:25]]) * SECOND_NS
    except (IndexError, KeyError, ValueError):
        pass
    return _uncommon(text.strip())


@functools.lru_cache(maxsize=4096)
def _day(text: str) -> int:
    """The first second of ``Sat, 21 Nov 2026 ``; ValueError if that is no date."""
    found = _DATE.match(text)
    if found is None or int(found[3]) not in _YEARS_KEPT:
        raise ValueError(text)
    return (datetime(int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1])).toordinal() - _EPOCH_DAY) * 86400


def _uncommon(text: str) -> int:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except ValueError:
            continue
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC) if moment.year in _YEARS_KEPT else moment
        if moment.year in _YEARS_KEPT:
            return int(moment.timestamp()) * SECOND_NS
    return NOT_TOLD
