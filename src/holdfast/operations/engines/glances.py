"""Glances: which names of a directory are free, told for many files by one listing.

To ask for a name that is not there is dear with some servers, which hang up
after saying so. Whoever brings thousands of new files into one directory looks
at the directory instead, now and then.

Rules
  * A glance only spares looks: it is believed when it shows nothing, for
    HOLD_S, and whatever has come there since is found right before the new file
    would get its name. What it shows is looked at by itself.
  * A directory is listed if at least LOOKS_MIN names in it were looked for in
    vain, or not looked for thanks to the listing before, and so many that the
    listing is cheaper, by what is known of its size.
  * A listing that is doubted, or fails, shows nothing to anybody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from holdfast.model import names
from holdfast.model.errors import BrokenInvariant, HoldfastError
from holdfast.operations.engine import Place
from holdfast.storage.driver import NotThere, StorageDriver

HOLD_S = 10.0
LOOKS_MIN = 8
ENTRIES_PER_LOOK = 64
"""So many entries of a listing cost about as much as a look for a name that is not there."""
DIRECTORIES_MAX = 1000


@dataclass
class _Directory:
    """What is known of one directory."""

    n_missed: int = 0
    """Looks in vain since the last listing."""
    n_spared: int = 0
    """Looks that the last listing has spared; when it is too old they speak for the next one."""
    n_entries: int = 0
    shown: set[str] | None = None
    at_s: float = 0.0
    """When the listing began, or the counting."""
    listing: asyncio.Future[None] | None = field(default=None)


class Glances:
    """The glances of one engine at all of its destinations."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._known: WeakKeyDictionary[StorageDriver, dict[str, _Directory]] = WeakKeyDictionary()

    async def shows_nothing(self, place: Place) -> bool:
        """Whether a glance says that the name is free; if not, it may still be."""
        directory, name = self._of(place)
        if directory.shown is not None and self._is_old(directory):
            directory.shown, directory.n_missed, directory.at_s = None, directory.n_spared, self._monotonic()
        if directory.shown is None and directory.listing is None and self._is_worth(directory):
            directory.listing = asyncio.ensure_future(self._list(place, directory))
        if directory.listing is not None:
            await asyncio.shield(directory.listing)
        is_spared = directory.shown is not None and name not in directory.shown
        directory.n_spared += is_spared
        return is_spared

    def missed(self, place: Place) -> None:
        """A name was looked for in vain."""
        directory, _ = self._of(place)
        if directory.shown is None and self._is_old(directory):
            directory.n_missed, directory.at_s = 0, self._monotonic()
        directory.n_missed += 1

    def arrived(self, place: Place) -> None:
        """A name is taken from now on."""
        directory, name = self._of(place)
        if directory.shown is not None:
            directory.shown.add(name)

    def forget(self, place: Place) -> None:
        """What is known of the directory has proved wrong."""
        directory, _ = self._of(place)
        directory.shown = None

    async def close(self) -> None:
        """End listings that are under way."""
        for directories in self._known.values():
            for directory in directories.values():
                if directory.listing is not None:
                    directory.listing.cancel()
                    with suppress(asyncio.CancelledError):
                        await directory.listing
        self._known.clear()

    def _of(self, place: Place) -> tuple[_Directory, str]:
        directories = self._known.setdefault(place.driver, {})
        above, name = names.split(place.path)
        found = directories.get(above)
        if found is None:
            while len(directories) >= DIRECTORIES_MAX:
                del directories[next(iter(directories))]
            found = directories[above] = _Directory(at_s=self._monotonic())
        return found, name

    def _is_old(self, directory: _Directory) -> bool:
        return self._monotonic() - directory.at_s >= HOLD_S

    def _is_worth(self, directory: _Directory) -> bool:
        return directory.n_missed >= max(LOOKS_MIN, directory.n_entries // ENTRIES_PER_LOOK)

    async def _list(self, place: Place, directory: _Directory) -> None:
        directory.n_missed, directory.n_spared, directory.at_s = 0, 0, self._monotonic()
        try:
            listing = await place.driver.list(names.split(place.path)[0])
        except BrokenInvariant:
            raise
        except NotThere:
            directory.shown = set()
        except HoldfastError:
            directory.shown = None
        else:
            directory.n_entries = len(listing.entries)
            directory.shown = None if listing.doubt else {entry.name for entry in listing.entries}
        finally:
            directory.listing = None
