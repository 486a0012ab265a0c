"""The desk of one job of copies: hears from the engine how it goes, and tells it whether the job is still ours.

Rules
  * ``check`` raises ClaimLost when the claim is not ours any more, and also when
    the job is to end early: then nothing further is begun.
  * A handle is durable when ``keep`` returns.
  * A destination without room, or that lets nobody in, ends the job: what comes after would fail,
    too. A job at a service goes on; whoever brings the files there sees for himself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from holdfast import logs
from holdfast.model.errors import DatabaseAway, OutcomeUnknown
from holdfast.operations.carrying.claimed import Claimed
from holdfast.operations.carrying.fence import AWAY_INTERVAL_S, Fence
from holdfast.operations.carrying.outside import Tools
from holdfast.operations.codes import Code
from holdfast.operations.engine import ClaimLost, Outcome, Verdict
from holdfast.operations.progress import BadSource
from holdfast.operations.work.stops import Stops

_log = logs.get("operations")


class CopyDesk:
    """The ``engine.Desk`` of one claim. ``names``: the LFNs by ordinal; ``over``: told that no more comes of a file."""

    def __init__(
        self,
        tools: Tools,
        fence: Fence,
        stops: Stops,
        claimed: Claimed,
        names: Mapping[int, str],
        *,
        over: Callable[[int], None],
    ) -> None:
        self._tools = tools
        self._claimed = claimed
        self._names = names
        self._check = fence.shared(claimed.batch.claim)
        self._over = over
        self._stops = stops
        self._stopped = ""

    async def check(self) -> None:
        """Whether the job is still ours, and to go on."""
        await self._check()
        if self._stopped:
            raise ClaimLost(self._stopped)

    async def keep(self, handle: str) -> None:
        """Remember what the service calls the job."""
        queue, claim = self._tools.queue, self._claimed.batch.claim
        while True:
            await self._check()
            try:
                with queue.write() as connection:
                    is_kept = queue.keep_handle(connection, claim, handle)
            except (DatabaseAway, OutcomeUnknown):
                await self._tools.outside.sleep(AWAY_INTERVAL_S)
                continue
            if not is_kept:
                raise ClaimLost("the batch was given to somebody else, or its request was closed")
            self._claimed.keep(handle)
            return

    def moved(self, ordinal: int, n_bytes: int) -> None:
        """Further bytes have passed."""
        self._tools.tally.moved(self._claimed.batch.claim, n_bytes)

    def settle(self, ordinal: int, outcome: Outcome) -> None:
        """One file is over."""
        batch, tally = self._claimed.batch, self._tools.tally
        self._over(ordinal)
        if outcome.verdict is Verdict.FAILED:
            self.fail(ordinal, outcome.code or Code.ENGINE_FAILED, outcome.error)
            return
        is_found = outcome.verdict is Verdict.FOUND
        if self._claimed.done(ordinal, is_found=is_found, verified_us=outcome.verified_us):
            size = self._claimed.sizes[ordinal]
            tally.copied(batch.claim, size, is_found=is_found, has_replaced=outcome.has_replaced)

    def fail(self, ordinal: int, code: Code, error: str) -> None:
        """A try of one file has failed."""
        batch, tally, name = self._claimed.batch, self._tools.tally, self._names.get(ordinal, "")
        if not self._claimed.failed(ordinal, code, error):
            return
        tally.failed(batch.claim, name, error, site=batch.site, code=code)
        if code in (Code.SOURCE_WRONG, Code.SOURCE_MISSING) and batch.is_over_link:
            tally.bad_source(BadSource(batch.source, name, error, is_missing=code is Code.SOURCE_MISSING))
        if code is Code.SOURCE_WRONG:
            _log.warning("source is wrong", site=batch.source, file=name, error=error)
        if code.stops_site:
            self._stops.stop(batch.site, error, code)
            if not batch.handle:
                self._stopped = error
