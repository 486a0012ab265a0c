"""ThirdPartyEngine: the storages copy among themselves, past this process.

One engine for each protocol that storages speak to each other: ``http`` and
``root``. All that is particular to them is in their drivers.

Rules, beside those of the contract
  * The destination fetches; where it cannot, the source sends. Which of them can
    shows when they are asked. Where neither can, that try fails in passing, and
    from then on the link is not ours: its next engine takes over.
  * The destination's own word on size and checksum is the proof; what it does
    not tell is read by us, if ``reads`` allows that.
  * A proof is asked for again after each of PROOF_PAUSES_S before a copy is
    given up for want of an answer: servers that take checksums one after the
    other refuse those who come too many.
  * A copy of which no further byte comes is given up when the storage at the
    other end does not answer us either; it is looked at every LOOK_EVERY_S.
  * Of whatever went wrong the source is asked first: what it lacks, or has
    otherwise, is its fault. What it has rightly is put down to the destination.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

from holdfast.model import names
from holdfast.model.clock import Clock
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations import codes
from holdfast.operations.codes import Code
from holdfast.operations.engine import Check, Note, Outcome, Place, Transfer
from holdfast.operations.engines import placing, proving
from holdfast.operations.engines.accompanying import Silent, accompanied
from holdfast.operations.engines.glances import Glances
from holdfast.operations.engines.proving import AskingPatience, Depth, EngineFault, ProvenFile
from holdfast.storage.abilities import FarFile, ThirdPartyCopyDriver, copying
from holdfast.storage.driver import (
    NOT_TOLD,
    AlreadyThere,
    FarNotAllowed,
    Kind,
    NoSpace,
    NotAllowed,
    StorageDriver,
    Unsupported,
)

PROOF_PAUSES_S = (0.3, 1.0, 3.0)
LOOK_EVERY_S = 10.0

Sleep = Callable[[float], Awaitable[object]]


class ThirdPartyEngine:
    """The FileEngine of one protocol: ``name`` is the engine's, ``over`` what the drivers call the protocol."""

    def __init__(self, name: str, over: str, clock: Clock, *, reads: bool = True, sleep: Sleep = asyncio.sleep) -> None:
        self.reads = reads
        self.patience = AskingPatience(PROOF_PAUSES_S, sleep)
        self.glances = Glances()
        self._name = name
        self._over = over
        self._clock = clock
        self._fetching: WeakKeyDictionary[StorageDriver, bool] = WeakKeyDictionary()
        self._sending: WeakKeyDictionary[StorageDriver, bool] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    def can(self, source: Place, destination: Place) -> str:
        """Both ends have to be doors of the protocol, and one of them must not have shown that it does not copy."""
        for place in (source, destination):
            driver = copying(place.driver)
            if driver is None or driver.copies_over != self._over:
                return f"the door of {place.site} does not copy over {self._over}"
        if not (self.fetches(destination.driver) or self._sending.get(source.driver, True)):
            return f"{destination.site} does not fetch files and {source.site} does not send them"
        return ""

    async def transfer(self, transfer: Transfer, check: Check, note: Note) -> Outcome:
        """Bring one file, or say why not."""
        source, destination = copying(transfer.source.driver), copying(transfer.destination.driver)
        if source is None or destination is None:
            return EngineFault(Code.UNSUPPORTED, self.can(transfer.source, transfer.destination)).outcome
        way = _Way(self, transfer, source, destination, note)
        return await placing.place(transfer, check, self._clock, way)

    async def discard(self, destination: Place, token: str) -> None:
        """Remove the part of an interrupted transfer."""
        await placing.discard(destination, token)

    async def close(self) -> None:
        """End what is looked at beside."""
        await self.glances.close()

    def fetches(self, driver: StorageDriver) -> bool:
        """Whether this storage may be able to fetch."""
        return self._fetching.get(driver, True)

    def has_fetched(self, driver: StorageDriver) -> None:
        """It can."""
        self._fetching[driver] = True

    def has_failed_to_fetch(self, driver: StorageDriver) -> None:
        """It says that it cannot, and is not asked again; unless it could before: then it was about that one file."""
        self._fetching.setdefault(driver, False)

    def has_sent(self, driver: StorageDriver) -> None:
        """This storage can send."""
        self._sending[driver] = True

    def has_failed_to_send(self, driver: StorageDriver) -> None:
        """It says that it cannot; that counts as it does of fetching."""
        self._sending.setdefault(driver, False)


def http_engine(clock: Clock, *, reads: bool = True) -> ThirdPartyEngine:
    """Between doors of http, https, dav, davs, webdav."""
    return ThirdPartyEngine("http", "http", clock, reads=reads)


def xrootd_engine(clock: Clock, *, reads: bool = True) -> ThirdPartyEngine:
    """Between doors of root and roots."""
    return ThirdPartyEngine("xrootd", "root", clock, reads=reads)


class _Way(placing.Way):
    """How one file comes from one storage to the other."""

    past_us = True

    def __init__(
        self,
        engine: ThirdPartyEngine,
        transfer: Transfer,
        source: ThirdPartyCopyDriver,
        destination: ThirdPartyCopyDriver,
        note: Note,
    ) -> None:
        self._engine = engine
        self._transfer = transfer
        self._source, self._destination = source, destination
        self._note = note
        self.reads = engine.reads
        self.depth = Depth.CHEAP if engine.reads else Depth.TOLD
        self.patience = engine.patience
        self.glances = engine.glances

    async def write(self, path: str) -> ProvenFile | None:
        """Let the storages make the new file ``path``; what the destination has told of it, if anything."""
        try:
            return await self._bring(path)
        except AlreadyThere:
            if path == self._transfer.destination.path:
                raise
            # Left by an interrupted try with our token; nobody else uses that name.
            await placing.discard(self._transfer.destination, self._transfer.token)
            return await self._bring(path)

    async def rehearse(self) -> None:
        """Ask the source what it has."""
        await proving.prove_source(self._transfer, self.depth)

    async def blame(self, fault: EngineFault) -> EngineFault:
        """Hold what has arrived against the source."""
        return await proving.blame(self._transfer, fault, Depth.READ if self.reads else Depth.TOLD)

    async def _bring(self, path: str) -> ProvenFile | None:
        progress = _Progress(self._note)
        found: ProvenFile | None = None
        if self._engine.fetches(self._transfer.destination.driver):
            try:
                found = await self._fetch(path, progress)
            except Unsupported as error:
                self._engine.has_failed_to_fetch(self._transfer.destination.driver)
                await self._send(path, progress, error)
            else:
                self._engine.has_fetched(self._transfer.destination.driver)
        else:
            await self._send(path, progress, None)
        progress(self._transfer.size)
        return found

    async def _fetch(self, path: str, progress: _Progress) -> ProvenFile | None:
        source, wanted = self._transfer.source, proving.algorithms(self._transfer)
        far = await self._far(source, self._source)
        try:
            digest = await accompanied(
                self._destination.pull(path, far, size=self._transfer.size, wanted=wanted, progress=progress),
                progress.done,
                lambda: source.driver.stat(source.path),
                every_s=LOOK_EVERY_S,
            )
        except Silent as silent:
            raise EngineFault(Code.SOURCE_FAILED, proving.at(source, silent.error)) from silent
        except FarNotAllowed as error:
            raise EngineFault(Code.SOURCE_REFUSED, f"{source}: lets the destination read nothing: {error}") from error
        except (AlreadyThere, BrokenInvariant, NoSpace, NotAllowed, Unsupported):
            raise
        except HoldfastError as error:
            raise await self._whose(error) from error
        return ProvenFile(digest.checksums, digest.stat) if digest.checksums else None

    async def _send(self, path: str, progress: _Progress, refused: Unsupported | None) -> None:
        source, destination = self._transfer.source, self._transfer.destination
        far = await self._far(replace(destination, path=path), self._destination)
        await destination.driver.make_directory(names.split(path)[0])
        try:
            await accompanied(
                self._source.push(source.path, far, progress=progress),
                progress.done,
                lambda: destination.driver.stat(path),
                every_s=LOOK_EVERY_S,
            )
        except Silent as silent:
            raise EngineFault(Code.DESTINATION_FAILED, proving.at(destination, silent.error)) from silent
        except Unsupported as error:
            self._engine.has_failed_to_send(source.driver)
            why = f"{destination.site} does not fetch it and {source.site} does not send it: {refused or error}"
            is_ours = not self._engine.can(source, destination)
            raise EngineFault(Code.UNSUPPORTED if is_ours else Code.ENGINE_FAILED, why) from error
        except (AlreadyThere, BrokenInvariant, FarNotAllowed, NoSpace):
            raise
        except NotAllowed as error:
            raise EngineFault(Code.SOURCE_REFUSED, proving.at(source, error)) from error
        except HoldfastError as error:
            raise await self._whose(error) from error
        self._engine.has_sent(source.driver)

    async def _far(self, place: Place, driver: ThirdPartyCopyDriver) -> FarFile:
        """A file as the other storage is told of it; what keeps us from telling is its own site's fault."""
        try:
            return await driver.far_file(place.path)
        except BrokenInvariant:
            raise
        except HoldfastError as error:
            of = codes.of_source if driver is self._source else codes.of_destination
            raise EngineFault(of(error), proving.at(place, error)) from error

    async def _whose(self, error: HoldfastError) -> HoldfastError:
        """The source's fault, if it has one; else the error, which then is the destination's."""
        source = self._transfer.source
        try:
            stat = await source.driver.stat(source.path)
        except BrokenInvariant:
            raise
        except HoldfastError as failed:
            return EngineFault(codes.of_source(failed), proving.at(source, failed))
        if stat.kind is not Kind.FILE:
            return EngineFault(Code.SOURCE_MISSING, f"{source}: is no file")
        if stat.size not in (self._transfer.size, NOT_TOLD):
            why = f"has {stat.size} bytes, not {self._transfer.size}"
            return EngineFault(Code.SOURCE_WRONG, f"source is wrong: {source}: {why}")
        return error


class _Progress:
    """Turns how much is done into how much more is done."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._done = 0

    def __call__(self, done: int) -> None:
        if done > self._done:
            self._note(done - self._done)
            self._done = done

    def done(self) -> int:
        """So much is done."""
        return self._done
