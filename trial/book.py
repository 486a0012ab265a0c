"""Book: what the trial itself has done, and what has to be so in the end because of it.

Pure. It is written by those who put, damage and ask, never by what Holdfast
says; at the end the real sites are held against it (``verdict``). It knows

  * of each real site which files are to be there, and with which bytes,
  * every damage: what was done where, what checks have to call it, what has to become of it,
  * which directories were made for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from trial.files import File, files_of


class Content(NamedTuple):
    """What is in a file: bytes and adler32."""

    size: int
    adler32: str


class Kind(StrEnum):
    """What was done to a site."""

    MISSING = "missing file"
    LOST_SUBTREE = "file of a lost subtree"
    TRUNCATED = "truncated file"
    ALTERED = "altered file"
    ORPHAN_OLD = "old orphan"
    ORPHAN_YOUNG = "young orphan"
    UNLISTED = "unlisted directory"
    EMPTY = "empty directory"


CALLED: Mapping[Kind, tuple[str, ...]] = {
    Kind.MISSING: ("missing",),
    Kind.LOST_SUBTREE: ("missing",),
    Kind.TRUNCATED: ("size_mismatch",),
    Kind.ALTERED: ("checksum_mismatch",),
    Kind.ORPHAN_OLD: ("orphan",),
    Kind.ORPHAN_YOUNG: ("ignored", "in_flight"),
    Kind.UNLISTED: ("unlisted",),
    Kind.EMPTY: ("empty_directory",),
}
"""What a check that sees a damage has to call it."""

ACCUSED = ("missing", "orphan", "size_mismatch", "checksum_mismatch", "empty_directory", "suspect", "unlisted")
"""What nothing may be called that was not damaged so."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that was done to one path of a site."""

    site: str
    kind: Kind
    path: str


@dataclass
class Book:
    """See the module's docstring. ``real`` are the sites that are held against it."""

    real: tuple[str, ...]
    blocks: dict[str, set[int]] = field(default_factory=dict)
    """Whole blocks that are to be at a site."""
    singles: dict[str, dict[str, Content]] = field(default_factory=dict)
    """Single files that are to be there as well, orphans included that nobody may touch."""
    dark: dict[str, dict[str, Content]] = field(default_factory=dict)
    """Old orphans: each is to be in the quarantine, if it was put there; nothing else is."""
    damages: list[Damage] = field(default_factory=list)
    named: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """What checks have called each path of a site."""

    def put_block(self, site: str, block: int) -> None:
        """A block is to be at a site."""
        self.blocks.setdefault(site, set()).add(block)

    def drop_block(self, site: str, block: int) -> None:
        """It was asked to go from there."""
        self.blocks[site].remove(block)

    def put_single(self, site: str, file: File, path: str = "") -> None:
        """One more file is to be there."""
        self.singles.setdefault(site, {})[path or file.lfn] = Content(file.size, file.adler32)

    def damage(self, site: str, kind: Kind, path: str) -> None:
        """Somebody has done something to a path."""
        self.damages.append(Damage(site, kind, path))

    def put_dark(self, site: str, file: File, path: str) -> None:
        """An orphan that is old enough to go into the quarantine."""
        self.dark.setdefault(site, {})[path] = Content(file.size, file.adler32)
        self.damage(site, Kind.ORPHAN_OLD, path)

    def note(self, site: str, called: str, path: str) -> None:
        """A check has called a path something."""
        self.named.setdefault(site, {}).setdefault(path, set()).add(called)

    def expected(self, site: str) -> dict[str, Content]:
        """Every file that has to be at a site, outside of the quarantine."""
        found = {
            file.lfn: Content(file.size, file.adler32)
            for block in sorted(self.blocks.get(site, ()))
            for file in files_of(block)
        }
        return found | self.singles.get(site, {})

    def of_site(self, site: str) -> Iterator[Damage]:
        """All damage of a site."""
        return (each for each in self.damages if each.site == site)

    def counts(self) -> dict[str, int]:
        """How many damages of each kind there are."""
        kinds = [each.kind.value for each in self.damages]
        return {kind.value: kinds.count(kind.value) for kind in Kind}

    def to_json(self) -> dict[str, Any]:
        """What a person reads who looks after something that went wrong."""
        return {
            "damages": [[each.site, each.kind.value, each.path] for each in self.damages],
            "named": {site: {path: sorted(words) for path, words in of.items()} for site, of in self.named.items()},
            "blocks": {site: sorted(blocks) for site, blocks in self.blocks.items()},
            "singles": {site: sorted(paths) for site, paths in self.singles.items()},
            "dark": {site: sorted(paths) for site, paths in self.dark.items()},
        }
