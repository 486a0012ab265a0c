"""Run a command of Holdfast and kill it at a named step, as a power cut would.

    python -m holdfast.testing.killer --at copy.renamed:2 -- copy DATASET --to SITE

The process sends itself SIGKILL when it passes the step for the given time, so
nothing is flushed, closed or undone. Where it does not come to that, the
command ends as it always does, with its own exit code.

Rules
  * Nothing but the step decides when it dies; without ``--at`` it is the
    command and nothing else, and may be killed from outside.
  * ``--trace FILE`` is made at the first step and gets the name of each one
    passed, a line each, before the process dies: the last tells where it was.
  * ``--small`` makes blocks, batches and claims so small that a few dozen
    files pass every step several times. It changes amounts, never behaviour.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from holdfast.cli.main import main as holdfast
from holdfast.model import steps
from holdfast.testing import amounts

NAMES = tuple(name for names in steps.STEPS.values() for name in names)
"""Every named step, those of one work in the order in which they are passed."""


def killing(at: str, count: int, trace: Path | None = None) -> Callable[[str], None]:
    """An observer of steps that kills this process when ``at`` is passed for the ``count``-th time; "": never."""
    passed = 0
    handle = -1

    def observe(name: str) -> None:
        nonlocal passed, handle
        if trace is not None:
            if handle < 0:
                handle = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(handle, f"{name}\n".encode())
        passed += name == at
        if name == at and passed == count:
            os.kill(os.getpid(), signal.SIGKILL)

    return observe


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that stands behind ``--``; returns its exit code, if it lives so long."""
    parser = argparse.ArgumentParser(
        prog="python -m holdfast.testing.killer", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--at", metavar="STEP:COUNT", default="", help="die at this pass of a step; COUNT is 1 if left out"
    )
    parser.add_argument("--trace", metavar="FILE", type=Path, help="append each step that is passed")
    parser.add_argument("--small", action="store_true", help="small blocks, batches and claims")
    parser.add_argument("command", nargs="+", help="the command, behind --")
    given = parser.parse_args(arguments)
    step, _, count = given.at.partition(":")
    if step and step not in NAMES:
        parser.error(f"there is no step {step!r}; known are {', '.join(NAMES)}")
    if count and not count.isdecimal():
        parser.error(f"{count!r} is not a number of passes")
    with (
        amounts.shrunk() if given.small else nullcontext(),
        steps.observed(killing(step, int(count or 1), given.trace)),
    ):
        return holdfast(given.command)


if __name__ == "__main__":
    sys.exit(main())
