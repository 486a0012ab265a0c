"""What the tests of the commands share: running one, and an installation to run it in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.main import main
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import names
from holdfast.model.changes import (
    Change,
    ChangeSet,
    CreateDataset,
    FilesArrived,
    RegisterFiles,
    RequestCopy,
    RevealDataset,
)
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, FileColumns, Staging

KEY = names.dataset_key("run/raw#1")
BLOCK = BlockKey(KEY, "0000")
VERIFIED_US = 1_700_000_000_123_456
FILES = FileColumns(
    dirs=("/store/a", "/store/b"),
    dir_index=(0, 0, 1),
    names=("one", "two [x]", "drei-ß"),
    sizes=(10, 2_000_000, 0),
    checksums={"adler32": ("00000001", "00000002", None), "sha256": ("a" * 64, None, None)},
)


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as JSON; it fails if that is not one document."""
        return json.loads(self.out)

    def expect_error(self, code: int, *words: str) -> None:
        """One clear line on standard error that has ``words``, nothing on standard output, and ``code``."""
        assert self.code == code, self
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("holdfast: error: ")
        assert self.err[:-1].isprintable(), repr(self.err)
        for word in words:
            assert word in self.err


@dataclass(frozen=True)
class Commands:
    """Runs commands in this process, as the console entry does."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path) -> Ran:
        self.capture.readouterr()
        code = main([str(each) for each in arguments])
        printed = self.capture.readouterr()
        return Ran(code, printed.out, printed.err)

    def good(self, *arguments: str | Path) -> Ran:
        """Run a command that has to end well."""
        ran = self(*arguments)
        assert ran.code == 0, ran
        return ran


CONTENTS = {f"f{number}": f"content {number}\n" * (number + 1) for number in range(4)}
"""The files of ``copied_dataset``: their names and what is in them."""


def copied_dataset(run: Commands) -> None:
    """An installation by commands alone: the dataset run#1 of CONTENTS, below ``data`` of A and B (folders a and b)."""
    for folder in ("a/data", "b"):
        (run.folder / folder).mkdir(parents=True)
    for name, text in CONTENTS.items():
        (run.folder / "a/data" / name).write_text(text)
    run.good("init")
    run.good("site", "add", "A", "--root", "a")
    run.good("site", "add", "B", "--root", "b")
    run.good("publish", "a/data", "--dataset", "run#1", "--site", "A")
    run.good("copy", "run#1", "--to", "B")


@dataclass(frozen=True)
class Installation:
    """An installation in ``folder`` with the sites A and B, and a folder ``c`` for one more."""

    run: Commands
    folder: Path

    @staticmethod
    def build(run: Commands) -> Installation:
        """Sites by the commands, the dataset by the store, as publishing and copying would leave it."""
        for name in ("a", "b", "c"):
            (run.folder / name).mkdir()
        run.good("init")
        run.good("site", "add", "A", "--root", "a")
        run.good("site", "add", "B", "--root", "b", "--lfn-prefix", "/store", "--path-prefix", "/cms")
        built = Installation(run, run.folder)
        metadata = {"energy": 13, "by": "x\ny"}
        staging = Staging("A", "/store")
        built.commit(
            CreateDataset(Dataset(KEY, metadata=metadata, required_copies=2, staging=staging)),
            RegisterFiles(BLOCK, 0, FILES, site="A", verified_us=VERIFIED_US),
            RevealDataset(KEY, len(FILES), sum(FILES.sizes)),
            RequestCopy(CopyRequest("copy-1", KEY, "B", (BlockFiles("0000"),), reason="test")),
            FilesArrived(BLOCK, "B", (0,), VERIFIED_US),
        )
        return built

    def commit(self, *changes: Change) -> None:
        """Change the inventory without a command."""
        store = self.store()
        store.commit(ChangeSet(changes, "tester@here", "test"))
        store.close()

    def store(self) -> SqlStore:
        """The inventory; whoever asks closes it."""
        return SqlStore.open(self.folder / "state/inventory.db")

    def position(self) -> int:
        """Where the journal ends."""
        store = self.store()
        position = store.head().position
        store.close()
        return position


def holdfast(
    arguments: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "holdfast.cli.main", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "HOME": str(cwd), **(env or {})},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
