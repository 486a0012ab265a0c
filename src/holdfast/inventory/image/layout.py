"""Layout: how the tables of an image lie in parts and a state, and are put together from them again.

A *part* is something that changes seldom and as a whole: a chunk of files, the
columns of blocks, the base of a small table. Its ``source`` is the object in
memory; while that is the same object, the part need not be written again. What
has changed since lies in the *state*, plain JSON values, written every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy.typing as npt

from holdfast.inventory import request_text
from holdfast.inventory.image.block_columns import BlockColumns, BlockRow
from holdfast.inventory.image.block_table import BlockTable
from holdfast.inventory.image.file_table import FileTable
from holdfast.inventory.image.layered import GONE, Gone, Layered
from holdfast.inventory.image.mapped_records import MappedRecords, encoded
from holdfast.inventory.image.part import Part
from holdfast.inventory.image.replica_columns import ReplicaColumns, ReplicaRow
from holdfast.inventory.image.replica_table import ReplicaTable
from holdfast.inventory.image.tables import ImageTables, Numbers
from holdfast.inventory.record_text import body_of, record_adapter
from holdfast.inventory.store import Head
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, Lock, Permission, Request, Restore, Site

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Read = Callable[[str], tuple[Arrays, dict[str, Any]]]
"""Reads the part that lies in a slot."""


@dataclass(frozen=True, slots=True)
class PublishedPart:
    """What goes into one file: where it belongs, what it is made from, and how."""

    slot: str
    source: object
    make: Callable[[], tuple[Arrays, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class TableForm:
    """How the keys and values of a small table become text, and come back."""

    to_text: Callable[[Any], str]
    from_text: Callable[[str], Any]
    encode: Callable[[Any], str]
    decode: Callable[[str], Any]


def _same(text: str) -> str:
    return text


def _pair(text: str) -> tuple[str, str]:
    first, _, second = text.partition("\0")
    return first, second


def _dataset_key(text: str) -> DatasetKey:
    return DatasetKey(*_pair(text))


def _record(kind: Any, text: str) -> Any:
    return record_adapter(kind).validate_json(text)


def _request_text(request: Request) -> str:
    return f"{request_text.kind_of(request)} {request_text.written(request)}"


def _request(text: str) -> Request:
    kind, _, body = text.partition(" ")
    return request_text.read(kind, body)


def _nothing(_: object) -> str:
    return ""


def _none(_: str) -> None:
    return None


FORMS: Mapping[str, TableForm] = {
    "sites": TableForm(_same, _same, body_of, partial(_record, Site)),
    "groups": TableForm(_same, _same, _nothing, _none),
    "datasets": TableForm("\0".join, _dataset_key, body_of, partial(_record, Dataset)),
    "locks": TableForm(_same, _same, body_of, partial(_record, Lock)),
    "open_requests": TableForm(_same, _same, _request_text, _request),
    "closed_requests": TableForm(_same, _same, _request_text, _request),
    "permissions": TableForm("\0".join, _pair, body_of, partial(_record, Permission)),
    "touched_datasets": TableForm("\0".join, _dataset_key, str, int),
    "touched_sites": TableForm(_same, _same, str, int),
}
"""The small tables by name."""


def parts(tables: ImageTables) -> Iterator[PublishedPart]:
    """Every part of ``tables``."""
    for name, form in FORMS.items():
        base = getattr(tables, name).base
        yield PublishedPart(name, base, partial(_small, base, form))
    yield PublishedPart("blocks", tables.blocks.base, partial(_plain, tables.blocks.base.arrays))
    for number, chunk in enumerate(tables.replicas.chunks):
        yield PublishedPart(f"replicas-{number}", chunk, partial(_chunk, chunk))
    for part in tables.files.parts():
        # Its name says what is in it: under the same name it is the same.
        yield PublishedPart(f"files/{part.name}", None, partial(_of_files, part))


def state(tables: ImageTables) -> dict[str, Any]:
    """All the rest of ``tables``, as JSON values."""
    head, restore = tables.head, tables.restore
    return {
        "head": [head.epoch, head.position, head.digest, head.at_us],
        "restore": None if restore is None else [restore.position, restore.is_confirmed],
        "changes": {name: _changes(getattr(tables, name), form) for name, form in FORMS.items()},
        "numbers": {"sites": tables.site_numbers.words, "owners": tables.owner_numbers.words},
        "blocks": {
            "n_numbers": tables.blocks.n_numbers,
            "rows": [[*key.dataset, key.block, *(row or ())] for key, row in tables.blocks.rows.items()],
        },
        "replicas": {
            "chunk_blocks": tables.replicas.chunk_blocks,
            "chunks": [[chunk.first, chunk.n_blocks] for chunk in tables.replicas.chunks],
            "changed": [[block, _by_site(rows)] for block, rows in tables.replicas.changed.items()],
        },
        "files": [part.name for part in tables.files.parts()],
    }


def read(state: Mapping[str, Any], part: Read) -> ImageTables:
    """The tables that ``state`` and the parts describe, over their arrays."""
    changes, numbers = state["changes"], state["numbers"]
    small = {name: _table(part(name)[0], changes[name], form) for name, form in FORMS.items()}
    return ImageTables(
        Head(*state["head"]),
        blocks=_blocks(BlockColumns(part("blocks")[0]), state["blocks"]),
        replicas=_replicas(state["replicas"], part),
        files=FileTable.from_parts(Part(name, *part(f"files/{name}")) for name in state["files"]),
        site_numbers=_numbers(numbers["sites"]),
        owner_numbers=_numbers(numbers["owners"]),
        restore=None if state["restore"] is None else Restore(*state["restore"]),
        **small,
    )


def _small(base: Mapping[Any, Any], form: TableForm) -> tuple[Arrays, dict[str, Any]]:
    return encoded({form.to_text(key): form.encode(value) for key, value in base.items()}), {}


def _plain(arrays: Callable[[], Arrays]) -> tuple[Arrays, dict[str, Any]]:
    return arrays(), {}


def _chunk(chunk: ReplicaColumns) -> tuple[Arrays, dict[str, Any]]:
    return dict(chunk.arrays), {}


def _of_files(part: Part) -> tuple[Arrays, dict[str, Any]]:
    return dict(part.arrays), dict(part.meta)


def _changes(table: Layered[Any, Any], form: TableForm) -> list[list[str | None]]:
    return [
        [form.to_text(key), None if value is GONE else form.encode(value)] for key, value in table.changes().items()
    ]


def _table(arrays: Arrays, changes: list[list[str | None]], form: TableForm) -> Layered[Any, Any]:
    base: Mapping[Any, Any] = MappedRecords(arrays, to_text=form.to_text, from_text=form.from_text, decode=form.decode)
    items = {form.from_text(key or ""): GONE if body is None else form.decode(body) for key, body in changes}
    return Layered(base).with_items(items)


def _numbers(words: list[str]) -> Numbers:
    return Numbers(tuple(words), Layered({word: number for number, word in enumerate(words)}))


def _blocks(base: BlockColumns, state: Mapping[str, Any]) -> BlockTable:
    rows: dict[BlockKey, BlockRow | Gone | None] = {}
    keys: dict[int, BlockKey | Gone] = {}
    added: dict[DatasetKey, list[str]] = {}
    for name, version, block, *row in state["rows"]:
        key = BlockKey(DatasetKey(name, version), block)
        rows[key] = BlockRow(*row) if row else None
        if row and row[0] >= base.n_numbers:
            keys[row[0]] = key
            added.setdefault(key.dataset, []).append(block)
    return BlockTable(
        base,
        Layered[BlockKey, BlockRow | None]().with_items(rows),
        Layered[int, BlockKey]().with_items(keys),
        Layered({dataset: tuple(blocks) for dataset, blocks in added.items()}),
        state["n_numbers"],
    )


def _by_site(rows: Mapping[int, ReplicaRow | None]) -> list[list[Any]]:
    return [[site, *(() if row is None else _plain_row(row))] for site, row in rows.items()]


def _plain_row(row: ReplicaRow) -> list[Any]:
    # A bitmap of ten thousand files is a number that JSON should not have to carry.
    return [row.owner, row.is_custodial, None if row.held is None else f"{row.held:x}", *row[3:]]


def _row(plain: list[Any]) -> ReplicaRow | None:
    if not plain:
        return None
    owner, is_custodial, held, *rest = plain
    return ReplicaRow(owner, is_custodial, None if held is None else int(held, 16), *rest)


def _replicas(state: Mapping[str, Any], part: Read) -> ReplicaTable:
    spans = enumerate(state["chunks"])
    chunks = tuple(ReplicaColumns(first, n_blocks, part(f"replicas-{i}")[0]) for i, (first, n_blocks) in spans)
    changed = {block: {site: _row(row) for site, *row in rows} for block, rows in state["changed"]}
    table = Layered[int, Mapping[int, ReplicaRow | None]]().with_items(changed)
    return ReplicaTable(chunks, table, state["chunk_blocks"])
