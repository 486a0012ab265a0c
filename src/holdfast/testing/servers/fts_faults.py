"""Faults that tests put into the FTS3 they speak to.

Of files, by a text that is in their source or destination:

    fail       FAILED with ``reason``, which should have FTS3's form
    half       half of the bytes are written, then as ``fail``
    stall      ACTIVE until it is cancelled
    hollow     FINISHED, and nothing was written
    damage     FINISHED, and the last byte is another one
    slow       ``seconds`` pass while it is ACTIVE

Of requests, by method and beginning of the path:

    answer     answered with ``status`` instead, and ``retry_after`` if there is one
    lose       carried out, and the connection closed without an answer
    hang       never answered
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

FILES = frozenset({"fail", "half", "stall", "hollow", "damage", "slow"})
REQUESTS = frozenset({"answer", "lose", "hang"})


@dataclass
class FtsFault:
    """One fault; ``times`` is how often it still happens, None: for ever."""

    do: str
    match: str = ""
    """Of files: a text in source or destination. Of requests: METHOD and a space, and how the path begins."""
    times: int | None = None
    reason: str = "TRANSFER [70] TRANSFER Something went wrong"
    seconds: float = 0.0
    status: int = 503
    retry_after: str = ""

    @staticmethod
    def parse(row: Mapping[str, Any]) -> FtsFault:
        """From JSON."""
        fault = FtsFault(**row)
        if fault.do not in FILES | REQUESTS:
            raise ValueError(f"no fault {fault.do!r}")
        return fault


class FtsFaults:
    """Those that are set now, in order."""

    def __init__(self) -> None:
        self.all: list[FtsFault] = []

    def of_file(self, source: str, destination: str) -> FtsFault | None:
        """The first that is about a transfer; it has happened then."""
        return self._take(FILES, lambda fault: fault.match in source or fault.match in destination)

    def of_request(self, method: str, path: str) -> FtsFault | None:
        """The first that is about a request; it has happened then."""
        return self._take(REQUESTS, lambda fault: f"{method} {path}".startswith(fault.match))

    def _take(self, kinds: Collection[str], fits: Any) -> FtsFault | None:
        for fault in self.all:
            if fault.do in kinds and fault.times != 0 and fits(fault):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None
