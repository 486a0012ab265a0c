"""RealSite: a real storage server, and what its disk looks like behind its back.

Rules
  * Files are sparse, as old as PAST_S, and belong to the user that the server runs as.
  * ``seen`` reads every file whole: what it tells is what lies there.
"""

from __future__ import annotations

import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from holdfast.testing.servers.rclone_server import RcloneServer
from holdfast.testing.servers.xrootd_server import XrootdServer
from trial.book import Content
from trial.files import File, directory_of, files_of
from trial.verdict import Seen

DAY_S = 86_400
PAST_S = 60 * DAY_S
"""So long ago everything was written that is not said to be young."""

Server = XrootdServer | RcloneServer


@dataclass(frozen=True)
class RealSite:
    """A site by its name, its server, and where it is reached: protocol and root of each door, the first first."""

    name: str
    server: Server
    doors: tuple[tuple[str, str], ...]

    @property
    def refuses(self) -> bool:
        """Whether a directory that it may not read is an error. rclone shows an empty one, and no file in it."""
        return not isinstance(self.server, RcloneServer)

    @property
    def removes_empty(self) -> bool:
        """Whether empty directories can be removed. rclone would take one with what has come into it."""
        return not isinstance(self.server, RcloneServer)

    @property
    def data(self) -> Path:
        """What it serves, as a folder of this machine."""
        return self.server.data

    def place(self, path: str) -> Path:
        """Where a path of the site is on this machine."""
        return self.data / path[1:]

    def make_directory(self, path: str) -> None:
        """Make a directory and its parents."""
        place = self.data
        for component in filter(None, path.split("/")):
            place /= component
            if not place.is_dir():
                place.mkdir()
                self.server.user.own(place)

    def put(self, path: str, file: File, *, is_young: bool = False) -> None:
        """Write the bytes of ``file`` under ``path``; its directory has to be there."""
        place = str(self.place(path))
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(handle, file.head)
            os.ftruncate(handle, file.size)
            if os.geteuid() == 0:
                os.fchown(handle, self.server.user.uid, self.server.user.gid)
            if not is_young:
                os.utime(handle, (_past(), _past()))
        finally:
            os.close(handle)

    def put_blocks(self, blocks: Iterable[int], update: Callable[[int], object]) -> None:
        """Write whole blocks; ``update`` hears how many files each has."""
        for block in blocks:
            self.make_directory(directory_of(block))
            files = list(files_of(block))
            for file in files:
                self.put(file.lfn, file)
            update(len(files))

    def remove(self, path: str) -> None:
        """Delete a file."""
        self.place(path).unlink()

    def remove_tree(self, path: str) -> None:
        """Delete a directory with all below it."""
        shutil.rmtree(self.place(path))

    def truncate(self, path: str, size: int) -> None:
        """Cut a file off, and leave it old."""
        self._rewrite(path, lambda handle: os.ftruncate(handle, size))

    def alter(self, path: str) -> None:
        """Change the first byte of a file, and leave it old."""
        self._rewrite(path, lambda handle: os.pwrite(handle, b"F", 0))

    def lock(self, path: str) -> None:
        """Let nobody look into a directory."""
        self.place(path).chmod(0)

    def unlock(self, path: str) -> None:
        """Let it be looked into again."""
        self.place(path).chmod(0o755)

    def make_empty(self, path: str) -> None:
        """Make an old directory without anything in it."""
        self.make_directory(path)
        os.utime(self.place(path), (_past(), _past()))

    def _rewrite(self, path: str, change: Callable[[int], object]) -> None:
        """A minute younger than it was: a server that remembers its checksum has to take it anew."""
        handle = os.open(self.place(path), os.O_RDWR)
        try:
            change(handle)
            os.utime(handle, (_past() + 60, _past() + 60))
        finally:
            os.close(handle)

    def seen(self) -> Seen:
        """All files with their bytes, and all directories."""
        files: dict[str, Content] = {}
        directories: set[str] = set()
        waiting = [""]
        while waiting:
            above = waiting.pop()
            with os.scandir(f"{self.data}{above}") as entries:
                for entry in entries:
                    path = f"{above}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        directories.add(path)
                        waiting.append(path)
                    else:
                        files[path] = _content(entry.path)
        return Seen(files, directories)


def _content(path: str) -> Content:
    handle = os.open(path, os.O_RDONLY)
    try:
        size, value = 0, 1
        while data := os.read(handle, 1 << 20):
            value = zlib.adler32(data, value)
            size += len(data)
    finally:
        os.close(handle)
    return Content(size, f"{value:08x}")


def _past() -> float:
    return time.time() - PAST_S
