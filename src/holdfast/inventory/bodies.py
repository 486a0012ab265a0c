"""Columns beside a body: what queries ask of a record must be what the record itself says.

A record is kept whole in a column ``body``; what queries ask for is in columns
of its own beside it. Rules and servers go by the columns, readers get the body:
where the two differ, an open deletion is forgotten or a dataset hidden, and
each table by itself looks sound.

Rules
  * Every column that is asked for and repeats something of a body is compared with it.
  * A body that cannot be read, or says more than its record has, is a finding that names its row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Table, select

from holdfast.inventory import request_text, schema
from holdfast.inventory.invariants import Violation
from holdfast.inventory.record_text import record_adapter
from holdfast.model.errors import HoldfastError
from holdfast.model.names import DatasetKey
from holdfast.model.records import Dataset, Lock, Site

READ_ROWS = 1000
"""So many rows are in memory at once."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One table whose rows have a body."""

    table: Table
    name: Callable[[Any], str]
    """What a row is called."""
    read: Callable[[Any], Any]
    """The record that a row's body is; LookupError if the row does not say of what kind it is."""
    columns: Callable[[Any], dict[str, object]]
    """What the columns have to be, of the record that the body is."""
    about: Callable[[Any], tuple[str, str] | None] = lambda _row: None
    beside: frozenset[str] = frozenset()
    """What a body may say beside the record's fields."""


def _record(kind: Any) -> Callable[[Any], Any]:
    return lambda row: record_adapter(kind).validate_json(row.body)


TABLES: tuple[Kept, ...] = (
    Kept(
        schema.site,
        lambda row: f"site {row.name}",
        _record(Site),
        lambda site: {"name": site.name},
        lambda row: ("site", row.name),
    ),
    Kept(
        schema.dataset,
        lambda row: f"dataset {_key(row)}",
        _record(Dataset),
        lambda dataset: {
            "name": dataset.key.name,
            "version": dataset.key.version,
            "is_staged": int(not dataset.is_visible),
        },
        lambda row: ("dataset", _key(row)),
    ),
    Kept(schema.lock, lambda row: f"lock {row.id}", _record(Lock), lambda lock: {"id": lock.id}),
    Kept(
        schema.request,
        lambda row: f"request {row.id}",
        lambda row: request_text.read(row.kind, row.body),
        lambda request: {
            "id": request.id,
            "state": request.state.value,
            "site": request.site,
            "dataset": None if request.dataset is None else str(request.dataset),
        },
        beside=frozenset({request_text.PACKED}),
    ),
)


def _key(row: Any) -> str:
    return str(DatasetKey(row.name, row.version))


def check_bodies(connection: Connection) -> Iterator[Violation]:
    """I13: what is asked of a record by its columns is what the record says."""
    for kept in TABLES:
        query = select(kept.table).execution_options(yield_per=READ_ROWS)
        with connection.execute(query) as rows:
            for row in rows:
                for message in _differences(kept, row):
                    yield Violation("I13", kept.name(row), message, kept.about(row))


def _differences(kept: Kept, row: Any) -> Iterator[str]:
    try:
        record = kept.read(row)
    except (HoldfastError, LookupError, ValueError) as error:
        yield f"its body cannot be read: {' '.join(str(error).split())[:200]}"
        return
    unknown = json.loads(row.body).keys() - {field.name for field in fields(record)} - kept.beside
    for name in sorted(unknown):
        yield f"its body says {name}, which no {type(record).__name__} has"
    for column, said in kept.columns(record).items():
        if getattr(row, column) != said:
            yield f"the column {column} says {getattr(row, column)}, the record {said}"
