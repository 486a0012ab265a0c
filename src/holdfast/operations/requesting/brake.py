"""Brake: how much of a site may be asked to go within a day before somebody has to say that it is meant so.

What may go file by file is decided elsewhere (``holdfast.inventory.deletion``);
this stops the mistake that is right for each file and wrong for all of them.

Rules
  * Counted are the files of deletions of replicas that were asked for at the
    site within the last day or are still open, but not what was taken back.
  * It is decided in the transaction that asks, so that of many who ask at once
    each counts the ones before.
  * Removals of orphans are not counted: nobody misses these, and a check has
    limits of its own for them.

Raises Conflict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, delete, insert, select, update

from holdfast.config.operations import SiteOperationsSettings
from holdfast.model.clock import DAY_US
from holdfast.model.errors import Conflict

metadata = MetaData()

asked = Table(
    "operations_asked_to_go",
    metadata,
    Column("request", Text, primary_key=True),
    Column("site", Text, nullable=False, index=True),
    Column("asked_us", BigInteger, nullable=False),
    Column("n_files", BigInteger, nullable=False),
)
"""A row for each deletion of replicas that still counts."""


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """``share`` of what a site holds may go in a day, and ``n_files_free`` files in any case."""

    share: float = 1.0
    n_files_free: int = 0

    @staticmethod
    def of(settings: SiteOperationsSettings) -> BrakeLimits:
        """Those of a site, by the configuration."""
        return BrakeLimits(settings.brake_share, settings.brake_files_min)


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked to go at a site: ``n_before`` files by others, ``n_more`` now, of the ``n_files`` that it had."""

    site: str
    n_before: int
    n_more: int
    n_files: int

    @property
    def n_going(self) -> int:
        """All that would go."""
        return self.n_before + self.n_more


def refusal(load: Load, limits: BrakeLimits) -> Conflict | None:
    """Why so much may not go unless somebody says that it is meant so; None if it may."""
    if load.n_going <= max(limits.n_files_free, limits.share * load.n_files):
        return None
    share = f"{load.n_going / max(1, load.n_files):.1%}"
    before = f", {load.n_before:,} of them by requests of the last day" if load.n_before else ""
    message = f"{load.site} would lose {load.n_going:,} of {load.n_files:,} files ({share}{before})"
    message += f", more than the {limits.share:.1%} that may go in a day"
    return Conflict(message, rows=(load.site,), hint="say --despite-brake if that is meant")


@dataclass(frozen=True, slots=True)
class SiteHolding:
    """What a site holds, and how many files are left to do of each open deletion there, by request."""

    name: str
    n_held: int
    n_open: Mapping[str, int]


def pull(
    connection: Connection, request: str, site: SiteHolding, n_more: int, limits: BrakeLimits | None, *, now_us: int
) -> None:
    """Count a request that is being made, in its transaction; Conflict if it would be too much. None: no limits."""
    rows = connection.execute(select(asked).where(asked.c.site == site.name)).all()
    counted = [row for row in rows if row.asked_us > now_us - DAY_US or row.request in site.n_open]
    for row in rows:
        if row not in counted:
            connection.execute(delete(asked).where(asked.c.request == row.request))
    n_gone = sum(max(0, row.n_files - site.n_open.get(row.request, 0)) for row in counted)
    load = Load(site.name, sum(row.n_files for row in counted), n_more, site.n_held + n_gone)
    refused = None if limits is None else refusal(load, limits)
    if refused is not None:
        raise refused
    connection.execute(insert(asked).values(request=request, site=site.name, asked_us=now_us, n_files=n_more))


def take_back(connection: Connection, request: str, n_files: int) -> None:
    """So many files of a request are not to go after all; nothing is done about one that does not count."""
    row = asked.c.request == request
    connection.execute(update(asked).where(row).values(n_files=asked.c.n_files - n_files))
    connection.execute(delete(asked).where(row, asked.c.n_files <= 0))
