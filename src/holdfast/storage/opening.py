"""Opening: the doors of sites, each with what its site is to be shown.

Whoever works with storages gets its drivers here; ``doors`` finds the driver of
a protocol, ``access`` what is shown there.

Rules
  * One Access serves all doors of a site.
  * A further door stands in for one of the same protocol and rules
    (``Site.doors_like``). One that cannot be opened is logged and left out.
  * Whoever asks for a driver closes it, in the event loop that used it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from holdfast import logs
from holdfast.model.clock import Clock
from holdfast.model.errors import HoldfastError
from holdfast.model.records import Door, Site
from holdfast.storage import doors
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.driver import StorageDriver

_log = logs.get("storage")


class SiteOpener:
    """Opens doors in this process. ``settings``: of access, by the name of a site."""

    def __init__(self, settings: Callable[[str], AccessSettings], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._accesses: dict[str, Access] = {}

    def access(self, site: str) -> Access:
        """How one gets in to a site."""
        if site not in self._accesses:
            self._accesses[site] = Access(self._settings(site), site=site, clock=self._clock)
        return self._accesses[site]

    def driver(self, site: Site) -> StorageDriver:
        """A new driver for the site's first door; BadInput, OperatorError."""
        return self._open(site, site.first_door)

    @asynccontextmanager
    async def drivers(self, site: Site, door: Door) -> AsyncIterator[list[StorageDriver]]:
        """Drivers for a door of the site, which has to open, and for those that can stand in for it, until the end."""
        async with AsyncExitStack() as opened:
            found = [self._open(site, door)]
            found += filter(None, (self._open_further(site, each) for each in site.doors_like(door)))
            for driver in found:
                opened.push_async_callback(driver.close)
            yield found

    def _open(self, site: Site, door: Door) -> StorageDriver:
        return doors.open_driver(door.protocol, door.root, site=site.name, access=self.access(site.name))

    def _open_further(self, site: Site, door: Door) -> StorageDriver | None:
        try:
            return self._open(site, door)
        except HoldfastError as error:
            _log.warning("a further door cannot be opened and is left out", site=site.name, reason=str(error))
            return None
