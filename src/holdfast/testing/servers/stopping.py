"""Stopping a process with all its threads, and waiting until it is so."""

from __future__ import annotations

import time
from pathlib import Path


def wait_until_stopped(pid: int) -> None:
    """Return when none of its threads runs any more, after SIGSTOP was sent: a thread may still be answering then."""
    tasks = Path(f"/proc/{pid}/task")
    # The state stands behind the name, which is in brackets.
    while any(_state(each) not in "TtZX" for each in tasks.glob("*/stat")):
        time.sleep(0.002)


def _state(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
