"""The tables of a listing: what their columns say, and how they get to disk whole or not at all."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.model.errors import OperatorError
from holdfast.storage.driver import NOT_TOLD, Entry, Kind, Stat
from holdfast.storage.listing import part_files, rows, tables
from holdfast.storage.listing.tables import DIRECTORIES, ENTRIES, ODDITIES, SCHEMAS, Directory, DirectoryState, show_raw
from storage.listing.ledgers import a_tree, rows_wanted
from storage.listing.parquet_sink import ParquetSink

FILE = Stat(Kind.FILE, 1, 5)


def written(folder: Path) -> dict[str, list[Any]]:
    """All rows of a sink's files, sorted."""
    assert sorted(os.listdir(folder)) == sorted(SCHEMAS)
    for name, schema in SCHEMAS.items():
        assert pq.read_schema(folder / name).equals(schema)
    found = {name: [tuple(row.values()) for row in pq.read_table(folder / name).to_pylist()] for name in SCHEMAS}
    return {name: sorted(held, key=repr) for name, held in found.items()}


def test_the_schemas_are_those_the_docstring_names() -> None:
    for table, schema in SCHEMAS.items():
        assert f"``{table.removesuffix('.parquet')}``" in (tables.__doc__ or "")
        for field in schema:
            assert field.name in (tables.__doc__ or "")
    for state in DirectoryState:
        assert state.value in (tables.__doc__ or "")
    assert pa.types.is_int64(SCHEMAS[ENTRIES].field("mtime").type)


@example(b"\\xff", b"\xff")
@example(b"\\n", b"\n")
@given(st.binary(max_size=40), st.binary(max_size=40))
def test_escaped_names_are_printable_and_distinct(one: bytes, two: bytes) -> None:
    assert show_raw(one).isprintable()
    assert (show_raw(one) == show_raw(two)) == (one == two)


@given(st.integers(0, 2**32))
def test_columns_say_what_was_found(seed: int) -> None:
    tree = a_tree(seed, 20)
    found = rows.of([*tree.values()], [*map(rows.row_of, tree.values())])
    said = {name: sorted((tuple(row.values()) for row in batch.to_pylist()), key=repr) for name, batch in found.items()}
    assert said == rows_wanted(tree)
    for name, batch in found.items():
        assert batch.schema.equals(rows.IN_MEMORY[name])
        packed = rows.pack([batch], batch.schema) * 2
        assert [each.num_rows for each in rows.unpack(pa.BufferReader(packed))] == [batch.num_rows] * 2


def test_rows_of_a_directory_stand_together_in_their_order(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path)
    names = ["a", "z", "é", "\U0001f600"]
    files = tuple(Entry(name, FILE) for name in names)
    sink.add([Directory(f"/{number}", DirectoryState.LISTED, files=files) for number in range(5)])
    sink.finish()
    found = pq.read_table(tmp_path / ENTRIES)
    assert found["dir"].to_pylist() == [f"/{number}" for number in range(5) for _ in names]
    assert found["name"].to_pylist() == names * 5


def test_a_moment_before_1970_is_rounded_down(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path)
    sink.add([Directory("/", DirectoryState.LISTED, files=(Entry("file", Stat(Kind.FILE, 3, -2)),))])
    sink.finish()
    (row,) = pq.read_table(tmp_path / ENTRIES).to_pylist()
    assert (row["mtime"], row["mtime_ns"], row["changed_ns"], row["version"]) == (-1, -2, None, "")


def test_what_was_not_told_is_null(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path)
    files = (Entry("file", Stat(Kind.FILE, NOT_TOLD, NOT_TOLD)),)
    sink.add([Directory("/", DirectoryState.LISTED, files=files, mtime_ns=NOT_TOLD)])
    sink.finish()
    (row,) = pq.read_table(tmp_path / ENTRIES).to_pylist()
    assert (row["size"], row["mtime"], row["mtime_ns"], row["changed_ns"]) == (None, None, None, None)
    assert pq.read_table(tmp_path / DIRECTORIES)["mtime_ns"].to_pylist() == [None]


@pytest.mark.parametrize("group", [1, 16, 100_000])
def test_the_sink_writes_what_it_was_given(tmp_path: Path, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_files, "GROUP_ROWS", group)
    tree = a_tree(1, 100)
    sink = ParquetSink(tmp_path / "new" / "folder")
    held = [*tree.values()]
    for start in range(0, len(held), 7):
        sink.add(held[start : start + 7])
    sink.finish()
    assert written(tmp_path / "new" / "folder") == rows_wanted(tree)
    n_groups = pq.read_metadata(tmp_path / "new" / "folder" / ENTRIES).num_row_groups
    assert (n_groups == 1) == (group == 100_000)


def test_an_empty_listing_gives_empty_tables(tmp_path: Path) -> None:
    ParquetSink(tmp_path).finish()
    assert written(tmp_path) == {ENTRIES: [], DIRECTORIES: [], ODDITIES: []}


def test_a_sink_that_is_abandoned_leaves_older_tables_alone(tmp_path: Path) -> None:
    tree = a_tree(2)
    sink = ParquetSink(tmp_path)
    sink.add([*tree.values()])
    sink.finish()
    sink = ParquetSink(tmp_path)
    sink.add([*a_tree(3).values()])
    sink.abandon()
    assert written(tmp_path) == rows_wanted(tree)


def test_a_folder_that_cannot_be_written_is_the_operators_business(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OperatorError) as caught:
        ParquetSink(tmp_path / "file" / "below")
    assert caught.value.place == str(tmp_path / "file" / "below")


@pytest.mark.real("tmpfs mount")
def test_a_full_disk_under_the_tables_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_files, "GROUP_ROWS", 100)
    files = tuple(Entry(os.urandom(60).hex(), FILE) for _ in range(5000))
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "holdfast-test", str(folder)], check=True)
    try:
        sink = ParquetSink(folder)
        with pytest.raises(OperatorError, match="no space left"):
            sink.add([Directory("/", DirectoryState.LISTED, files=files)])
        sink.abandon()
        assert os.listdir(folder) == []
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("of SQLite")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (OSError(errno.ENOSPC, ""), "make room"),
        (OSError(errno.EDQUOT, ""), "make room"),
        (PermissionError(errno.EACCES, ""), "may write"),
        (OSError(errno.EROFS, ""), "may write"),
        (OSError(errno.EMFILE, ""), "ulimit"),
        (NotADirectoryError(errno.ENOTDIR, ""), "give another folder"),
        (_sqlite_error(sqlite3.SQLITE_FULL), "make room"),
        (_sqlite_error(sqlite3.SQLITE_READONLY), "may write"),
        (_sqlite_error(sqlite3.SQLITE_IOERR_WRITE), "the disk"),
        (sqlite3.ProgrammingError("closed"), "give another folder"),
    ],
)
def test_the_hint_is_that_of_the_cause(error: Exception, hint: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as caught, part_files.told_of(tmp_path):
        raise error
    assert hint in caught.value.hint
