"""The REST interface of the tests' FTS3: routes, parameters, statuses and shapes of answers.

They are those of FTS3's public interface, so that its own client from PyPI can
drive it.

Rules
  * What is asked for several jobs is answered with an array, and 207 if it
    fails for one; what is asked for one stands alone, with its own status.
  * Errors are JSON with ``status`` and ``message``.
  * Jobs are shown to those of the same VO only.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from holdfast.testing.servers import fts_identity, fts_submission
from holdfast.testing.servers.fts_identity import Delegations, NotValid, User
from holdfast.testing.servers.fts_jobs import JOB_ACTIVE, FtsJob, FtsJobs
from holdfast.testing.servers.fts_runner import Runner
from holdfast.testing.servers.fts_submission import FtsRefusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LIMIT_MAX = 500
DELEGATED_S_MIN = 3600
"""Nobody submits with a proxy that ends sooner."""

_SLASHES = "/{slashes:/*}"
"""How paths begin: web servers take many slashes for one, and FTS3's client relies on it."""
_PHRASES = {419: "Authentication Timeout"}


class RestInterface:
    """See the module's docstring; ``issuers`` are those whose tokens count."""

    def __init__(self, jobs: FtsJobs, delegations: Delegations, runner: Runner, issuers: list[str]) -> None:
        self._jobs = jobs
        self._delegations = delegations
        self._runner = runner
        self._issuers = issuers

    def application(self, *around: Any) -> web.Application:
        """What is served; ``around`` are middlewares that stand before it."""
        made = web.Application(middlewares=[*around, self._as_json, self._known], client_max_size=1 << 28)
        made.add_routes(
            [
                web.get(_SLASHES, self._version),
                web.get(_SLASHES + "whoami", self._whoami),
                web.get(_SLASHES + "delegation/{id}", self._delegation),
                web.delete(_SLASHES + "delegation/{id}", self._undelegate),
                web.get(_SLASHES + "delegation/{id}/request", self._proxy_request),
                web.put(_SLASHES + "delegation/{id}/credential", self._proxy),
                web.post(_SLASHES + "delegation/{id}/credential", self._proxy),
                web.get(_SLASHES + "jobs", self._list),
                web.get(_SLASHES + "jobs/", self._list),
                web.post(_SLASHES + "jobs", self._submit),
                web.put(_SLASHES + "jobs", self._submit),
                web.get(_SLASHES + "jobs/{ids}", self._show),
                web.delete(_SLASHES + "jobs/{ids}", self._cancel),
                web.post(_SLASHES + "jobs/{ids}", self._modify),
                web.get(_SLASHES + "jobs/{id}/files", self._files),
                web.delete(_SLASHES + "jobs/{id}/files/{file_ids}", self._cancel_files),
                web.get(_SLASHES + "jobs/{id}/dm", self._nothing),
                web.get(_SLASHES + "jobs/{id}/{field}", self._field),
            ]
        )
        return made

    @web.middleware
    async def _as_json(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except FtsRefusal as refusal:
            return _error(refusal.status, str(refusal))
        except web.HTTPException as error:
            return _error(error.status, error.reason)

    @web.middleware
    async def _known(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            request["user"] = self._user(request)
        except NotValid as error:
            raise FtsRefusal(403, f"Invalid credentials ({error})") from error
        return await handler(request)

    def _user(self, request: web.Request) -> User:
        assert request.transport is not None
        tls = request.transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True)
        if certificate:
            return fts_identity.of_certificate(certificate)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind == "Bearer":
            return fts_identity.of_token(token, self._issuers)
        raise FtsRefusal(403, "The user does not belong to any authorized vo")

    # Who one is.

    async def _version(self, request: web.Request) -> web.Response:
        version = {"major": 3, "minor": 14, "patch": 0}
        return answer(
            {"delegation": {"major": 1, "minor": 0, "patch": 0}, "api": version, "core": version, "schema": {}}
        )

    async def _whoami(self, request: web.Request) -> web.Response:
        return answer(request["user"].show())

    def _own(self, request: web.Request) -> str:
        id = request.match_info["id"]
        if id != request["user"].delegation_id:
            raise FtsRefusal(403, "The requested ID and the credentials ID do not match")
        return id

    async def _delegation(self, request: web.Request) -> web.Response:
        return answer(self._delegations.show(self._own(request)))

    async def _undelegate(self, request: web.Request) -> web.Response:
        self._delegations.forget(self._own(request))
        return web.Response(status=204)

    async def _proxy_request(self, request: web.Request) -> web.Response:
        id = self._own(request)
        text = (await asyncio.to_thread(self._delegations.request, id)).decode()
        return web.Response(text=text, headers={"X-Delegation-ID": id})

    async def _proxy(self, request: web.Request) -> web.Response:
        try:
            self._delegations.take(self._own(request), await request.read())
        except NotValid as error:
            raise FtsRefusal(400, str(error)) from error
        return web.Response(status=201)

    # Jobs.

    async def _submit(self, request: web.Request) -> web.Response:
        user: User = request["user"]
        if user.method == "certificate":
            self._require_delegation(user)
        try:
            document = json.loads(await request.read())
        except ValueError as error:
            raise FtsRefusal(400, f"Badly formatted JSON request ({error})") from error
        job = fts_submission.job_of(document, user, self._jobs)
        if job.job_id in self._jobs.all:
            raise FtsRefusal(409, "The sid provided by the user is duplicated")
        self._jobs.keep(job)
        self._runner.begin(job)
        return answer({"job_id": job.job_id})

    def _require_delegation(self, user: User) -> None:
        until_s = self._delegations.until_s(user.delegation_id)
        if until_s is None:
            raise FtsRefusal(419, f'No delegation found for "{user.dn}"')
        if until_s < time.time() + DELEGATED_S_MIN:
            raise FtsRefusal(419, f"The delegated credentials has less than one hour left ({user.delegation_id})")

    async def _list(self, request: web.Request) -> web.Response:
        user, query = request["user"], request.query
        if query.get("dlg_id", user.delegation_id) != user.delegation_id:
            raise FtsRefusal(403, "The provided delegation id does not match your delegation id")
        limit = int(query["limit"]) if query.get("limit", "").isdigit() else None
        if limit is not None and limit > LIMIT_MAX:
            raise FtsRefusal(400, "The limit must be positive and less or equal than 500")
        states = query["state_in"].split(",") if "state_in" in query else list(JOB_ACTIVE)
        found = [job for job in self._jobs.all.values() if job.vo_name == user.vo and job.job_state in states]
        if limit is None and "time_window" not in query:
            found = [job for job in found if job.job_finished is None]
        for name in ("source_se", "dest_se"):
            found = [job for job in found if name not in query or getattr(job, name) == query[name]]
        rows = [job.show() for job in sorted(found, key=lambda job: job.submit_time, reverse=True)[:limit]]
        if "fields" in query:
            fields = query["fields"].split(",")
            rows = [{name: row[name] for name in fields if name in row} for row in rows]
        return answer(rows)

    async def _show(self, request: web.Request) -> web.Response:
        fields = request.query["files"].split(",") if "files" in request.query else []
        ids = [id for id in request.match_info["ids"].split(",") if id]
        rows: list[dict[str, Any]] = []
        for id in ids:
            try:
                job = self._job(id, request["user"])
            except FtsRefusal as refusal:
                rows.append(_missing(id, refusal))
                continue
            row = {**job.show(), "http_status": "200 Ok"}
            if fields:
                row["files"] = [
                    {name: getattr(file, name) for name in fields if hasattr(file, name)} for file in job.files
                ]
            rows.append(row)
        return _multistatus(rows, n_asked=len(request.match_info["ids"].split(",")))

    async def _files(self, request: web.Request) -> web.Response:
        return answer([vars(file) for file in self._job(request.match_info["id"], request["user"]).files])

    async def _nothing(self, request: web.Request) -> web.Response:
        self._job(request.match_info["id"], request["user"])
        return answer([])

    async def _field(self, request: web.Request) -> web.Response:
        row = self._job(request.match_info["id"], request["user"]).show()
        if request.match_info["field"] not in row:
            raise FtsRefusal(404, "No such field")
        return answer(row[request.match_info["field"]])

    async def _cancel(self, request: web.Request) -> web.Response:
        return self._each(request, lambda job: job.cancel())

    async def _modify(self, request: web.Request) -> web.Response:
        priority = int(json.loads(await request.read())["params"]["priority"])

        def modify(job: FtsJob) -> None:
            job.priority = priority
            for file in job.files:
                file.priority = priority

        return self._each(request, modify)

    def _each(self, request: web.Request, change: Callable[[FtsJob], None]) -> web.Response:
        """Change each of some jobs that is not over."""
        ids = request.match_info["ids"].split(",")
        rows: list[dict[str, Any]] = []
        for id in filter(None, ids):
            try:
                job = self._job(id, request["user"])
            except FtsRefusal as refusal:
                rows.append(_missing(id, refusal))
                continue
            if job.is_active:
                change(job)
                self._jobs.keep(job)
                rows.append({**job.show(), "http_status": "200 Ok", "http_message": None})
            else:
                told = {"http_status": "304 Not Modified", "http_message": "The job is in a terminal state"}
                rows.append({**job.show(), **told})
        return _multistatus(rows, n_asked=len(ids))

    async def _cancel_files(self, request: web.Request) -> web.Response:
        job = self._job(request.match_info["id"], request["user"])
        files = {str(file.file_id): file for file in job.files}
        states = []
        for id in request.match_info["file_ids"].split(","):
            if id not in files:
                states.append("File does not belong to the job")
                continue
            if files[id].is_active:
                files[id].end("CANCELED", None)
            states.append(files[id].file_state)
        job.follow()
        self._jobs.keep(job)
        return answer(states if len(states) > 1 else states[0])

    def _job(self, id: str, user: User) -> FtsJob:
        job = self._jobs.all.get(id)
        if job is None:
            raise FtsRefusal(404, f'No job with the id "{id}" has been found')
        if user.vo != job.vo_name and user.dn != job.user_dn:
            raise FtsRefusal(403, f'Not enough permissions to check the job "{id}"')
        return job


def _missing(id: str, refusal: FtsRefusal) -> dict[str, Any]:
    return {"job_id": id, "http_status": _status_line(refusal.status), "http_message": str(refusal)}


def _multistatus(rows: list[dict[str, Any]], *, n_asked: int) -> web.Response:
    """An array, 207 if not all is well; what was asked of one job stands alone, with its own status."""
    statuses = [int(row["http_status"].split()[0]) for row in rows]
    if n_asked == 1:
        return answer(rows[0], 200 if statuses[0] == HTTPStatus.NOT_MODIFIED else statuses[0])
    return answer(rows, 200 if all(200 <= status < 300 for status in statuses) else 207)


def _error(status: int, message: str) -> web.Response:
    return answer({"status": _status_line(status), "message": message}, status)


def _status_line(status: int) -> str:
    return f"{status} {_PHRASES.get(status) or HTTPStatus(status).phrase}"


def answer(document: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer in JSON."""
    return web.json_response(document, status=status, headers=headers)
