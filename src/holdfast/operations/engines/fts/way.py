"""FtsWay: how one file comes to its place where FTS3 writes it; the Way of ``placing``.

Rules
  * What the service says of a failure is never believed against the source
    without asking the source.
  * Bytes that arrived wrong are held against the source.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations import codes
from holdfast.operations.codes import Code
from holdfast.operations.engine import Transfer
from holdfast.operations.engines import proving
from holdfast.operations.engines.fts import addresses, reasons, replies
from holdfast.operations.engines.fts.replies import FileReport
from holdfast.operations.engines.fts.submission import FileToBring
from holdfast.operations.engines.placing import Way
from holdfast.operations.engines.proving import AskingPatience, Depth, EngineFault


class FtsWay(Way):
    """The way of one transfer. ``bring`` has the service bring a file; it returns how that has ended."""

    past_us = True
    goes_on = True

    def __init__(
        self,
        transfer: Transfer,
        bring: Callable[[FileToBring], Awaitable[FileReport | EngineFault]],
        *,
        reads: bool,
        patience: AskingPatience,
    ) -> None:
        self._transfer = transfer
        self._bring = bring
        self.reads = reads
        self.patience = patience
        self.depth = Depth.CHEAP if reads else Depth.TOLD
        self.was_occupied = False
        """The service has found something in the place, which was not there when we looked."""

    async def write(self, path: str) -> None:
        """Wait until the service has written ``path``."""
        source = await addresses.of_source(self._transfer.source)
        destination = await addresses.of_destination(self._transfer.destination, path)
        end = await self._bring(FileToBring(self._transfer, source, destination))
        if isinstance(end, EngineFault):
            raise end
        if end.state != replies.FINISHED:
            raise await self._fault(end, path)

    async def rehearse(self) -> None:
        """Prove the source, by what it tells or by its bytes."""
        transfer = self._transfer
        try:
            found = await proving.ask(transfer.source, proving.algorithms(transfer), self.depth)
        except BrokenInvariant:
            raise
        except HoldfastError as error:
            raise EngineFault(codes.of_source(error), proving.at(transfer.source, error)) from error
        why = proving.difference(transfer, found)
        if why:
            raise EngineFault(Code.SOURCE_WRONG, f"source is wrong: {transfer.source}: {why}")

    async def blame(self, fault: EngineFault) -> EngineFault:
        """Whose fault it is that wrong bytes have arrived."""
        return await proving.blame(self._transfer, fault, Depth.READ if self.reads else Depth.TOLD)

    async def _fault(self, end: FileReport, path: str) -> EngineFault:
        """Why the service could not bring the file."""
        transfer = self._transfer
        said = f"FTS: {end.reason or 'it gives no reason'}"
        if end.state == replies.CANCELED:
            return EngineFault(Code.STOPPED, f"cancelled; {said}")
        reason = reasons.of(end.reason)
        if reason.is_occupied:
            self.was_occupied = path == transfer.destination.path
            return EngineFault(Code.DESTINATION_FAILED, f"{transfer.destination}: {said}")
        if reason.is_suspect:
            blamed = await proving.blame(transfer, EngineFault(Code.DAMAGED, said), self.depth)
            if blamed.code is not Code.DAMAGED:
                return blamed
        return EngineFault(reason.code, f"{transfer.source} to {transfer.destination}: {said}")
