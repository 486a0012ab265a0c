"""FtsApi: requests to the REST interface of one FTS3.

Rules
  * Certificate and name of the service are always verified; it is never asked
    without TLS, and redirections are not followed.
  * It is shown our proxy, or our token, as ``storage.access`` has them at the
    moment; where there is none to show, because it has expired, it is EngineDown.
  * All that is asked may be asked again: ``patiently`` does so while the
    service does not answer, with growing pauses.
  * A request for many jobs is one request, but for IDS_MAX at a time.
  * Nothing of a token is in any error.

Raises Away, Refused, Rejected (``errors``), BadReply, EngineDown.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from holdfast.model.errors import OperatorError
from holdfast.operations.engine import EngineDown
from holdfast.operations.engines.fts import errors as fts_errors
from holdfast.operations.engines.fts import replies
from holdfast.operations.engines.fts.errors import Away, Refused, Rejected
from holdfast.operations.engines.fts.replies import BadReply, Hidden, Identity, JobReport
from holdfast.storage.access import Access
from holdfast.storage.connector import Connector

IDS_MAX = 100
"""As many ids as an address carries everywhere."""
REPLY_BYTES_MAX = 256 << 20
PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 30.0

_ERROR_BYTES_MAX = 1 << 16

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Timing:
    """Time and chance, as arguments."""

    sleep: Callable[[float], Awaitable[None]]
    monotonic: Callable[[], float]
    chance: Callable[[], float]
    """From 0 to 1."""

    def pause_s(self, attempt: int, asked_s: float = 0.0) -> float:
        """How long to wait after so many failures: doubled each time, with jitter, and no less than was asked for."""
        grown_s = min(PAUSE_S_MAX, PAUSE_S_MIN * 2.0 ** min(attempt, 30))
        return float(max(grown_s * (0.5 + 0.5 * self.chance()), min(asked_s, PAUSE_S_MAX)))


class FtsApi:
    """One service; used within one event loop."""

    def __init__(self, url: str, access: Access, timing: Timing) -> None:
        self.place = f"FTS at {url}"
        self._url = url.rstrip("/")
        self._access = access
        self._timing = timing
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()

    async def patiently(self, call: Callable[[], Awaitable[Answer]], patience_s: float) -> Answer:
        """The answer to a call that is repeated while the service does not answer; Away when that has lasted."""
        until = self._timing.monotonic() + patience_s
        attempt = 0
        while True:
            try:
                return await call()
            except Away as away:
                pause_s = self._timing.pause_s(attempt, away.wait_s)
                if self._timing.monotonic() + pause_s >= until:
                    raise
            attempt += 1
            await self._timing.sleep(pause_s)

    async def whoami(self) -> Identity:
        """Whom the service takes us for."""
        try:
            return replies.identity(await self._json("GET", "/whoami"))
        except Rejected as rejected:
            hint = "look at proxy or token under [operations.fts]"
            raise Refused(rejected.message, place=self.place, hint=hint) from rejected

    async def bearer(self) -> str:
        """The token that the service is shown; "" if it is shown a certificate."""
        try:
            return await self._access.token()
        except OperatorError as error:
            raise _without_credentials(error) from error

    async def submit(self, document: Mapping[str, Any]) -> str:
        """Make a job; its id. Rejected with 409 if there is one of that id, with 419 if nothing is delegated."""
        return replies.job_id(await self._json("POST", "/jobs", json.dumps(document).encode(), "application/json"))

    async def jobs(self, ids: Sequence[str], *, with_files: bool = False) -> dict[str, JobReport | Hidden]:
        """How these jobs are."""
        fields = f"?files={','.join(replies.FILE_FIELDS)}" if with_files else ""
        found: dict[str, JobReport | Hidden] = {}
        for begin in range(0, len(ids), IDS_MAX):
            some = ids[begin : begin + IDS_MAX]
            try:
                document = await self._json("GET", f"/jobs/{','.join(some)}{fields}")
            except Rejected as rejected:
                # Of one that is asked for alone the reply as a whole says that it is not shown.
                if len(some) > 1 or rejected.status not in (403, 404):
                    raise
                await self.whoami()  # It may be we who are refused.
                found[some[0]] = Hidden(some[0], rejected.status, rejected.message)
                continue
            found |= replies.jobs(document, some)
        return found

    async def cancel(self, id: str) -> None:
        """End a job, if it is there and not over."""
        try:
            await self._json("DELETE", f"/jobs/{id}")
        except Rejected as rejected:
            if rejected.status != replies.NOT_FOUND:
                raise

    async def delegated(self, delegation_id: str) -> str:
        """Until when our delegated proxy counts, as the service writes it; "" if there is none."""
        document = await self._json("GET", f"/delegation/{delegation_id}")
        match document:
            case None:
                return ""
            case {"termination_time": str(until)}:
                return until
        raise BadReply("the service does not say until when our proxy counts", place=self.place)

    async def proxy_request(self, delegation_id: str) -> bytes:
        """What it wants to have signed, as PEM."""
        return await self._asked("GET", f"/delegation/{delegation_id}/request")

    async def give_proxy(self, delegation_id: str, chain: bytes) -> None:
        """Hand over what was signed, with the certificates that prove it."""
        await self._asked("PUT", f"/delegation/{delegation_id}/credential", chain, "text/plain")

    async def _json(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> object:
        data = await self._asked(method, path, body, kind)
        try:
            found: object = json.loads(data)
        except ValueError:
            raise BadReply(f"FTS answered {method} with what is no JSON", place=self.place) from None
        return found

    async def _asked(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        headers = {"Accept": "application/json", **({"Content-Type": kind} if kind else {})}
        try:
            token, tls = await self._access.token(), await self._access.tls()
        except OperatorError as error:
            raise _without_credentials(error) from error
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._opened().request(
                method,
                URL(self._url + path, encoded=True),
                headers=headers,
                data=body,
                ssl=tls,
                allow_redirects=False,
            ) as reply:
                if 200 <= reply.status < 300:
                    return await _whole(reply, self.place)
                said = replies.message(await reply.content.read(_ERROR_BYTES_MAX))
                retry_after = reply.headers.get("Retry-After", "")
                raise fts_errors.meaning(reply.status, said, place=self.place, retry_after=retry_after)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise self._broken(error) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._access.settings
            self._session = aiohttp.ClientSession(
                connector=Connector(),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=settings.connect_timeout_s + settings.call_timeout_s,
                    sock_connect=settings.connect_timeout_s,
                    sock_read=settings.call_timeout_s,
                ),
                headers={"User-Agent": "holdfast"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _broken(self, error: Exception) -> EngineDown:
        """What it means that there was no answer, or no whole one."""
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return Refused(f"FTS is not who it should be: {_tls_words(error.certificate_error)}", place=self.place)
        if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
            return Refused(f"FTS and we do not come to terms: {_tls_words(error)}", place=self.place)
        if isinstance(error, TimeoutError):
            return Away("FTS does not answer", place=self.place)
        return Away(f"FTS cannot be reached, or has hung up: {_words(error)}", place=self.place)


async def _whole(reply: aiohttp.ClientResponse, place: str) -> bytes:
    """All of an answer, up to what anybody can mean."""
    chunks = bytearray()
    async for chunk in reply.content.iter_any():
        chunks += chunk
        if len(chunks) > REPLY_BYTES_MAX:
            raise BadReply(f"FTS answers with more than {REPLY_BYTES_MAX} bytes", place=place)
    return bytes(chunks)


def _without_credentials(error: OperatorError) -> EngineDown:
    return EngineDown(f"there is nothing to show to FTS: {error.message}", place=error.place, hint=error.hint)


def _tls_words(error: Exception) -> str:
    found = error if isinstance(error, ssl.SSLError) else error.__cause__
    told = getattr(found, "verify_message", "") or getattr(found, "reason", "")
    return str(told) or "TLS fails"


def _words(error: Exception) -> str:
    number = error if isinstance(error, OSError) else error.__cause__
    return getattr(number, "strerror", None) or type(error).__name__
