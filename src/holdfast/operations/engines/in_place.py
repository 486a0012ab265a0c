"""InPlaceEngine: files that no other site can give are looked for where they were to be brought.

A file may lie in its place though the inventory does not know it: whoever brought it was killed before that was
written down, its directory was mounted again after it had been called lost, somebody put it back by hand. Where there
is a source, engines find that before they copy. Where there is none, this is who looks; it moves nothing.

Rules, beside those of the contract
  * It serves one site as its own source, and nothing else; no other engine serves that.
  * What is found is proved as any engine proves it (``standing``).
  * A file that is not in its place, or is a different one, is missing at its source; what lies there stays.
"""

from __future__ import annotations

from holdfast.model.clock import Clock
from holdfast.operations.codes import Code
from holdfast.operations.engine import Check, Note, Outcome, Place, Transfer, Verdict
from holdfast.operations.engines import placing, proving, standing
from holdfast.operations.engines.choosing import IN_PLACE
from holdfast.operations.engines.proving import EngineFault


class InPlaceEngine:
    """The FileEngine of a site that is its own source."""

    name = IN_PLACE

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def can(self, source: Place, destination: Place) -> str:
        """Only a site with itself."""
        return "" if source.site == destination.site else "it only looks for files where they are to be"

    async def transfer(self, transfer: Transfer, check: Check, note: Note) -> Outcome:
        """FOUND, or why not."""
        verified_us = self._clock()
        try:
            proving.require_checksum(transfer)
            there = await standing.look(transfer)
        except EngineFault as fault:
            return fault.outcome
        if there.is_found:
            return Outcome(Verdict.FOUND, verified_us)
        lies = "it is not there" if there.stat is None else f"a different file is there ({there.difference})"
        error = f"no other ready site holds it, and {transfer.destination}: {lies}"
        return Outcome(Verdict.FAILED, code=Code.SOURCE_MISSING, error=error)

    async def discard(self, destination: Place, token: str) -> None:
        """Remove the part of an interrupted transfer."""
        await placing.discard(destination, token)

    async def close(self) -> None:
        """Nothing is open."""
