"""SqlDraft: the snapshot of a transaction that changes the inventory, as the changes so far have left it.

Those who carry changes out write replicas through it. What a change set of many
outcomes asks for is read and written together (``sql_ahead``); for everybody
who asks it is as if it were written at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, delete, text

from holdfast.inventory import schema, sql_many
from holdfast.inventory.sql_ahead import Ahead, outcomes_of
from holdfast.inventory.sql_records import site_of
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.model.changes import Change
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockReplica, ReplicaSum, Site


class SqlDraft(SqlSnapshot):
    """A SqlSnapshot that is written through."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._ahead: Ahead | None = None

    # ---- writing --------------------------------------------------------------------

    def expect(self, changes: Sequence[Change]) -> None:
        """These are about to be made: read together what each of them will ask for."""
        outcomes = outcomes_of(changes)
        self._ahead = Ahead(self._connection, outcomes) if outcomes else None

    def write_expected(self) -> None:
        """Write what is to be written together; before that nobody reads the table of replicas."""
        if self._ahead is not None:
            self._ahead.write()

    def put_replicas(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write replicas, new ones and others, in the order of ``REPLICA_COLUMNS``."""
        ahead = self._ahead
        if ahead is not None and all(ahead.knows(row[0], row[1]) for row in rows):
            for row in rows:
                ahead.put(row)
        else:
            sql_many.put_rows(self._connection, "replica", ("block_id", "site_id"), sql_many.REPLICA_COLUMNS, rows)

    def forget_replicas(self, keys: Collection[BlockKey], site: str) -> None:
        """Remove the replicas of these blocks at a site, those that are there."""
        site_id, ahead = self.site_id(site), self._ahead
        numbers = [row[0] for row in self.block_rows(keys).values()]
        if site_id is None:
            return
        known = [number for number in numbers if ahead is not None and ahead.knows(number, site_id)]
        for number in known:
            assert ahead is not None
            ahead.forget(number, site_id)
        statement = delete(schema.replica).where(schema.replica.c.site_id == site_id)
        for some in sql_many.listed(set(numbers) - set(known)):
            self._connection.execute(statement.where(text(f"block_id IN ({some})")))

    # ---- reading --------------------------------------------------------------------

    def site(self, name: str) -> Site:
        """One site."""
        known = None if self._ahead is None else self._ahead.bodies.get(name)
        return super().site(name) if known is None else site_of(known)

    def site_id(self, name: str) -> int | None:
        """The number of a site in the tables, if it is there."""
        known = None if self._ahead is None else self._ahead.sites.get(name)
        return super().site_id(name) if known is None else known

    def block_rows(self, keys: Collection[BlockKey]) -> dict[BlockKey, sql_many.BlockRow]:
        """The rows of those blocks that are there."""
        if self._ahead is not None and self._ahead.has_blocks(keys):
            return {key: self._ahead.blocks[key] for key in keys}
        return super().block_rows(keys)

    def replica_rows(self, keys: Collection[BlockKey], site: str) -> dict[BlockKey, Any]:
        """The rows of the replicas of many blocks at one site."""
        site_id, ahead = self.site_id(site), self._ahead
        if ahead is None or site_id is None:
            return super().replica_rows(keys, site)
        blocks = self.block_rows(keys)
        unknown = [row[0] for row in blocks.values() if not ahead.knows(row[0], site_id)]
        found = sql_many.replica_rows(self._connection, unknown, site_id)
        for number, *_ in blocks.values():
            row = ahead.replica(number, site_id) if ahead.knows(number, site_id) else None
            if row is not None:
                found[number] = row
        return {key: found[row[0]] for key, row in blocks.items() if row[0] in found}

    def replicas(
        self, *, dataset: DatasetKey | None = None, block: BlockKey | None = None, site: str | None = None
    ) -> list[BlockReplica]:
        """Block replicas, of one dataset, of one block, at one site, or all."""
        self.write_expected()
        return super().replicas(dataset=dataset, block=block, site=site)

    def find_replicas_of_blocks(self, keys: Collection[BlockKey]) -> dict[BlockKey, list[BlockReplica]]:
        """All replicas of many blocks, by site."""
        self.write_expected()
        return super().find_replicas_of_blocks(keys)

    def sums(self) -> list[ReplicaSum]:
        """The sums over all block replicas."""
        self.write_expected()
        return super().sums()
