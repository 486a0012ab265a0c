"""A storage in memory whose answers about directories are changed on their way, as doors change them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from holdfast.model.clock import Clock
from holdfast.storage.driver import DirectoryListing, DirectoryNames
from holdfast.testing.memory_driver import FULL, MemoryDriver
from holdfast.testing.memory_tree import MemoryTree

Lie = Callable[[DirectoryListing], DirectoryListing]


class LyingDriver(MemoryDriver):
    """``lies`` by directory. What was asked for in another way (``names``) is lied about if the directory is ``blind``.

    Each directory comes in one answer. ``second_look`` False: there is no other way to ask.
    """

    def __init__(self, clock: Clock, *, tree: MemoryTree | None = None, second_look: bool = True) -> None:
        super().__init__(clock, tree=tree, capabilities=replace(FULL, second_look=second_look, pages=False))
        self.lies: dict[str, Lie] = {}
        self.blind: set[str] = set()

    async def list(self, path: str) -> DirectoryListing:
        """The entries, or what is said to be the entries."""
        return self._lie(path, await super().list(path))

    async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
        """The same as one page."""
        yield await self.list(path)

    async def names(self, path: str) -> DirectoryNames:
        """The names of what is there, or of what is said to be there."""
        told = await super().names(path)
        if path not in self.blind:
            return told
        listing = self._lie(path, await super().list(path))
        return DirectoryNames(tuple(entry.name for entry in listing.entries), listing.unnameable)

    def _lie(self, path: str, listing: DirectoryListing) -> DirectoryListing:
        return self.lies[path](listing) if path in self.lies else listing


def showing(*names: str, doubt: str = "") -> Lie:
    """A lie: only these names are shown; with a ``doubt`` the answer says itself that it may lack something."""

    def lie(listing: DirectoryListing) -> DirectoryListing:
        shown = tuple(entry for entry in listing.entries if entry.name in names)
        return replace(listing, entries=shown, doubt=doubt)

    return lie


def hiding(*names: str) -> Lie:
    """A lie: these names are left out."""

    def lie(listing: DirectoryListing) -> DirectoryListing:
        return replace(listing, entries=tuple(entry for entry in listing.entries if entry.name not in names))

    return lie


def repeating(listing: DirectoryListing) -> DirectoryListing:
    """A lie: everything twice, as by a redirector in front of two data servers."""
    return replace(listing, entries=(*listing.entries, *listing.entries))
