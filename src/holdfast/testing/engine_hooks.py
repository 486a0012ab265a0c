"""What EngineSuite needs to know of an engine and two storages, and what its tests share. No rule is stated here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from holdfast.model.checksums import Checksums
from holdfast.operations.codes import Code
from holdfast.operations.engine import ClaimLost, Job, Outcome, Place, Transfer, TransferEngine, Verdict
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import StorageDriver
from holdfast.testing.driver_hooks import pattern
from holdfast.testing.engine_drivers import PROVING, MeddledDriver, RememberingDriver

DATA = pattern(100_000)
"""What most tests bring."""
SOURCE, DESTINATION = "SOURCE", "DESTINATION"
STALLED = "the storage has been silent for"
STALLS_MAX = 3


class MemoryDesk:
    """A desk that keeps all it is told. ``checks`` are how often the claim is found ours; None: always."""

    def __init__(self, *, checks: int | None = None) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.n_bytes: dict[int, int] = {}
        self.handles: list[str] = []
        self.n_checks = 0
        self._checks = checks

    async def check(self) -> None:
        """ClaimLost after the last that is granted."""
        await asyncio.sleep(0)
        self.n_checks += 1
        if self._checks is not None and self.n_checks > self._checks:
            raise ClaimLost("the claim is not ours any more")

    async def keep(self, handle: str) -> None:
        """Remember the handle."""
        await self.check()
        self.handles.append(handle)

    def moved(self, ordinal: int, n_bytes: int) -> None:
        """Count."""
        assert n_bytes >= 0
        self.n_bytes[ordinal] = self.n_bytes.get(ordinal, 0) + n_bytes

    def settle(self, ordinal: int, outcome: Outcome) -> None:
        """Remember; settling twice is a bug."""
        assert ordinal not in self.outcomes, f"{ordinal} is settled twice"
        assert (outcome.code is None) == (outcome.verdict is not Verdict.FAILED)
        self.outcomes[ordinal] = outcome


@dataclass
class Ends:
    """The two ends of a link during one scenario, and the engine between them."""

    engine: TransferEngine
    source: StorageDriver
    destination: StorageDriver
    hooks: EngineHooks
    count: int = field(default=0)

    def transfer(
        self,
        path: str = "/a/file",
        data: bytes = DATA,
        *,
        replaceable: Callable[[], str] | None = None,
        checksums: Mapping[str, str] | None = None,
        size: int | None = None,
    ) -> Transfer:
        """A transfer of what should be ``data``, from and to one and the same path."""
        self.count += 1
        if checksums is None:
            checksums = digests_of(data, self.hooks.algorithms)
        return Transfer(
            ordinal=self.count,
            token=f"{self.hooks.claim}{self.count}",
            size=len(data) if size is None else size,
            checksums=checksums,
            source=Place(SOURCE, self.source, path, self.hooks.source_pfn(path)),
            destination=Place(DESTINATION, self.destination, path, self.hooks.destination_pfn(path)),
            replaceable=replaceable,
        )

    def job(self, *transfers: Transfer, streams: int = 4) -> Job:
        """One job, with a claim of its own."""
        return Job(f"{self.hooks.claim}job{self.count}", transfers, streams=streams)

    async def carry(self, *transfers: Transfer, desk: MemoryDesk | None = None, streams: int = 4) -> list[Outcome]:
        """Bring them; the outcomes in their order."""
        desk = desk or MemoryDesk()
        await self.engine.carry(self.job(*transfers, streams=streams), desk)
        for _ in range(STALLS_MAX if self.hooks.may_stall else 0):
            again = [each for each in transfers if has_stalled(desk.outcomes[each.ordinal])]
            if not again:
                break
            for each in again:
                del desk.outcomes[each.ordinal]
            await self.engine.carry(self.job(*again, streams=1), desk)
        assert set(desk.outcomes) == {each.ordinal for each in transfers}
        return [desk.outcomes[each.ordinal] for each in transfers]

    async def carry_one(self, transfer: Transfer | None = None, desk: MemoryDesk | None = None) -> Outcome:
        """Bring one; its outcome."""
        (outcome,) = await self.carry(transfer or self.transfer(), desk=desk)
        return outcome


def has_stalled(outcome: Outcome) -> bool:
    """Whether the file is not there because a storage did not move; no code tells that from other failures."""
    return outcome.verdict is Verdict.FAILED and STALLED in outcome.error


class EngineHooks:
    """What a test class tells the suite of its engine and its storages. Each test gets fresh, empty storages."""

    algorithms: ClassVar[tuple[str, ...]] = ("adler32",)
    """The checksums that the inventory has of the files that are brought."""
    claim: ClassVar[str] = "claim0"
    """What the tokens begin with: 0-9 a-z."""
    names: ClassVar[tuple[str, ...]] = ("with blank", "per%41cent", "grüße", "plus+and&equals=", "hash#")
    """Names that somebody has broken before, and that both ends can carry."""
    code_when_full: ClassVar[Code] = Code.DESTINATION_FULL
    """Another one where the storage fails without saying why."""
    may_stall: ClassVar[bool] = False
    """Whether the storages, left to themselves, now and then do not answer: such a file is tried again.

    XRootD 5.5 does so over https on a busy machine.
    """
    shows_progress: ClassVar[bool] = True
    """Whether the desk hears of all bytes of a file that was copied."""

    def make_engine(self) -> TransferEngine:
        """The engine, going by the system's clock. Called inside a running event loop."""
        raise NotImplementedError

    def make_source(self) -> StorageDriver:
        """A driver of the storage where files come from."""
        raise NotImplementedError

    def make_destination(self) -> StorageDriver:
        """A driver of the storage where they go."""
        raise NotImplementedError

    def source_pfn(self, path: str) -> str:
        """What other programs call a file at the source."""
        return f"file://{path}"

    def destination_pfn(self, path: str) -> str:
        """What other programs call a file at the destination."""
        return f"file://{path}"

    def put_source(self, path: str, data: bytes) -> None:
        """Make or overwrite a file at the source, its directories included, without the driver."""
        raise NotImplementedError

    def put(self, path: str, data: bytes) -> None:
        """The same at the destination."""
        raise NotImplementedError

    def get(self, path: str) -> bytes | None:
        """The bytes of a file at the destination, without the driver; None if there is no such file."""
        raise NotImplementedError

    def remove(self, path: str) -> None:
        """Remove a file at the destination, without the driver."""
        raise NotImplementedError

    def remove_source(self, path: str) -> None:
        """Remove a file at the source, without the driver."""
        raise NotImplementedError

    def paths(self) -> list[str]:
        """The paths of all files at the destination, parts included, sorted."""
        raise NotImplementedError

    def fill_up(self) -> None:
        """Leave room for some 10,000 bytes at the destination, not for 5 MB; skips where that cannot be had."""
        pytest.skip("no full destination can be made here")

    def run(
        self,
        scenario: Callable[[Ends], Awaitable[None]],
        *,
        at_source: Callable[[str, str], object] | None = None,
        at_destination: Callable[[str, str], object] | None = None,
        noted: Mapping[str, Checksums] | None = None,
    ) -> None:
        """Run a scenario; the callables hear of each call of a driver, and may raise.

        ``noted``: what the destination tells of some files, whatever their bytes are.
        """

        async def whole() -> None:
            source, destination = self.make_source(), self.make_destination()
            engine = self.make_engine()
            seen = destination if at_destination is None else MeddledDriver(destination, at_destination)
            if noted is not None:
                seen = RememberingDriver(seen, lambda operation, path: None, noted)
            try:
                await scenario(
                    Ends(
                        engine,
                        source if at_source is None else MeddledDriver(source, at_source),
                        seen,
                        self,
                    )
                )
            finally:
                await engine.close()
                await source.close()
                await destination.close()

        asyncio.run(whole())

    def when_arrived(self, meddle: Callable[[str], object]) -> Callable[[str, str], object]:
        """For ``at_destination``: ``meddle(path)`` once, when new bytes are there and are looked at for the first time.

        That is before they are proved, whoever has brought them.
        """
        seen: set[str] = set()

        def heard(operation: str, path: str) -> object:
            if operation not in PROVING or seen or self.get(path) is None:
                return None
            seen.add(path)
            return meddle(path)

        return heard
