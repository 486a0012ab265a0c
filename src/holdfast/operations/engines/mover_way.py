"""MoverWay: how one file comes to its destination by a mover, and what its end means for the file.

Rules
  * What the program says has come is proved by whoever asked (``placing``).
    What it does not say is proved here, and good is good.
  * The source is asked before the program is blamed.
  * Under a final name the program is only run where nothing is, by one of us at
    a time; what it leaves there if it fails is removed, while the claim is ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from holdfast import logs
from holdfast.model import names
from holdfast.model.errors import HoldfastError
from holdfast.operations.codes import Code
from holdfast.operations.engine import Check, Transfer
from holdfast.operations.engines import placing, proving
from holdfast.operations.engines.mover import Ending, Said
from holdfast.operations.engines.mover_files import FileToMove
from holdfast.operations.engines.mover_names import destination_name, source_name
from holdfast.operations.engines.proving import Depth, EngineFault
from holdfast.storage.carried_out import carried_out
from holdfast.storage.driver import AlreadyThere, NotThere

_CODES = {
    Ending.LATER: Code.ENGINE_FAILED,
    Ending.NEVER: Code.UNSUPPORTED,
    Ending.FULL: Code.DESTINATION_FULL,
}
"""What it is if the source has nothing to do with it."""

_log = logs.get("operations")

Bring = Callable[[FileToMove], Awaitable[Said]]
"""Have the program bring a file."""


class MoverWay(placing.Way):
    """The Way of one file.

    ``directories`` are those that are known to be there; ``writing`` the places (site and path) that others have a
    program write under their final names just now.
    """

    depth = Depth.CHEAP
    reads = True
    past_us = True

    def __init__(
        self,
        transfer: Transfer,
        check: Check,
        bring: Bring,
        *,
        directories: set[str],
        writing: set[tuple[str, str]],
    ) -> None:
        self._transfer = transfer
        self._check = check
        self._bring = bring
        self._directories = directories
        self._writing = writing

    async def write(self, path: str) -> None:
        """Have the file brought to ``path``."""
        destination = self._transfer.destination
        directory = names.split(path)[0]
        if destination.driver.capabilities.directories and directory not in self._directories:
            await destination.driver.make_directory(directory)
            self._directories.add(directory)
        # Nobody else uses a part's name.
        if path == destination.path:
            await self._write_in_place()
        else:
            await self._write(path)

    async def rehearse(self) -> None:
        """Ask the source for its checksums; it is read where it tells none."""
        await proving.prove_source(self._transfer, self.depth)

    async def blame(self, fault: EngineFault) -> EngineFault:
        """Ask the source, too; read it if we can."""
        readable = self._transfer.source.driver.capabilities.readable
        return await proving.blame(self._transfer, fault, Depth.READ if readable else Depth.TOLD)

    async def _write_in_place(self) -> None:
        destination = self._transfer.destination
        place = (destination.site, destination.path)
        # Not waited for: whoever waits here may be waited for by that one, in a batch of several such files.
        if place in self._writing:
            raise AlreadyThere("another program is writing it", place=str(destination))
        self._writing.add(place)
        try:
            with suppress(NotThere):
                await destination.driver.stat(destination.path)
                raise AlreadyThere("somebody has put a file there meanwhile", place=str(destination))
            try:
                await self._write(destination.path)
            except (Exception, asyncio.CancelledError):
                await carried_out(self._remove(destination.path))
                raise
        finally:
            self._writing.discard(place)

    async def _write(self, path: str) -> None:
        source, destination = self._transfer.source, self._transfer.destination
        said = await self._bring(
            FileToMove(self._transfer, path, source_name(source), destination_name(destination, path))
        )
        await self._require_brought(said, path)

    async def _require_brought(self, said: Said, path: str) -> None:
        """Fault if the file has not come; of what the program says has come the proof follows anyhow."""
        if said.ending is Ending.DONE:
            return
        if said.ending is Ending.UNKNOWN:
            try:
                await proving.prove(self._transfer, path, self.depth)
            except EngineFault as fault:
                raise await self._explained(Code.ENGINE_FAILED, f"{said.error}; {fault.message}") from fault
            _log.warning(
                "a mover complains of a file that is good", site=self._transfer.destination.site, said=said.error
            )
            return
        raise await self._explained(_CODES[said.ending], said.error)

    async def _explained(self, code: Code, error: str) -> EngineFault:
        """Why the program could not bring the file: the source's fault if that says so itself."""
        try:
            await proving.prove_source(self._transfer, Depth.TOLD)
        except EngineFault as fault:
            return EngineFault(fault.code, f"{fault.message}; {error}")
        return EngineFault(code, error)

    async def _remove(self, path: str) -> None:
        """What the program has left under the final name, while the claim is ours."""
        with suppress(HoldfastError):  # The next try looks at whatever is left, and the first error says more.
            await self._check()
            await self._transfer.destination.driver.delete(path)
