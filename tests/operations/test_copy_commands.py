"""``holdfast copy`` and ``holdfast transfers`` on real folders: what they print, and their exit codes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.main import main
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.clock import system_clock
from holdfast.model.records import Orphan
from holdfast.operations import requests
from holdfast.operations.lockfile import COPIES, DELETIONS, Lockfile


class Installation:
    """A configuration, two sites and a published dataset of three files."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        (folder / "A/data").mkdir(parents=True)
        (folder / "B").mkdir(exist_ok=True)
        for number in range(3):
            (folder / f"A/data/f{number}").write_text(f"hello {number}" * 5000)
        self("init")
        self("site", "add", "A", "--root", str(folder / "A"))
        self("site", "add", "B", "--root", str(folder / "B"))
        self("publish", str(folder / "A/data"), "--dataset", "d", "--site", "A")

    def __call__(self, *arguments: str, code: int = 0) -> str:
        self._capsys.readouterr()
        found = main(
            ["--config", str(self.folder / "holdfast.toml"), *arguments] if arguments[0] != "init" else ["init"]
        )
        said = self._capsys.readouterr()
        assert found == code, said.err
        self.err = said.err
        return said.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))

    @property
    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.folder / "B")) for path in (self.folder / "B").rglob("*") if path.is_file()
        )


@pytest.fixture
def holdfast(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.chdir(tmp_path)
    return Installation(tmp_path, capsys)


ALL = ["data/f0", "data/f1", "data/f2"]


def test_copy_and_copy_again(holdfast: Installation) -> None:
    assert "3 files" in holdfast("copy", "d", "--to", "B")
    assert holdfast.files == ALL
    assert holdfast("copy", "d", "--to", "B") == "nothing to do: B holds all 3 files already\n"


def test_dry_run_does_nothing(holdfast: Installation) -> None:
    assert "would copy 3 files" in holdfast("copy", "d", "--to", "B", "--dry-run")
    said = holdfast.json("copy", "d", "--to", "B", "--dry-run")
    assert (said["files"], said["held"], said["without_source"]) == (3, 0, 0)
    assert holdfast.json("transfers", "list", "--all") == {"requests": []}
    assert holdfast.files == []


def test_a_dry_run_is_refused_like_the_run(holdfast: Installation) -> None:
    for more in ((), ("--dry-run",)):
        holdfast("copy", "d", "--to", "B", "--group", "nobody", *more, code=2)
    assert holdfast.json("transfers", "list", "--all") == {"requests": []}


def test_a_different_file_stays_unless_it_may_be_replaced(holdfast: Installation) -> None:
    foreign = holdfast.folder / "B/data/f1"
    foreign.parent.mkdir()
    foreign.write_text("mine")
    holdfast("copy", "d", "--to", "B", code=3)
    assert "a different file is in its place" in holdfast.err
    assert foreign.read_text() == "mine"
    assert "1 file replaced" in holdfast("copy", "d", "--to", "B", "--replace")
    assert foreign.read_text() == (holdfast.folder / "A/data/f1").read_text()


def test_cancelling(holdfast: Installation) -> None:
    id = holdfast.json("copy", "d", "--to", "B", "--no-wait")["request"]
    assert "would cancel" in holdfast("transfers", "cancel", id[:8], "--dry-run")
    assert holdfast.json("transfers", "show", id)["state"] == "open"
    said = holdfast.json("transfers", "cancel", id[:8])
    assert (said["request"], said["state"]) == (id, "cancelled")
    assert holdfast.json("transfers", "show", id)["state"] == "cancelled"
    holdfast("transfers", "cancel", id, code=4)
    holdfast("transfers", "cancel", "zzz", code=2)
    assert holdfast("transfers", "run") == "nothing to do\n"
    assert holdfast.files == []


def test_looking_waits_for_no_writer(holdfast: Installation) -> None:
    id = holdfast.json("copy", "d", "--to", "B", "--no-wait")["request"]
    holdfast("transfers", "list")
    with SqlStore.open(holdfast.folder / "state/inventory.db").writing():
        assert id[:12] in holdfast("transfers", "list")
        holdfast("transfers", "show", id)


def test_the_log_tells_what_was_done(holdfast: Installation) -> None:
    holdfast("--log-level", "info", "copy", "d", "--to", "B")
    for event in ("executor begun", "request closed", "executor ended"):
        assert event in holdfast.err


def test_ask_now_and_run_later(holdfast: Installation) -> None:
    id = holdfast.json("copy", "d", "--to", "B", "--no-wait")["request"]
    assert holdfast.json("copy", "d", "--to", "B", "--no-wait")["request"] == id
    (listed,) = holdfast.json("transfers", "list")["requests"]
    assert (listed["request"], listed["state"], listed["kind"]) == (id, "open", "copy")
    assert id[:12] in holdfast("transfers", "list")
    report = holdfast.json("transfers", "run")
    assert report["copies"]["files_copied"] == 3
    assert holdfast.files == ALL
    assert holdfast("transfers", "run") == "nothing to do\n"
    assert "done" in holdfast("transfers", "show", id[:8])
    assert "none" in (holdfast("transfers", "list") or holdfast.err)


def test_a_wrong_source_ends_with_three(holdfast: Installation) -> None:
    damaged = holdfast.folder / "A/data/f1"
    damaged.write_bytes(b"X" + damaged.read_bytes()[1:])
    said = holdfast.json("copy", "d", "--to", "B", code=3)
    assert said["files_failed"] == 1
    assert said["wrong_sources"][0]["site"] == "A"
    assert holdfast.files == ["data/f0", "data/f2"]
    id = said["requests"][0]["id"]
    shown = holdfast.json("transfers", "show", id)
    assert shown["state"] == "failed"
    assert "source is wrong" in shown["problems"][0]["error"]
    holdfast("copy", "d", "--to", "B", code=3)
    assert "holdfast check A --checksums" in holdfast.err


def test_bad_names_end_with_two(holdfast: Installation) -> None:
    for arguments in (("copy", "nope", "--to", "B"), ("copy", "d", "--to", "X"), ("transfers", "show", "zzz")):
        holdfast(*arguments, code=2)
        assert holdfast.err.count("\n") == 1


def test_an_executor_at_work(holdfast: Installation) -> None:
    lock = Lockfile(holdfast.folder / "state" / COPIES)
    assert lock.acquire()
    holdfast("copy", "d", "--to", "B", "--no-wait")
    holdfast("transfers", "run", "--no-wait")
    assert "another executor" in holdfast.err
    assert holdfast.files == []
    lock.release()


def ask_deletion(holdfast: Installation) -> Path:
    dark = holdfast.folder / "B/dark"
    dark.write_text("dark")
    stat = dark.stat()
    store = SqlStore.open(holdfast.folder / "state/inventory.db")
    orphan = Orphan("/dark", stat.st_size, stat.st_mtime_ns)
    requests.request_deletion(store, "B", [orphan], reason="test", actor="test", clock=system_clock)
    store.close()
    return dark


def test_somebody_else_who_deletes_is_not_waited_for_if_so_asked(holdfast: Installation) -> None:
    dark = ask_deletion(holdfast)
    lock = Lockfile(holdfast.folder / "state" / DELETIONS)
    assert lock.acquire()
    holdfast("transfers", "run", "--no-wait")
    assert "another process deletes" in holdfast.err
    assert dark.exists()
    lock.release()


def test_run_also_deletes_what_was_asked(holdfast: Installation) -> None:
    dark = ask_deletion(holdfast)
    assert holdfast.json("transfers", "list")["requests"][0]["kind"] == "deletion"
    assert "removal of orphans" in holdfast("transfers", "list")
    assert "deleted 1" in holdfast("transfers", "run")
    assert not dark.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "B"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "holdfast-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.real("tmpfs mount")
def test_a_full_disk_ends_with_two_and_the_rest_can_follow(
    tmp_path: Path, small_disk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    holdfast = Installation(tmp_path, capsys)
    holdfast("copy", "d", "--to", "B", code=2)
    assert "work has stopped: B: " in holdfast.err
    assert "transfers run" in holdfast.err
    assert not list(small_disk.rglob(".*"))
    assert len(holdfast.files) < 3
    (listed,) = holdfast.json("transfers", "list")["requests"]
    assert listed["state"] == "open"
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    holdfast("transfers", "run")
    assert holdfast.files == ALL
