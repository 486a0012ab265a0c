"""Trimming the journal in SQL: old entries go, what they touched stays known, and where the rest begins.

Who calls here has a connection in the writer's turn.

Rules
  * The side table's rows go with their entries; of each dataset and site the last position that touched it stays.
  * Entry, side table, start and dropped cursors change in one transaction.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from holdfast.inventory import schema, sql_journal, sql_rows
from holdfast.inventory.store import Cursor, Head
from holdfast.inventory.trimming import check_trim, cut_off, refuse_cut_off

# In text: SQLAlchemy has no INSERT ... SELECT ... ON CONFLICT that serves both databases.
_KEEP_LAST = f"""
INSERT INTO {schema.touched_before.name} (kind, item, position)
SELECT kind, item, max(position) FROM {schema.touched.name} WHERE position <= %d GROUP BY kind, item
ON CONFLICT (kind, item) DO UPDATE SET position = excluded.position
"""


def trim(connection: Connection, through: int, *, drop_cursors: bool) -> Cursor:
    """Remove the entries up to ``through``; returns the point before the first that is kept."""
    first = sql_journal.start(connection)
    if through <= first.position:
        return first
    head = connection.execute(select(schema.head)).one()
    check_trim(through, Head(head.epoch, head.position, head.digest, head.at_us))
    _drop_cursors(connection, through, are_allowed=drop_cursors)
    last = connection.execute(select(schema.journal).where(schema.journal.c.position == through)).one_or_none()
    if last is None:
        raise sql_journal.lost(through)
    connection.exec_driver_sql(_KEEP_LAST % through)
    for table in (schema.touched, schema.journal):
        connection.execute(delete(table).where(table.c.position <= through))
    values = {"epoch": last.epoch, "position": through, "digest": last.digest, "at_us": last.at_us}
    sql_rows.put(connection, schema.start, {"id": 1}, values)
    return Cursor(last.epoch, through, last.digest)


def position_before(connection: Connection, at_us: int) -> int:
    """The position of the last entry before a moment; 0 if none that is kept is so old."""
    table = schema.journal.c
    found: int | None = connection.scalar(select(func.max(table.position)).where(table.at_us < at_us))
    return found or 0


def _drop_cursors(connection: Connection, through: int, *, are_allowed: bool) -> None:
    rows = connection.execute(select(schema.cursor)).all()
    behind = cut_off({row.name: Cursor(row.epoch, row.position, row.digest) for row in rows}, through)
    if behind and not are_allowed:
        raise refuse_cut_off(behind)
    connection.execute(delete(schema.cursor).where(schema.cursor.c.name.in_(behind)))
