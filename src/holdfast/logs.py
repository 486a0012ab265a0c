"""What the program says about its own work: structured lines on standard error.

    _log = logs.get("operations")
    _log.info("request closed", request=id, state=state)

Rooms get a log and write events; only the edges (commands, servers, agents)
call ``configure``. Before that, warnings are written as text.

Rules
  * Standard output belongs to results; logs go to standard error only.
  * One event is one line, whatever its values hold: control characters in
    text lines are shown as escapes, so that no file name can forge a line or
    steer a terminal.
  * An event below the level costs a comparison: structlog is loaded with the
    first line that is written.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Settings:
    """From which level on, and whether as JSON lines or as text for people."""

    level: str = "warning"
    json: bool = False


_settings = Settings()
_applied: Settings | None = None


def configure(level: str, json: bool) -> None:
    """Write events from ``level`` on to standard error, as JSON lines or as text for people."""
    global _settings
    _settings = Settings(level, json)


def settings() -> Settings:
    """What ``configure`` was told last."""
    return _settings


@dataclass(frozen=True, slots=True)
class Log:
    """The log of one room; ``bound`` goes with each of its events."""

    room: str
    bound: Mapping[str, object] = field(default_factory=dict)

    def bind(self, **values: object) -> Log:
        """The same log with further values for each event."""
        return Log(self.room, {**self.bound, **values})

    def debug(self, event: str, **values: object) -> None:
        """What only helps to follow the program."""
        self._write("debug", event, values)

    def info(self, event: str, **values: object) -> None:
        """What was done."""
        self._write("info", event, values)

    def warning(self, event: str, **values: object) -> None:
        """What somebody should look at."""
        self._write("warning", event, values)

    def error(self, event: str, **values: object) -> None:
        """What failed and nobody else is told of."""
        self._write("error", event, values)

    def _write(self, level: str, event: str, values: dict[str, object]) -> None:
        if _LEVELS[level] < _LEVELS[_settings.level]:
            return
        # Imported here: structlog brings half of rich and asyncio with it (70 ms),
        # which a command that logs nothing should not pay.
        import structlog

        _apply()
        structlog.get_logger().log(_LEVELS[level], event, room=self.room, **{**self.bound, **values})


def get(room: str) -> Log:
    """The log of ``room``."""
    return Log(room)


def _apply() -> None:
    """Bring structlog to what ``configure`` was told last."""
    global _applied
    if _applied == _settings:
        return
    import structlog  # See ``Log._write``.

    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if _settings.json:
        last = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    else:
        last = [_one_line, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=shared + last,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[_settings.level]),
        logger_factory=_StandardError(),
        cache_logger_on_first_use=False,
    )
    _applied = _settings


class _StandardError:
    """Makes loggers that write to what standard error is when they write."""

    def __call__(self, *_arguments: object) -> Any:
        import structlog  # See ``Log._write``.

        return structlog.PrintLogger(sys.stderr)


def _one_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _CONTROL.sub(lambda found: repr(found.group())[1:-1], value)
    return event
