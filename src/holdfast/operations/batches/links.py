"""Links: how well files come from one site to another: rates, counts, failures since the last success.

What is heard between two writes is gathered in memory (``LinkBook``) and
written with one statement; several workers may write of the same link.

Rules
  * The rate is bytes per second of a file's own time, however many files are under way at once. It is the mean of what
    was measured, the more the younger: after RATE_S of a file's time a measurement has lost most of its weight.
  * A success ends the row of failures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import exp

from sqlalchemy import Connection, RowMapping, select

from holdfast.inventory.sql_many import put_rows
from holdfast.operations.batches import tables
from holdfast.operations.batches.rows import words
from holdfast.operations.codes import Code

RATE_S = 600.0
SECONDS_MIN = 0.001
"""No file comes quicker than this, whatever the clock says."""

Key = tuple[str, str]
"""Source and destination."""

_COLUMNS = tuple(tables.link.columns.keys())


@dataclass(frozen=True, slots=True)
class Link:
    """One direction between two sites, as far as it was used."""

    source: str
    destination: str
    rate_bytes_s: float | None = None
    """None: nothing was measured yet."""
    n_done: int = 0
    size_done: int = 0
    n_failed_row: int = 0
    """Failures since the last success."""
    n_failed: int = 0
    last_error: str = ""
    last_code: Code | None = None
    last_failure_us: int | None = None
    last_success_us: int | None = None

    @property
    def key(self) -> Key:
        """What a link is known by."""
        return self.source, self.destination

    def after_success(self, n_files: int, size: int, seconds: float, now_us: int) -> Link:
        """The link when so many more files have come, in so much time of theirs."""
        seconds = max(seconds, n_files * SECONDS_MIN)
        measured = size / seconds
        weight = 1.0 if self.rate_bytes_s is None else 1 - exp(-seconds / RATE_S)
        return replace(
            self,
            rate_bytes_s=measured * weight + (self.rate_bytes_s or 0.0) * (1 - weight),
            n_done=self.n_done + n_files,
            size_done=self.size_done + size,
            n_failed_row=0,
            last_success_us=now_us,
        )

    def after_failure(self, n_files: int, code: Code, error: str, now_us: int) -> Link:
        """The link when so many files more have failed."""
        return replace(
            self,
            n_failed_row=self.n_failed_row + n_files,
            n_failed=self.n_failed + n_files,
            last_error=words(error),
            last_code=code,
            last_failure_us=now_us,
        )


class LinkBook:
    """What was heard of links since it was last written down."""

    def __init__(self) -> None:
        self._heard: dict[Key, list[_Success | _Failure]] = {}

    def note_success(
        self, source: str, destination: str, *, n_files: int = 1, size: int, seconds: float, now_us: int
    ) -> None:
        """Files have come, in so much time of theirs together."""
        heard = self._heard.setdefault((source, destination), [])
        last = heard[-1] if heard else None
        if isinstance(last, _Success):
            n_files, size, seconds = n_files + last.n_files, size + last.size, seconds + last.seconds
            heard.pop()
        heard.append(_Success(n_files, size, seconds, now_us))

    def note_failure(
        self, source: str, destination: str, *, n_files: int = 1, code: Code, error: str, now_us: int
    ) -> None:
        """Files have not come, for a reason that lies in the link or its source."""
        heard = self._heard.setdefault((source, destination), [])
        if heard and isinstance(heard[-1], _Failure):
            n_files += heard.pop().n_files
        heard.append(_Failure(n_files, code, error, now_us))

    def write(self, connection: Connection) -> None:
        """Write it down; ``clear`` when the transaction stands, for it may be called again with another."""
        put_links(connection, self.applied(read_links(connection, self._heard)).values())

    def applied(self, links: dict[Key, Link]) -> dict[Key, Link]:
        """Links, and those that were heard of, as they are with what was heard."""
        found = dict(links)
        for key, heard in self._heard.items():
            link = found.get(key, Link(*key))
            for each in heard:
                link = each.on(link)
            found[key] = link
        return found

    def clear(self) -> None:
        """Forget what was written down."""
        self._heard.clear()


@dataclass(frozen=True, slots=True)
class _Success:
    n_files: int
    size: int
    seconds: float
    now_us: int

    def on(self, link: Link) -> Link:
        return link.after_success(self.n_files, self.size, self.seconds, self.now_us)


@dataclass(frozen=True, slots=True)
class _Failure:
    n_files: int
    code: Code
    error: str
    now_us: int

    def on(self, link: Link) -> Link:
        return link.after_failure(self.n_files, self.code, self.error, self.now_us)


def read_links(connection: Connection, wanted: Iterable[Key] | None = None) -> dict[Key, Link]:
    """All links that were ever used, or those of ``wanted`` that were, in their order."""
    query = select(tables.link).order_by(tables.link.c.source, tables.link.c.destination)
    # There are some thousands of links at most.
    found = [_link(row._mapping) for row in connection.execute(query)]
    only = None if wanted is None else frozenset(wanted)
    return {link.key: link for link in found if only is None or link.key in only}


def put_links(connection: Connection, links: Iterable[Link]) -> None:
    """Write links as they are."""
    rows = [tuple(_column(getattr(link, name), name) for name in _COLUMNS) for link in links]
    put_rows(connection, tables.link.name, _COLUMNS[:2], _COLUMNS, rows)


def _link(row: RowMapping) -> Link:
    code = Code(row["last_code"]) if row["last_code"] else None
    return Link(**{**row, "last_code": code})


def _column(value: object, name: str) -> object:
    return value or "" if name == "last_code" else value
