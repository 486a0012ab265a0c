"""The tables of the inventory, for any SQL database.

``VERSION`` is raised with every change of shape, and with what records say that
an older release would pass over and do harm; ``migrations/`` carries it out. A
store refuses a database of another version. Files lie in the order of their
block; a directory's text is kept once, files carry its number.

Rules
  * Text is compared and sorted byte by byte, whatever the database's own order
    is; tables of rooms too (``bytewise``).
  * Numbers that a database gives are 64 bits wide everywhere.
  * Columns of ``head`` are only added, never altered: programs of older releases
    read there that they must stop.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    event,
)
from sqlalchemy import String as PlainString
from sqlalchemy import Text as PlainText
from sqlalchemy.types import TypeEngine

VERSION = 5

BYTE_ORDER = "C"
"""PostgreSQL's name for the order of bytes; SQLite has no other."""

metadata = MetaData()

Text = PlainText().with_variant(PlainText(collation=BYTE_ORDER), "postgresql")
# SQLite gives a number of its own only to a primary key whose type is the word INTEGER.
Number = BigInteger().with_variant(Integer, "sqlite")


def String(length: int) -> TypeEngine[str]:  # noqa: N802 - stands where a type stands
    """Text of at most so many characters."""
    return PlainString(length).with_variant(PlainString(length, collation=BYTE_ORDER), "postgresql")


def bytewise(tables: MetaData) -> MetaData:
    """The same tables for PostgreSQL, with all text in the order of bytes; for those of rooms."""
    made = MetaData()
    for table in tables.sorted_tables:
        for column in table.to_metadata(made).columns:
            if isinstance(column.type, PlainString) and column.type.collation is None:
                column.type = type(column.type)(column.type.length, collation=BYTE_ORDER)
    return made


head = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    Column("epoch", String(32), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("first_epoch", String(32), nullable=False),
    Column("restored_position", BigInteger),
    Column("restore_confirmed", Integer, nullable=False, default=0),
)

journal = Table(
    "journal",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("epoch", String(32), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("origin_endpoint", Text),
    Column("origin_message", Text),
    Column("digest", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# Bodies are compressed already, and PostgreSQL would try again: as long as the rest of the insert takes.
event.listen(
    journal,
    "after_create",
    DDL("ALTER TABLE journal ALTER COLUMN body SET STORAGE EXTERNAL").execute_if(  # type: ignore[no-untyped-call]
        dialect="postgresql"
    ),
)

touched = Table(
    "journal_touched",
    metadata,
    Column("position", BigInteger, ForeignKey("journal.position"), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("item", Text, primary_key=True),
    Index("journal_touched_by_item", "kind", "item", "position"),
)

touched_before = Table(
    "journal_touched_before",
    metadata,
    Column("kind", String(8), primary_key=True),
    Column("item", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Index("journal_touched_before_by_position", "position"),
)
"""Of entries that are not kept any more: the last one that touched each dataset and each site."""

start = Table(
    "journal_start",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", String(32), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("trimmed_us", BigInteger),
    Column("trimmed_by", Text),
)
"""The last entry that is not kept any more; no row while all are kept."""

checkpoint = Table(
    "journal_checkpoint",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("epoch", String(32), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("file", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("is_replayed", Integer, nullable=False),
    Column("made_us", BigInteger, nullable=False),
)
"""Files from which history can be restarted, by the position of the inventory in them."""

cursor = Table(
    "cursor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("epoch", String(32), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
)

site = Table(
    "site",
    metadata,
    Column("id", Number, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("body", Text, nullable=False),
)

owner_group = Table("owner_group", metadata, Column("name", Text, primary_key=True))

dataset = Table(
    "dataset",
    metadata,
    Column("id", Number, Identity(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("is_staged", Integer, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("name", "version"),
)

block = Table(
    "block",
    metadata,
    Column("id", Number, Identity(), primary_key=True),
    Column("dataset_id", Number, ForeignKey("dataset.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("n_files", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    UniqueConstraint("dataset_id", "name"),
)

directory = Table(
    "directory",
    metadata,
    Column("id", Number, Identity(), primary_key=True),
    Column("path", Text, nullable=False, unique=True),
)

file = Table(
    "file",
    metadata,
    Column("block_id", Number, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("dir_id", Number, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("adler32", BigInteger),
    Column("crc32c", BigInteger),
    Column("md5", LargeBinary),
    Column("sha256", LargeBinary),
    Column("blake3", LargeBinary),
    # PostgreSQL checks each row's references by queries of their own, which takes twice as long as the rest of a
    # registration. There the writer, who has just looked up both numbers, and `verify` stand for them.
    ForeignKeyConstraint(["block_id"], ["block.id"]).ddl_if(dialect="sqlite"),
    ForeignKeyConstraint(["dir_id"], ["directory.id"]).ddl_if(dialect="sqlite"),
    Index("file_by_lfn", "dir_id", "name", unique=True),
    sqlite_with_rowid=False,
)

replica = Table(
    "replica",
    metadata,
    Column("block_id", Number, ForeignKey("block.id"), primary_key=True, autoincrement=False),
    Column("site_id", Number, ForeignKey("site.id"), primary_key=True, autoincrement=False),
    Column("owner_group", Text, nullable=False),
    Column("is_custodial", Integer, nullable=False),
    Column("held", LargeBinary),
    Column("n_files", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("verified_us", BigInteger),
    Column("updated_us", BigInteger, nullable=False),
    Index("replica_by_site", "site_id", "block_id"),
    sqlite_with_rowid=False,
)

lock = Table("item_lock", metadata, Column("id", Text, primary_key=True), Column("body", Text, nullable=False))

request = Table(
    "request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("state", String(16), nullable=False),
    Column("site", Text, nullable=False),
    Column("dataset", Text),
    Column("body", Text, nullable=False),
    Index("request_by_state", "state", "kind", "dataset"),
    Index("request_by_site", "site", "state"),
)

permission = Table(
    "permission",
    metadata,
    Column("dir", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("owner_group", Text, nullable=False),
    Column("mode", Integer, nullable=False),
    Column("acl", Text, nullable=False),
)

DIGEST_COLUMNS = ("adler32", "crc32c", "md5", "sha256", "blake3")
"""The checksum columns of ``file``; the first two hold numbers, the others bytes."""
NUMBER_DIGESTS = frozenset({"adler32", "crc32c"})
