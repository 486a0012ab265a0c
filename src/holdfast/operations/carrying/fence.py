"""Fence: whether we may still act on what we have claimed, asked before every call that changes anything outside.

Rules
  * The claim is read, then our lease is asked by our own clock: whoever was
    stopped between the two finds the lease run out.
  * While the database is away nobody can have taken the claim from us before
    our lease is over; until then we wait for its answer and change nothing.
  * Many who ask at once share one reading, which begins after the last of them
    came; each hears of his own claim.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from holdfast.model.errors import DatabaseAway, OutcomeUnknown
from holdfast.operations.batches.lease import Lease
from holdfast.operations.engine import ClaimLost

T = TypeVar("T")

AWAY_INTERVAL_S = 1.0
"""How often a database that is away is asked again."""
LOST_MAX = 1000
"""So many claims that have fallen are remembered at least."""


class Shared:
    """One question, asked once for all who wait for its answer."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._waiting: list[asyncio.Future[None]] = []
        self._asking: set[asyncio.Task[None]] = set()

    async def __call__(self) -> None:
        """Wait for an answer that is younger than this call; raises what the question raises."""
        # A future of one's own: whoever is cancelled does not cancel the others' answer.
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        if len(self._waiting) == 1:
            task = asyncio.ensure_future(self._begin())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        await answer

    async def _begin(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            await self._ask()
        except BaseException as error:
            for answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for answer in waiting:
                if not answer.done():
                    answer.set_result(None)


class Fence:
    """The claims of one worker. ``standing``: which of some claims stand, by the database."""

    def __init__(
        self,
        standing: Callable[[Collection[str]], frozenset[str]],
        lease: Lease,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._standing = standing
        self._lease = lease
        self._sleep = sleep
        self._asked: set[str] = set()
        self._lost: dict[str, None] = {}
        """Claims that have fallen, the last LOST_MAX: long after whoever asked has heard it. None ever stands again."""
        self._round = Shared(self._ask)

    async def check(self, claim: str) -> None:
        """ClaimLost unless the claim is ours and our lease holds."""
        self._asked.add(claim)
        await self._round()
        if claim in self._lost:
            raise ClaimLost("the batch was given to somebody else, or its request was closed")
        if not self._lease.is_held():
            raise ClaimLost("our lease has run out")

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What ``ask``, which may be asked twice, answers; while the database is away we wait, as long as our lease."""
        while True:
            try:
                return await ask()
            except (DatabaseAway, OutcomeUnknown):
                if not self._lease.is_held():
                    raise ClaimLost("the database is away, and our lease has run out") from None
                await self._sleep(AWAY_INTERVAL_S)

    async def _ask(self) -> None:
        asked, self._asked = self._asked, set()

        async def read() -> frozenset[str]:
            return self._standing(asked)

        standing = await self.patiently(read)
        self._lost |= dict.fromkeys(asked - standing)
        for claim in list(itertools.islice(self._lost, max(0, len(self._lost) - max(LOST_MAX, len(asked))))):
            del self._lost[claim]

    def shared(self, claim: str) -> Shared:
        """The check of one claim, for many files of it that ask at once."""
        return Shared(lambda: self.check(claim))
