"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    _make_journal()
    _make_names()
    _make_files()
    _make_wishes()


def _make_journal() -> None:
    op.create_table(
        "head",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("first_epoch", sa.String(32), nullable=False),
        sa.Column("restored_position", sa.BigInteger),
        sa.Column("restore_confirmed", sa.Integer, nullable=False),
    )
    op.create_table(
        "journal",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("origin_endpoint", sa.Text),
        sa.Column("origin_message", sa.Text),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "journal_touched",
        sa.Column("position", sa.BigInteger, sa.ForeignKey("journal.position"), primary_key=True),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("item", sa.Text, primary_key=True),
    )
    op.create_index("journal_touched_by_item", "journal_touched", ["kind", "item", "position"])
    op.create_table(
        "cursor",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )


def _make_names() -> None:
    op.create_table(
        "site",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table("owner_group", sa.Column("name", sa.Text, primary_key=True))
    op.create_table(
        "dataset",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("is_staged", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("name", "version"),
    )
    op.create_table(
        "block",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("dataset_id", sa.Integer, sa.ForeignKey("dataset.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("n_files", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("dataset_id", "name"),
    )
    op.create_table(
        "directory",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("path", sa.Text, nullable=False, unique=True),
    )


def _make_files() -> None:
    op.create_table(
        "file",
        sa.Column("block_id", sa.Integer, sa.ForeignKey("block.id"), primary_key=True, autoincrement=False),
        sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("dir_id", sa.Integer, sa.ForeignKey("directory.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("adler32", sa.BigInteger),
        sa.Column("crc32c", sa.BigInteger),
        sa.Column("md5", sa.LargeBinary),
        sa.Column("sha256", sa.LargeBinary),
        sa.Column("blake3", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
    op.create_index("file_by_lfn", "file", ["dir_id", "name"], unique=True)
    op.create_table(
        "replica",
        sa.Column("block_id", sa.Integer, sa.ForeignKey("block.id"), primary_key=True, autoincrement=False),
        sa.Column("site_id", sa.Integer, sa.ForeignKey("site.id"), primary_key=True, autoincrement=False),
        sa.Column("owner_group", sa.Text, nullable=False),
        sa.Column("is_custodial", sa.Integer, nullable=False),
        sa.Column("held", sa.LargeBinary),
        sa.Column("n_files", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("verified_us", sa.BigInteger),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("replica_by_site", "replica", ["site_id", "block_id"])


def _make_wishes() -> None:
    op.create_table(
        "item_lock",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "request",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("request_by_state", "request", ["state", "kind"])
    op.create_table(
        "permission",
        sa.Column("dir", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("owner_group", sa.Text, nullable=False),
        sa.Column("mode", sa.Integer, nullable=False),
        sa.Column("acl", sa.Text, nullable=False),
    )
