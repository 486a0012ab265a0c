"""Listings of hands, made whole: names that came without a stat, cut off or in pieces are looked at.

Rules
  * Every name that was shown is in the listing, as an entry or as unnameable.
  * A name as long as the longest that is shown whole may have been cut off: it
    is an entry only if it is there by that name.
  * A directory that cannot be listed in one piece is looked at name by name, up
    to ``ONE_BY_ONE_MAX``; beyond it is Unsupported.
  * Entries are in the order of the names' bytes, which is that of their text.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from holdfast.model import names
from holdfast.storage.driver import DirectoryListing, DirectoryNames, Entry, NotThere, Stat, Unnameable, Unsupported
from holdfast.storage.guarded.hands import Hands, Heard, Unreadable

ONE_BY_ONE_MAX = 1000
"""How many names are looked at one by one, at most."""

_HINT = "look for a name with a line feed in it, or a link that leads nowhere; another protocol may show it"


async def whole_listing(hands: Hands, path: str) -> DirectoryListing:
    """The entries of a directory."""
    try:
        heard = await hands.list(path)
    except Unreadable:
        heard = await _in_pieces(hands, path)
    cut_at = hands.capabilities.listed_bytes_max
    entries = [entry for entry in heard.entries if not _may_be_cut(entry.name, cut_at)]
    doubtful = [entry.name for entry in heard.entries if _may_be_cut(entry.name, cut_at)]
    there, lost = await _looked_at(hands, path, [*heard.bare, *doubtful])
    entries = sorted([*entries, *there], key=lambda entry: entry.name)
    unnameable = sorted((*heard.unnameable, *lost), key=lambda entry: entry.raw)
    return DirectoryListing(tuple(entries), tuple(unnameable), heard.doubt)


async def whole_names(hands: Hands, path: str) -> DirectoryNames:
    """The names in a directory."""
    heard = await _names(hands, path)
    cut_at = hands.capabilities.listed_bytes_max
    doubtful = [name for name in heard.names if _may_be_cut(name, cut_at)]
    there, lost = await _looked_at(hands, path, doubtful)
    found = [name for name in heard.names if not _may_be_cut(name, cut_at)]
    unnameable = sorted((*heard.unnameable, *lost), key=lambda entry: entry.raw)
    return DirectoryNames(tuple(sorted([*found, *(entry.name for entry in there)])), tuple(unnameable))


def _may_be_cut(name: str, cut_at: int) -> bool:
    return cut_at < names.COMPONENT_BYTES_MAX and len(name.encode()) >= cut_at


async def _names(hands: Hands, path: str) -> DirectoryNames:
    try:
        return await hands.names(path)
    except Unreadable as error:
        raise Unsupported(f"cannot be listed by this way of asking: {error.message}", hint=_HINT) from error


async def _in_pieces(hands: Hands, path: str) -> Heard:
    """The names of a directory, each once: of two that look the same at most one is there."""
    shown = await _names(hands, path)
    if len(shown.names) > ONE_BY_ONE_MAX:
        raise Unsupported(
            "a name in this directory cannot be listed, and there are too many to look at each",
            hint=_HINT,
        )
    count = Counter(shown.names)
    again = (count - Counter(set(count))).elements()
    unnameable = (Unnameable(name.encode(), "is shown twice; part of a longer name?") for name in again)
    return Heard((), tuple(count), (*shown.unnameable, *unnameable))


async def _looked_at(hands: Hands, path: str, shown: Sequence[str]) -> tuple[list[Entry], list[Unnameable]]:
    found = await asyncio.gather(*(_look(hands, names.join(path, name)) for name in shown))
    pairs = [*zip(shown, found, strict=True)]
    reason = "is shown by that name and not there"
    lost = [Unnameable(name.encode(), reason) for name, stat in pairs if stat is None]
    return [Entry(name, stat) for name, stat in pairs if stat is not None], lost


async def _look(hands: Hands, path: str) -> Stat | None:
    """What is there; None if nothing is, or if that cannot be asked."""
    if set(path) & set(hands.capabilities.not_in_paths):
        return None
    try:
        return await hands.stat(path)
    except NotThere:
        return None
