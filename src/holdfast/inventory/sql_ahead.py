"""Ahead: what a change set of many outcomes asks of blocks, sites and replicas, read and written in a few statements.

Whoever reports what arrived or was deleted names a block with each change. The
rules and the tables then ask for the same few rows of each, and alter one; one
by one that costs many times what it costs together.

Rules
  * It is made only for change sets that alter nothing of blocks and sites.
  * What it answers of replicas is as the changes so far have left them; what
    they have altered is written before anybody reads the table (``write``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, text

from holdfast.inventory import schema, sql_many
from holdfast.model import changes as c
from holdfast.model.names import BlockKey

_OUTCOMES = (c.FilesArrived, c.FilesDeleted)

ReplicaRow = Sequence[Any]
"""In the order of ``REPLICA_COLUMNS``."""


class Ahead:
    """The rows that the outcomes of one change set are about."""

    def __init__(self, connection: Connection, outcomes: Iterable[c.FilesArrived | c.FilesDeleted]) -> None:
        self._connection = connection
        by_site: dict[str, dict[BlockKey, None]] = {}
        for change in outcomes:
            by_site.setdefault(change.site, {})[change.block] = None
        self.blocks = sql_many.block_rows(connection, list({key: None for keys in by_site.values() for key in keys}))
        sites = connection.execute(select(schema.site.c.name, schema.site.c.id, schema.site.c.body)).all()
        self.sites: dict[str, int] = {name: number for name, number, _ in sites}
        self.bodies: dict[str, str] = {name: body for name, _, body in sites}
        self._replicas: dict[tuple[int, int], ReplicaRow | None] = {}
        """By number of block and site; None: there is none."""
        self._altered: dict[tuple[int, int], None] = {}
        for site, keys in by_site.items():
            if site in self.sites:
                self._read([self.blocks[key][0] for key in keys if key in self.blocks], self.sites[site])

    def _read(self, blocks: Sequence[int], site: int) -> None:
        found = sql_many.replica_rows(self._connection, blocks, site)
        self._replicas.update(((block, site), found.get(block)) for block in blocks)

    def has_blocks(self, keys: Collection[BlockKey]) -> bool:
        """Whether all of these were read."""
        return all(key in self.blocks for key in keys)

    def knows(self, block: int, site: int) -> bool:
        """Whether it is known what a site has of a block."""
        return (block, site) in self._replicas

    def replica(self, block: int, site: int) -> ReplicaRow | None:
        """What a site has of a block that is known; None if it has none."""
        return self._replicas[block, site]

    def put(self, row: ReplicaRow) -> None:
        """A replica is so from now on."""
        place = row[0], row[1]
        self._replicas[place] = row
        self._altered[place] = None

    def forget(self, block: int, site: int) -> None:
        """A replica is gone."""
        self._replicas[block, site] = None
        self._altered[block, site] = None

    def write(self) -> None:
        """Write what was altered since the last time."""
        altered, self._altered = self._altered, {}
        there = [row for place in altered if (row := self._replicas[place]) is not None]
        sql_many.put_rows(
            self._connection,
            "replica",
            ("block_id", "site_id"),
            sql_many.REPLICA_COLUMNS,
            [tuple(row) for row in there],
        )
        gone: dict[int, list[int]] = {}
        for block, site in altered:
            if self._replicas[block, site] is None:
                gone.setdefault(site, []).append(block)
        for site, blocks in gone.items():
            for numbers in sql_many.listed(blocks):
                at_site = delete(schema.replica).where(schema.replica.c.site_id == site)
                self._connection.execute(at_site.where(text(f"block_id IN ({numbers})")))


def outcomes_of(changes: Sequence[c.Change]) -> list[c.FilesArrived | c.FilesDeleted]:
    """The outcomes of a change set that it is worth reading ahead for; none, if it does anything else."""
    found = [change for change in changes if isinstance(change, _OUTCOMES)]
    others = len(changes) - len(found) - sum(isinstance(change, c.CloseRequest) for change in changes)
    return found if len(found) > 1 and not others else []
