"""visit: what somebody with certain credentials may do at a door, tried out by a driver.

    python -m storage.visiting < {"protocol": ..., "root": ..., "access": {...}, "deeds": [...]}

In a process of its own, because the XRootD library keeps authorities and
logins for the whole of one; as a function, for protocols that do not.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from holdfast.model.errors import HoldfastError
from holdfast.storage import doors
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.driver import StorageDriver

DEEDS = ("list", "read", "write")


async def visit(protocol: str, root: str, access: Access, deeds: Sequence[str] = DEEDS) -> dict[str, str]:
    """For each deed "yes", or the kind of the error and its text."""
    driver = doors.open_driver(protocol, root, site="T2_Far", access=access)
    told = {}
    try:
        for deed in deeds:
            try:
                await _DOING[deed](driver)
                told[deed] = "yes"
            except HoldfastError as error:
                told[deed] = f"{type(error).__name__}: {error}"
    finally:
        await driver.close()
    return told


def visited(
    protocol: str, root: str, settings: AccessSettings, deeds: Sequence[str] = DEEDS
) -> tuple[dict[str, str], str]:
    """The same from another process, and all that it has written."""
    access = {
        name: str(value) for name in ("proxy", "token", "authorities") if (value := getattr(settings, name)) is not None
    }
    ran = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps({"protocol": protocol, "root": root, "access": access, "deeds": deeds}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return told, ran.stdout + ran.stderr


async def _list(driver: StorageDriver) -> None:
    listing = await driver.list("/")
    assert "known" in {entry.name for entry in listing.entries}


async def _read(driver: StorageDriver) -> None:
    assert b"".join([chunk async for chunk in driver.read("/known")]) == b"hello"


async def _write(driver: StorageDriver) -> None:
    await driver.write("/new/file", _chunks())
    assert (await driver.stat("/new/file")).size == 5
    await driver.delete("/new/file")


async def _chunks() -> AsyncIterator[bytes]:
    yield b"hello"


_DOING: dict[str, Callable[[StorageDriver], Any]] = {"list": _list, "read": _read, "write": _write}


def _main() -> None:
    order = json.load(sys.stdin)
    settings = AccessSettings(
        **{name: Path(value) for name, value in order["access"].items()}, connect_timeout_s=5, call_timeout_s=20
    )
    told = asyncio.run(visit(order["protocol"], order["root"], Access(settings), order["deeds"]))
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    # The XRootD library gives away references to True and False that it does not have; an orderly end may stumble.
    os._exit(0)


if __name__ == "__main__":
    _main()
