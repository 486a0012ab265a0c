"""CommandEngine: a program that the site already has moves the files, one at a time or a batch at a time.

What the program does is its own affair; whether the file has come is ours. It
writes each file under its part's name, where the destination can rename, and
the part gets its name once it has been proved.

Rules, beside those of the contract
  * A template with ``{list}`` is run once for a job, any other once for each file.
  * Exit code 0 is no proof, and another code no disproof: unless the
    configuration explains the code, the file is looked at, and good is good.
  * Where a file has not come, the source is asked before the program is
    blamed: one that is missing or has other bytes is called so.
  * Directories are made through the destination's own driver, before.
  * Where the destination cannot rename, the program is not run over a file
    that has come there meanwhile, nor twice at once for one name, and what it
    leaves behind is removed.
  * Progress is told file by file: nobody knows how far a program is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from holdfast.config import CommandSettings, templates
from holdfast.model import checksums
from holdfast.model.clock import Clock
from holdfast.operations.codes import Code
from holdfast.operations.engine import Check, Desk, Job, Note, Outcome, Place, Transfer, Verdict
from holdfast.operations.engines import placing
from holdfast.operations.engines.mover import Mover, Said
from holdfast.operations.engines.mover_batch import MoverBatch
from holdfast.operations.engines.mover_files import FileToMove, checksum_of
from holdfast.operations.engines.mover_way import Bring, MoverWay
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.operations.engines.proving import EngineFault
from holdfast.storage.access import Access
from holdfast.storage.carried_out import carried_out


class CommandEngine:
    """The TransferEngine of ``[operations.command]``; ``access`` gives that of a site by its name."""

    name = "command"

    def __init__(self, settings: CommandSettings, access: Callable[[str], Access], clock: Clock) -> None:
        self._settings = settings
        self._mover = Mover(settings, access)
        self._clock = clock
        self._fields = templates.fields_of(settings.template)
        self._writing: set[tuple[str, str]] = set()

    @property
    def outlives_caller(self) -> bool:
        """The program dies with us, where the system can do that; what it has started itself does not."""
        return True

    def can(self, source: Place, destination: Place) -> str:
        """All sites that have names for their files that a program can use, and where we may at least tidy up."""
        if not self._settings.template:
            return "there is no template in [operations.command]"
        if not destination.driver.capabilities.writable:
            return f"the storage of {destination.site} cannot be written through its door"
        return ""

    async def carry(self, job: Job, desk: Desk) -> None:
        """Bring the files of one job."""
        if not self._settings.is_of_batches:
            await OneByOne(_Files(self._bring, self._clock, self._writing)).carry(job, desk)
            return
        batch = MoverBatch(self._mover, job, desk, list_format=self._settings.list_format)
        try:
            # Of those that only wait for the program there is no limit: it is to have all of them in its list.
            everything = replace(job, streams=len(job.transfers))
            await OneByOne(_BatchFiles(batch, self._clock, self._writing)).carry(everything, desk)
        finally:
            await carried_out(batch.close())

    async def cancel(self, handle: str) -> None:
        """Nothing: programs end with the jobs that they are run for."""

    async def discard(self, destination: Place, token: str) -> None:
        """Remove the part of an interrupted transfer."""
        await placing.discard(destination, token)

    async def close(self) -> None:
        """Nothing is held."""

    async def _bring(self, wanted: FileToMove) -> Said:
        transfer = wanted.transfer
        lacking = sorted(self._fields.intersection(checksums.DIGITS).difference(transfer.checksums))
        if lacking:
            raise EngineFault(
                Code.NO_CHECKSUM, f"the template wants {lacking[0]}, which the inventory does not know of it"
            )
        source, destination = transfer.source, transfer.destination
        values = {
            "source": wanted.source,
            "source_site": source.site,
            "source_path": source.path,
            "destination": wanted.destination,
            "destination_site": destination.site,
            "destination_path": wanted.path,
            "size": str(transfer.size),
            "checksum": checksum_of(transfer.checksums),
            **transfer.checksums,
        }
        return await self._mover.run(source.site, destination.site, values)


class _Files:
    """The FileEngine for programs that are run for each file."""

    name = CommandEngine.name

    def __init__(self, bring: Bring, clock: Clock, writing: set[tuple[str, str]]) -> None:
        self._bring = bring
        self._clock = clock
        self._directories: set[str] = set()
        self._writing = writing

    def can(self, source: Place, destination: Place) -> str:
        """Whoever made it has asked."""
        return ""

    async def transfer(self, transfer: Transfer, check: Check, note: Note) -> Outcome:
        """Bring one file, or say why not."""
        way = MoverWay(transfer, check, self._bring, directories=self._directories, writing=self._writing)
        outcome = await placing.place(transfer, check, self._clock, way)
        if outcome.verdict is Verdict.COPIED:
            note(transfer.size)
        return outcome

    async def discard(self, destination: Place, token: str) -> None:
        """Remove the part of an interrupted transfer."""
        await placing.discard(destination, token)

    async def close(self) -> None:
        """Nothing is held."""


class _BatchFiles(_Files):
    """The FileEngine for programs that are run for a job."""

    def __init__(self, batch: MoverBatch, clock: Clock, writing: set[tuple[str, str]]) -> None:
        super().__init__(batch.bring, clock, writing)
        self._batch = batch

    async def transfer(self, transfer: Transfer, check: Check, note: Note) -> Outcome:
        """Bring one file with the others, or say why not."""
        try:
            await self._batch.enter(transfer.ordinal)
            return await super().transfer(transfer, check, note)
        finally:
            self._batch.leave(transfer.ordinal)
