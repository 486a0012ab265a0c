"""Servers: whom to ask for a listing.

A data server lists what it has. A redirector has nothing itself and sends who
lists to any one of its servers, which knows only its own part: so behind a
redirector every server that has the directory is asked.

Rules
  * Whether the door is a redirector is asked once, with the first listing.
  * Servers that do not have the directory are passed over, unless none has it.
  * One that cannot answer leaves a doubt; if none can, that is the error.
  * Names that several servers give are handed on as often as they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from holdfast.model.errors import HoldfastError, PeerError
from holdfast.storage.driver import NotThere
from holdfast.storage.xroot.calls import CallAnswer
from holdfast.storage.xroot.errors import PARTIAL, meaning

_IS_MANAGER = 0x2

Raw = list[dict[str, Any]]
OneServer = Callable[[str], Awaitable[CallAnswer]]
"""Asks the server of that address; "" is the door itself."""
Door = Callable[[], Awaitable[CallAnswer]]


class Servers:
    """The servers behind one door."""

    def __init__(self) -> None:
        self._redirects: bool | None = None

    @property
    def is_one(self) -> bool:
        """Whether the door is known to be a server that lists all it has."""
        return self._redirects is False

    async def listed(self, ask: OneServer, who: Door, where: Door, place: str) -> tuple[Raw, str]:
        """All entries of one directory, and why that may not be all.

        ``ask`` lists at one server, ``who`` asks the door what it is, ``where`` which servers have the directory.
        """
        if self._redirects is None:
            answer = await who()
            if not answer.ok:
                raise meaning(answer.status, place)
            self._redirects = bool(answer.response["hostinfo"] & _IS_MANAGER)
        if not self._redirects:
            return all_of(await ask(""), place)
        return await self._everywhere(ask, where, place)

    async def _everywhere(self, ask: OneServer, where: Door, place: str) -> tuple[Raw, str]:
        located = await where()
        if not located.ok:
            raise meaning(located.status, place)
        hosts = sorted({location["address"] for location in located.response if location["is_server"]})
        # Storages with one name space for all their servers call themselves redirectors and list at the door.
        hosts = hosts or [""]
        outcomes = await asyncio.gather(*(_outcome(ask, host, place) for host in hosts))
        doubts = [_PARTIAL_LOCATIONS] if located.status["code"] == PARTIAL else []
        return _merged(hosts, outcomes, doubts)


_PARTIAL_LOCATIONS = "the redirector could not ask all of its servers where the directory is"
_PARTIAL_ENTRIES = "the storage calls its answer partial"


async def _outcome(ask: OneServer, host: str, place: str) -> tuple[Raw, str] | HoldfastError:
    try:
        return all_of(await ask(host), place)
    except HoldfastError as error:
        return error


def _merged(
    hosts: Sequence[str], outcomes: Sequence[tuple[Raw, str] | HoldfastError], doubts: list[str]
) -> tuple[Raw, str]:
    raw: Raw = []
    failures: list[HoldfastError] = []
    absences: list[HoldfastError] = []
    for host, outcome in zip(hosts, outcomes, strict=True):
        if isinstance(outcome, NotThere):
            absences.append(outcome)
        elif isinstance(outcome, HoldfastError):
            failures.append(outcome)
            doubts.append(f"server {host} could not be asked: {outcome.message}")
        else:
            raw += outcome[0]
            doubts += [f"server {host}: {outcome[1]}"] if outcome[1] else []
    if len(failures) + len(absences) == len(hosts):
        raise (failures or absences)[0]
    return raw, "; ".join(doubts)


def all_of(answer: CallAnswer, place: str) -> tuple[Raw, str]:
    """The entries in the answer of one server, and why that may not be all."""
    if not answer.ok:
        raise meaning(answer.status, place)
    if answer.response is None:
        raise PeerError("the storage gave no listing", place=place)
    return answer.response["dirlist"], _PARTIAL_ENTRIES if answer.status["code"] == PARTIAL else ""
