"""Queries of other databases as inventories: SQLite and a real PostgreSQL server.

Method: a table of replicas as somebody else would have it, in both databases
alike; the same query has to give the same tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from consistency.sources.catalogues import BERN, WITH_RULES, expected_in, known_in
from holdfast.consistency.sources import sql_answers, sql_inventory
from holdfast.consistency.sources.sql_inventory import SqlInventory
from holdfast.model.errors import BadInput, OperatorError
from holdfast.testing.postgres_server import PostgresServer

QUERY = "SELECT pfn AS path, bytes AS size, sum AS adler32, state FROM replicas WHERE rse = :site ORDER BY pfn"
ROWS: list[tuple[str, str, int | None, str | None, str]] = [
    ("BERN", "/store/a/1", 10, "11e60398", "A"),
    ("BERN", '/store/a/"two", |\\.%s', 2**40, "3da0195", "A"),
    ("BERN", "/store/a/né", None, None, "A"),
    ("BERN", "/store/b/copied", 30, "", "C"),
    ("OSLO", "/store/a/1", 10, None, "A"),
]
EXPECTED = {
    "/store/a/1": (10, "11e60398", None),
    '/store/a/"two", |\\.%s': (2**40, "03da0195", None),
    "/store/a/né": (None, None, None),
}
Made = Callable[[list[Any]], str]
"""Makes a database with these rows; gives its URL."""


def of_sqlite(path: Path, rows: list[Any]) -> str:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE replicas (rse TEXT, pfn TEXT, bytes INTEGER, sum TEXT, state TEXT)")
        database.executemany("INSERT INTO replicas VALUES (?, ?, ?, ?, ?)", rows)
    database.close()
    return f"sqlite:///{path}"


def of_postgres(server: PostgresServer, rows: list[Any]) -> str:
    import psycopg

    url = server.new_database()
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE replicas (rse TEXT, pfn TEXT, bytes NUMERIC, sum TEXT, state CHAR(1))")
        cursor.executemany("INSERT INTO replicas VALUES (%s, %s, %s, %s, %s)", rows)
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real("postgresql"))])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    if request.param == "sqlite":
        return lambda rows: of_sqlite(tmp_path / "catalogue.db", rows)
    server: PostgresServer = request.getfixturevalue("postgres")
    return lambda rows: of_postgres(server, rows)


def test_a_query_says_what_should_be_there(made: Made, tmp_path: Path) -> None:
    written = SqlInventory(made(ROWS), QUERY).write(BERN, tmp_path / "t.parquet")
    assert expected_in(tmp_path / "t.parquet") == EXPECTED
    assert known_in(tmp_path / "t.parquet") == ["/store/b/copied"]
    assert (written.files, written.size, written.known, written.taken) == (3, 10 + 2**40, 1, None)


def test_many_rows_come_in_pieces(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_answers, "ROWS", 7)
    monkeypatch.setattr(sql_answers, "CHUNK_BYTES", 300)
    rows = [("BERN", f"/store/{number:04}", number, None, "A") for number in range(500)]
    pieces: list[int] = []
    made_of = sql_inventory.catalogue_table.pieces_of

    def counted(batches: Any, place: str) -> Any:
        for piece in made_of(batches, place):
            pieces.append(piece.count)
            yield piece

    monkeypatch.setattr(sql_inventory.catalogue_table, "pieces_of", counted)
    written = SqlInventory(made(rows), QUERY).write(BERN, tmp_path / "t.parquet")
    assert (written.files, written.size) == (500, sum(range(500)))
    assert sum(pieces) == 500
    assert len(pieces) > 20


def test_lfns_go_through_the_rules_of_the_site(made: Made, tmp_path: Path) -> None:
    query = "SELECT pfn AS lfn, bytes AS size FROM replicas WHERE rse = :site AND state = 'A'"
    SqlInventory(made(ROWS[:1]), query).write(WITH_RULES, tmp_path / "t.parquet")
    assert expected_in(tmp_path / "t.parquet") == {"/pnfs/bern/a/1": (10, None, "/store/a/1")}


def test_the_name_of_the_site_is_a_parameter_and_no_text_of_the_query(made: Made, tmp_path: Path) -> None:
    query = "SELECT pfn AS path FROM replicas WHERE rse = :site OR rse LIKE 'it''s %s %'"
    assert (
        SqlInventory(made([("it's %s :x", "/a", 1, None, "A")]), query).write(BERN, tmp_path / "t.parquet").files == 1
    )


def test_a_query_that_finds_nothing_is_an_error_unless_that_is_right(made: Made, tmp_path: Path) -> None:
    url = made(ROWS[-1:])
    with pytest.raises(OperatorError, match="finds no file that should be at BERN") as caught:
        SqlInventory(url, QUERY).write(BERN, tmp_path / "t.parquet")
    assert "does the catalogue call the site otherwise?" in caught.value.hint
    written = SqlInventory(url, QUERY, is_empty_allowed=True).write(BERN, tmp_path / "t.parquet")
    assert (written.files, expected_in(tmp_path / "t.parquet")) == (0, {})


def test_nothing_is_changed_in_the_catalogue(made: Made, tmp_path: Path) -> None:
    url = made(ROWS)
    query = "DELETE FROM replicas WHERE rse = :site RETURNING pfn AS path, bytes AS size"
    with pytest.raises(OperatorError, match=r"read.?only"):
        SqlInventory(url, query).write(BERN, tmp_path / "t.parquet")
    assert SqlInventory(url, QUERY).write(BERN, tmp_path / "t.parquet").files == 3


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("BERN", "/a", -1, None, "A"), "no whole number of bytes"),
        (("BERN", "relative", 1, None, "A"), "is relative"),
        (("BERN", None, 1, None, "A"), "the path is empty"),
        (("BERN", "", 1, None, "A"), "the path is empty"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(made: Made, tmp_path: Path, row: Any, problem: str) -> None:
    url = made([("BERN", "/ ", 1, None, "A"), row])
    with pytest.raises(BadInput, match=problem) as caught:
        SqlInventory(url, QUERY.replace(" ORDER BY pfn", "")).write(BERN, tmp_path / "t.parquet")
    assert caught.value.place.endswith("for BERN, row 2")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT path FROM replicas", "does not ask for a :site"),
        ("SELECT path FROM replicas WHERE rse = :site AND x = :other", r"parameters beside :site: \['other', 'site'\]"),
    ],
)
def test_a_query_asks_for_the_site_and_nothing_else(query: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        SqlInventory("sqlite://", query)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [("bytes AS size", "no path and no lfn, but size"), ("pfn AS path, pfn AS lfn", "the path is there twice")],
)
def test_a_query_gives_one_path(made: Made, tmp_path: Path, columns: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        SqlInventory(made(ROWS), f"SELECT {columns} FROM replicas WHERE rse = :site").write(
            BERN, tmp_path / "t.parquet"
        )


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="there is no such database"):
        SqlInventory(f"sqlite:///{tmp_path / 'none.db'}", QUERY).write(BERN, tmp_path / "t.parquet")
    assert not (tmp_path / "none.db").exists()


def test_what_the_database_says_is_told_without_its_password(tmp_path: Path, made: Made) -> None:
    with pytest.raises(OperatorError, match=r"the catalogue's database says: .*replica_s") as caught:
        SqlInventory(made(ROWS), QUERY.replace("replicas", "replica_s")).write(BERN, tmp_path / "t.parquet")
    assert "\n" not in str(caught.value)


@pytest.mark.real("postgresql")
def test_a_refused_login_shows_no_password(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.url("no_such_database", password="topsecret")
    inventory = SqlInventory(url, QUERY)
    with pytest.raises(OperatorError) as caught:
        inventory.write(BERN, tmp_path / "t.parquet")
    assert "topsecret" not in f"{caught.value} {inventory.label}"


@pytest.mark.parametrize(("url", "problem"), [("nonsense", "not the address"), ("gopher://x/y", "nothing here speaks")])
def test_an_address_that_leads_nowhere_is_refused(url: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises((BadInput, OperatorError), match=problem):
        SqlInventory(url, QUERY).write(BERN, tmp_path / "t.parquet")


def test_batches_of_any_integer_will_do(tmp_path: Path) -> None:
    batch = pa.record_batch({"path": ["/a"], "size": pa.array([5], pa.uint16()), "unknown": [1.5]})
    sql_inventory.catalogue_table.write_batches([batch], BERN, tmp_path / "t.parquet", place="here")
    assert expected_in(tmp_path / "t.parquet") == {"/a": (5, None, None)}
