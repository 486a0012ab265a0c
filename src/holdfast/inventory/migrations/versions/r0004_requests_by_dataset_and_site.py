"""Requests are found by their dataset and site, without reading all of them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_BYTES = "C"
_SQLITE = (
    "json_extract(body, '$.site')",
    "json_extract(body, '$.dataset[0]')",
    "json_extract(body, '$.dataset[1]')",
)
_POSTGRES = (
    "body::json ->> 'site'",
    "body::json -> 'dataset' ->> 0",
    "body::json -> 'dataset' ->> 1",
)


def upgrade() -> None:
    """Take both out of the bodies into columns of their own."""
    op.drop_index("request_by_state", "request")
    if op.get_context().dialect.name == "postgresql":
        _add_columns()
    else:
        _make_anew()
    op.create_index("request_by_state", "request", ["state", "kind", "dataset"])
    op.create_index("request_by_site", "request", ["site", "state"])


def _add_columns() -> None:
    op.add_column("request", sa.Column("site", _text()))
    op.add_column("request", sa.Column("dataset", _text()))
    site, dataset = _values(_POSTGRES)
    op.execute(f"UPDATE request SET site = {site}, dataset = {dataset}")
    op.alter_column("request", "site", nullable=False)


def _make_anew() -> None:
    """SQLite cannot say later that a column is never without a value."""
    op.rename_table("request", "request_before")
    op.create_table(
        "request",
        sa.Column("id", _text(), primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("site", _text(), nullable=False),
        sa.Column("dataset", _text()),
        sa.Column("body", _text(), nullable=False),
    )
    site, dataset = _values(_SQLITE)
    op.execute(f"INSERT INTO request SELECT id, kind, state, {site}, {dataset}, body FROM request_before")
    op.drop_table("request_before")


def _values(parts: tuple[str, str, str]) -> tuple[str, str]:
    """The site, and the dataset as it is written: NAME or NAME#VERSION, nothing for orphans."""
    site, name, version = parts
    return site, f"{name} || CASE {version} WHEN '' THEN '' ELSE '#' || ({version}) END"


def _text() -> Any:
    return sa.Text().with_variant(sa.Text(collation=_BYTES), "postgresql")
