"""The engine suite on CommandEngine: per file and per batch, between folders, with and without renaming."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from folders import NoRename

from holdfast.config import CommandSettings
from holdfast.model.clock import system_clock
from holdfast.operations.engine import TransferEngine
from holdfast.operations.engines.command import CommandEngine
from holdfast.storage.access import Access
from holdfast.storage.driver import StorageDriver
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.engine_hooks import DESTINATION, SOURCE
from holdfast.testing.engine_suite import EngineSuite
from support import real

FULL_CODE = 28

COPY_ONE = f"""
import errno, shutil, sys
try:
    shutil.copyfile(*sys.argv[1:3])
except OSError as error:
    sys.exit({FULL_CODE} if error.errno == errno.ENOSPC else repr(error))
"""

COPY_LIST = """
import errno, json, shutil, sys
with open(sys.argv[1], encoding="utf-8") as files, open(sys.argv[2], "w") as report:
    for file in map(json.loads, files):
        try:
            shutil.copyfile(file["source"], file["destination"])
        except OSError as error:
            file |= {"state": "full" if error.errno == errno.ENOSPC else "retry", "error": str(error)}
        print(json.dumps({"state": "done", **file}), file=report, flush=True)
"""


class TestCommandEngine(EngineSuite):
    """Run for each file."""

    program = COPY_ONE
    placeholders: tuple[str, ...] = ("{source}", "{destination}")
    names = (*EngineSuite.names, "quote'\"$(x)`y`", "back\\slash", "{source}", "-dash", "*")
    makes = PosixDriver

    @pytest.fixture(autouse=True)
    def _folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.folder = tmp_path
        self.source, self.destination = tmp_path / "source", tmp_path / "destination"
        self.source.mkdir()
        self.destination.mkdir()
        (tmp_path / "mover.py").write_text(self.program)
        self.mounted = False
        lists = tmp_path / "lists"
        lists.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(lists))
        yield
        assert list(lists.iterdir()) == []
        if self.mounted:
            subprocess.run(["umount", str(self.destination)], check=True)

    def make_engine(self) -> TransferEngine:
        template = ("python3", "-S", "-E", str(self.folder / "mover.py"), *self.placeholders)
        settings = CommandSettings(template=template, full_codes=(FULL_CODE,))
        return CommandEngine(settings, lambda site: Access(site=site), system_clock)

    def make_source(self) -> StorageDriver:
        return PosixDriver(self.source, label=SOURCE)

    def make_destination(self) -> StorageDriver:
        return self.makes(self.destination, label=DESTINATION)

    def source_pfn(self, path: str) -> str:
        return f"{self.source}{path}"

    def destination_pfn(self, path: str) -> str:
        return f"{self.destination}{path}"

    def put_source(self, path: str, data: bytes) -> None:
        _put(self.source / path[1:], data)

    def put(self, path: str, data: bytes) -> None:
        _put(self.destination / path[1:], data)

    def get(self, path: str) -> bytes | None:
        place = self.destination / path[1:]
        return place.read_bytes() if place.is_file() else None

    def remove(self, path: str) -> None:
        (self.destination / path[1:]).unlink()

    def remove_source(self, path: str) -> None:
        (self.source / path[1:]).unlink()

    def paths(self) -> list[str]:
        found = (path for path in self.destination.rglob("*") if path.is_file())
        return sorted(f"/{path.relative_to(self.destination)}" for path in found)

    def fill_up(self) -> None:
        real.require("tmpfs mount")
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "holdfast-test", str(self.destination)]
        subprocess.run(mount, check=True)
        self.mounted = True


class TestCommandEngineOfBatches(TestCommandEngine):
    """Run for each batch."""

    program = COPY_LIST
    placeholders = ("{list}", "{report}")


class TestCommandEngineInPlace(TestCommandEngine):
    """Run for each file; the destination cannot rename."""

    makes = NoRename


class TestCommandEngineOfBatchesInPlace(TestCommandEngineOfBatches):
    """Run for each batch; the destination cannot rename."""

    makes = NoRename


def _put(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


def test_python3_is_there():
    """Else every test above would be one of a program that is not installed."""
    assert shutil.which("python3")
