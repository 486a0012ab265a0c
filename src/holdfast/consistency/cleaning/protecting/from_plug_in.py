"""PlugInSource: protected paths that a plug-in of another maker gives.

Rules
  * It runs in a thread of its own. One that takes too long is left behind, and
    what it says afterwards is not heard.
  * Whatever it raises is one clear error.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points

from holdfast.consistency.cleaning.protecting import lists
from holdfast.model.errors import BadInput, HoldfastError, OperatorError, PeerError

GROUP = "holdfast.protected"
"""The group of entry points in which plug-ins name themselves."""

Protecting = Callable[[str], Iterable[str]]
"""What an entry point names: given a site, the paths that are protected there."""


@dataclass(frozen=True, slots=True)
class PlugInSource:
    """What the plug-in ``plug_in`` gives within ``limit_s``."""

    plug_in: str
    limit_s: float

    @property
    def name(self) -> str:
        """The plug-in."""
        return f"plug-in {self.plug_in}"

    async def paths(self, site: str) -> tuple[str, ...]:
        """What the plug-in says of a site."""
        loop, protecting = asyncio.get_running_loop(), self._load()
        heard: asyncio.Future[tuple[str, ...]] = loop.create_future()

        def tell(paths: tuple[str, ...] | None, error: Exception | None) -> None:
            if heard.done():
                return
            if error is None:
                heard.set_result(paths or ())
            else:
                heard.set_exception(error)

        def work() -> None:
            told: tuple[tuple[str, ...] | None, Exception | None]
            try:
                told = (lists.checked(protecting(site)), None)
            # Whatever it raises, it is its own affair.
            except Exception as error:  # noqa: BLE001
                told = (None, error)
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, *told)

        # No pool's thread: the process would wait for that at its end.
        threading.Thread(target=work, daemon=True).start()
        try:
            return await asyncio.wait_for(heard, self.limit_s)
        except TimeoutError as error:
            raise PeerError(f"gave no list within {self.limit_s:g} s") from error
        except HoldfastError:
            raise
        except Exception as error:
            raise PeerError(f"failed: {error!r}") from error

    def _load(self) -> Protecting:
        found = {point.value: point for point in entry_points(group=GROUP, name=self.plug_in)}
        if not found:
            known = ", ".join(sorted({point.name for point in entry_points(group=GROUP)})) or "none"
            raise BadInput("there is no such plug-in", hint=f"installed of the group {GROUP}: {known}")
        if len(found) > 1:
            raise OperatorError(f"there are several: {', '.join(sorted(found))}", hint="uninstall all but one")
        (point,) = found.values()
        try:
            protecting: Protecting = point.load()
        except Exception as error:
            raise OperatorError(f"{point.value} cannot be loaded: {error!r}") from error
        return protecting
