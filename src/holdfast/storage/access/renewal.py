"""Renewal: runs a site's ``renew_command``, once for all who wait.

Rules
  * It is run without a shell, in a process group of its own, with nothing to
    read, and is killed with its group when its time is over or nobody's loop
    runs any more.
  * Whoever asks while it runs waits for the same run; one who gives up waiting
    ends nothing. Within PAUSE_S of its end the outcome counts as that of a new
    run: a command that fails is not run for each of thousands of requests.
  * Of what it says the last line is kept, and only if it failed, with whatever
    looks like a secret taken out. Its arguments are repeated nowhere.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from holdfast.model.clock import SECOND_US, Clock

PAUSE_S = 10.0
LINE_MAX = 200

_TAIL_BYTES = 4096
_HIDDEN = "***"
_ASSIGNED = re.compile(
    r"(?i)\b(\S*(?:pass\w*|secret\w*|token|bearer|key|authorization|cookie|pin)\b[\"']?\s*[:= ]\s*)\S+"
)
_ADDRESSED = re.compile(r"://[^/\s@]*@")
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=_\-.~%]{16,}")
_KINDS = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"))


class Renewal:
    """One command; no ``command``: there is nothing that renews, and asking for it does nothing."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        site: str,
        timeout_s: float,
        clock: Clock,
        secrets: Callable[[], Iterable[str]] = list,
    ) -> None:
        self._command = tuple(command)
        self._site = site
        self._timeout_s = timeout_s
        self._clock = clock
        self._secrets = secrets
        self._running: asyncio.Task[None] | None = None
        self._ended_us: int | None = None
        self.failed = ""
        """What became of the last run; "" after a good one."""

    @property
    def idle(self) -> str:
        """What is to be said where the command went well and nothing is new; "" where there is none."""
        return f"{self._command[0]} has not renewed it" if self._command else ""

    async def run(self) -> str:
        """Wait for a run of the command; what went wrong, or ""."""
        task = self.begin()
        if task is not None:
            await asyncio.shield(task)
        return self.failed

    def begin(self) -> asyncio.Task[None] | None:
        """The run that goes on, or a new one; None where there is no command or it has only just ended."""
        now = self._clock()
        if self._is_running():
            return self._running
        if not self._command or (self._ended_us is not None and 0 <= now - self._ended_us < PAUSE_S * SECOND_US):
            return None
        self._running = asyncio.create_task(self._run())
        return self._running

    def _is_running(self) -> bool:
        task = self._running
        # A run of a loop that was closed over it has been killed with it.
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    async def _run(self) -> None:
        self.failed = await self._outcome()
        self._ended_us = self._clock()

    async def _outcome(self) -> str:
        program = self._command[0]
        # A file and not a pipe: a helper that the command leaves behind would keep a pipe open.
        with tempfile.TemporaryFile() as said:
            run = _Run(self._command, {**os.environ, "HOLDFAST_SITE": self._site}, said)
            try:
                code = await _in_a_thread(run, self._timeout_s)
            except subprocess.TimeoutExpired:
                return f"{program} was ended because it took longer than {self._timeout_s:g} s"
            except (OSError, ValueError) as error:
                return f"{program} cannot be run: {getattr(error, 'strerror', None) or 'its arguments make no sense'}"
            return "" if code == 0 else f"{program} ended with {_shown_code(code)}{self._last_words(said)}"

    def _last_words(self, said: IO[bytes]) -> str:
        said.seek(max(0, said.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
        return f": {scrubbed(lines[-1], self._secrets())}" if lines else ""


class _Run:
    """One run of the command, which another thread may end."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], said: IO[bytes]) -> None:
        self._command = command
        self._environment = environment
        self._said = said
        self._changing = threading.Lock()
        self._is_over = False
        self._process: subprocess.Popen[bytes] | None = None

    def wait(self, timeout_s: float) -> int:
        """Run it and wait for its end; its exit code."""
        with self._changing:
            if self._is_over:
                return 0
            process = self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                env=self._environment,
                start_new_session=True,
            )
        try:
            return process.wait(timeout_s)
        finally:
            self.end()

    def end(self) -> None:
        """Kill it with its group, if it runs."""
        with self._changing:
            self._is_over = True
            if self._process is not None and self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


async def _in_a_thread(run: _Run, timeout_s: float) -> int:
    """Wait for a run in a thread of its own; who is cancelled has ended it.

    Not by asyncio's own processes: of those, one that is cancelled in its first moments can hang its loop in Python
    3.11. Nor in the loop's threads: those may all be waiting for a storage.
    """
    thread = ThreadPoolExecutor(1, "holdfast-renewal")
    try:
        waiting = asyncio.get_running_loop().run_in_executor(thread, run.wait, timeout_s)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            run.end()
            await asyncio.wait([waiting])
            raise
    finally:
        thread.shutdown(wait=False)


def _shown_code(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def scrubbed(line: str, secrets: Iterable[str] = ()) -> str:
    """``line`` as it may be shown: no known secret, nothing that is named as one or looks like one, not too long."""
    for secret in secrets:
        line = line.replace(secret, _HIDDEN)
    line = _ADDRESSED.sub(f"://{_HIDDEN}@", line)
    line = _ASSIGNED.sub(rf"\1{_HIDDEN}", line)
    line = _LONG_WORD.sub(lambda word: _HIDDEN if _looks_secret(word.group()) else word.group(), line)
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 3]}..."


def _looks_secret(word: str) -> bool:
    """Whether it mixes letters and digits as names and paths seldom do."""
    mixed = all(kind.search(word) for kind in _KINDS)
    return mixed or re.fullmatch(r"[0-9a-fA-F]{32,}", word) is not None
