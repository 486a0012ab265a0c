"""Columns beside a body: what queries ask of a record must be what the record itself says.

A record is kept whole in a column ``body``; what queries ask for is in columns
of its own beside it. Rules and servers go by the columns, readers get the body:
where the two differ, an open deletion is forgotten or a dataset hidden, and
each table by itself looks sound.

Rules
  * Every column that is asked for and repeats something of a body is compared with it.
  * A body that cannot be read is a finding that names its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select

from holdfast.inventory import schema
from holdfast.inventory.invariants import Finding
from holdfast.inventory.record_text import record_adapter
from holdfast.model.errors import HoldfastError
from holdfast.model.names import DatasetKey
from holdfast.model.records import CopyRequest, Dataset, DeletionRequest, Lock, Site

READ_ROWS = 1000
"""So many rows are in memory at once."""
REQUESTS: dict[str, Any] = {"copy": CopyRequest, "deletion": DeletionRequest}
"""The kinds of requests, as the column names them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One table whose rows have a body."""

    table: Table
    name: Callable[[Any], str]
    """What a row is called."""
    kind: Callable[[Any], Any]
    """What its body is; None if the row does not say."""
    columns: Callable[[Any], dict[str, object]]
    """What the columns have to be, of the record that the body is."""
    about: Callable[[Any], tuple[str, str] | None] = lambda _row: None


TABLES: tuple[Kept, ...] = (
    Kept(
        schema.site,
        lambda row: f"site {row.name}",
        lambda _row: Site,
        lambda site: {"name": site.name},
        lambda row: ("site", row.name),
    ),
    Kept(
        schema.dataset,
        lambda row: f"dataset {_key(row)}",
        lambda _row: Dataset,
        lambda dataset: {
            "name": dataset.key.name,
            "version": dataset.key.version,
            "is_staged": int(not dataset.is_visible),
        },
        lambda row: ("dataset", _key(row)),
    ),
    Kept(schema.lock, lambda row: f"lock {row.id}", lambda _row: Lock, lambda lock: {"id": lock.id}),
    Kept(
        schema.request,
        lambda row: f"request {row.id}",
        lambda row: REQUESTS.get(row.kind),
        lambda request: {"id": request.id, "state": request.state.value},
    ),
)


def _key(row: Any) -> str:
    return str(DatasetKey(row.name, row.version))


def check_bodies(connection: Connection) -> Iterator[Finding]:
    """I13: what is asked of a record by its columns is what the record says."""
    for kept in TABLES:
        query = select(kept.table).execution_options(yield_per=READ_ROWS)
        with connection.execute(query) as rows:
            for row in rows:
                for message in _differences(kept, row):
                    yield Finding("I13", kept.name(row), message, kept.about(row))


def _differences(kept: Kept, row: Any) -> Iterator[str]:
    kind = kept.kind(row)
    if kind is None:
        yield f"is of no kind that is known: {row.kind}"
        return
    try:
        record = record_adapter(kind).validate_json(row.body)
    except (HoldfastError, ValueError) as error:
        yield f"its body cannot be read: {' '.join(str(error).split())[:200]}"
        return
    for column, said in kept.columns(record).items():
        if getattr(row, column) != said:
            yield f"the column {column} says {getattr(row, column)}, the record {said}"
