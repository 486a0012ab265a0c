"""The room's own tables, kept beside the inventory: requests being worked on, tasks, deletion claims.

Everything here is passing state. It could be lost without a word of the
inventory becoming untrue: open requests would be planned anew, and files that
are already in place would be found there.

Rules
  * A task is unique by request, block and ordinal: planning twice adds nothing.
  * ``number`` orders requests by the moment they were first seen.
  * A token is written before the part that it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql, sqlite

metadata = MetaData()

request = Table(
    "operations_request",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("dataset_name", Text, nullable=False),
    Column("dataset_version", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("n_parts", Integer, nullable=False, default=0),
    Column("is_planned", Boolean, nullable=False, default=False),
    Column("n_files", BigInteger, nullable=False, default=0),
    Column("size", BigInteger, nullable=False, default=0),
    Column("is_closed", Boolean, nullable=False, default=False),
)

task = Table(
    "operations_task",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("request", Integer, nullable=False),
    Column("block", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("lfn", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("checksums", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("not_before_us", BigInteger, nullable=False, default=0),
    Column("token", String(64), nullable=False, default=""),
    Column("source", Text, nullable=False, default=""),
    Column("error", Text, nullable=False, default=""),
    Column("verified_us", BigInteger, nullable=False, default=0),
    UniqueConstraint("request", "block", "ordinal"),
)

# Claiming walks it: of one request, what is queued, what is due first.
Index("operations_task_due", task.c.request, task.c.state, task.c.not_before_us, task.c.id)
# Reporting and recovery walk it; few tasks are in these states at a time.
_PASSING = task.c.state.in_(("active", "done"))
Index("operations_task_passing", task.c.state, task.c.id, sqlite_where=_PASSING, postgresql_where=_PASSING)
_NAMED = task.c.token != ""
Index("operations_task_token", task.c.token, sqlite_where=_NAMED, postgresql_where=_NAMED)

deletion = Table(
    "operations_deletion",
    metadata,
    Column("request", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("state", String(8), nullable=False),
    Column("claim", String(64), nullable=False),
    Column("claimed_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False, default=""),
)


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows; those whose key is there already are passed over."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))
