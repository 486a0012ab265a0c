"""Classes: what can be the matter with a file or directory, and what is so of each class.

A file is in one class only. ``suspect`` are expected files that were not shown by a
directory whose answer is not believed; ``empty_directory`` directories with nothing
below them. ``awaited`` are files that an open copy is to
bring to the site and that are not counted as there; what lies in such a place
already is ``ignored`` beside that. ``unlisted`` are directories (or files) that could
not be judged; ``ignored`` was different and is left alone, the reason says why.

A further class is a member of ``Class`` and an entry in ``TRAITS``: what people read of it, what
mends it, whether it is told, kept, or makes a site differ. No trait follows from another, and none has a
default: each is decided for each class. Whoever needs some of the classes derives these from there, as
those of which something is so, never as all but some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Class(StrEnum):
    """What is wrong with a file.

    A value is the key in reports and tables, which stays for ever, and people read it, too: ``size_mismatch`` as
    "size mismatch" (``class_words.NAMES``).
    """

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


class Shown(StrEnum):
    """When the table of a check has a line for a class."""

    ALWAYS = "always"
    """Although none is found."""
    IF_ANY = "if any"
    NEVER = "never"
    """Such a check does not look for it."""

    def shows(self, count: int) -> bool:
        """Whether there is a line if so many are found."""
        return self is Shown.ALWAYS or (self is Shown.IF_ANY and count > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is so of all findings of a class, and what people read of it. Nothing is so by default."""

    one: str
    many: str
    head: str
    """A few words for the head of a column."""
    meaning: str
    """In a few words, beside its numbers."""
    definition: str
    """In full."""
    where: str
    """The title of the picture of where they lie; "": there is none."""
    remedy: Remedy
    limits: LimitGroup | None
    """None: it has no gate, as nothing is done about it."""
    is_there: bool
    """Whether anything lies at its path."""
    is_directory: bool
    in_check: Shown
    in_foreign_check: Shown
    """In one beside another catalogue than ours; its report has a key for what it can find only."""
    is_told: bool
    """Whether people are told in the history of checks, and on the page of a site, how many there are."""
    makes_differ: bool
    """Whether a site where any is found does not agree."""
    is_kept: bool
    """Whether it is remembered of each path since when, and in how many checks, it was seen so."""
    leaves_open: bool
    """Whether it says nothing of what its path was in the check before: that stays as it was."""
    may_be_lacking: bool
    """Whether the site may not have the file that is expected there: then an orphan of its size may be that file."""


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
        is_directory=False,
        in_check=Shown.ALWAYS,
        in_foreign_check=Shown.ALWAYS,
        is_told=True,
        makes_differ=True,
        is_kept=True,
        leaves_open=False,
        may_be_lacking=True,
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
        is_there=True,
        is_directory=False,
        in_check=Shown.ALWAYS,
        in_foreign_check=Shown.ALWAYS,
        is_told=True,
        makes_differ=True,
        is_kept=True,
        leaves_open=False,
        may_be_lacking=False,
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
        is_there=True,
        is_directory=False,
        in_check=Shown.ALWAYS,
        in_foreign_check=Shown.ALWAYS,
        is_told=True,
        makes_differ=True,
        is_kept=True,
        leaves_open=False,
        may_be_lacking=True,
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
        is_there=True,
        is_directory=False,
        in_check=Shown.ALWAYS,
        in_foreign_check=Shown.IF_ANY,
        is_told=True,
        makes_differ=True,
        is_kept=True,
        leaves_open=False,
        may_be_lacking=True,
    ),
    Class.SUSPECT: Traits(
        one="suspect file",
        many="suspect files",
        head="suspect",
        meaning="not judged: not believed about",
        definition="expected, and not shown by a directory whose answer is not believed",
        where="",
        remedy=Remedy.LOOK,
        limits=None,
        is_there=True,
        is_directory=False,
        in_check=Shown.IF_ANY,
        in_foreign_check=Shown.IF_ANY,
        is_told=True,
        makes_differ=True,
        is_kept=False,
        leaves_open=True,
        may_be_lacking=True,
    ),
    Class.EMPTY_DIRECTORY: Traits(
        one="empty directory",
        many="empty directories",
        head="empty directories",
        meaning="directories with nothing below",
        definition="with nothing below but empty directories",
        where="",
        remedy=Remedy.REMOVAL,
        limits=LimitGroup.EMPTY_DIRECTORY,
        is_there=True,
        is_directory=True,
        in_check=Shown.IF_ANY,
        in_foreign_check=Shown.NEVER,
        is_told=True,
        makes_differ=False,
        is_kept=True,
        leaves_open=False,
        may_be_lacking=False,
    ),
    Class.AWAITED: Traits(
        one="awaited file",
        many="awaited files",
        head="awaited",
        meaning="asked for, not there yet",
        definition="what open copies are still to bring",
        where="",
        remedy=Remedy.WAITING,
        limits=None,
        is_there=False,
        is_directory=False,
        in_check=Shown.ALWAYS,
        in_foreign_check=Shown.NEVER,
        is_told=True,
        makes_differ=True,
        is_kept=False,
        leaves_open=True,
        may_be_lacking=True,
    ),
    Class.UNLISTED: Traits(
        one="file not seen",
        many="files not seen",
        head="unlisted",
        meaning="not judged: not listed or not readable",
        definition="expected below places that could not be listed: not judged",
        where="",
        remedy=Remedy.LOOK,
        limits=None,
        is_there=True,
        is_directory=False,
        in_check=Shown.ALWAYS,
        in_foreign_check=Shown.ALWAYS,
        is_told=True,
        makes_differ=True,
        is_kept=False,
        leaves_open=True,
        may_be_lacking=True,
    ),
    Class.IGNORED: Traits(
        one="ignored file",
        many="ignored files",
        head="ignored",
        meaning="young, in flight or left alone",
        definition="different and left alone: young, in flight, changed meanwhile, or by the configuration",
        where="",
        remedy=Remedy.NONE,
        limits=None,
        is_there=True,
        is_directory=False,
        in_check=Shown.IF_ANY,
        in_foreign_check=Shown.IF_ANY,
        is_told=False,
        makes_differ=False,
        is_kept=False,
        leaves_open=True,
        may_be_lacking=True,
    ),
}
"""Every class; whoever needs some of them derives these from here."""


def those(is_so: Callable[[Traits], bool]) -> tuple[Class, ...]:
    """The classes of which something is so, in their order."""
    return tuple(cls for cls in Class if is_so(TRAITS[cls]))


WRONG = those(lambda each: each.remedy is Remedy.COPY)
"""The classes of what is not as the inventory says."""

LACKING = those(lambda each: each.remedy in (Remedy.COPY, Remedy.WAITING))
"""The classes that a good copy from elsewhere mends."""

UNSEEN = those(lambda each: each.remedy is Remedy.LOOK)
"""The classes of places that a listing could not see into, or was not believed about."""

ACTED = those(lambda each: each.limits is not None)
"""The classes that have a gate."""

FOREIGN = those(lambda each: each.in_foreign_check in (Shown.ALWAYS, Shown.IF_ANY))
"""The classes that a check beside another catalogue can find."""

TOLD = those(lambda each: each.is_told)
"""The classes that people are told of."""

DIFFERING = those(lambda each: each.makes_differ)
"""The classes of which nothing is found where a site agrees."""

KEPT = those(lambda each: each.is_kept)
"""The classes of which it is remembered since when each path was seen so."""

LEAVING_OPEN = those(lambda each: each.leaves_open)
"""The classes that say nothing of what their paths were in the check before."""

MAY_BE_LACKING = those(lambda each: each.may_be_lacking)
"""The classes of findings that tell what a site may not have; what may be that, under another name, is not removed."""
