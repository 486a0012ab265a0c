"""A file that another program holds: who asks hears that nothing was changed, and that he may ask again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from holdfast.inventory import sqlite_file
from holdfast.model.errors import DatabaseAway


def test_a_file_that_is_held_by_another_program_is_away_for_now(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other, closing(sqlite3.connect(path)) as ours:
        other.execute("CREATE TABLE t (n)")
        other.execute("BEGIN IMMEDIATE")
        ours.execute("PRAGMA busy_timeout=1")
        with pytest.raises(DatabaseAway, match="another program") as raised, sqlite_file.translated(path):
            ours.execute("INSERT INTO t VALUES (1)")
    assert raised.value.retryable
