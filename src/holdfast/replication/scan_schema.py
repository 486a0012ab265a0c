"""The tables that ScanTable keeps, and the two statements that are run for many rows at once.

Directories stay text here: the rows live as long as one publication, and are
written and read in their order. There are no migrations: what is lost with
these tables is read again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

metadata = MetaData()

# The order of files is that of their bytes in every database.
_Bytewise = Text().with_variant(Text(collation="C"), "postgresql")

publications = Table(
    "replication_publication",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset_name", Text, nullable=False),
    Column("dataset_version", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("directory", Text, nullable=False),
    Column("algorithm", String(16), nullable=False),
    Column("turn", BigInteger, nullable=False),
    UniqueConstraint("dataset_name", "dataset_version", "site", "directory"),
    sqlite_autoincrement=True,  # A number is never used twice, so an old claim never fits a new publication.
)

files = Table(
    "replication_file",
    metadata,
    Column("publication", Integer, primary_key=True, autoincrement=False),
    Column("dir", _Bytewise, primary_key=True),
    Column("name", _Bytewise, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("first_turn", BigInteger, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("adler32", String(8)),
    Column("strong", String(64)),
    Column("read_us", BigInteger),
    sqlite_with_rowid=False,
)

KEY = ("publication", "dir", "name")
STAMP = ("size", "mtime_ns", "version")
"""What has to stay equal for a digest to stay true."""
DIGEST = ("adler32", "strong", "read_us")


def keep_statement(dialect: str) -> Any:
    """Insert a listed file, or renew the one that is there: its digests stay if its stamp does."""
    statement: Any = (sqlite if dialect == "sqlite" else postgresql).insert(files)
    new = statement.excluded
    same = and_(*(files.c[column] == new[column] for column in STAMP))
    renewed = {column: new[column] for column in (*STAMP, "turn")}
    kept = {column: case((same, files.c[column]), else_=None) for column in DIGEST}
    return statement.on_conflict_do_update(index_elements=list(KEY), set_=renewed | kept)


# Parameters have a trailing underscore where a column of the same name is in the condition.
DIGESTS_STATEMENT = (
    update(files)
    .where(*(files.c[column] == bindparam(f"{column}_") for column in (*KEY, *STAMP)))
    .values({column: bindparam(column) for column in DIGEST})
)
"""Set the digests of a file, if its stamp is still the one given."""
