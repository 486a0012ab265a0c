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
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.testing.servers.child_server import ChildServer
from holdfast.testing.servers.ports import free_port
from holdfast.testing.servers.test_authority import TestAuthority
from holdfast.testing.servers.xrootd_server import account, guarded_folder


class RcloneServer(ChildServer):
    """One server; see the module's docstring."""

    def __init__(self, folder: Path, authority: TestAuthority | None = None, *, remembered_s: int = 0) -> None:
        super().__init__(folder)
        self.folder = folder
        self.authority = authority
        self._remembered_s = remembered_s
        self.user = account("nobody")
        self.port = free_port()
        self.data = folder / "data"
        self.data.mkdir()
        self.user.own(folder)
        self.user.own(self.data)
        self._credentials: list[str] = []
        if authority is not None:
            certificate, key = authority.copy_host_credentials(folder, uid=self.user.uid, gid=self.user.gid)
            self._credentials = ["--cert", str(certificate), "--key", str(key)]

    @property
    def url(self) -> str:
        """Where it is; a door's root."""
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """The server; what it remembers of directories hides for so long what is done behind its back."""
        remembered = ("--dir-cache-time", f"{self._remembered_s}s", "--poll-interval", "0s")
        options = ["--addr", f"127.0.0.1:{self.port}", *remembered]
        return [shutil.which("rclone") or "rclone", "serve", "webdav", str(self.data), *options, *self._credentials]

    def options(self) -> dict[str, Any]:
        """Another user, and settings of nobody."""
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), "RCLONE_CONFIG": ""}
        return {"cwd": self.folder, "env": environment, **self.user.popen()}

    def answers(self) -> bool:
        """Whether it listens by now."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

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


@contextmanager
def rclone_server(
    folder: Path | None = None, *, authority: TestAuthority | None = None, remembered_s: int = 0
) -> Iterator[RcloneServer]:
    """A server that runs; gone at the end with all it served. Its own folder is made within ``folder``.

    ``remembered_s``: for so long it remembers directories. With 0 it reads a whole directory for every file that is
    asked about, which costs 30 times as much where there are 100 files in each.
    """
    with guarded_folder("holdfast-rclone-", within=folder) as own:
        server = RcloneServer(own, authority, remembered_s=remembered_s)
        try:
            server.start()
            yield server
        finally:
            server.kill()
