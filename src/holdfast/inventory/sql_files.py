"""What changes of files do to the tables. Part of ``sql_apply``.

Files go in by statements of many rows, in the order of their block and so of
their directories.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from holdfast.inventory import replicas, schema, sql_replicas, sql_rows
from holdfast.inventory.sql_draft import SqlDraft
from holdfast.model import changes as c
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, BlockReplica, FileColumns


def register(change: c.RegisterFiles, connection: Connection, view: SqlDraft, at_us: int) -> None:
    """New files at the end of a block, and at a site if the change names one."""
    files = change.files
    block_id, before, size_before = _block_row(change.block, connection, view)
    size = sum(files.sizes)
    insert_files(connection, view, files, block_id=block_id, first_ordinal=change.first_ordinal)
    table = schema.block
    connection.execute(
        update(table).where(table.c.id == block_id).values(n_files=before + len(files), size=size_before + size)
    )
    present = {each.site: each for each in view.replicas(block=change.block)}
    new = [replicas.of_grown_block(each, before) for site, each in present.items() if site != change.site]
    if change.site:
        old = present.get(change.site) or replicas.empty(change.block, change.site, change.group, at_us)
        new.append(
            replicas.with_files(
                replicas.of_grown_block(old, before),
                range(before, before + len(files)),
                Block(change.block, before + len(files), size_before + size),
                lambda _new: size,
                verified_us=change.verified_us,
                at_us=at_us,
            )
        )
    sql_replicas.put([each for each in new if each != present.get(each.site)], view)


def remove(change: c.RemoveFiles, connection: Connection, view: SqlDraft) -> None:
    """Files are forgotten, with what is known of their owners; those behind them move up, in every replica, too."""
    key, table = change.block, schema.file
    block_id, before = view.block_id(key), view.files(key)
    gone = sorted(set(change.ordinals))
    is_gone = set(gone)
    kept = [row for row in range(len(before)) if row not in is_gone]
    # From the first gap on the rows are written anew: moved in place, they would be in each other's way.
    connection.execute(delete(table).where(table.c.block_id == block_id, table.c.ordinal >= gone[0]))
    insert_files(connection, view, before.chosen(kept[gone[0] :]), block_id=block_id, first_ordinal=gone[0])
    size = sum(before.sizes[row] for row in kept)
    connection.execute(update(schema.block).where(schema.block.c.id == block_id).values(n_files=len(kept), size=size))
    _forget_permissions([_place(before, row) for row in gone], connection)
    present = view.replicas(block=key)
    _put_changed([(each, replicas.of_shrunk_block(each, gone, len(before))) for each in present], view)


def rename(change: c.RenameFiles, connection: Connection, view: SqlDraft) -> None:
    """Files get other names, with what is known of their owners."""
    key, table = change.block, schema.file
    block_id, before = view.block_id(key), view.files(key)
    old, new = [_place(before, row) for row in change.ordinals], change.places()
    numbers = dict(zip(change.dirs, _directory_numbers(change.dirs, connection, view), strict=True))
    connection.execute(
        update(table)
        .where(table.c.block_id == block_id, table.c.ordinal == bindparam("row"))
        .values(dir_id=bindparam("new_dir"), name=bindparam("new_name")),
        [
            {"row": row, "new_dir": numbers[directory], "new_name": name}
            for row, (directory, name) in zip(change.ordinals, new, strict=True)
        ],
    )
    _forget_permissions(new, connection)  # Of files that are there no more.
    item = schema.permission
    connection.execute(
        update(item)
        .where(item.c.dir == bindparam("old_dir"), item.c.name == bindparam("old_name"))
        .values(dir=bindparam("new_dir"), name=bindparam("new_name")),
        [
            {"old_dir": of[0], "old_name": of[1], "new_dir": to[0], "new_name": to[1]}
            for of, to in zip(old, new, strict=True)
        ],
    )
    present = view.replicas(block=key)
    _put_changed([(each, replicas.renamed(each, change.ordinals)) for each in present], view)


def _place(files: FileColumns, row: int) -> tuple[str, str]:
    return files.dirs[files.dir_index[row]], files.names[row]


def _forget_permissions(places: Sequence[tuple[str, str]], connection: Connection) -> None:
    table = schema.permission
    connection.execute(
        delete(table).where(table.c.dir == bindparam("of_dir"), table.c.name == bindparam("of_name")),
        [{"of_dir": directory, "of_name": name} for directory, name in places],
    )


def _put_changed(changed: Sequence[tuple[BlockReplica, BlockReplica]], view: SqlDraft) -> None:
    sql_replicas.put([new for old, new in changed if new != old], view)


def _block_row(key: BlockKey, connection: Connection, view: SqlDraft) -> tuple[int, int, int]:
    """The block's number, and its files and bytes so far; the block is made if it is not there."""
    table = schema.block
    dataset_id = view.dataset_id(key.dataset)
    query = select(table.c.id, table.c.n_files, table.c.size)
    query = query.where(table.c.dataset_id == dataset_id, table.c.name == key.block)
    row = connection.execute(query).one_or_none()
    if row is not None:
        return row.id, row.n_files, row.size
    values = {"dataset_id": dataset_id, "name": key.block, "n_files": 0, "size": 0}
    number = connection.scalar(insert(table).values(**values).returning(table.c.id))
    assert number is not None
    return int(number), 0, 0


def insert_files(
    connection: Connection, view: SqlDraft, files: FileColumns, *, block_id: int, first_ordinal: int
) -> None:
    """Add rows to ``file``, many a statement; an LFN that is taken raises IntegrityError."""
    numbers = _directory_numbers(files.dirs, connection, view)
    columns = [
        [block_id] * len(files),
        range(first_ordinal, first_ordinal + len(files)),
        [numbers[place] for place in files.dir_index],
        files.names,
        files.sizes,
        *(_digest_column(files, algorithm) for algorithm in schema.DIGEST_COLUMNS),
    ]
    names = [column.name for column in schema.file.c]
    sql_rows.insert_rows(connection, schema.file, names, list(zip(*columns, strict=True)))


def _digest_column(files: FileColumns, algorithm: str) -> Sequence[int | bytes | None]:
    column = files.checksums.get(algorithm)
    if column is None:
        return [None] * len(files)
    if algorithm in schema.NUMBER_DIGESTS:
        return [None if text is None else int(text, 16) for text in column]
    return [None if text is None else bytes.fromhex(text) for text in column]


def _directory_numbers(paths: Sequence[str], connection: Connection, view: SqlDraft) -> list[int]:
    known = view.directory_ids(paths)
    new = [(path,) for path in sorted(set(paths) - known.keys())]
    if new:
        sql_rows.insert_rows(connection, schema.directory, ["path"], new)
        known.update(view.directory_ids(path for (path,) in new))
    return [known[path] for path in paths]
