"""Stops: sites where this worker has given up for now, though the inventory lets them be used.

A door that does not open, a storage without room. Whoever waits for the end of
the run is told; one that runs for ever tries again after ``held_retry_s``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast import logs
from holdfast.operations.codes import Code

_log = logs.get("operations")


@dataclass(frozen=True, slots=True)
class _Stop:
    why: str
    code: Code
    until_s: float


class Stops:
    """What is stopped, by site. ``retry_s`` 0: nothing is tried again."""

    def __init__(self, monotonic: Callable[[], float], retry_s: float) -> None:
        self._monotonic = monotonic
        self._retry_s = retry_s or math.inf
        self._stops: dict[str, _Stop] = {}
        self.told: dict[str, str] = {}
        """Every site that was given up in this run, or could not be used, and why last."""

    def stop(self, site: str, why: str, code: Code) -> None:
        """Nothing more is begun there for now."""
        why = why.removeprefix(f"{site}:").lstrip()  # Whoever tells of it names the site.
        if site not in self.reasons():
            _log.warning("a site is given up for now", site=site, reason=why)
        self._stops[site] = _Stop(why, code, self._monotonic() + self._retry_s)
        self.told[site] = why

    def tell(self, site: str, why: str) -> None:
        """A site cannot be used by the inventory's word."""
        self.told.setdefault(site, why)

    def reasons(self) -> Mapping[str, str]:
        """Why, of each site that is stopped now."""
        now_s = self._monotonic()
        self._stops = {site: stop for site, stop in self._stops.items() if stop.until_s > now_s}
        return {site: stop.why for site, stop in self._stops.items()}

    def code(self, site: str) -> Code | None:
        """What stopped a site; None if we have not."""
        stop = self._stops.get(site)
        return None if stop is None else stop.code
