"""What the program says about its own work: structured lines on standard error.

Called once by the edges (commands, servers, agents); rooms say
``structlog.get_logger()`` and never configure anything.

Rules
  * Standard output belongs to results; logs go to standard error only.
  * One event is one line, whatever its values hold: control characters in
    text lines are shown as escapes, so that no file name can forge a line or
    steer a terminal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import MutableMapping
from typing import Any

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def configure(level: str, json: bool) -> None:
    """Write events from ``level`` on to standard error, as JSON lines or as text for people."""
    # Imported here: structlog brings half of rich and asyncio with it (70 ms),
    # which a module that only asks for ``configure`` by name should not pay.
    import structlog

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if json:
        last = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    else:
        last = [_one_line, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=shared + last,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _one_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _CONTROL.sub(lambda found: repr(found.group())[1:-1], value)
    return event
