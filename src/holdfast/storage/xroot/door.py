"""XrootDoor: the requests of the XRootD protocol, as one door of a site takes them.

Rules
  * Each request shows what ``Tickets`` says at that moment.
  * What it raises is of the contract's family, or Unclear, or Garbled: then
    whoever asked has to look closer.
  * The library's own time limits are set for all doors of the process when the
    first one is opened, and for each door by parameters of its connection.
"""

from __future__ import annotations

import math
from typing import Any

import XRootD.client  # noqa: F401  It ends the library's threads before the process ends.
from pyxrootd import client as library  # type: ignore[import-untyped]
from XRootD.client.flags import QueryCode

from holdfast.model.errors import BrokenInvariant, OperatorError, PeerError
from holdfast.storage import told
from holdfast.storage.access import Access
from holdfast.storage.driver import Unsupported
from holdfast.storage.told import Told
from holdfast.storage.xroot.address import MARK, Address, Tickets
from holdfast.storage.xroot.calls import CallAnswer, Calls, Start
from holdfast.storage.xroot.errors import Unclear, meaning
from holdfast.storage.xroot.listing import Info
from holdfast.storage.xroot.servers import Raw, Servers, all_of

_CHECKSUM = int(QueryCode.CHECKSUM)
_CONFIG = int(QueryCode.CONFIG)
_SPACE = int(QueryCode.SPACE)


class XrootDoor:
    """One door; ``access`` says how to get in and how long to wait."""

    def __init__(self, address: Address, access: Access) -> None:
        settings = access.settings
        _prepare_library(settings.connect_timeout_s, settings.call_timeout_s)
        self._address = address
        self._tickets = Tickets(access)
        self._systems: dict[tuple[str, str], library.FileSystem] = {}
        self._servers = Servers()
        self._told: frozenset[str] | None = None
        self._closed = False
        self.calls = Calls(settings.call_timeout_s)

    def close(self) -> None:
        """Let go of the connections; the library closes them when they have been idle for a while."""
        self._closed = True
        self._systems.clear()

    async def info(self, path: str, place: str) -> Info:
        """What the server says of one name."""
        system, asked = await self._request(path)
        info: Info = _good(await self.calls.ask(system.stat, asked), place).response
        return info

    async def entries(self, path: str, flags: int, place: str) -> tuple[Raw, str]:
        """All entries of one directory, from every server that has it, and why that may not be all."""
        if self._servers.is_one:
            system, asked = await self._request(path)
            return all_of(await self._listing(system.dirlist, asked, flags, place), place)

        async def ask(host: str) -> CallAnswer:
            system, asked = await self._request(path, host=host)
            return await self._listing(system.dirlist, asked, flags, place)

        async def who() -> CallAnswer:
            system, _ = await self._request(path)
            return await self.calls.ask(system.protocol)

        async def where() -> CallAnswer:
            system, asked = await self._request(path)
            return await self.calls.ask(system.deeplocate, asked, 0)

        return await self._servers.listed(ask, who, where, place)

    async def change(self, request: str, path: str, place: str, *arguments: object) -> None:
        """``rm``, ``rmdir``, ``mkdir``, ``chmod``: something that changes one name."""
        system, asked = await self._request(path)
        _good(await self.calls.act(getattr(system, request), asked, *arguments), place)

    async def move(self, source: str, target: str, place: str) -> None:
        """Move a file, replacing whatever file there is."""
        system, asked = await self._request(source)
        _, onto = await self._request(target)
        _good(await self.calls.act(system.mv, asked, onto), place)

    async def told(self, path: str, algorithm: str, size: int, place: str) -> Told | None:
        """What the server says is the checksum of a file; None if it has none of that algorithm."""
        known = await self._told_by_server(path)
        if known is not None and algorithm not in known:
            return None
        system, asked = await self._request(path, f"cks.type={algorithm}")
        answer = await self.calls.ask(system.query, _CHECKSUM, asked, limit_s=self.calls.patience_s(size))
        try:
            return told.from_words(_text(_good(answer, place).response))
        except (Unclear, Unsupported):
            if known is not None:
                raise
            return None

    async def free_bytes(self, path: str) -> int | None:
        """How large a file may become there now; None if the server does not say."""
        system, asked = await self._request(path)
        answer = await self.calls.ask(system.query, _SPACE, asked)
        # oss.cgroup=public&oss.space=1048576&oss.free=0&oss.maxf=0&oss.used=1048576&oss.quota=-1
        words = dict(word.partition("=")[::2] for word in _text(answer.response).split("&")) if answer.ok else {}
        text = words.get("oss.maxf", "")
        return int(text) if text.isascii() and text.isdigit() else None

    async def url(self, path: str) -> str:
        """The whole address of a file, parameters included: for the library only, never shown."""
        self._check_open()
        ticket = await self._tickets.ticket()
        request = ticket.request.removeprefix(MARK)
        parameters = f"{ticket.connection}&{request}" if request else ticket.connection
        return f"{self._address.scheme}://{self._address.host}/{self._address.path(path)}{MARK}{parameters}"

    async def _told_by_server(self, path: str) -> frozenset[str] | None:
        """The algorithms that the server has, by our names; None if it does not say, as redirectors do not."""
        if self._told is None:
            system, _ = await self._request(path)
            answer = await self.calls.ask(system.query, _CONFIG, "chksum")
            # 0:adler32,1:crc32c
            words = _text(answer.response).strip().split(",") if answer.ok else []
            known = {told.algorithm(name) for _, mark, name in (word.partition(":") for word in words) if mark}
            if not known:
                return None
            self._told = frozenset(name for name in known if name)
        return self._told

    async def _listing(self, start: Start, asked: str, flags: int, place: str) -> CallAnswer:
        try:
            return await self.calls.ask_listing(start, asked, flags)
        except UnicodeDecodeError as error:
            raise Unsupported(
                f"a name in this directory is not UTF-8: {bytes(error.object)[:100]!r}",
                place=place,
                hint="rename it at the storage, or let the site be listed by another protocol",
            ) from error

    async def _request(self, path: str, *parameters: str, host: str = "") -> tuple[library.FileSystem, str]:
        """Whom to ask, and the path with everything that is to be said with it."""
        self._check_open()
        ticket = await self._tickets.ticket()
        key = (host or self._address.host, ticket.connection)
        system = self._systems.get(key)
        if system is None:
            system = library.FileSystem(f"{self._address.scheme}://{key[0]}/{MARK}{ticket.connection}")
            self._systems[key] = system
        asked = self._address.path(path) + ticket.request
        if parameters:
            asked += ("&" if ticket.request else MARK) + "&".join(parameters)
        return system, asked

    def _check_open(self) -> None:
        if self._closed:
            raise BrokenInvariant("the driver has been closed")


def _good(answer: CallAnswer, place: str) -> CallAnswer:
    if not answer.ok:
        raise meaning(answer.status, place)
    if answer.response is None and answer.status["code"]:
        raise PeerError("the storage gave half an answer", place=place)
    return answer


def _text(response: Any) -> str:
    """Answers to queries are bytes that end with a zero."""
    return bytes(response or b"").decode("ascii", errors="replace").replace("\0", "")


_prepared = False


def _prepare_library(connect_timeout_s: float, call_timeout_s: float) -> None:
    """Time limits for servers we are sent to, to which no door's own parameters go.

    What the environment says (``XRD_REQUESTTIMEOUT`` and its like) stands; where that must not be, it is refused.
    """
    global _prepared
    if not _prepared:
        _prepared = True
        for name, value in (
            ("ConnectionWindow", math.ceil(connect_timeout_s)),
            ("ConnectionRetry", 1),
            ("StreamErrorWindow", 0),
            ("StreamTimeout", math.ceil(call_timeout_s)),
            ("RequestTimeout", math.ceil(call_timeout_s) + 1),
            ("TimeoutResolution", 1),
            # What the library does around a fork may wait for ever, so that a program that is started never begins.
            # Nobody here forks without executing a program.
            ("RunForkHandler", 0),
            # Not by the properties of a file: setting one takes a reference of True that nobody has given.
            ("ReadRecovery", 0),
            ("WriteRecovery", 0),
        ):
            library.EnvPutInt_cpp(name, value)
    # Else what is in a file with a name like x.meta4 decides what is read in its place, and from whom: other servers,
    # which would be shown our token, or this machine's own files.
    library.EnvPutInt_cpp("MetalinkProcessing", 0)
    if library.EnvGetInt_cpp("MetalinkProcessing"):
        raise OperatorError(
            "the environment makes the XRootD library follow what files named *.meta4 say",
            place="XRD_METALINKPROCESSING",
            hint="take it out of the environment, or set it to 0",
        )
