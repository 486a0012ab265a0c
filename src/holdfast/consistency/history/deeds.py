"""Deeds: what was asked for, or said, about each path in each class, and when.

Runs tell how many files a request was made for (``runs.py``); deeds tell which.

Rules
  * A deed is written in the transaction that asks for it (``recorder``): both stand, or neither does.
  * The last deed of a path is the one that was written last, whatever clocks say. It counts for what is seen there
    only if that was seen by then: what was done about an earlier file of the same name is another matter.
  * What was not asked for has no deed: neither what an open request was to do anyway, nor what a dry run would ask for.
  * Looking up and forgetting go through memory and the writer's turn in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection, Select, delete, func, select

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.history import tables
from holdfast.inventory.sql_rows import insert_rows
from holdfast.inventory.store import Store

LOOKED_UP_AT_ONCE = 500
FORGOTTEN_AT_ONCE = 10_000
"""Rows of one transaction; others who write wait for it."""

_deed = tables.deed.c
_COLUMNS = ("site", "class", "path", "kind", "request", "at_us")


class DeedKind(StrEnum):
    """What was asked for, or said."""

    COPY = "copy"
    """That a good copy is brought, over a wrong file if there is one."""
    QUARANTINE = "quarantine"
    """That the file is moved into the quarantine of its site."""
    DELETION = "deletion"
    DIRECTORY_REMOVAL = "directory_removal"
    LOST = "lost"
    """Somebody has declared it lost; that is no request, and was done when it was said."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done about one path. ``request`` is the id of what asks for it, or what stands for that."""

    cls: Class
    path: str
    kind: DeedKind
    request: str
    at_us: int


class Seen(NamedTuple):
    """A path in a class, and since when it has been seen there."""

    cls: Class
    path: str
    since_us: int


class Deeds:
    """The deeds of one inventory, at all its sites."""

    def __init__(self, store: Store) -> None:
        self._room = store.room(tables.metadata)

    def recorder(
        self, site: str, kind: DeedKind, request: str, findings: Sequence[Finding], at_us: int
    ) -> Callable[[Connection], None]:
        """What notes the deed for each of ``findings``: for ``Store.commit(also=...)``, as that asks for it."""

        def record(connection: Connection) -> None:
            rows = [(site, each.cls.value, each.path, kind.value, request, at_us) for each in findings]
            insert_rows(connection, tables.deed, _COLUMNS, rows)

        return record

    def last(self, site: str, seen: Iterable[Seen]) -> dict[tuple[Class, str], Deed]:
        """By class and path, what was done last since it was seen; what nothing was done about is left out."""
        found: dict[tuple[Class, str], Deed] = {}
        left = iter(seen)
        while piece := {(each.cls, each.path): each.since_us for each in islice(left, LOOKED_UP_AT_ONCE)}:
            paths = sorted({path for _, path in piece})
            there = (_deed.site == site) & _deed.path.in_(paths)
            last = select(func.max(_deed.number)).where(there).group_by(_deed["class"], _deed.path)
            with self._room.read() as connection:
                rows = connection.execute(select(tables.deed).where(_deed.number.in_(last))).mappings().all()
            for row in rows:
                key = Class(row["class"]), row["path"]
                if key in piece and row["at_us"] >= piece[key]:
                    found[key] = Deed(*key, DeedKind(row["kind"]), row["request"], row["at_us"])
        return found

    def forget(self, before_us: int) -> None:
        """Forget what was done before a moment, at all sites."""
        old = select(_deed.number).where(_deed.at_us < before_us).order_by(_deed.at_us).limit(FORGOTTEN_AT_ONCE)
        while self._is_any(old):
            with self._room.write() as connection:
                connection.execute(delete(tables.deed).where(_deed.number.in_(old)))

    def _is_any(self, query: Select[tuple[int]]) -> bool:
        """Whether a query finds anything: who only looks need not wait for the writer's turn."""
        with self._room.read() as connection:
            return connection.scalar(query.limit(1)) is not None
