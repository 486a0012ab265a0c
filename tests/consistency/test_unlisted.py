"""Unlisted places: what a listing did not see into is not judged, and what it saw is."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.consistency.unlisted import Unlisted
from holdfast.storage.driver import Entry, Kind, Stat
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.listing.tables import Directory, DirectoryState

FILE, FOLDER = Stat(Kind.FILE, 1, 5), Stat(Kind.DIRECTORY, 0, 5)

TREE = {
    "/": Directory("/", DirectoryState.LISTED, directories=(Entry("doubted", FOLDER), Entry("good", FOLDER))),
    "/good": Directory("/good", DirectoryState.LISTED),
    "/doubted": Directory(
        "/doubted",
        DirectoryState.DOUBTED,
        "it broke off",
        files=(Entry("seen", FILE),),
        directories=(Entry("failed", FOLDER), Entry("shown", FOLDER)),
    ),
    "/doubted/shown": Directory("/doubted/shown", DirectoryState.LISTED, directories=(Entry("deep", FOLDER),)),
    "/doubted/shown/deep": Directory("/doubted/shown/deep", DirectoryState.LISTED),
    "/doubted/failed": Directory("/doubted/failed", DirectoryState.FAILED, "permission denied"),
}


@pytest.fixture
def unlisted(tmp_path: Path) -> Unlisted:
    ledger = DiskLedger.open(tmp_path / "listing", ListingPlan("bern"))
    while taken := ledger.take(10):
        for waiting in taken:
            ledger.found(TREE[waiting.dir])
    ledger.finish()
    ledger.close()
    return Unlisted.read(Listing.open(tmp_path / "listing"))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/file", None),
        ("/good/file", None),
        ("/gone/file", None),
        ("/doubted", "/doubted"),
        ("/doubted/file", "/doubted"),
        ("/doubted/not shown/file", "/doubted"),
        ("/doubted/shown/file", None),
        ("/doubted/shown/gone/file", None),
        ("/doubted/shown/deep/file", None),
        ("/doubted/failed/file", "/doubted/failed"),
    ],
)
def test_a_doubted_directory_hides_what_it_did_not_show(unlisted: Unlisted, path: str, place: str | None) -> None:
    assert unlisted.hiding(path) == place


def test_what_was_seen_is_hidden_by_no_doubt(unlisted: Unlisted) -> None:
    assert unlisted.hiding("/doubted/seen", seen=True) is None
    assert unlisted.hiding("/doubted/failed/file", seen=True) == "/doubted/failed"


def test_doubted_places_are_told_like_others(unlisted: Unlisted) -> None:
    unlisted.hide("/doubted")
    assert [(found.path, found.reason, found.n_files) for found in unlisted.findings()] == [
        ("/doubted", "doubted: it broke off", 1),
        ("/doubted/failed", "failed: permission denied", 0),
    ]
