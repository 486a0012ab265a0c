"""RcloneServer: ``rclone serve webdav`` for tests, a WebDAV server that shares no code with XRootD.

It serves a folder over http or, with an authority, https; started, stopped,
frozen and killed at will.

Rules
  * It runs as ``nobody`` if we are root; else as ourselves.
  * What it serves lies in ``data``; it remembers nothing of it, so that ``put``
    and ``get`` behind its back are seen at once.
  * It listens on the loopback only, at a free port that stays over a restart.
  * At the end it is killed and its folder removed, also if the process that
    started it dies.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.testing.servers.ports import free_port
from holdfast.testing.servers.stopping import wait_until_stopped
from holdfast.testing.servers.test_authority import TestAuthority
from holdfast.testing.servers.xrootd_server import account, guarded_folder

START_S = 30.0
LOG_TAIL = 4000


class RcloneServer:
    """One server; see the module's docstring."""

    def __init__(self, folder: Path, authority: TestAuthority | None = None) -> None:
        self.folder = folder
        self.authority = authority
        self.user = account("nobody")
        self.port = free_port()
        self.data = folder / "data"
        self.data.mkdir()
        self.user.own(folder)
        self.user.own(self.data)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is; a door's root."""
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens; RuntimeError with its log if it does not."""
        # Its own memory of directories would hide what tests do behind its back.
        options = ["--addr", f"127.0.0.1:{self.port}", "--dir-cache-time", "0s", "--poll-interval", "0s"]
        if self.authority is not None:
            certificate, key = self.authority.copy_host_credentials(self.folder, uid=self.user.uid, gid=self.user.gid)
            options += ["--cert", str(certificate), "--key", str(key)]
        command = [shutil.which("rclone") or "rclone", "serve", "webdav", str(self.data), *options]
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), "RCLONE_CONFIG": ""}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
                **self.user.popen(),
            )
        deadline = time.monotonic() + START_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"rclone does not start:\n{self.log()[-LOG_TAIL:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(60)
            self._process = None

    def restart(self) -> None:
        """Start it again, whether it runs, is frozen or is gone."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)
        assert self._process is not None
        wait_until_stopped(self._process.pid)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        """All it has written."""
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def put(self, path: str, data: bytes) -> None:
        """Make or overwrite a file below ``data``, its directories included; the server may change it."""
        target = self.data
        *above, name = path.strip("/").split("/")
        for component in above:
            target /= component
            if not target.is_dir():
                target.mkdir()
                self.user.own(target)
        (target / name).write_bytes(data)
        self.user.own(target / name)

    def get(self, path: str) -> bytes | None:
        """The bytes of a file below ``data``; None if there is no such file."""
        target = self.data / path.lstrip("/")
        return target.read_bytes() if target.is_file() else None

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def rclone_server(folder: Path | None = None, *, authority: TestAuthority | None = None) -> Iterator[RcloneServer]:
    """A server that runs; gone at the end with all it served. Its own folder is made within ``folder``."""
    with guarded_folder("holdfast-rclone-", within=folder) as own:
        server = RcloneServer(own, authority)
        try:
            server.start()
            yield server
        finally:
            server.kill()
