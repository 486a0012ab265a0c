"""Engines: which engine serves a link now, and which of them rest.

The configuration says which engines a link has, in order (``[[operations.links]]``).
The first that can serve the doors of both sites is taken, unless it rests: an
engine that could not work (``EngineDown``) is left alone for a while, and the
next one serves meanwhile. Where a site is its own source, that is IN_PLACE.

Rules
  * A rest begins with REST_S_MIN; each further failure after a rest doubles it,
    up to REST_S_MAX. One success ends that.
  * Failures of jobs that were under way when the rest began make it no longer.
  * An engine that rests stops no other one, and no link that has others.
  * That no engine can serve a link is for good; that all who can are resting
    will pass, and it is said when.
  * Equal histories give equal answers: there is no chance here, and time is an
    argument that never goes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast import logs
from holdfast.config import LinkSettings
from holdfast.operations.engine import Place, TransferEngine

REST_S_MIN = 30.0
REST_S_MAX = 900.0
IN_PLACE = "in-place"
"""The engine that looks for files at the site where they are to be; no configuration names it."""
_DOUBLINGS_MAX = 16

_log = logs.get("operations")

LinkRules = Callable[[str, str], LinkSettings]
"""What holds for a link, by the names of source and destination."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The engine that serves a link now, and what else is set for the link."""

    engine: TransferEngine
    link: LinkSettings
    picked_s: float
    """When, by the clock that the engines were given."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """Why no engine serves a link now. ``rest_s``: for how long, where it will pass; None: for good."""

    reason: str
    rest_s: float | None = None


@dataclass(slots=True)
class _State:
    """What is remembered of one engine."""

    n_rests: int = 0
    until_s: float = 0.0
    error: str = ""


class Engines:
    """Every engine there is, by its name. Used in one event loop."""

    def __init__(self, engines: Iterable[TransferEngine], rules: LinkRules, *, monotonic: Callable[[], float]) -> None:
        self._engines: Mapping[str, TransferEngine] = {engine.name: engine for engine in engines}
        self._rules = rules
        self._monotonic = monotonic
        self._states = {name: _State() for name in self._engines}

    def pick(self, source: Place, destination: Place) -> Chosen | Unserved:
        """The engine for one link now; any place at each of the two sites will do."""
        link = self._rules(source.site, destination.site)
        reasons: list[str] = []
        rests_s: list[float] = []
        now_s = self._monotonic()
        for name in self._names(source, destination):
            engine = self._engines.get(name)
            reason = "is not configured" if engine is None else engine.can(source, destination)
            if engine is None or reason:
                reasons.append(f"{name}: {reason}")
                continue
            state = self._states[name]
            if state.until_s <= now_s:
                return Chosen(engine, link, now_s)
            reasons.append(f"{name}: cannot work now: {state.error}")
            rests_s.append(state.until_s - now_s)
        why = f"no engine brings files from {source.site} to {destination.site}: {'; '.join(reasons)}"
        return Unserved(why, min(rests_s, default=None))

    def able(self, source: Place, destination: Place) -> list[str]:
        """Those engines of a link that can serve it, resting or not, in the order in which they are taken."""
        names = [name for name in self._names(source, destination) if name in self._engines]
        return [name for name in names if not self._engines[name].can(source, destination)]

    def _names(self, source: Place, destination: Place) -> Sequence[str]:
        if source.site == destination.site:
            return (IN_PLACE,)
        return self._rules(source.site, destination.site).engines

    def named(self, name: str) -> TransferEngine | None:
        """An engine by its name, resting or not: for jobs that it has begun."""
        return self._engines.get(name)

    def went_down(self, name: str, error: str, *, picked_s: float | None = None) -> float:
        """An engine raised EngineDown, in a job for which it was picked then; for how long it rests now.

        None: a job that it had begun before, and that was taken up now.
        """
        state, now_s = self._states[name], self._monotonic()
        if state.until_s <= (now_s if picked_s is None else picked_s):
            state.until_s = now_s + min(REST_S_MIN * 2**state.n_rests, REST_S_MAX)
            state.n_rests = min(state.n_rests + 1, _DOUBLINGS_MAX)
            state.error = error
            _log.warning("an engine cannot work", engine=name, reason=error, rests_s=round(state.until_s - now_s))
        return max(0.0, state.until_s - now_s)

    def went_well(self, name: str) -> None:
        """An engine has worked."""
        state = self._states[name]
        if state.n_rests:
            _log.info("an engine works again", engine=name)
            self._states[name] = _State()

    async def close(self) -> None:
        """Close every engine."""
        closing = [engine.close() for engine in self._engines.values()]
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if error is not None:
                raise error
