"""What the tables of a database are, in every detail that it keeps of them, to be compared."""

from __future__ import annotations

from sqlalchemy import Connection

from holdfast.inventory import schema

_COLUMNS = """
SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attstorage, collname,
       pg_get_expr(adbin, adrelid)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_collation ON pg_collation.oid = attcollation
     LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
"""
_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = current_schema()::regnamespace
"""
_INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"


def shapes(connection: Connection) -> set[tuple[str, ...]]:
    """A line for each part of the inventory's own tables; equal sets are equal tables."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql("SELECT tbl_name, name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
        found = {(table, name, " ".join(sql.split())) for table, name, sql in rows}
    else:
        mine = str(connection.exec_driver_sql("SELECT current_schema()").scalar())
        found = {
            tuple(str(part).replace(f"{mine}.", "") for part in row)
            for query in (_COLUMNS, _CONSTRAINTS, _INDEXES)
            for row in connection.exec_driver_sql(query)
        }
    return {line for line in found if line[0] in schema.metadata.tables}
