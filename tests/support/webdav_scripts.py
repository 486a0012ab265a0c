"""Scripted WebDAV servers, and a driver to run against them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.webdav.driver import WebdavDriver
from support.scripted_http import Request, Script, ScriptedServer, member, multistatus, reply

_T = TypeVar("_T")

DIRECTORY = reply(207, multistatus(member("/d/")))


def run(script: Script, scenario: Callable[[WebdavDriver, ScriptedServer], Awaitable[_T]], **settings: object) -> _T:
    """Run a scenario against a script, with a door whose root is the server's ``/d``."""

    async def whole() -> _T:
        async with ScriptedServer(script) as server:
            driver = WebdavDriver(f"{server.url}/d", site="SITE", access=access(**settings))
            try:
                return await scenario(driver, server)
            finally:
                await driver.close()

    return asyncio.run(whole())


def access(**settings: object) -> Access:
    """Access of somebody patient enough for a loopback."""
    timeouts = {"connect_timeout_s": 2.0, "call_timeout_s": 5.0}
    return Access(AccessSettings(**{**timeouts, **settings}), site="SITE")  # type: ignore[arg-type]


def always(answer: bytes) -> Script:
    """A server that answers everything alike, but knows of no path with a "?"."""

    async def script(request: Request, _: asyncio.StreamWriter) -> bytes:
        return reply(404) if "%3F" in request.target else answer

    return script


def one_by_one(*answers: bytes | None) -> Script:
    """A server that answers one after the other, the last one for ever; None closes the connection."""
    left = list(answers)

    async def script(request: Request, _: asyncio.StreamWriter) -> bytes | None:
        if "%3F" in request.target:
            return reply(404)
        return left.pop(0) if len(left) > 1 else left[0]

    return script


def listed(driver: WebdavDriver, _: ScriptedServer) -> Awaitable[object]:
    """The scenario of many a test."""
    return driver.list("/")


class Shelf:
    """A server of one directory that keeps what it gets; ``spoil`` may answer instead."""

    def __init__(self, spoil: Callable[[Request], bytes | None] = lambda _: None) -> None:
        self.files: dict[str, bytes] = {}
        self._spoil = spoil

    async def __call__(self, request: Request, _: asyncio.StreamWriter) -> bytes:
        spoiled = self._spoil(request)
        if spoiled is not None:
            return spoiled
        path = request.target
        if request.method == "PROPFIND":
            return self._told(path)
        if request.method == "PUT":
            self.files[path] = request.body
            return reply(201)
        if request.method == "DELETE":
            return reply(204 if self.files.pop(path, None) is not None else 404)
        assert request.method == "MOVE"
        target = "/" + request.headers["destination"].split("/", 3)[3]
        self.files[target] = self.files.pop(path)
        return reply(201)

    def _told(self, path: str) -> bytes:
        if path.rstrip("/") == "/d":
            return DIRECTORY
        if path not in self.files:
            return reply(404)
        return reply(207, multistatus(member(path, size=len(self.files[path]))))
