"""A service FTS3, two storages that are folders, somebody with a proxy, and a desk that remembers: for tests of the
engine ``fts``."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.config.engines import FtsSettings
from holdfast.model.clock import system_clock
from holdfast.operations.engine import ClaimLost, Job, Outcome, Place, Transfer
from holdfast.operations.engines.fts.engine import FtsEngine
from holdfast.storage.driver import StorageDriver
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.servers.fts_server import FtsServer, fts_server
from holdfast.testing.servers.test_authority import TestAuthority
from holdfast.testing.servers.test_user import TestUser

BERN, OSLO, TAPE = "davs://bern.test/data", "davs://oslo.test/data", "davs://tape.test/data"
POLL_S = 0.02


@dataclass
class MemoryDesk:
    """Remembers what it is told."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    handles: list[str] = field(default_factory=list)
    moved_bytes: dict[int, int] = field(default_factory=dict)
    is_lost: bool = False
    n_checks: int = 0

    async def check(self) -> None:
        self.n_checks += 1
        if self.is_lost:
            raise ClaimLost("somebody else has it")

    async def keep(self, handle: str) -> None:
        await self.check()
        self.handles.append(handle)

    def moved(self, ordinal: int, n_bytes: int) -> None:
        self.moved_bytes[ordinal] = self.moved_bytes.get(ordinal, 0) + n_bytes

    def settle(self, ordinal: int, outcome: Outcome) -> None:
        assert ordinal not in self.outcomes, "settled twice"
        self.outcomes[ordinal] = outcome

    @property
    def verdicts(self) -> dict[int, str]:
        return {ordinal: outcome.verdict.value for ordinal, outcome in sorted(self.outcomes.items())}


class FtsWorld:
    """See the module's docstring."""

    def __init__(self, folder: Path, authority: TestAuthority, server: FtsServer) -> None:
        self.folder = folder
        self.authority = authority
        self.server = server
        self.user = TestUser(authority, "Alice")
        self.proxy = self.user.proxy(folder / "proxy")
        self.bern, self.oslo, self.tape = (server.folder / f"storage-{number}" for number in range(3))

    def settings(self, **changed: Any) -> FtsSettings:
        """Of an engine that hurries."""
        return FtsSettings(
            **{
                "url": self.server.url,
                "proxy": self.proxy,
                "authorities": self.authority.certs,
                "poll_interval_s": max(POLL_S, 0.05),
                "connect_timeout_s": 1.0,
                "call_timeout_s": 2.0,
                **changed,
            }
        )

    def engine(self, **changed: Any) -> FtsEngine:
        """One that gives up soon."""
        return FtsEngine(self.settings(**changed), system_clock, patience_s=2.0, away_s=2.0)

    def source(self, name: str, data: bytes, *, site: str = "bern") -> Place:
        """A file that is there."""
        folder, url = {"bern": (self.bern, BERN), "tape": (self.tape, TAPE)}[site]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return place(site, PosixDriver(folder, label=f"{site}:{folder}"), url, f"/{name}", is_tape=site == "tape")

    def transfer(self, ordinal: int, name: str, data: bytes, *, site: str = "bern", **changed: Any) -> Transfer:
        """A file that is at one site, to be brought to oslo."""
        values: dict[str, Any] = {
            "token": f"c1t{ordinal}",
            "size": len(data),
            "checksums": {"adler32": f"{zlib.adler32(data):08x}"},
            "source": self.source(name, data, site=site),
            "destination": place("oslo", PosixDriver(self.oslo, label=f"oslo:{self.oslo}"), OSLO, f"/{name}"),
        }
        return Transfer(ordinal, **{**values, **changed})

    def transfers(self, count: int, *, prefix: str = "d/f") -> list[Transfer]:
        """Some."""
        return [self.transfer(number, f"{prefix}{number}", f"data {number}".encode()) for number in range(count)]

    def left(self) -> list[str]:
        """All that lies at oslo."""
        return sorted(str(path.relative_to(self.oslo)) for path in self.oslo.rglob("*") if path.is_file())


def place(site: str, driver: StorageDriver, url: str, path: str, *, is_tape: bool = False) -> Place:
    """A file's place, its PFN made as doors make it."""
    return Place(site, driver, path, url + path, is_tape)


def job(transfers: Sequence[Transfer], *, claim: str = "c1", handle: str = "", streams: int = 8) -> Job:
    """A job of these files."""
    return Job(claim, transfers, streams=streams, handle=handle)


@contextmanager
def fts_world(
    folder: Path, *, issuers: Sequence[str] = (), served: Mapping[str, Path] | None = None
) -> Iterator[FtsWorld]:
    """A world whose service runs. ``served``: further storages, whose folders somebody else serves."""
    authority = TestAuthority(folder / "authority")
    with fts_server(authority, storages=[BERN, OSLO], tapes=[TAPE], issuers=issuers, served=served or {}) as server:
        yield FtsWorld(folder, authority, server)
