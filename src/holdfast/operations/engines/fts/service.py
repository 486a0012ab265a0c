"""Service: one FTS3 as an engine needs it: who we are there, what we have delegated, jobs made once.

Rules
  * Before a job is made, a proxy is delegated, if that is what we show.
  * A job is made under an id that we know beforehand. That there is one of it
    already means that it was made, and that the answer was lost.
  * A refused submission is the job's fault only if the service still knows us.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from holdfast.config.engines import FtsSettings
from holdfast.model.clock import Clock
from holdfast.operations.engine import EngineDown
from holdfast.operations.engines.fts import errors as fts_errors
from holdfast.operations.engines.fts.api import FtsApi, Timing
from holdfast.operations.engines.fts.delegation import Delegation
from holdfast.operations.engines.fts.errors import Rejected
from holdfast.operations.engines.fts.poller import Poller
from holdfast.operations.engines.fts.replies import BadReply, Hidden, Identity, JobReport
from holdfast.operations.engines.fts.submission import Handle
from holdfast.storage.access import Access, AccessSettings

KNOWN_S = 300.0
"""For how long who we are is not asked again."""
_CONFLICT, _FORBIDDEN = 409, 403


class Service:
    """See the module's docstring; used within one event loop."""

    def __init__(
        self, settings: FtsSettings, clock: Clock, timing: Timing, *, patience_s: float, away_s: float
    ) -> None:
        assert settings.url
        access = Access(
            AccessSettings(
                proxy=settings.proxy,
                token=settings.token,
                authorities=settings.authorities,
                connect_timeout_s=settings.connect_timeout_s,
                call_timeout_s=settings.call_timeout_s,
            ),
            clock=clock,
        )
        self.settings = settings
        self.timing = timing
        self.shows_token = settings.token is not None
        self._patience_s = patience_s
        self._api = FtsApi(settings.url, access, timing)
        self._delegation = Delegation(self._api, access, settings.delegation_s, clock)
        self._identity: tuple[Identity, float] | None = None
        self.poller = Poller(self._api, timing, self._tend, interval_s=settings.poll_interval_s, patience_s=away_s)

    async def close(self) -> None:
        """Ask nothing any more, and let go of all connections."""
        await self.poller.close()
        await self._api.close()

    async def handle(self, name: str) -> Handle:
        """What is kept of the job that is to be made under a name of ours."""
        identity = await self._api.patiently(self._whoami, self._patience_s)
        try:
            return Handle.new(name, identity.vo_id)
        except ValueError:
            raise BadReply("FTS does not say how it names jobs", place=self._api.place) from None

    async def bearer(self) -> str:
        """The token that the service is shown; "" if it is shown a certificate."""
        return await self._api.bearer()

    async def look(self, handle: Handle) -> JobReport | Hidden:
        """How a job and its files are now."""
        found = await self._api.patiently(lambda: self._api.jobs([handle.job_id], with_files=True), self._patience_s)
        return found[handle.job_id]

    async def submit(self, handle: Handle, document: Mapping[str, Any], check: Callable[[], Awaitable[None]]) -> None:
        """Make a job, unless it is there. Rejected if it cannot be made as it is; raises what ``check`` raises."""

        async def ask() -> str:
            await self._tend()
            await check()
            return await self._submitted(document)

        try:
            made = await self._api.patiently(ask, self._patience_s)
        except Rejected as rejected:
            if rejected.status == _FORBIDDEN:
                self._identity = None
                await self._whoami()
            if rejected.status != _CONFLICT or isinstance(await self.look(handle), Hidden):
                raise
            return
        if made != handle.job_id:
            await self.cancel(Handle(made, ""))
            raise EngineDown(
                "FTS does not name jobs as it says, so that one could be made twice", place=self._api.place
            )

    async def cancel(self, handle: Handle) -> None:
        """End a job, if it is there and not over."""
        await self._api.patiently(lambda: self._api.cancel(handle.job_id), self._patience_s)

    async def _submitted(self, document: Mapping[str, Any]) -> str:
        try:
            return await self._api.submit(document)
        except Rejected as rejected:
            if rejected.status != fts_errors.DELEGATION_STATUS:
                raise
        await self._delegation.keep(await self._whoami(), anew=True)
        try:
            return await self._api.submit(document)
        except Rejected as rejected:
            if rejected.status != fts_errors.DELEGATION_STATUS:
                raise
            hint = "renew the proxy under [operations.fts]; FTS wants one that counts for more than an hour"
            raise EngineDown(rejected.message, place=rejected.place, hint=hint) from rejected

    async def _tend(self) -> None:
        await self._delegation.keep(await self._whoami())

    async def _whoami(self) -> Identity:
        now_s = self.timing.monotonic()
        if self._identity is None or now_s - self._identity[1] >= KNOWN_S:
            self._identity = (await self._api.whoami(), now_s)
        return self._identity[0]
