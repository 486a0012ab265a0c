"""ChildServer: a server of the tests that is one child process of ours, started, frozen and killed at will.

Whoever makes one gives it a folder that is guarded (``xrootd_server``): by the
folder in its command line the guard knows it, should we die.
"""

from __future__ import annotations

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from holdfast.testing.servers.stopping import wait_until_stopped

START_S = 60.0
LOG_TAIL = 4000


class ChildServer(ABC):
    """One process; what it writes is in ``log`` of its folder."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """What is run; it names the folder."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes requests by now."""

    def options(self) -> dict[str, Any]:
        """How it is run, in the words of ``subprocess.Popen``; as we are, if nothing is said."""
        return {}

    def start(self) -> None:
        """Start it and wait until it answers; RuntimeError with its log if it does not."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.options()
            )
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{type(self).__name__} does not start:\n{self.log()[-LOG_TAIL:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    def restart(self) -> None:
        """Start it again, whether it runs, is frozen or is gone."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections are taken, and nothing comes back; when this returns, none of its threads runs."""
        self._signal(signal.SIGSTOP)
        assert self._process is not None
        wait_until_stopped(self._process.pid)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        """All it has written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
