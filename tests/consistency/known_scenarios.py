"""Scenarios by name: those that were found to be lived through wrongly once, and one for each kind of trouble."""

from __future__ import annotations

from random_scenario import (
    BadDirectory,
    Damage,
    Dark,
    DarkFile,
    Deed,
    Event,
    File,
    Flight,
    Hurt,
    InFlight,
    Scenario,
    Trouble,
)

BOTH = frozenset({0, 1})
FOUR = tuple(File(0, 0, size % 3, BOTH) for size in range(4))

LIVED_THROUGH = {
    "moved at one site, lost at the other": Scenario(
        2, FOUR, hurts=(Hurt(0, 0, Damage.MOVED), Hurt(1, 0, Damage.REMOVED)), acts_at_once=True
    ),
    "a part of a directory is shown, in every way of asking": Scenario(
        2, FOUR, dark=(DarkFile(1, 0, 0, Dark.OLD),), troubles=(BadDirectory(1, 0, Trouble.SILENT),)
    ),
    "a directory fails, below one that breaks off": Scenario(
        2,
        (*FOUR, File(0, 1, 0, BOTH), File(0, 1, 1, BOTH)),
        hurts=(Hurt(1, 0, Damage.REMOVED), Hurt(1, 4, Damage.TRUNCATED), Hurt(1, 5, Damage.REMOVED)),
        dark=(DarkFile(1, 1, 2, Dark.OLD), DarkFile(1, 0, 2, Dark.OLD)),
        troubles=(BadDirectory(1, 0, Trouble.DOUBTED), BadDirectory(1, 1, Trouble.FAILED)),
    ),
    "everything young": Scenario(
        2,
        FOUR,
        hurts=(Hurt(1, 0, Damage.REWRITTEN_LATELY), Hurt(1, 1, Damage.MOVED_LATELY)),
        dark=tuple(DarkFile(1, 0, size, kind) for size, kind in enumerate((Dark.YOUNG, Dark.MOVED_IN, Dark.PART))),
    ),
    "copies, deletions and publications go on": Scenario(
        2,
        (*FOUR, File(2, 2, 0, frozenset()), File(1, 3, 1, frozenset())),
        flights=(
            InFlight(1, 0, Flight.COPY_IN_PLACE),
            InFlight(0, 0, Flight.COPY),
            InFlight(1, 1, Flight.DELETION_DONE),
            InFlight(1, 1, Flight.STAGED),
            InFlight(1, 4, Flight.LOCKED),
        ),
        events=(
            Event(1, 2, 0, Deed.ARRIVE),
            Event(1, 3, 0, Deed.DELETED),
            Event(0, 1, 0, Deed.PUBLISH),
            Event(0, 2, 1, Deed.STAGE),
            Event(1, 7, 0, Deed.CANCEL),
        ),
    ),
    "people take and bring files while they are looked at": Scenario(
        2,
        FOUR,
        hurts=(Hurt(1, 2, Damage.REMOVED),),
        dark=(DarkFile(1, 0, 0, Dark.OLD),),
        events=(
            Event(1, 0, 1, Deed.USER_REMOVES),
            Event(1, 2, 1, Deed.USER_MOVES),
            Event(1, 3, 0, Deed.USER_WRITES),
            Event(1, 7, 0, Deed.USER_RESTORES),
        ),
        with_checksums=True,
        is_quarantined=True,
    ),
    "bytes are gone before the inventory is told": Scenario(
        2, FOUR, flights=(InFlight(1, 1, Flight.DELETION_DONE), InFlight(1, 2, Flight.DELETION))
    ),
    # Found by the search.
    "moved out of a directory that fails, and lost at the other site": Scenario(
        2,
        (File(1, 0, 0, BOTH),),
        hurts=(Hurt(1, 0, Damage.MOVED), Hurt(0, 0, Damage.REMOVED)),
        troubles=(BadDirectory(1, 4, Trouble.FAILED),),
    ),
    "deleted at two sites, lost at the third and brought back at one": Scenario(
        3,
        tuple(File(0, 0, 0, frozenset({0, 1, 2})) for _ in range(3)),
        hurts=(Hurt(0, 1, Damage.REMOVED),),
        flights=(InFlight(1, 1, Flight.DELETION_DONE), InFlight(2, 1, Flight.DELETION_DONE)),
        events=(Event(1, 0, 0, Deed.USER_RESTORES),),
        acts_at_once=True,
    ),
    "a stray copy of a file whose other copy is cut off stays": Scenario(
        2,
        (File(0, 1, 1, frozenset()), File(1, 0, 2, frozenset())),
        hurts=(Hurt(1, 2, Damage.REWRITTEN_LATELY),),
        dark=(DarkFile(0, 0, 2, Dark.STRAY),),
    ),
    "copies arrive in one block while a file of another one is found missing": Scenario(
        3,
        (
            File(0, 0, 0, BOTH),
            File(0, 2, 0, frozenset({0, 1, 2})),
            File(1, 0, 0, frozenset({1})),
            File(0, 4, 0, frozenset({0, 1, 2})),
            File(1, 0, 0, frozenset({2})),
            File(0, 0, 0, frozenset({0})),
            File(0, 0, 0, frozenset({0, 1, 2})),
            File(3, 0, 0, frozenset({0})),
        ),
        hurts=(Hurt(0, 9, Damage.REMOVED),),
        flights=(InFlight(0, 0, Flight.COPY),) * 3 + (InFlight(0, 5, Flight.DELETION_DONE),),
        events=(Event(0, 1, 4, Deed.ARRIVE),) * 2,
        with_checksums=True,
    ),
}
