"""What changes of replicas do to the tables of an image."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from holdfast.inventory import replicas, requested
from holdfast.inventory.image import row_changes
from holdfast.inventory.image.replica_columns import ReplicaRow
from holdfast.inventory.image.snapshot import ImageSnapshot
from holdfast.inventory.image.tables import ImageTables
from holdfast.model import changes as c
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey


def move_files(change: c.FilesArrived | c.FilesGone, tables: ImageTables, *, at_us: int) -> ImageTables:
    """Files of one block came to a site, or are there no more."""
    replica, block = tables.replica_at(change.block, change.site), tables.block(change.block)
    if replica is None:
        raise LookupError(f"{change.block} at {change.site}")
    size_of = partial(_size_of, change.block, tables)
    if isinstance(change, c.FilesArrived):
        proof = change.verified_us
        new = replicas.with_files(replica, change.ordinals, block, size_of, verified_us=proof, at_us=at_us)
    else:
        new = replicas.without_files(replica, FileSet.of(change.ordinals), block, size_of, at_us=at_us)
    return tables if new == replica else tables.with_replicas((new,))


def delete_files(key: BlockKey, site: str, gone: FileSet, tables: ImageTables, *, at_us: int) -> ImageTables:
    """Files of one block were deleted at a site; the replica goes with the last one, unless it is awaited."""
    found = tables.replica_at(key, site)
    if found is None:
        return tables
    new = replicas.without_files(found, gone, tables.block(key), partial(_size_of, key, tables), at_us=at_us)
    if requested.needless((new,), ImageSnapshot(tables)):
        return tables.without_replicas((key,), site)
    return tables if new == found else tables.with_replicas((new,))


def unproved(site: str, tables: ImageTables) -> ImageTables:
    """Nothing that a site holds is proved any more."""
    number = tables.site_numbers.by_word.get(site)
    if number is None:
        return tables
    blocks = tables.replicas.blocks_at(number)
    rows = zip(blocks, tables.replicas.rows_at(blocks, number), strict=True)
    proved = {block: row for block, row in rows if row is not None and row.verified_us is not None}
    changed = {block: row._replace(verified_us=None) for block, row in proved.items()}
    return replace(tables, replicas=tables.replicas.with_rows_at(number, changed))


def _size_of(key: BlockKey, tables: ImageTables, files: FileSet) -> int:
    return int(tables.files.sizes_of(tables.number(key))[list(files)].sum())


def change_many(
    change: c.BlocksArrived | c.FilesVerified | c.AssignReplicas, tables: ImageTables, *, at_us: int
) -> ImageTables:
    """One thing happens to the replicas of many blocks at one site."""
    numbers = tables.blocks.numbers(change.blocks)
    group = None if isinstance(change, c.FilesVerified) else change.group
    sites = tables.site_numbers.with_word(change.site)
    owners = tables.owner_numbers if group is None else tables.owner_numbers.with_word(group)
    tables = replace(tables, site_numbers=sites, owner_numbers=owners)
    site = sites.by_word[change.site]
    rows = tables.replicas.rows_at(numbers, site)
    owner = None if group is None else owners.by_word[group]
    changed = _changed(change, list(zip(numbers, rows, strict=True)), tables, owner, at_us)
    return replace(tables, replicas=tables.replicas.with_rows_at(site, changed))


Rows = list[tuple[int, ReplicaRow | None]]


def _changed(
    change: c.BlocksArrived | c.FilesVerified | c.AssignReplicas,
    rows: Rows,
    tables: ImageTables,
    owner: int | None,
    at_us: int,
) -> dict[int, ReplicaRow]:
    n_files = tables.blocks.n_files_of(block for block, _ in rows)
    if isinstance(change, c.BlocksArrived):
        made = ReplicaRow(owner or 0, change.is_custodial, None, 0, 0, change.verified_us, at_us)
        return {block: row_changes.whole(row, made, n_files[block]) for block, row in rows}
    present = {block: row for block, row in rows if row is not None}
    if len(present) < len({block for block, _ in rows}):
        raise LookupError(f"a block has no replica at {change.site}")
    if isinstance(change, c.FilesVerified):
        return {block: row_changes.verified(row, change.verified_us, n_files[block]) for block, row in present.items()}
    return {block: row_changes.assigned(row, owner, change.is_custodial) for block, row in present.items()}
