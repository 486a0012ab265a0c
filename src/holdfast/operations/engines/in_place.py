"""InPlaceEngine: files that no other site can give are looked for where they were to be brought.

A file may lie in its place though the inventory does not know it: whoever brought it was killed before that was
written down, its directory was mounted again after it had been called lost, somebody put it back by hand. Where there
is a source, engines find that before they copy. Where there is none, this is who looks; it moves nothing.

Rules, beside those of the contract
  * It serves one site as its own source, and nothing else; no other engine serves that.
  * What is found was read, whole: what a storage remembers or a dump says is hearsay, and this may become the only copy
    that is known. So it serves no door that is not live, or not readable.
  * A file that is not in its place, is a different one, or could not be told from one, is missing at its source; what
    lies there stays.
  * What cannot be looked at now is a failure of the source. A look in place says nothing of the destination as a whole,
    which may well take what others send: it stops no site, and it is no try (``carrying/outcomes.py``).
"""

from __future__ import annotations

from holdfast.model.clock import Clock
from holdfast.operations.batch import IN_ITS_PLACE
from holdfast.operations.codes import Code
from holdfast.operations.engine import Check, Note, Outcome, Place, Transfer, Verdict
from holdfast.operations.engines import placing, proving, standing
from holdfast.operations.engines.choosing import IN_PLACE
from holdfast.operations.engines.proving import Depth, EngineFault
from holdfast.operations.engines.standing import Standing

_SEEN = frozenset({Code.DESTINATION_OCCUPIED, Code.NO_CHECKSUM})
"""What looking again would not change: something lies there that is no file, or nothing tells the file from others."""


class InPlaceEngine:
    """The FileEngine of a site that is its own source."""

    name = IN_PLACE

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def can(self, source: Place, destination: Place) -> str:
        """Only a site with itself, through a door that shows what is there now."""
        if source.site != destination.site:
            return "it only looks for files where they are to be"
        able = destination.driver.capabilities
        if not (able.live and able.readable):
            return f"nothing can be looked at through the door of {destination.site}"
        return ""

    async def transfer(self, transfer: Transfer, check: Check, note: Note) -> Outcome:
        """FOUND, or why not."""
        verified_us = self._clock()
        try:
            proving.require_checksum(transfer)
            there = await standing.look(transfer, depth=Depth.READ)
        except EngineFault as fault:
            code = Code.SOURCE_MISSING if fault.code in _SEEN else Code.SOURCE_FAILED
            return Outcome(Verdict.FAILED, code=code, error=IN_ITS_PLACE + fault.message)
        if there.is_found:
            return Outcome(Verdict.FOUND, verified_us)
        error = f"{IN_ITS_PLACE}{transfer.destination}: {_lacking(there)}"
        return Outcome(Verdict.FAILED, code=Code.SOURCE_MISSING, error=error)

    async def discard(self, destination: Place, token: str) -> None:
        """Remove the part of an interrupted transfer."""
        await placing.discard(destination, token)

    async def close(self) -> None:
        """Nothing is open."""


def _lacking(there: Standing) -> str:
    if there.stat is None:
        return "it is not there"
    return f"a different file is there ({there.difference}); put the right one there, then `holdfast transfers retry`"
