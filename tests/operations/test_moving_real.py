"""Moving into the quarantine, and removing directories, on real servers: files keep size and time, and are found."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast.operations.codes import Code
from holdfast.operations.deleting import emptying, moving
from holdfast.operations.deleting.moving import Folders
from holdfast.operations.deleting.removal import Target
from holdfast.operations.deletion_report import PathState, Removed
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.doors import open_driver
from holdfast.storage.driver import StorageDriver
from support import real

DAY = "/.holdfast-quarantine/2026-11-21"
NOW_US = 1_795_219_200_000_000
"""2026-11-21 00:00:00."""
PAST_NS = 1_600_000_000 * 10**9
"""Long ago: whoever gives a moved file the time of its move is found out."""

pytestmark = pytest.mark.slow


@dataclass
class Place:
    """A server: how it is reached, and the folder that it shows."""

    protocol: str
    root: str
    data: Path
    access: Access
    spares_full: bool = True
    """It refuses to remove a directory that holds something."""

    def driver(self) -> StorageDriver:
        return open_driver(self.protocol, self.root, site="SITE", access=self.access)

    def put(self, path: str, data: bytes) -> None:
        place = self.data / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        os.utime(place, ns=(PAST_NS, PAST_NS))
        for each in (place, *place.parents):
            if each == self.data:
                break
            each.chmod(0o777)

    def files(self) -> dict[str, bytes]:
        found = (each for each in self.data.rglob("*") if each.is_file())
        return {f"/{each.relative_to(self.data)}": each.read_bytes() for each in found}


@pytest.fixture(
    params=[
        pytest.param("xroot", marks=pytest.mark.real("xrootd", "xrootd python client")),
        pytest.param("webdav of xrootd", marks=pytest.mark.real("xrootd")),
        pytest.param("webdav of rclone", marks=pytest.mark.real("rclone")),
    ]
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with ExitStack() as stack:
        if "rclone" in request.param:
            real.require("rclone")
            from holdfast.testing.servers.rclone_server import rclone_server

            rclone = stack.enter_context(rclone_server())
            yield Place("webdav", rclone.url, rclone.data, Access(AccessSettings(), site="SITE"), spares_full=False)
            return
        real.require("xrootd")
        from holdfast.testing.servers.xrootd_server import xrootd_server

        xrootd = stack.enter_context(xrootd_server())
        is_http = "webdav" in request.param
        access = Access(AccessSettings(authorities=xrootd.authority.bundle if is_http else None), site="SITE")
        root = xrootd.https_url if is_http else xrootd.root_url
        yield Place("webdav" if is_http else "xroot", root, xrootd.data, access)


async def _nothing(_target: Target) -> Removed | None:
    return None


async def _move(driver: StorageDriver, target: Target) -> PathState:
    moved = await moving.move(
        target, driver, Folders(driver), object_to=_nothing, is_live_part=lambda _token: False, now_us=NOW_US
    )
    return moved.state


async def _target(driver: StorageDriver, path: str) -> Target:
    stat = await driver.stat(path)
    return Target(0, path, path, stat.size, stat.mtime_ns, stat.version, moved_to=DAY + path)


def test_files_are_moved_once_and_replace_nothing(place: Place) -> None:
    place.put("/data/dark/o", b"dark")

    async def scenario() -> None:
        driver = place.driver()
        try:
            assert moving.can_move(driver)
            target = await _target(driver, "/data/dark/o")
            assert await _move(driver, target) is PathState.MOVED
            assert place.files() == {f"{DAY}/data/dark/o": b"dark"}
            assert await _move(driver, target) is PathState.MOVED  # As after a crash: it is found where it was moved.
            place.put("/data/dark/o", b"new!")
            assert await _move(driver, await _target(driver, "/data/dark/o")) is PathState.FAILED
        finally:
            await driver.close()

    asyncio.run(scenario())
    assert place.files() == {f"{DAY}/data/dark/o": b"dark", "/data/dark/o": b"new!"}


def test_only_empty_directories_go(place: Place) -> None:
    place.put("/full/file", b"kept")
    (place.data / "idle/below").mkdir(parents=True)
    for each in ("idle", "idle/below"):
        (place.data / each).chmod(0o777)

    async def scenario() -> None:
        driver = place.driver()
        try:
            for path, is_holding, state in (
                ("/full", False, None),
                ("/idle", False, None),
                ("/idle/below", False, PathState.DELETED),
                ("/idle", True, PathState.DELETED),
                ("/idle", False, PathState.GONE),
                ("/full/file", False, PathState.SKIPPED),
            ):
                target = Target(0, path, path, 0, is_directory=True)
                removed = await emptying.remove_directory(target, driver, object_to=_nothing, is_holding=is_holding)
                if not place.spares_full and state is PathState.DELETED:
                    assert removed is not None
                    assert (removed.state, removed.code) == (PathState.FAILED, Code.UNSUPPORTED)
                    return
                assert (removed and removed.state) is state, path
        finally:
            await driver.close()

    asyncio.run(scenario())
    assert place.files() == {"/full/file": b"kept"}
    assert (place.data / "idle").exists() is not place.spares_full
