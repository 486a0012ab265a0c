"""What a damaged world is made of, as values that hypothesis can draw and make smaller.

All numbers are small, and every choice that does not fit (a site that is not there, a copy that nobody has asked for)
is passed over by the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hypothesis import strategies as st

DIRS = ("/data/a", "/data/a/c", "/data/b", "/data/b/d/e", "/data")
"""Where files lie, as LFNs."""
SIZES = (20, 30, 40)
"""Few, so that files and orphans of one size meet."""
SITES_MAX = 3
LISTINGS_MAX = 7
"""So many directories, or a few more, a check asks for."""


class Damage(StrEnum):
    """What befalls a file that a site holds."""

    REMOVED = "removed"
    TRUNCATED = "truncated"
    FLIPPED = "flipped"
    MOVED = "moved"
    MOVED_LATELY = "moved lately"
    REWRITTEN_LATELY = "rewritten lately"


class Dark(StrEnum):
    """What kind of file a site has that the inventory does not expect there."""

    OLD = "old"
    YOUNG = "young"
    MOVED_IN = "moved in"
    """Old, but for its last change."""
    STRAY = "stray"
    """A copy of a file that is known, and not expected there."""
    PART = "part"


class Trouble(StrEnum):
    """What is wrong with a directory when it is listed."""

    FAILED = "failed"
    DOUBTED = "doubted"
    """It shows a part, and another way of asking shows all."""
    SILENT = "silent"
    """It shows a part, in every way of asking."""


class Flight(StrEnum):
    """What is going on at a site when a check begins."""

    COPY = "copy"
    COPY_IN_PLACE = "copy in place"
    """The bytes are there, and nobody has said so yet."""
    DELETION = "deletion"
    DELETION_DONE = "deletion done"
    """The bytes are gone, and nobody has said so yet."""
    STAGED = "staged"
    LOCKED = "locked"


class Deed(StrEnum):
    """What happens while a site is listed, or between its check and what is done about that."""

    PUBLISH = "publish"
    STAGE = "stage"
    ARRIVE = "arrive"
    DELETED = "deleted"
    CANCEL = "cancel"
    LOCK = "lock"
    USER_WRITES = "user writes"
    USER_REMOVES = "user removes"
    USER_MOVES = "user moves"
    USER_RESTORES = "user restores"


@dataclass(frozen=True)
class File:
    """A published file: of one of four blocks, of two datasets, in a directory, and at which sites besides its own."""

    block: int
    dir: int
    size: int
    also: frozenset[int]


@dataclass(frozen=True)
class Hurt:
    """Damage to a file at a site."""

    site: int
    file: int
    kind: Damage


@dataclass(frozen=True)
class DarkFile:
    """A file that is not expected."""

    site: int
    dir: int
    size: int
    kind: Dark


@dataclass(frozen=True)
class BadDirectory:
    """A directory that does not show what is in it."""

    site: int
    dir: int
    kind: Trouble


@dataclass(frozen=True)
class InFlight:
    """Something that is going on: of a block at a site, or in a directory."""

    site: int
    number: int
    kind: Flight


@dataclass(frozen=True)
class Event:
    """A deed at a site, when it is asked for its directory number ``at``; after its check, if it has fewer."""

    site: int
    at: int
    number: int
    deed: Deed


@dataclass(frozen=True)
class Scenario:
    """A world, what is wrong with it, and what happens."""

    n_sites: int
    files: tuple[File, ...]
    hurts: tuple[Hurt, ...] = ()
    dark: tuple[DarkFile, ...] = ()
    troubles: tuple[BadDirectory, ...] = ()
    flights: tuple[InFlight, ...] = ()
    events: tuple[Event, ...] = ()
    with_checksums: bool = False
    is_quarantined: bool = False
    acts_at_once: bool = False
    """Whether all is done about a site before the next one is checked."""


def _tuples(strategy: st.SearchStrategy[object], max_size: int) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(strategy, max_size=max_size).map(tuple)


_site, _dir, _size = st.integers(0, SITES_MAX - 1), st.integers(0, len(DIRS) - 1), st.integers(0, len(SIZES) - 1)
_number = st.integers(0, 9)
_file = st.builds(File, st.integers(0, 3), _dir, _size, st.frozensets(_site))

scenarios = st.builds(
    Scenario,
    n_sites=st.integers(2, SITES_MAX),
    files=st.lists(_file, min_size=1, max_size=10).map(tuple),
    hurts=_tuples(st.builds(Hurt, _site, _number, st.sampled_from(Damage)), 6),
    dark=_tuples(st.builds(DarkFile, _site, _dir, _size, st.sampled_from(Dark)), 5),
    troubles=_tuples(st.builds(BadDirectory, _site, _dir, st.sampled_from(Trouble)), 2),
    flights=_tuples(st.builds(InFlight, _site, _number, st.sampled_from(Flight)), 4),
    events=_tuples(st.builds(Event, _site, st.integers(0, LISTINGS_MAX), _number, st.sampled_from(Deed)), 5),
    with_checksums=st.booleans(),
    is_quarantined=st.booleans(),
    acts_at_once=st.booleans(),
)
"""Everything at once, a little of each."""
