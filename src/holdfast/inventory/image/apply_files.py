"""What changes of files do to the tables of an image, and to the replicas of their blocks."""

from __future__ import annotations

from dataclasses import replace

from holdfast.inventory import replicas
from holdfast.inventory.image.layered import GONE, Gone
from holdfast.inventory.image.tables import ImageTables
from holdfast.model import changes as c
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import FileColumns, Permission


def register(change: c.RegisterFiles, tables: ImageTables, *, at_us: int) -> ImageTables:
    """New files at the end of a block."""
    key, files = change.block, change.files
    row = tables.blocks.row(key)
    before, size = (row.n_files, row.size) if row is not None else (0, 0)
    present = {each.site: each for each in tables.replicas_of(key)}
    blocks, number = tables.blocks.with_row(key, before + len(files), size + sum(files.sizes))
    tables = replace(tables, blocks=blocks, files=tables.files.appended(number, before, files))
    put = [replicas.of_grown_block(each, before) for site, each in present.items() if site != change.site]
    if change.site:
        old = present.get(change.site) or replicas.empty(key, change.site, change.group, at_us)
        put.append(
            replicas.with_files(
                replicas.of_grown_block(old, before),
                range(before, before + len(files)),
                tables.block(key),
                replicas.summed((*(0,) * before, *files.sizes)),
                verified_us=change.verified_us,
                at_us=at_us,
            )
        )
    return tables.with_replicas(each for each in put if each != present.get(each.site))


def abandon(key: DatasetKey, tables: ImageTables) -> ImageTables:
    """A staged dataset with all that belongs to it is forgotten."""
    if key not in tables.datasets:
        raise LookupError(str(key))
    numbers = [row.number for _, row in tables.blocks.rows_of(key)]
    gone = {number: dict.fromkeys(tables.replicas.rows_of(number)) for number in numbers}
    orphaned: dict[tuple[str, str], Gone] = {}
    for columns in map(tables.files.files_of, numbers):
        places = (_place(columns, ordinal) for ordinal in range(len(columns)))
        orphaned.update((place, GONE) for place in places if place in tables.permissions)
    return replace(
        tables,
        files=tables.files.without_blocks(numbers),
        permissions=tables.permissions.with_items(orphaned),
        replicas=tables.replicas.with_rows(gone),
        blocks=tables.blocks.without_dataset(key),
        datasets=tables.datasets.with_item(key, GONE),
    )


def remove(change: c.RemoveFiles, tables: ImageTables) -> ImageTables:
    """Files are forgotten; those behind them move up, in the replicas' bitmaps, too."""
    files, present = _files(change.block, tables), tables.replicas_of(change.block)
    going = set(change.ordinals)
    gone: dict[tuple[str, str], Gone] = dict.fromkeys((_place(files, ordinal) for ordinal in going), GONE)
    tables = replace(tables, permissions=tables.permissions.with_items(gone))
    left = files.chosen([ordinal for ordinal in range(len(files)) if ordinal not in going])
    tables = _with_files(change.block, left, tables)
    return tables.with_replicas(replicas.of_shrunk_block(each, change.ordinals, len(files)) for each in present)


def rename(change: c.RenameFiles, tables: ImageTables) -> ImageTables:
    """Files get new LFNs, and what is known of their owners goes with them; who holds one is no longer proved."""
    files = _files(change.block, tables)
    new = [(change.dirs[place], name) for place, name in zip(change.dir_index, change.names, strict=True)]
    moved: dict[tuple[str, str], Permission | Gone] = dict.fromkeys(new, GONE)
    for ordinal, (directory, name) in zip(change.ordinals, new, strict=True):
        permission = tables.permissions.get(_place(files, ordinal))
        if permission is not None:
            moved[_place(files, ordinal)] = GONE
            moved[directory, name] = replace(permission, dir=directory, name=name)
    tables = replace(tables, permissions=tables.permissions.with_items(moved))
    tables = _with_files(change.block, files.renamed(change.ordinals, new), tables)
    present = tables.replicas_of(change.block)
    return tables.with_replicas(replicas.renamed(each, change.ordinals) for each in present)


def _place(files: FileColumns, ordinal: int) -> tuple[str, str]:
    return files.dirs[files.dir_index[ordinal]], files.names[ordinal]


def _files(key: BlockKey, tables: ImageTables) -> FileColumns:
    row = tables.blocks.row(key)
    if row is None:
        raise LookupError(str(key))
    return tables.files.files_of(row.number)


def _with_files(key: BlockKey, files: FileColumns, tables: ImageTables) -> ImageTables:
    """The tables with other files in a known block."""
    blocks, number = tables.blocks.with_row(key, len(files), sum(files.sizes))
    table = tables.files.without_block(number)
    return replace(tables, blocks=blocks, files=table.appended(number, 0, files) if len(files) else table)
