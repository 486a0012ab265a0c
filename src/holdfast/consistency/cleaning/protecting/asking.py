"""Asking: what all sources of a site say is protected, each judged by itself.

Rules
  * Each source is asked, one after the other, and each has to be believed.
  * What is named by any of them is protected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.consistency.cleaning.protecting import lists
from holdfast.consistency.cleaning.protecting.lists import Belief, NotBelieved
from holdfast.consistency.cleaning.protecting.source import ProtectedSource


@dataclass(frozen=True, slots=True)
class Heard:
    """What the sources of a site have said at one time: the different paths of each, sorted."""

    paths: Mapping[str, tuple[str, ...]]

    @property
    def lengths(self) -> dict[str, int]:
        """How many paths each source has named."""
        return {name: len(paths) for name, paths in self.paths.items()}

    def all(self) -> set[str]:
        """What any of them has named."""
        return {path for paths in self.paths.values() for path in paths}


async def ask(sources: Sequence[ProtectedSource], site: str, lengths: Mapping[str, int], belief: Belief) -> Heard:
    """What is protected at a site now. ``lengths``: how many paths each source has named before, as far as known."""
    heard: dict[str, tuple[str, ...]] = {}
    for source in sources:
        paths = await source.paths(site)
        try:
            lists.judge(paths, lengths.get(source.name), belief)
        except NotBelieved as error:
            error.place = error.place or source.name
            raise
        heard[source.name] = tuple(sorted(set(paths)))
    return Heard(heard)
