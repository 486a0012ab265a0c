"""Real servers for the tests of engines: XRootD servers that copy from each other, and a WebDAV server by rclone."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.storage.access import Access, AccessSettings
from holdfast.testing.servers.rclone_server import RcloneServer
from holdfast.testing.servers.xrootd_server import XrootdServer, xrootd_server
from support import real

Server = XrootdServer | RcloneServer

_FOLDERS = itertools.count(1)
ROOM_BYTES = 2 << 20


class Folder:
    """A new, empty folder of a server, behind the server's back."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.name = f"/t{next(_FOLDERS)}"
        self.root = server.data / self.name[1:]
        self.root.mkdir()
        server.user.own(self.root)

    def put(self, path: str, data: bytes) -> None:
        """Make or overwrite a file. A new one takes the place of the old: servers remember checksums by it."""
        (self.root / path[1:]).unlink(missing_ok=True)
        self.server.put(self.name + path, data)

    def get(self, path: str) -> bytes | None:
        """The bytes of a file; None if there is none."""
        return self.server.get(self.name + path)

    def remove(self, path: str) -> None:
        """Remove a file."""
        (self.root / path[1:]).unlink()

    def paths(self) -> list[str]:
        """All files."""
        return sorted(f"/{each.relative_to(self.root)}" for each in self.root.rglob("*") if each.is_file())

    def fill_up(self) -> Iterator[None]:
        """A folder in the place of this one with little room, as long as this lasts."""
        real.require("tmpfs mount")
        with tmpfs(self.root, uid=self.server.user.uid):
            yield


@contextmanager
def tmpfs(folder: Path, *, uid: int = 0) -> Iterator[None]:
    """A file system with room for ROOM_BYTES, mounted over ``folder``."""
    options = f"size={ROOM_BYTES},mode=755,uid={uid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "holdfast-room", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def two_xrootd_servers() -> Iterator[tuple[XrootdServer, XrootdServer]]:
    """Two servers with one authority."""
    with xrootd_server() as one, xrootd_server(authority=one.authority) as other:
        yield one, other


def access_to(server: Server, *, site: str = "SITE", call_timeout_s: float = 20.0) -> Access:
    """Access of somebody who trusts the server's authority, if it has one."""
    bundle = server.authority.bundle if server.authority is not None else None
    settings = AccessSettings(
        authorities=bundle, connect_timeout_s=min(5.0, call_timeout_s), call_timeout_s=call_timeout_s
    )
    return Access(settings, site=site)
