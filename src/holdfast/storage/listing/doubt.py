"""Doubt: whether what was said to be in a directory is everything. Pure.

Storages leave things out without saying so: redirectors name entries twice and
forget others, doors under load give empty or shortened lists, a client library
drops entries whose stat failed. An answer that looks like that is asked for
again, in another way, before it is believed.

An answer is *suspicious* if the storage itself doubts it, if it contradicts
itself, if it is empty where nothing says that it should be, or if it has fewer
than half, and at least ``FEWER`` fewer, of the names that were expected.

Rules
  * What is not suspicious is believed.
  * A suspicious answer is believed only if the look before or after it saw
    exactly the same names: a second look, or the same question asked again. If it
    was the same question at the same door, and something more was expected, it
    takes two of them.
  * Looks are taken in turn, in the other way where there is one, until two that
    follow each other agree; after ``LISTS_MAX`` answers the directory is doubted.
  * An answer that contradicts itself is never believed, whatever agrees with it.
  * A doubted directory has all that was seen in any answer; what was only named,
    without a stat, is an oddity.

From this follows: if the second look sees everything, then a suspicious answer
that lacks something is never believed. What nobody can find out by these rules:
an answer that lacks something, but too little to be suspicious; one that lacks
something in a directory of which nothing was expected, and is not empty; one
that lacks something, and the second look lacks exactly the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from holdfast.storage.driver import DirectoryNames, Entry
from holdfast.storage.listing import answer
from holdfast.storage.listing.tables import Directory, DirectoryState, Odd, Oddity

FEWER = 5
"""So many names less than expected may have been removed since."""

LISTS_MAX = 4
"""How often a directory in doubt is listed before it stays doubted."""

ONLY_NAMED = "only a second look named it"


class DoubtStep(StrEnum):
    """What to do next about a directory in doubt."""

    BELIEVE = "believe"
    """The last answer that was not a look at names."""
    LIST = "list"
    LOOK = "look"
    """At the names only, in another way."""
    DOUBT = "doubt"


class Look(NamedTuple):
    """One answer about a directory, by what was seen.

    ``seen`` is compared only: the set of names, or something that stands for it. ``named_only`` are looks at
    names; ``otherwise`` says that it was not the same question at the same door as the look before.
    """

    seen: object
    names: int
    named_only: bool = False
    otherwise: bool = False
    contradicts_itself: bool = False


def suspicion(names: int, contradictions: int, doubt: str, expected: int | None) -> str:
    """Why an answer of so many names is suspicious; "" if it is not."""
    if doubt:
        return doubt
    if contradictions:
        return f"it named {contradictions} entries twice, each time as something else"
    if not names and expected != 0:
        return "empty" if expected is None else f"empty, where {expected} names were expected"
    if falls_short(names, expected):
        return f"only {names} names, where {expected} were expected"
    return ""


def falls_short(names: int, expected: int | None) -> bool:
    """Whether so many are fewer than can be explained."""
    return expected is not None and 2 * names < expected and (expected - names >= FEWER or not names)


def next_step(looks: Sequence[Look], expected: int | None, *, names_can_be_asked: bool) -> DoubtStep:
    """What to do after the ``looks`` so far, the first of which was suspicious."""
    if _agreed(looks, expected):
        return DoubtStep.BELIEVE
    last = looks[-1]
    if len(looks) == 2 * LISTS_MAX:
        return DoubtStep.DOUBT
    if names_can_be_asked and not last.named_only and not last.contradicts_itself:
        return DoubtStep.LOOK
    lists = sum(not look.named_only for look in looks)
    return DoubtStep.LIST if lists < LISTS_MAX else DoubtStep.DOUBT


def _agreed(looks: Sequence[Look], expected: int | None) -> bool:
    if len(looks) < 2 or looks[-1].seen != looks[-2].seen:
        return False
    if all(look.named_only or look.contradicts_itself for look in looks[-2:]):
        return False
    if looks[-1].otherwise or not falls_short(looks[-1].names, expected):
        return True
    return len(looks) > 2 and looks[-3].seen == looks[-1].seen


def seen_by_names(names: DirectoryNames) -> frozenset[bytes]:
    """What a look at names saw, to be compared with ``answer.seen_in``."""
    return frozenset(map(answer.raw_name, names.names)) | {each.raw for each in names.unnameable}


def reason(first: str, looks: Sequence[Look], last_error: str = "") -> str:
    """Why a directory stays doubted."""
    if last_error:
        return f"{first}; and asking again failed: {last_error}"
    counts = [look.names for look in looks]
    return f"{first}; {len(looks)} answers gave from {min(counts)} to {max(counts)} names"


def union(answers: Sequence[Directory], named: Iterable[bytes], why: str) -> Directory:
    """The directory, doubted, with all that was seen; of several stats of one name the last one counts."""
    kept: dict[str, tuple[Entry, bool]] = {}
    odd: dict[bytes, Oddity] = {}
    for directory in answers:
        kept |= {entry.name: (entry, True) for entry in directory.files}
        kept |= {entry.name: (entry, False) for entry in directory.directories}
        odd |= {oddity.raw: oddity for oddity in directory.oddities}
    seen = {name.encode() for name in kept} | odd.keys()
    for raw in named:
        if raw not in seen:
            odd[raw] = Oddity(raw, Odd.REFUSED, ONLY_NAMED)
    first = answers[0]
    return Directory(
        first.dir,
        DirectoryState.DOUBTED,
        why,
        first.mtime_ns,
        tuple(sorted((entry for entry, is_file in kept.values() if is_file), key=answer.by_bytes)),
        tuple(sorted((entry for entry, is_file in kept.values() if not is_file), key=answer.by_bytes)),
        tuple(odd[raw] for raw in sorted(odd)),
    )
