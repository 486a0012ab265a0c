"""The events that code logs, caught: ``with logged() as events``."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from structlog.testing import capture_logs

from holdfast import logs


@contextmanager
def logged(level: str = "info") -> Iterator[list[MutableMapping[str, Any]]]:
    """The events from ``level`` on that are logged within the block."""
    before = logs.settings()
    logs.configure(level, json=True)
    logs._apply()
    try:
        with capture_logs() as events:
            yield events
    finally:
        logs.configure(before.level, json=before.json)
