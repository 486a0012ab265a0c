"""What changes of block replicas do to the tables. Part of ``sql_apply``.

A change of many replicas is a few statements, whatever their number.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, text, update

from holdfast.inventory import replicas, requested, schema, sql_many
from holdfast.inventory.sql_draft import SqlDraft
from holdfast.model import changes as c
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, CopyRequest


def put(changed: Sequence[BlockReplica], view: SqlDraft) -> None:
    """Write replicas, new ones and others, whatever blocks and sites they are of."""
    if not changed:
        return
    blocks = view.block_rows(tuple(replica.block for replica in changed))
    sites = {name: view.site_id(name) for name in {replica.site for replica in changed}}
    view.put_replicas([(blocks[each.block][0], sites[each.site], *_values(each)) for each in changed])


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


def request_copy(request: CopyRequest, view: SqlDraft, at_us: int) -> None:
    """The replicas that a copy will fill."""
    keys = tuple(dict.fromkeys(BlockKey(request.dataset, part.block) for part in request.scope))
    blocks, there = view.find_blocks(keys), view.find_replicas(keys, request.site)
    new = [replicas.awaited(blocks[key], request.site, request.group, at_us) for key in keys if key not in there]
    put(new, view)


def move_files(change: c.FilesArrived | c.FilesGone, connection: Connection, view: SqlDraft, at_us: int) -> None:
    """Files of one block came to a site, or are there no more."""
    keys = (change.block,)
    replica, block = view.find_replicas(keys, change.site)[change.block], view.find_blocks(keys)[change.block]
    size_of = partial(_size_of, keys, connection, view)
    if isinstance(change, c.FilesArrived):
        proof = change.verified_us
        new = replicas.with_files(replica, change.ordinals, block, size_of, verified_us=proof, at_us=at_us)
    else:
        new = replicas.without_files(replica, FileSet.of(change.ordinals), block, size_of, at_us=at_us)
    if new is not replica:
        put([new], view)


def _size_of(keys: tuple[BlockKey, ...], connection: Connection, view: SqlDraft, files: FileSet) -> int:
    """The bytes of some files of the one block of ``keys``."""
    ((block_id, *_),) = view.block_rows(keys).values()
    return sql_many.size_of_files(connection, block_id, files)


def arrived(change: c.BlocksArrived, view: SqlDraft, at_us: int) -> None:
    """Replicas that are not there are made, those that lack files are made whole."""
    site_id, there = view.site_id(change.site), view.replica_rows(change.blocks, change.site)
    values = (change.group, int(change.is_custodial), None)
    rows = [
        (number, site_id, *values, n_files, size, change.verified_us if n_files else None, at_us)
        for key, (number, n_files, size, *_) in view.block_rows(change.blocks).items()
        if key not in there
    ]
    view.put_replicas(rows)
    partial = [key for key, row in there.items() if row[4] is not None]
    old, blocks = view.find_replicas(partial, change.site), view.find_blocks(partial)
    proof = change.verified_us
    put([replicas.whole(old[key], blocks[key], verified_us=proof, at_us=at_us) for key in partial], view)


def verified(change: c.FilesVerified, connection: Connection, view: SqlDraft) -> None:
    """As ``replicas.verified`` says, for all of them."""
    table = schema.replica.c
    older = table.verified_us.is_(None) | (table.verified_us < change.verified_us)
    _update(change, {"verified_us": change.verified_us}, connection, view, (table.n_files > 0) & older)


def unproved(site: str, connection: Connection, view: SqlDraft) -> None:
    """Nothing that a site holds is proved any more; one statement, however much that is."""
    table = schema.replica.c
    there = (table.site_id == view.site_id(site)) & table.verified_us.is_not(None)
    connection.execute(update(schema.replica).where(there).values(verified_us=None))


def assigned(change: c.AssignReplicas, connection: Connection, view: SqlDraft) -> None:
    """As ``replicas.assigned`` says, for all of them."""
    group, mark = change.group, change.is_custodial
    values = {} if group is None else {"owner_group": group}
    _update(change, values | ({} if mark is None else {"is_custodial": int(mark)}), connection, view)


def _update(
    change: c.FilesVerified | c.AssignReplicas,
    values: Mapping[str, Any],
    connection: Connection,
    view: SqlDraft,
    condition: Any = True,
) -> None:
    site_id = view.site_id(change.site)
    statement = update(schema.replica).where(schema.replica.c.site_id == site_id, condition).values(**values)
    for numbers in sql_many.listed(row[0] for row in view.block_rows(change.blocks).values()):
        connection.execute(statement.where(text(f"block_id IN ({numbers})")))


def delete_files(block: BlockKey, site: str, gone: FileSet, connection: Connection, view: SqlDraft, at_us: int) -> None:
    """Files of one block were deleted at a site; the replica goes with the last one, unless it is awaited."""
    keys = (block,)
    found = view.find_replicas(keys, site).get(block)
    if found is None:
        return
    size_of = partial(_size_of, keys, connection, view)
    new = replicas.without_files(found, gone, view.find_blocks(keys)[block], size_of, at_us=at_us)
    if requested.needless((new,), view):
        forget(keys, site, view)
    elif new is not found:
        put([new], view)


def forget(blocks: Collection[BlockKey], site: str, view: SqlDraft) -> None:
    """The replicas of these blocks at a site are forgotten, those that are there."""
    if blocks:
        view.forget_replicas(blocks, site)
