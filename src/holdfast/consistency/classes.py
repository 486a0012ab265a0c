"""Classes: what can be the matter with a file or directory, and what is so of each class.

A file is in one class only. ``suspect`` are expected files that were not shown by a
directory whose answer is not believed; ``empty_directory`` directories with nothing
below them. ``awaited`` are files that an open copy is to
bring to the site and that are not counted as there; what lies in such a place
already is ``ignored`` beside that. ``unlisted`` are directories (or files) that could
not be judged; ``ignored`` was different and is left alone, the reason says why.

A further class is a member of ``Class`` and a line in ``TRAITS``: what people read of it, what
mends it, whether it has a gate. Whoever needs some of the classes derives these from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Class(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"
    ORPHAN = "orphan"
    SIZE_MISMATCH = "size_mismatch"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    SUSPECT = "suspect"
    EMPTY_DIRECTORY = "empty_directory"
    AWAITED = "awaited"
    UNLISTED = "unlisted"
    IGNORED = "ignored"


class Remedy(StrEnum):
    """What mends what is found."""

    COPY = "copy"
    """A good copy from elsewhere, once the gate of the class is open."""
    REMOVAL = "removal"
    """That it goes, once the gate of the class is open."""
    WAITING = "waiting"
    """It was asked for already."""
    LOOK = "look"
    """Another look: nobody knows what is there."""
    NONE = "none"


class LimitGroup(StrEnum):
    """Which limits a class is held against, and how it is confirmed; classes of one group together."""

    MISSING = "missing"
    WRONG = "wrong"
    ORPHAN = "orphan"
    EMPTY_DIRECTORY = "empty_directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is so of all findings of a class, and what people read of it."""

    one: str
    many: str
    head: str
    """A few words for the head of a column."""
    meaning: str
    """In a few words, beside its numbers."""
    definition: str
    """In full."""
    where: str = ""
    """The title of the picture of where they lie; "": there is none."""
    remedy: Remedy
    limits: LimitGroup | None = None
    """None: it has no gate, as nothing is done about it."""
    is_there: bool = True
    """Whether anything lies at its path."""
    is_directory: bool = False


TRAITS: Mapping[Class, Traits] = {
    Class.MISSING: Traits(
        one="missing file",
        many="missing files",
        head="missing",
        meaning="should be there",
        definition="expected before and after the listing, and not there",
        where="Where missing files should be",
        remedy=Remedy.COPY,
        limits=LimitGroup.MISSING,
        is_there=False,
    ),
    Class.ORPHAN: Traits(
        one="orphan",
        many="orphans",
        head="orphans",
        meaning="nobody knows them (dark data)",
        definition="there, and expected by nobody",
        where="Where orphans lie",
        remedy=Remedy.REMOVAL,
        limits=LimitGroup.ORPHAN,
    ),
    Class.SIZE_MISMATCH: Traits(
        one="file of wrong size",
        many="files of wrong size",
        head="wrong size",
        meaning="wrong size",
        definition="there, and not of the size that the inventory knows",
        where="Where files of the wrong size lie",
        remedy=Remedy.COPY,
        limits=LimitGroup.WRONG,
    ),
    Class.CHECKSUM_MISMATCH: Traits(
        one="file of wrong content",
        many="files of wrong content",
        head="wrong checksum",
        meaning="right size, wrong content",
        definition="read, and not of the checksum that the inventory knows",
        where="Where files of the wrong checksum lie",
        remedy=Remedy.COPY,
        limits=LimitGroup.WRONG,
    ),
    Class.SUSPECT: Traits(
        one="suspect file",
        many="suspect files",
        head="suspect",
        meaning="not judged: not believed about",
        definition="expected, and not shown by a directory whose answer is not believed",
        remedy=Remedy.LOOK,
    ),
    Class.EMPTY_DIRECTORY: Traits(
        one="empty directory",
        many="empty directories",
        head="empty directories",
        meaning="directories with nothing below",
        definition="with nothing below but empty directories",
        remedy=Remedy.REMOVAL,
        limits=LimitGroup.EMPTY_DIRECTORY,
        is_directory=True,
    ),
    Class.AWAITED: Traits(
        one="awaited file",
        many="awaited files",
        head="awaited",
        meaning="asked for, not there yet",
        definition="what open copies are still to bring",
        remedy=Remedy.WAITING,
        is_there=False,
    ),
    Class.UNLISTED: Traits(
        one="file not seen",
        many="files not seen",
        head="unlisted",
        meaning="not judged: not listed or not readable",
        definition="expected below places that could not be listed: not judged",
        remedy=Remedy.LOOK,
    ),
    Class.IGNORED: Traits(
        one="ignored file",
        many="ignored files",
        head="ignored",
        meaning="young, in flight or left alone",
        definition="different and left alone: young, in flight, changed meanwhile, or by the configuration",
        remedy=Remedy.NONE,
    ),
}
"""Every class; whoever needs some of them derives these from here."""


def mended_by(*remedies: Remedy) -> tuple[Class, ...]:
    """The classes with one of these remedies, in their order."""
    return tuple(cls for cls in Class if TRAITS[cls].remedy in remedies)


WRONG = mended_by(Remedy.COPY)
"""The classes of what is not as the inventory says."""

LACKING = mended_by(Remedy.COPY, Remedy.WAITING)
"""The classes that a good copy from elsewhere mends."""

UNSEEN = mended_by(Remedy.LOOK)
"""The classes of places that a listing could not see into, or was not believed about."""

ACTED = tuple(cls for cls in Class if TRAITS[cls].limits is not None)
"""The classes that have a gate."""

TOLD = tuple(cls for cls in Class if TRAITS[cls].remedy is not Remedy.NONE)
"""The classes that people are told of."""

DIFFERING = tuple(cls for cls in TOLD if not TRAITS[cls].is_directory)
"""The classes of which nothing is found where a site agrees: those of files that anything is to be done about."""
