"""A PostgreSQL server for a bench, and what it and we take together.

Debian's PostgreSQL in a folder of its own on the bench's disk, durable (``fsync``
and ``synchronous_commit`` on), with 1 GB of shared buffers. CPU is that of our
process and of all processes of the server.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.process_usage import tree_cpu_s
from bench.row import Row
from holdfast.testing.postgres_server import PostgresServer, installed_programs, postgres_server

SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "4GB", "autovacuum": "off"}


@dataclass
class Taken:
    """What a piece of work took; filled in at its end."""

    own_cpu_s: float = 0.0
    server_cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def cpu_s(self) -> float:
        """Ours and the server's."""
        return self.own_cpu_s + self.server_cpu_s

    def rate(self, n: int) -> str:
        """Both rates, as text."""
        return f"{n / self.cpu_s:,.0f}/CPU s, {n / self.wall_s:,.0f}/s"


def is_there() -> bool:
    """Whether this machine has a PostgreSQL."""
    return installed_programs() is not None


def missing(what: str) -> Row:
    """The row of a bench that needs a PostgreSQL where there is none."""
    return Row(what, "no PostgreSQL on this machine", "", None)


@contextmanager
def server(workdir: Path, **settings: str) -> Iterator[PostgresServer]:
    """A server that runs, its data on the bench's disk; ``settings`` go before those above."""
    programs = installed_programs()
    if programs is None:
        raise FileNotFoundError("no PostgreSQL on this machine")
    with postgres_server(programs, within=enterable(workdir), settings={**SETTINGS, **settings}) as running:
        yield running


def enterable(workdir: Path) -> Path | None:
    """``workdir`` if the account that runs a server may enter it, else where temporary folders are."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in workdir.resolve().parents):
        return workdir
    return None


@contextmanager
def taking(server_pid: int = 0) -> Iterator[Taken]:
    """What is done within, measured; without a server ours alone."""
    taken = Taken()
    own, others, wall = time.process_time(), _server_cpu_s(server_pid), time.perf_counter()
    yield taken
    taken.own_cpu_s = time.process_time() - own
    taken.server_cpu_s = _server_cpu_s(server_pid) - others
    taken.wall_s = time.perf_counter() - wall


def _server_cpu_s(pid: int) -> float:
    return tree_cpu_s(pid) if pid else 0.0
