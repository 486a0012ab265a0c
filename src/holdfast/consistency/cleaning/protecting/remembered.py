"""Remembered: how long the lists of protected paths were the last time, kept beside the inventory.

A row for each source of each site. Losing it loses the comparison with the last
time, once, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, select

from holdfast.inventory.sql_rows import put
from holdfast.inventory.store import Store

metadata = MetaData()

protected = Table(
    "cleaning_protected",
    metadata,
    Column("site", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("n_paths", BigInteger, nullable=False),
    Column("heard_us", BigInteger, nullable=False),
)


class Remembered:
    """What is remembered in one store."""

    def __init__(self, store: Store) -> None:
        self._room = store.room(metadata)

    def lengths(self, site: str) -> dict[str, int]:
        """How many different paths each source named the last time, by its name."""
        columns = protected.c
        query = select(columns.source, columns.n_paths).where(columns.site == site)
        with self._room.read() as connection:
            return {row.source: row.n_paths for row in connection.execute(query)}

    def keep(self, site: str, lengths: Mapping[str, int], *, at_us: int) -> None:
        """Remember what was heard, and believed, for the next time."""
        with self._room.write() as connection:
            for source, n_paths in sorted(lengths.items()):
                values = {"n_paths": n_paths, "heard_us": at_us}
                put(connection, protected, {"site": site, "source": source}, values)
