"""Places: the sites as the inventory knows them, their drivers, and where a file lies at each.

Rules
  * A site is reached through its first door.
  * A site that has no path for a file is InvalidName; one whose door does not
    open raises what opening it raises.
  * A driver is opened once; anew if the site's doors change. Those that a
    function makes for us are ours to close, when nobody holds the door any more;
    those of a mapping belong to whoever made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from weakref import ref as weakref

from holdfast.model import pfn
from holdfast.model.errors import InvalidName, OperatorError, unknown_name
from holdfast.model.records import Site, StorageType
from holdfast.operations.engine import Place
from holdfast.storage.driver import StorageDriver

Drivers = Callable[[Site], StorageDriver] | Mapping[str, StorageDriver]


class Door:
    """The way into one site: its driver, and the path of any file."""

    def __init__(self, site: Site, driver: StorageDriver) -> None:
        self.site = site
        self.driver = driver
        self._root = site.doors[0].root.rstrip("/")
        self._path = pfn.compiled("", site.doors[0].rules)
        self._is_tape = site.storage_type is StorageType.TAPE

    @property
    def top(self) -> Place:
        """The site's root, for questions that are about no file."""
        return Place(self.site.name, self.driver, "/", self._root, self._is_tape)

    def place(self, lfn: str) -> Place:
        """Where a file lies; InvalidName if nowhere."""
        path = self._path(lfn)
        if path is None:
            raise no_path(self.site, lfn)
        return Place(self.site.name, self.driver, path, self._root + path, self._is_tape)


class Places:
    """All sites; ``take_in`` keeps them as they are now."""

    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers
        self._doors: dict[str, Door] = {}
        self._replaced: list[tuple[weakref[Door], StorageDriver]] = []
        self.sites: dict[str, Site] = {}

    def take_in(self, sites: Iterable[Site]) -> None:
        """The sites are these now."""
        self.sites = {site.name: site for site in sites}
        for name, door in list(self._doors.items()):
            if self.sites.get(name) != door.site:
                del self._doors[name]
                # Somebody may be using it: whoever does holds the door.
                self._replaced.append((weakref(door), door.driver))

    async def tidy(self) -> None:
        """Close the drivers of doors that were replaced, and that nobody uses any more."""
        unused = [driver for door, driver in self._replaced if door() is None]
        self._replaced = [each for each in self._replaced if each[0]() is not None]
        await self._close(unused)

    def door(self, name: str) -> Door:
        """The way into a site; UnknownName, OperatorError, or what opening it raises."""
        if name not in self._doors:
            if name not in self.sites:
                raise unknown_name("site", name, self.sites)
            self._doors[name] = Door(self.sites[name], self._open(self.sites[name]))
        return self._doors[name]

    def path(self, name: str, lfn: str) -> str:
        """Where a file lies at a site, without opening it; "" if nowhere, or if the site is not known."""
        try:
            return pfn.path_of(self.sites[name].doors[0].rules, lfn) or "" if name in self.sites else ""
        except InvalidName:
            return ""

    def place(self, name: str, lfn: str) -> Place:
        """Where a file lies at a site; errors of ``door`` and ``Door.place``."""
        return self.door(name).place(lfn)

    def is_ready(self, name: str) -> bool:
        """Whether the inventory lets a site be used."""
        return name in self.sites and self.sites[name].is_ready

    async def close(self) -> None:
        """Close what was opened for us, in the event loop that used it."""
        opened = [door.driver for door in self._doors.values()] + [driver for _, driver in self._replaced]
        self._doors, self._replaced = {}, []
        await self._close(opened)

    async def _close(self, drivers: Iterable[StorageDriver]) -> None:
        if callable(self._drivers):
            for driver in drivers:
                await driver.close()

    def _open(self, site: Site) -> StorageDriver:
        if callable(self._drivers):
            return self._drivers(site)
        if site.name in self._drivers:
            return self._drivers[site.name]
        raise OperatorError(f"there is no driver for site {site.name}")


def no_path(site: Site, lfn: str) -> InvalidName:
    """The error of a file that has no place at a site."""
    return InvalidName(f"the rules of {site.name} give no path for {lfn}", hint="see the site's PFN rules")
