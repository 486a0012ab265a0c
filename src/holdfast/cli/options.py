"""Options: what stands before the command's name, and the options that many commands share.

The main callback sets ``current`` once per run; commands reach it through
``holdfast.cli.context.open_context`` and need not look here, except for the
annotated types of the options that mean the same everywhere.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LogLevel(StrEnum):
    """The levels that ``--log-level`` takes."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Options:
    """What was said before the command's name; None where nothing was."""

    config: Path | None = None
    debug: bool = False
    log_level: LogLevel | None = None


current: ContextVar[Options] = ContextVar("current", default=Options())  # noqa: B039 (frozen)
"""The options of this run."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
"""``json: options.Json = False``"""

DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done, but do nothing.")]
"""``dry_run: options.DryRun = False``"""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress bar.")]
"""``quiet: options.Quiet = False``"""
