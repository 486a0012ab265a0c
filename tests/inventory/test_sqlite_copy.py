"""Copies of SQLite files: what the dead have left is removed, what the living make is not, and no name is taken."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.inventory import sqlite_copy
from holdfast.model.errors import OperatorError


def test_nothing_is_left_whatever_happens(tmp_path: Path) -> None:
    def fail() -> None:
        with sqlite_copy.temporary(tmp_path / "copy") as part:
            part.write_text("half")
            part.with_name("copy-wal").write_text("log")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    dead = tmp_path / "copy.part-dead"
    dead.mkdir()
    (dead / "in-use").touch()
    (dead / "copy").write_text("half")
    (tmp_path / "copy.part-of mine").write_text("a file of somebody")
    with sqlite_copy.temporary(tmp_path / "copy") as one:
        assert not dead.exists()
        one.write_text("one")
        with sqlite_copy.temporary(tmp_path / "copy") as other:
            assert other != one
            assert one.read_text() == "one"
        assert one.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["copy.part-of mine"]


def test_a_name_that_is_taken_meanwhile_stays_with_its_owner(tmp_path: Path) -> None:
    with sqlite_copy.temporary(tmp_path / "copy") as part:
        part.write_text("ours")
        (tmp_path / "copy").write_text("theirs")
        with pytest.raises(OperatorError, match="there already"):
            sqlite_copy.named(part, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "theirs"


def test_progress_is_told_before_the_end_and_never_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_copy, "PAGES_AT_ONCE", 2)
    with closing(sqlite3.connect(tmp_path / "source")) as connection:
        connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(50000));")
    with closing(sqlite3.connect(tmp_path / "target")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # As every inventory has it: its readers go on.
    seen: list[int] = []

    def look() -> None:
        with closing(sqlite3.connect(tmp_path / "target")) as connection:
            seen.append(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])

    sqlite_copy.copy_pages(tmp_path / "source", tmp_path / "target", progress=look)
    assert len(seen) > 3
    assert set(seen) == {0}
    with closing(sqlite3.connect(tmp_path / "target")) as connection:
        assert connection.execute("SELECT length(a) FROM t").fetchone() == (50000,)
