"""What changes of block replicas do to the tables. Part of ``sql_apply``.

A change of many replicas is a few statements, whatever their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, text, update

from holdfast.inventory import replicas, schema, sql_many
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.model import changes as c
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, CopyRequest


def put(changed: Sequence[BlockReplica], connection: Connection, view: SqlSnapshot) -> None:
    """Write replicas, new ones and others, whatever blocks and sites they are of."""
    if not changed:
        return
    blocks = view.block_rows(tuple(replica.block for replica in changed))
    sites = {name: view.site_id(name) for name in {replica.site for replica in changed}}
    _put_rows([(blocks[each.block][0], sites[each.site], *_values(each)) for each in changed], connection)


def _put_rows(rows: Sequence[tuple[Any, ...]], connection: Connection) -> None:
    sql_many.put_rows(connection, "replica", ("block_id", "site_id"), sql_many.REPLICA_COLUMNS, rows)


def _values(replica: BlockReplica) -> tuple[Any, ...]:
    return (
        replica.group,
        int(replica.is_custodial),
        None if replica.held is None else replica.held.to_bytes(),
        replica.n_files,
        replica.size,
        replica.verified_us,
        replica.updated_us,
    )


def request_copy(request: CopyRequest, connection: Connection, view: SqlSnapshot, at_us: int) -> None:
    """The replicas that a copy will fill."""
    keys = tuple(dict.fromkeys(BlockKey(request.dataset, part.block) for part in request.scope))
    blocks, there = view.find_blocks(keys), view.find_replicas(keys, request.site)
    new = [replicas.awaited(blocks[key], request.site, request.group, at_us) for key in keys if key not in there]
    put(new, connection, view)


def move_files(change: c.FilesArrived | c.FilesGone, connection: Connection, view: SqlSnapshot, at_us: int) -> None:
    """Files of one block came to a site, or are there no more."""
    (replica,) = view.replicas(block=change.block, site=change.site)
    sizes = view.sizes(view.block_id(change.block))
    if isinstance(change, c.FilesArrived):
        new = replicas.with_files(replica, change.ordinals, sizes, verified_us=change.verified_us, at_us=at_us)
    else:
        new = replicas.without_files(replica, change.ordinals, sizes, at_us=at_us)
    if new != replica:
        put([new], connection, view)


def arrived(change: c.BlocksArrived, connection: Connection, view: SqlSnapshot, at_us: int) -> None:
    """Replicas that are not there are made, those that lack files are made whole."""
    site_id, there = view.site_id(change.site), view.replica_rows(change.blocks, change.site)
    values = (change.group, int(change.is_custodial), None)
    rows = [
        (number, site_id, *values, n_files, size, change.verified_us if n_files else None, at_us)
        for key, (number, n_files, size, *_) in view.block_rows(change.blocks).items()
        if key not in there
    ]
    _put_rows(rows, connection)
    partial = [key for key, row in there.items() if row[4] is not None]
    old, blocks = view.find_replicas(partial, change.site), view.find_blocks(partial)
    proof = change.verified_us
    put([replicas.whole(old[key], blocks[key], verified_us=proof, at_us=at_us) for key in partial], connection, view)


def verified(change: c.FilesVerified, connection: Connection, view: SqlSnapshot) -> None:
    """As ``replicas.verified`` says, for all of them."""
    table = schema.replica.c
    older = table.verified_us.is_(None) | (table.verified_us < change.verified_us)
    _update(change, {"verified_us": change.verified_us}, connection, view, (table.n_files > 0) & older)


def assigned(change: c.AssignReplicas, connection: Connection, view: SqlSnapshot) -> None:
    """As ``replicas.assigned`` says, for all of them."""
    group, mark = change.group, change.is_custodial
    values = {} if group is None else {"owner_group": group}
    _update(change, values | ({} if mark is None else {"is_custodial": int(mark)}), connection, view)


def _update(
    change: c.FilesVerified | c.AssignReplicas,
    values: Mapping[str, Any],
    connection: Connection,
    view: SqlSnapshot,
    condition: Any = True,
) -> None:
    site_id = view.site_id(change.site)
    statement = update(schema.replica).where(schema.replica.c.site_id == site_id, condition).values(**values)
    for numbers in sql_many.listed(row[0] for row in view.block_rows(change.blocks).values()):
        connection.execute(statement.where(text(f"block_id IN ({numbers})")))


def removed(change: c.RemoveReplicas, connection: Connection, view: SqlSnapshot) -> None:
    """They are forgotten, those that are there."""
    statement = delete(schema.replica).where(schema.replica.c.site_id == view.site_id(change.site))
    for numbers in sql_many.listed(row[0] for row in view.block_rows(change.blocks).values()):
        connection.execute(statement.where(text(f"block_id IN ({numbers})")))
