"""The tables of the inventory, for any SQL database.

``VERSION`` is raised with every change of shape; a store refuses a database of
another version. Files lie in the order of their block; a directory's text is
kept once, files carry its number.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION = 1

metadata = MetaData()

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

touched = Table(
    "journal_touched",
    metadata,
    Column("position", BigInteger, ForeignKey("journal.position"), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("item", Text, primary_key=True),
    Index("journal_touched_by_item", "kind", "item", "position"),
)

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
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("body", Text, nullable=False),
)

owner_group = Table("owner_group", metadata, Column("name", Text, primary_key=True))

dataset = Table(
    "dataset",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("is_staged", Integer, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("name", "version"),
)

block = Table(
    "block",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset_id", Integer, ForeignKey("dataset.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("n_files", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    UniqueConstraint("dataset_id", "name"),
)

directory = Table(
    "directory",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", Text, nullable=False, unique=True),
)

file = Table(
    "file",
    metadata,
    Column("block_id", Integer, ForeignKey("block.id"), primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("dir_id", Integer, ForeignKey("directory.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("adler32", BigInteger),
    Column("crc32c", BigInteger),
    Column("md5", LargeBinary),
    Column("sha256", LargeBinary),
    Column("blake3", LargeBinary),
    Index("file_by_lfn", "dir_id", "name", unique=True),
    sqlite_with_rowid=False,
)

replica = Table(
    "replica",
    metadata,
    Column("block_id", Integer, ForeignKey("block.id"), primary_key=True, autoincrement=False),
    Column("site_id", Integer, ForeignKey("site.id"), primary_key=True, autoincrement=False),
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
    Column("body", Text, nullable=False),
    Index("request_by_state", "state", "kind"),
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
