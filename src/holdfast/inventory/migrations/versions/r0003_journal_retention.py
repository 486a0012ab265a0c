"""Where the journal begins once old entries have left it, and from where history can be restarted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BYTES = "C"


def upgrade() -> None:
    """Make the tables, empty: nothing has left the journal yet."""
    op.create_table(
        "journal_touched_before",
        sa.Column("kind", _string(8), primary_key=True),
        sa.Column("item", _text(), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_index("journal_touched_before_by_position", "journal_touched_before", ["position"])
    op.create_table(
        "journal_start",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", _string(32), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("digest", _string(64), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("trimmed_us", sa.BigInteger),
        sa.Column("trimmed_by", _text()),
    )
    op.create_table(
        "journal_checkpoint",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("epoch", _string(32), nullable=False),
        sa.Column("digest", _string(64), nullable=False),
        sa.Column("file", _text(), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", _string(64), nullable=False),
        sa.Column("is_replayed", sa.Integer, nullable=False),
        sa.Column("made_us", sa.BigInteger, nullable=False),
    )


def _text() -> Any:
    return sa.Text().with_variant(sa.Text(collation=_BYTES), "postgresql")


def _string(length: int) -> Any:
    return sa.String(length).with_variant(sa.String(length, collation=_BYTES), "postgresql")
