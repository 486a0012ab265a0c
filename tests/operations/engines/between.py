"""Between: the part of an engine's tests that is the same wherever files lie: two places, and a hand in each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from engine_servers import Folder, tmpfs

from holdfast.testing.engine_suite import EngineSuite
from support import real


class _Hand(Protocol):
    """A place whose files are put there and taken away behind the storage's back."""

    def put(self, path: str, data: bytes) -> object: ...

    def get(self, path: str) -> bytes | None: ...

    def remove(self, path: str) -> object: ...

    def paths(self) -> list[str]: ...


class Between(EngineSuite):
    """From ``here`` to ``there``."""

    here: _Hand
    there: _Hand

    def put_source(self, path: str, data: bytes) -> None:
        self.here.put(path, data)

    def put(self, path: str, data: bytes) -> None:
        self.there.put(path, data)

    def get(self, path: str) -> bytes | None:
        return self.there.get(path)

    def remove(self, path: str) -> None:
        self.there.remove(path)

    def remove_source(self, path: str) -> None:
        self.here.remove(path)

    def paths(self) -> list[str]:
        return self.there.paths()


class Disk:
    """A folder of this machine, made if it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)

    def put(self, path: str, data: bytes) -> None:
        target = self.root / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def get(self, path: str) -> bytes | None:
        target = self.root / path[1:]
        return target.read_bytes() if target.is_file() else None

    def remove(self, path: str) -> None:
        (self.root / path[1:]).unlink()

    def paths(self) -> list[str]:
        return sorted(f"/{each.relative_to(self.root)}" for each in self.root.rglob("*") if each.is_file())

    def fill_up(self) -> Iterator[None]:
        real.require("tmpfs mount")
        with tmpfs(self.root):
            yield


class BetweenFolders(Between):
    """Folders of this machine or of servers, of which the second one can be full."""

    here: Folder | Disk
    there: Folder | Disk
    request: pytest.FixtureRequest

    @pytest.fixture
    def _full(self) -> Iterator[None]:
        yield from self.there.fill_up()

    def fill_up(self) -> None:
        self.request.getfixturevalue("_full")
