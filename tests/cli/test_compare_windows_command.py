"""``holdfast compare --before A --after B STORAGE`` as a command: exit codes, outputs, class files, bad options."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import Commands

BEFORE = "path\tsize\n/run7/a\t10\n/run7/b\t20\n/run7/c\t30\n/run7/left\t40\n"
AFTER = "path\tsize\n/run7/a\t10\n/run7/b\t20\n/run7/c\t30\n/run7/came\t50\n"
STORAGE = "path\tsize\tmtime\n/run7/a\t10\t1\n/run7/b\t21\t990\n/dark\t60\t1\n/new\t70\t990\n"


@pytest.fixture
def files(commands: Commands) -> tuple[str | Path, ...]:
    """The three listings as arguments."""
    paths = [commands.folder / name for name in ("before.tsv", "after.tsv", "storage.tsv")]
    for path, text in zip(paths, (BEFORE, AFTER, STORAGE), strict=True):
        path.write_text(text)
    return ("--before", paths[0], "--after", paths[1], paths[2])


def test_three_listings_in_words(commands: Commands, files: tuple[str | Path, ...]):
    ran = commands("compare", *files)
    assert (ran.code, ran.err) == (1, "")
    assert ran.out == (
        "class              files   size\n"
        "missing                1   30 B\n"
        "orphan                 2  130 B\n"
        "size_mismatch          1   20 B\n"
        "checksum_mismatch      0    0 B\n"
        "in_flight              2   90 B\n"
        "missing: /run7/c\n"
        "orphan: /dark\n"
        "orphan: /new\n"
        "size_mismatch: /run7/b\n"
        "in_flight: /run7/came\n"
        "in_flight: /run7/left\n"
        "4 before, 4 after, 4 storage: different\n"
    )


def test_json_has_every_key(commands: Commands, files: tuple[str | Path, ...]):
    ran = commands("compare", *files, "--json")
    assert (ran.code, ran.err) == (1, "")
    document = ran.document
    assert document.pop("seconds") > 0
    rows = dict.fromkeys(("before", "after", "storage"), 4)
    found = {"missing": 1, "orphan": 2, "size_mismatch": 1, "in_flight": 2}
    none = dict.fromkeys(("duplicate_before", "duplicate_after", "duplicate_storage", "unlisted"), 0)
    none["checksum_mismatch"] = 0
    sizes = {"missing": 30, "orphan": 130, "size_mismatch": 20, "in_flight": 90, **none}
    assert document == {**rows, **found, **none, "sizes": sizes, "equal": False, "unlisted_places": 0}


def test_young_files_are_in_flight_with_their_reason(commands: Commands, files: tuple[str | Path, ...]):
    ran = commands("compare", *files, "--ignore-age", "100", "--now", "1000", "--json", "--out", "out")
    counts = {name: ran.document[name] for name in ("missing", "orphan", "size_mismatch", "in_flight")}
    assert counts == {"missing": 1, "orphan": 1, "size_mismatch": 0, "in_flight": 4}
    rows = [line.split("\t") for line in (commands.folder / "out/in_flight.tsv").read_text().splitlines()]
    assert [(row[0], row[-1]) for row in rows] == [
        ("path", "reason"),
        ("/new", "younger than 100 s"),
        ("/run7/b", "younger than 100 s"),
        ("/run7/came", "expected after only"),
        ("/run7/left", "expected before only"),
    ]
    # By the clock of today, nothing here is young; in a moment as text, it may be.
    assert commands("compare", *files, "--ignore-age", "100", "--json").document["in_flight"] == 2
    for moment in ("1970-01-01T00:16:40", "1970-01-01T01:16:40+01:00"):
        document = commands("compare", *files, "--ignore-age", "100", "--now", moment, "--json").document
        assert document["in_flight"] == 4


def test_equal_and_in_flight_in_words(commands: Commands, files: tuple[str | Path, ...]):
    before = files[1]
    ran = commands("compare", "--before", before, "--after", before, before)
    assert ran.code == 0
    assert ran.out.endswith("\n4 before, 4 after, 4 storage: equal\n")
    ran = commands("compare", "--before", before, "--after", files[3], before)
    assert ran.code == 1
    assert ran.out.endswith("\n4 before, 4 after, 4 storage: in flight\n")


@pytest.mark.parametrize(
    ("places", "more", "words"),
    [
        ((0, 1, 4), (), ("--before goes with --after", "give both")),
        ((2, 3, 4), (), ("--after goes with --before", "give both")),
        ((4,), (), ("ACTUAL is lacking", "--before, --after and STORAGE")),
        ((0, 1, 2, 3, 4, 4), (), ("one more listing, not two", "give STORAGE only")),
        ((4, 4), ("--ignore-age", "5"), ("--ignore-age goes with --before and --after",)),
        ((4, 4), ("--now", "5"), ("--now says nothing without --ignore-age",)),
        ((0, 1, 2, 3, 4), ("--ignore-age", "-5"), ("--ignore-age -5 is no age",)),
        ((0, 1, 2, 3, 4), ("--ignore-age", "5", "--now", "soon"), ("--now 'soon' is no moment", "2026-11-01")),
        ((0, 1, 2, 3, 1), ("--ignore-age", "5"), ("has no column 'mtime'",)),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(
    commands: Commands, files: tuple[str | Path, ...], places: tuple[int, ...], more: tuple[str, ...], words: tuple[str]
):
    commands("compare", *(files[place] for place in places), *more).expect_error(2, *words)


def test_a_bad_listing_is_named_with_its_line_and_nothing_is_written(commands: Commands, files: tuple[str | Path, ...]):
    for place in (1, 3, 4):
        good = Path(files[place]).read_text()
        Path(files[place]).write_text(f"{good}/run7/z\t-1\t1\n" if place == 4 else f"{good}/run7/z\t-1\n")
        commands("compare", *files, "--out", "out").expect_error(2, f"{files[place]}, line 6", "size '-1'")
        assert not (commands.folder / "out").exists()
        Path(files[place]).write_text(good)
