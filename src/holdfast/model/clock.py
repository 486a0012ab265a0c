"""Time as an argument.

A ``Clock`` returns microseconds since 1970-01-01 UTC. Rooms take one as an
argument; only the edges (commands, servers) choose ``system_clock``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


def system_clock() -> int:
    """The machine's wall clock, microseconds since the epoch."""
    return time.time_ns() // 1000


def show_time(at_us: int) -> str:
    """ISO 8601 in UTC to the second, for people."""
    return datetime.fromtimestamp(at_us / SECOND_US, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
