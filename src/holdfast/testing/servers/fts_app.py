"""The program that is the FTS3 of the tests (``FtsServer`` starts it).

    python -m holdfast.testing.servers.fts_app CONFIGURATION

It serves the REST interface over TLS; beside it, on a port without TLS, tests
set faults and read what was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from holdfast.testing.servers.fts_faults import FtsFault, FtsFaults
from holdfast.testing.servers.fts_identity import Delegations
from holdfast.testing.servers.fts_jobs import FtsJobs
from holdfast.testing.servers.fts_mover import FtsMover, FtsStorage
from holdfast.testing.servers.fts_rest import Handler, RestInterface, answer
from holdfast.testing.servers.fts_runner import Runner


class FtsApp:
    """One service."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        folder = Path(configuration["folder"])
        prefixes = [FtsStorage(**each) for each in configuration["prefixes"]]
        self._jobs = FtsJobs(folder / "jobs")
        self._delegations = Delegations(folder / "delegated")
        self._faults = FtsFaults()
        self._runner = Runner(self._jobs, FtsMover(prefixes), self._faults)
        self._rest = RestInterface(self._jobs, self._delegations, self._runner, configuration["issuers"])
        self._asked: list[str] = []

    def application(self) -> web.Application:
        """What is served over TLS."""
        return self._rest.application(self._faulty)

    def control(self) -> web.Application:
        """What tests say beside."""
        made = web.Application()
        made.add_routes(
            [
                web.get("/asked", self._get_asked),
                web.post("/faults", self._set_faults),
                web.post("/forget/{id}", self._forget),
                web.post("/undelegate", self._undelegate_all),
                web.post("/reset", self._reset),
            ]
        )
        return made

    def begin(self) -> None:
        """Go on with what was under way."""
        for job in self._jobs.all.values():
            if job.is_active:
                self._runner.begin(job)

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = "/" + request.path_qs.lstrip("/")
        self._asked.append(f"{request.method} {path}")
        fault = self._faults.of_request(request.method, path)
        if fault is None:
            return await handler(request)
        if fault.do == "hang":
            await asyncio.sleep(1e6)
        if fault.do == "answer":
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return answer({"status": str(fault.status), "message": "as the test wants"}, fault.status, headers)
        reply = await handler(request)
        assert request.transport is not None
        request.transport.abort()
        return reply

    async def _get_asked(self, request: web.Request) -> web.Response:
        return answer(self._asked)

    async def _set_faults(self, request: web.Request) -> web.Response:
        self._faults.all = [FtsFault.parse(row) for row in json.loads(await request.read())]
        return answer(None)

    async def _forget(self, request: web.Request) -> web.Response:
        job = self._jobs.all.get(request.match_info["id"])
        if job is not None:
            job.cancel()  # Nothing goes on that nobody knows.
            self._jobs.forget(job.job_id)
        return answer(None)

    async def _reset(self, request: web.Request) -> web.Response:
        for job in list(self._jobs.all.values()):
            if job.is_active:
                job.cancel()
            self._jobs.forget(job.job_id)
        await self._runner.idle()
        self._faults.all.clear()
        self._asked.clear()
        return answer(None)

    async def _undelegate_all(self, request: web.Request) -> web.Response:
        for job in self._jobs.all.values():
            self._delegations.forget(job.cred_id)
        return answer(None)


def _tls(configuration: dict[str, Any]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(configuration["certificate"], configuration["key"])
    made.load_verify_locations(capath=configuration["authorities"])
    made.verify_mode = ssl.CERT_OPTIONAL
    made.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS
    return made


async def serve(configuration: dict[str, Any]) -> None:
    """Serve until the process ends."""
    app = FtsApp(configuration)
    for application, port, tls in (
        (app.application(), configuration["port"], _tls(configuration)),
        (app.control(), configuration["control_port"], None),
    ):
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    app.begin()
    await asyncio.Event().wait()


if __name__ == "__main__":
    os.umask(0)  # Servers of other users serve the same folders.
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
