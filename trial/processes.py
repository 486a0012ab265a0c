"""Processes: commands of Holdfast as a person runs them, and the greatest memory of every process of the trial.

A thread looks several times a second at those that were named to it; the kernel
keeps the greatest resident memory of each process itself.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVERY_S = 0.25
END_S = 60.0


class Peaks:
    """The greatest resident memory of each process (with its descendants one by one), by name, in MB."""

    def __init__(self) -> None:
        self._roots: dict[int, str] = {}
        self._peak_kb: dict[str, int] = {}
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def watch(self, name: str, pid: int) -> None:
        """Look at a process from now on, until it is gone."""
        with self._mutex:
            self._roots[pid] = name

    def of(self, name: str) -> int:
        """The peak of a name, in MB."""
        with self._mutex:
            return round(self._peak_kb.get(name, 0) / 1000)

    def all(self) -> dict[str, int]:
        """The peak of each name, in MB."""
        with self._mutex:
            return {name: round(peak_kb / 1000) for name, peak_kb in sorted(self._peak_kb.items())}

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            with self._mutex:
                roots = dict(self._roots)
            for pid, name in roots.items():
                peak_kb = _peak_kb(pid)
                with self._mutex:
                    self._peak_kb[name] = max(self._peak_kb.get(name, 0), peak_kb)
                    if not peak_kb:
                        self._roots.pop(pid, None)


def _peak_kb(root: int) -> int:
    """The greatest peak of a process and its descendants; 0 if it is gone."""
    peak, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                peak = max(peak, next((int(line.split()[1]) for line in file if line.startswith("VmHWM:")), 0))
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                waiting += map(int, file.read().split())
        except OSError:
            continue
    return peak


def descendants(root: int) -> list[int]:
    """A process and all that descend from it."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                waiting += map(int, file.read().split())
        except OSError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """What it printed, as JSON; {} if it printed none."""
        try:
            found = json.loads(self.out)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {"items": found}


class CommandFailed(Exception):
    """A command ended with a code that it was not to end with."""


class Command:
    """One command that runs."""

    def __init__(self, arguments: tuple[str, ...], process: subprocess.Popen[bytes], out: Path, log: Path) -> None:
        self.arguments = arguments
        self.process = process
        self._out, self.log = out, log
        self._began_s = time.monotonic()

    def wait(self) -> Ran:
        """Its end."""
        code = self.process.wait()
        return Ran(code, self._out.read_text(), time.monotonic() - self._began_s)

    def end(self) -> Ran:
        """End it in good order, or else at once."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.wait()


class Commands:
    """Runs ``holdfast ...``; output and log of each are in ``folder``."""

    def __init__(self, folder: Path, environment: Mapping[str, str], peaks: Peaks) -> None:
        self.folder = folder
        self._environment = {**os.environ, **environment}
        self._peaks = peaks
        self._numbers = itertools.count(1)
        self._running: list[Command] = []
        folder.mkdir(exist_ok=True)

    def start(self, *arguments: str, name: str = "") -> Command:
        """Start one; ``name`` is what its memory is told under, by default its first word."""
        stem = self.folder / f"{next(self._numbers):03d}-{'-'.join(arguments[:2]).replace('/', '_')}"
        out, log = stem.with_suffix(".out"), stem.with_suffix(".log")
        with out.open("wb") as stdout, log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "holdfast.cli.main", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self._environment,
            )
        self._peaks.watch(f"holdfast {name or arguments[0]}", process.pid)
        command = Command(arguments, process, out, log)
        self._running.append(command)
        return command

    def run(self, *arguments: str, name: str = "", codes: tuple[int, ...] = (0,)) -> Ran:
        """Run one to its end; CommandFailed with the end of its log unless it ends with one of ``codes``."""
        command = self.start(*arguments, name=name)
        ran = command.wait()
        self._running.remove(command)
        if ran.code not in codes:
            said = command.log.read_text(errors="replace")[-2000:]
            raise CommandFailed(f"holdfast {' '.join(arguments)} ended with {ran.code}; {command.log} ends:\n{said}")
        return ran

    def close(self) -> None:
        """End all that still run."""
        for command in self._running:
            command.end()
        self._running = []
