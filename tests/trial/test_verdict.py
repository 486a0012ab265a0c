"""The trial's own book: that its verdict is clean when all is well, and that it can fail.

Method: a book with some of everything and sites that are exactly as it says; then
one thing at a time is made otherwise, and the verdict has to say so, and only that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from trial.book import CALLED, Book, Content, Kind
from trial.damage import ORPHANS_FROM
from trial.files import File, directory_of, files_of
from trial.verdict import QUARANTINE, Seen, problems

SITE, BLOCK, WORN = "ALPHA", 3, 4
OLD, YOUNG = f"{directory_of(WORN)}/dark.root", f"{directory_of(WORN)}/young.root"
LOCKED, EMPTY = directory_of(BLOCK), f"{directory_of(WORN)}/left"
PLACE = f"{QUARANTINE}2026-11-21{OLD}"
GONE, CUT, CHANGED = list(files_of(WORN))[:3]
DAMAGED = {
    GONE.lfn: Kind.MISSING,
    CUT.lfn: Kind.TRUNCATED,
    CHANGED.lfn: Kind.ALTERED,
    LOCKED: Kind.UNLISTED,
    EMPTY: Kind.EMPTY,
}


@dataclass
class Day:
    """A book and the site as it is in the end: all well, until a test changes it."""

    book: Book = field(default_factory=lambda: Book((SITE,)))
    files: dict[str, Content] = field(default_factory=dict)
    directories: set[str] = field(default_factory=lambda: {LOCKED})

    def __post_init__(self) -> None:
        for block in (BLOCK, WORN):
            self.book.put_block(SITE, block)
            self.files |= {file.lfn: Content(file.size, file.adler32) for file in files_of(block)}
        for path, kind in DAMAGED.items():
            self.book.damage(SITE, kind, path)
        dark, young = File(ORPHANS_FROM), File(ORPHANS_FROM + 1)
        self.book.put_dark(SITE, dark, OLD)
        self.book.put_single(SITE, young, YOUNG)
        self.book.damage(SITE, Kind.ORPHAN_YOUNG, YOUNG)
        self.files[PLACE] = Content(dark.size, dark.adler32)
        self.files[YOUNG] = Content(young.size, young.adler32)
        for damage in self.book.damages:
            self.book.note(SITE, CALLED[damage.kind][0], damage.path)

    def problems(self) -> list[str]:
        return problems(self.book, {SITE: Seen(self.files, self.directories)})

    def only_problem(self) -> str:
        (problem,) = self.problems()
        return problem


@pytest.fixture
def day() -> Day:
    return Day()


def test_a_day_that_went_well_has_no_problem(day: Day) -> None:
    assert day.problems() == []


def test_a_file_that_was_removed_behind_the_back_of_the_book_is_told(day: Day) -> None:
    del day.files[File(BLOCK * 100).lfn]
    assert day.only_problem() == f"{SITE}: {File(BLOCK * 100).lfn} is gone, and was to stay"


def test_a_damage_that_was_not_repaired_is_told(day: Day) -> None:
    del day.files[GONE.lfn]
    assert GONE.lfn in day.only_problem()


@pytest.mark.parametrize("content", [Content(CUT.size // 2, CUT.adler32), Content(CUT.size, "0badcafe")])
def test_other_bytes_than_the_book_says_are_told(day: Day, content: Content) -> None:
    day.files[CUT.lfn] = content
    assert day.only_problem().startswith(f"{SITE}: {CUT.lfn} is {content}, not")


def test_a_file_that_nobody_put_there_is_told(day: Day) -> None:
    day.files["/store/other"] = Content(1, "00000001")
    assert "nobody put it there" in day.only_problem()


def test_a_file_that_was_asked_to_go_and_is_there_is_told(day: Day) -> None:
    day.book.drop_block(SITE, BLOCK)
    assert len(day.problems()) == 100


def test_a_young_orphan_that_went_is_told(day: Day) -> None:
    del day.files[YOUNG]
    assert day.only_problem() == f"{SITE}: {YOUNG} is gone, and was to stay"


def test_a_young_orphan_in_the_quarantine_is_told_twice(day: Day) -> None:
    day.files[f"{QUARANTINE}2026-11-21{YOUNG}"] = day.files.pop(YOUNG)
    assert sorted(problem.partition(" is ")[2] for problem in day.problems()) == [
        "gone, and was to stay",
        "in the quarantine, and was no old orphan",
    ]


def test_an_old_orphan_that_is_nowhere_any_more_is_told(day: Day) -> None:
    del day.files[PLACE]
    assert day.only_problem().endswith("is gone, not in the quarantine")


def test_an_old_orphan_that_is_still_in_its_place_is_told(day: Day) -> None:
    day.files[OLD] = day.files.pop(PLACE)
    assert day.only_problem().endswith("is still in its place")


def test_an_orphan_that_was_changed_on_its_way_is_told(day: Day) -> None:
    day.files[PLACE] = Content(1, "00000001")
    assert "changed on its way" in day.only_problem()


def test_an_orphan_in_both_places_is_told(day: Day) -> None:
    day.files[OLD] = day.files[PLACE]
    assert day.only_problem().endswith("is in its place and in the quarantine")


def test_an_empty_directory_that_stays_is_told(day: Day) -> None:
    day.directories.add(EMPTY)
    assert day.only_problem() == f"{SITE}: the empty directory {EMPTY} is still there"


def test_a_locked_directory_that_went_is_told(day: Day) -> None:
    day.directories.remove(LOCKED)
    assert day.only_problem().endswith(f"the unlisted directory {LOCKED} is gone")


@pytest.mark.parametrize("kind", Kind)
def test_a_damage_that_no_check_has_named_is_told(day: Day, kind: Kind) -> None:
    path = next((path for path, each in DAMAGED.items() if each is kind), "")
    if kind is Kind.LOST_SUBTREE:
        path = File(BLOCK * 100).lfn
        day.book.damage(SITE, kind, path)
    path = path or (OLD if kind is Kind.ORPHAN_OLD else YOUNG)
    day.book.named[SITE].pop(path, None)
    assert day.only_problem() == f"{SITE}: {path} ({kind.value}) was named by no check"


def test_a_damage_that_was_only_called_something_else_is_told(day: Day) -> None:
    day.book.named[SITE][CHANGED.lfn] = {"ignored"}
    assert day.only_problem() == f"{SITE}: {CHANGED.lfn} (altered file) was only called ignored"


@pytest.mark.parametrize("word", ["missing", "orphan", "suspect"])
def test_a_word_against_what_is_well_is_told(day: Day, word: str) -> None:
    day.book.note(SITE, word, File(BLOCK * 100).lfn)
    assert day.only_problem() == f"{SITE}: {File(BLOCK * 100).lfn} was called {word}, and nobody did that to it"


def test_a_damage_at_a_site_of_which_only_a_dump_tells_has_to_be_named_too(day: Day) -> None:
    day.book.damage("DUMP01", Kind.ORPHAN_OLD, "/store/dark")
    assert "named by no check" in day.only_problem()
    day.book.note("DUMP01", "orphan", "/store/dark")
    assert day.problems() == []
