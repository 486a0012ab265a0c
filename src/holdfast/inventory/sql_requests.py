"""Requests in the tables: found by id, dataset or site, put back when they have changed. Part of SqlSnapshot.

A body may be megabytes, and the same requests are asked for in every
transaction: what was read of one is kept in the process, with its text, and
read anew only when the text is another.

Rules
  * An answer that was given within a transaction is given again, until a request that belongs in it is put.
  * What is kept beyond a transaction takes up KEPT_BYTES of memory at most, by a rough count.
"""

from __future__ import annotations

import threading
from typing import Any

from sqlalchemy import Connection

from holdfast.inventory import request_text, schema, sql_many, sql_rows
from holdfast.model.names import DatasetKey
from holdfast.model.records import Request

KEPT_BYTES = 100_000_000
_TEXT_FACTOR, _ORDINAL_BYTES = 4, 40
"""A record takes up about as much as three times its text; an ordinal that is a bit in the text is a number here."""
OPEN = "open"

Question = tuple[str, bool, DatasetKey | None, str | None]
"""Kind, open ones only, of one dataset, at one site."""


class Decoded:
    """Requests as they were last read, by id, in order of their coming; any number of threads."""

    def __init__(self, bytes_max: int = KEPT_BYTES) -> None:
        self._bytes_max = bytes_max
        self._n_bytes = 0
        self._known: dict[str, tuple[str, Request, int]] = {}
        self._mutex = threading.Lock()

    def get(self, id: str, kind: str, body: str) -> Request:
        """The request whose text is ``body``."""
        known = self._known.get(id)
        if known is not None and known[0] == body and request_text.kind_of(known[1]) == kind:
            return known[1]
        request = request_text.read(kind, body)
        self.keep(request, body)
        return request

    def keep(self, request: Request, body: str) -> None:
        """Keep what a text says, and let go of what has been kept for longest, if need be."""
        n_bytes = _TEXT_FACTOR * len(body) + _ORDINAL_BYTES * sum(len(part.ordinals or ()) for part in request.scope)
        with self._mutex:
            self._let_go(request.id)
            self._known[request.id] = body, request, n_bytes
            self._n_bytes += n_bytes
            while self._n_bytes > self._bytes_max:
                self._let_go(next(iter(self._known)))

    def _let_go(self, id: str) -> None:
        known = self._known.pop(id, None)
        if known is not None:
            self._n_bytes -= known[2]


_decoded = Decoded()


class RequestRows:
    """The requests of one inventory within one transaction. Whoever has put some calls ``write`` at the end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answers: dict[Question, list[Any]] = {}
        self._found: dict[str, Request | None] = {}
        self._waiting: dict[str, Request] = {}
        """Put and not written yet."""

    def find(self, id: str) -> Request | None:
        """One request, open or not; None if there is none."""
        if id not in self._found:
            query = f"SELECT id, kind, body FROM request WHERE id = {sql_many.mark(self._connection)}"
            rows = sql_many.fetched(self._connection, query, (id,))
            self._found[id] = _decoded.get(*rows[0]) if rows else None
        return self._found[id]

    def chosen(self, kind: str, *, only_open: bool, dataset: DatasetKey | None, site: str | None) -> list[Any]:
        """The requests of one kind, oldest first; the list is the caller's own."""
        question = kind, only_open, dataset, site
        if question not in self._answers:
            if any(_belongs(request, question) for request in self._waiting.values()):
                self.write()
            self._answers[question] = self._read(*question)
        return self._answers[question].copy()

    def _read(self, kind: str, only_open: bool, dataset: DatasetKey | None, site: str | None) -> list[Any]:
        wanted = {
            "kind": kind,
            "state": OPEN if only_open else None,
            "dataset": None if dataset is None else str(dataset),
            "site": site,
        }
        given = {column: value for column, value in wanted.items() if value is not None}
        mark = sql_many.mark(self._connection)
        condition = " AND ".join(f"{column} = {mark}" for column in given)
        query = f"SELECT id, kind, body FROM request WHERE {condition}"
        found = [_decoded.get(*row) for row in sql_many.fetched(self._connection, query, tuple(given.values()))]
        return sorted(found, key=lambda request: (request.created_us, request.id))

    def put(self, request: Request) -> None:
        """Keep a request, a new one or one that has changed, and write it when it is asked for, or by ``write``."""
        self._found[request.id] = self._waiting[request.id] = request
        self._answers = {each: answer for each, answer in self._answers.items() if not _belongs(request, each)}

    def write(self) -> None:
        """Write what was put since; a request that has lost files many times is written once."""
        for request in self._waiting.values():
            kind, body = request_text.kind_of(request), request_text.written(request)
            dataset = None if request.dataset is None else str(request.dataset)
            row = {"kind": kind, "state": request.state.value, "site": request.site, "dataset": dataset, "body": body}
            sql_rows.put(self._connection, schema.request, {"id": request.id}, row)
            _decoded.keep(request, body)
        self._waiting = {}


def _belongs(request: Request, question: Question) -> bool:
    """Whether the answer to a question may have a request in it, as it was or as it is."""
    kind, _, dataset, site = question
    return request_text.kind_of(request) == kind and dataset in (None, request.dataset) and site in (None, request.site)
