"""The engine suite on CommandEngine: per file and per batch, between folders, with and without renaming."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from between import BetweenFolders, Disk
from folders import NoRename

from holdfast.config import CommandSettings
from holdfast.model.clock import system_clock
from holdfast.operations.engine import TransferEngine
from holdfast.operations.engines.command import CommandEngine
from holdfast.storage.access import Access
from holdfast.storage.driver import StorageDriver
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.engine_hooks import DESTINATION, SOURCE

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


class TestCommandEngine(BetweenFolders):
    """Run for each file."""

    here: Disk
    there: Disk
    program = COPY_ONE
    placeholders: tuple[str, ...] = ("{source}", "{destination}")
    names = (*BetweenFolders.names, "quote'\"$(x)`y`", "back\\slash", "{source}", "-dash", "*")
    makes = PosixDriver

    @pytest.fixture(autouse=True)
    def _folders(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> Iterator[None]:
        self.request = request
        self.folder = tmp_path
        self.here, self.there = Disk(tmp_path / "source"), Disk(tmp_path / "destination")
        (tmp_path / "mover.py").write_text(self.program)
        lists = tmp_path / "lists"
        lists.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(lists))
        yield
        assert list(lists.iterdir()) == []

    def make_engine(self) -> TransferEngine:
        template = ("python3", "-S", "-E", str(self.folder / "mover.py"), *self.placeholders)
        settings = CommandSettings(template=template, full_codes=(FULL_CODE,))
        return CommandEngine(settings, lambda site: Access(site=site), system_clock)

    def make_source(self) -> StorageDriver:
        return PosixDriver(self.here.root, label=SOURCE)

    def make_destination(self) -> StorageDriver:
        return self.makes(self.there.root, label=DESTINATION)

    def source_pfn(self, path: str) -> str:
        return f"{self.here.root}{path}"

    def destination_pfn(self, path: str) -> str:
        return f"{self.there.root}{path}"


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


def test_python3_is_there():
    """Else every test above would be one of a program that is not installed."""
    assert shutil.which("python3")
