"""``holdfast compare`` with the folder of a listing: what it could not see is neither missing nor orphan."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import Commands

from holdfast.storage.driver import Entry, Kind, Stat
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.listing.tables import Directory, DirectoryState, Odd, Oddity

FILE, FOLDER = Stat(Kind.FILE, 4, 5), Stat(Kind.DIRECTORY, 0, 5)
LINK = Oddity(b"link", Odd.OTHER, "a link")
TREE = (
    Directory(
        "/", DirectoryState.LISTED, files=(Entry("here", FILE),), directories=(Entry("d", FOLDER), Entry("x", FOLDER))
    ),
    Directory("/d", DirectoryState.DOUBTED, "it broke off", files=(Entry("seen", FILE),), oddities=(LINK,)),
    Directory("/x", DirectoryState.FAILED, "permission denied"),
)
EXPECTED = ("/d/unseen", "/d/link", "/d/link/below", "/d/seen", "/gone", "/here", "/x/deep/file")


def listing(folder: Path, *tree: Directory, top: str = "/", begun_us: int = 0) -> Path:
    by_name = {each.dir: each for each in tree}
    ledger = DiskLedger.open(folder, ListingPlan("bern", top), clock=lambda: begun_us)
    while taken := ledger.take(10):
        for waiting in taken:
            ledger.found(by_name[waiting.dir])
    ledger.finish()
    ledger.close()
    return folder


def expected(folder: Path, *paths: str) -> Path:
    file = folder / "expected.tsv"
    file.write_text("path\tsize\n" + "".join(f"{path}\t4\n" for path in paths))
    return file


def test_what_was_not_listed_is_a_class_of_its_own(commands: Commands) -> None:
    should, there = expected(commands.folder, *EXPECTED), listing(commands.folder / "there", *TREE)
    ran = commands("compare", should, there, "--json")
    assert ran.code == 1
    kept = {name: ran.document[name] for name in ("missing", "orphan", "unlisted", "unlisted_places", "equal")}
    assert kept == {"missing": 1, "orphan": 0, "unlisted": 4, "unlisted_places": 3, "equal": False}
    ran = commands("compare", should, there, "--out", "out")
    assert "missing: /gone\n" in ran.out
    assert "not all was seen: 3 places" in ran.out
    apart = (commands.folder / "out/unlisted.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[0] for line in apart] == ["/d/link", "/d/link/below", "/d/unseen", "/x/deep/file"]


def test_what_the_expected_listing_did_not_see_is_no_orphan(commands: Commands) -> None:
    should, there = listing(commands.folder / "should", *TREE), expected(commands.folder, *EXPECTED)
    document = commands("compare", should, there, "--json").document
    assert (document["orphan"], document["missing"], document["unlisted"]) == (1, 0, 4)


def test_nothing_different_is_not_equal_where_not_all_was_seen(commands: Commands) -> None:
    should, there = expected(commands.folder, "/d/seen", "/here"), listing(commands.folder / "there", *TREE)
    ran = commands("compare", should, there)
    assert ran.code == 1
    assert ran.out.endswith("2 expected, 2 actual: not known\n")


@pytest.mark.parametrize(
    ("top", "state", "words", "counts"),
    [("/d", DirectoryState.LISTED, "of /d only", (0, 2)), ("/", DirectoryState.FAILED, "top / is failed", (0, 3))],
)
def test_a_part_of_a_site_is_taken_only_on_purpose(
    commands: Commands, top: str, state: DirectoryState, words: str, counts: tuple[int, int]
) -> None:
    files = (Entry("seen", FILE),) if state is DirectoryState.LISTED else ()
    there = listing(commands.folder / "there", Directory(top, state, "down", files=files), top=top)
    should = expected(commands.folder, "/d/seen", "/elsewhere", "/here")
    commands("compare", should, there).expect_error(2, words, "--partial")
    document = commands("compare", should, there, "--partial", "--json").document
    assert (document["missing"], document["unlisted"]) == counts


def test_between_before_and_after_too_what_the_storage_did_not_show_is_unlisted(commands: Commands) -> None:
    should, there = expected(commands.folder, *EXPECTED), listing(commands.folder / "there", *TREE)
    later = commands.folder / "later.tsv"
    later.write_text("path\tsize\n" + "".join(f"{path}\t4\n" for path in (*EXPECTED[:-1], "/x/new")))
    document = commands("compare", "--before", should, "--after", later, there, "--json", "--out", "out").document
    names = ("missing", "orphan", "in_flight", "unlisted", "unlisted_places", "equal")
    assert [document[name] for name in names] == [1, 0, 2, 3, 3, False]
    in_flight = (commands.folder / "out/in_flight.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[0] for line in in_flight] == ["/x/deep/file", "/x/new"]
    missing = (commands.folder / "out/missing.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[0] for line in missing] == ["/gone"]


def test_what_before_or_after_did_not_see_is_no_orphan(commands: Commands) -> None:
    part, whole = listing(commands.folder / "part", *TREE), expected(commands.folder, "/d/seen", "/here")
    there = commands.folder / "there.tsv"
    there.write_text("path\tsize\n/d/seen\t4\n/here\t4\n/x/deep\t4\n/dark\t4\n")
    for before, after in ((part, whole), (whole, part)):
        document = commands("compare", "--before", before, "--after", after, there, "--json").document
        assert (document["orphan"], document["unlisted"], document["in_flight"]) == (1, 1, 0)


def test_age_counts_from_when_the_listing_was_begun_and_by_the_later_time(commands: Commands) -> None:
    """A file that was moved in keeps its mtime, but has changed since."""
    begun_us = 1_700_000_000_000_000
    now_ns = begun_us * 1000
    old, young = now_ns - 500 * 10**9, now_ns - 50 * 10**9
    times = {"old": (old, old), "written": (young, 0), "moved": (old, young)}
    files = [Entry(name, Stat(Kind.FILE, 4, mtime, changed_ns=changed)) for name, (mtime, changed) in times.items()]
    there = listing(
        commands.folder / "there", Directory("/", DirectoryState.LISTED, files=tuple(files)), begun_us=begun_us
    )
    should = expected(commands.folder)
    windows = ("compare", "--before", should, "--after", should, there, "--json")
    document = commands(*windows, "--ignore-age", "100").document
    assert (document["orphan"], document["in_flight"]) == (1, 2)
    document = commands(*windows, "--ignore-age", "100", "--now", str(begun_us // 10**6 + 60)).document
    assert (document["orphan"], document["in_flight"]) == (3, 0)
