"""The quarantine: where at a site files lie that nobody knows, until they are deleted for good.

``/.holdfast-quarantine/2026-11-21/store/data/x`` was ``/store/data/x`` until that day (UTC). Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

QUARANTINE = "/.holdfast-quarantine"

_DAY = re.compile(rf"{re.escape(QUARANTINE)}/([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(/.+)?\Z", re.DOTALL)


def day_folder(at_us: int) -> str:
    """The directory of what is quarantined at a moment, in us since 1970."""
    return f"{QUARANTINE}/{datetime.fromtimestamp(at_us // 1_000_000, UTC).date().isoformat()}"


def is_quarantined(path: str) -> bool:
    """Whether ``path`` is the quarantine, or below it."""
    return path == QUARANTINE or path.startswith(f"{QUARANTINE}/")


def day_of(path: str) -> date | None:
    """When what lies there was quarantined; None if the path does not say so."""
    found = _DAY.match(path)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def original(path: str) -> str | None:
    """The path that a quarantined file had; None if there is none."""
    found = _DAY.match(path)
    return found[2] if found and day_of(path) is not None else None
