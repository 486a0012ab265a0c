"""A site's whole tree in a folder: begun, broken off, repeated, and what is no listing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.model.errors import Conflict, PeerError
from holdfast.storage.driver import NotThere, StorageDriver
from holdfast.storage.listing.door_pool import NotFinished
from holdfast.storage.listing.limits import ListingLimits
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.site_listing import list_site
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.posix.driver import PosixDriver
from storage.listing.engine_world import a_site
from storage.listing.ledgers import rows_of


def listing_of(door: StorageDriver, folder: Path, top: str = "/", **options: Any) -> Listing:
    doors: Sequence[StorageDriver] = [door]
    return asyncio.run(list_site(doors, folder, ListingPlan("bern", top), **{"workers": 1, **options}))


def a_door(kind: str, root: Path) -> StorageDriver:
    if kind == "asked":
        return a_site()
    (root / "a").mkdir(parents=True)
    (root / "a/one").touch()
    return PosixDriver(root)


KINDS = pytest.mark.parametrize("kind", ["asked", "walked"])


@KINDS
def test_a_complete_listing_of_the_same_plan_is_given_as_it_is(kind: str, tmp_path: Path) -> None:
    door = a_door(kind, tmp_path / "root")
    first = listing_of(door, tmp_path / "listing")
    assert listing_of(door, tmp_path / "listing").summary == first.summary
    with pytest.raises(Conflict, match=r"another listing is complete here: top '/', not '/a'"):
        listing_of(door, tmp_path / "listing", "/a")


@KINDS
def test_a_top_that_is_not_there_leaves_nothing_in_the_folder(kind: str, tmp_path: Path) -> None:
    door = a_door(kind, tmp_path / "root")
    with pytest.raises(NotThere):
        listing_of(door, tmp_path / "listing", "/typo")
    assert os.listdir(tmp_path / "listing") == []
    assert listing_of(door, tmp_path / "listing", "/a").summary.counts.files


def test_a_top_that_could_not_be_listed_is_asked_for_again_by_the_same_call(tmp_path: Path) -> None:
    door = a_site()

    def away(operation: str, path: str) -> None:
        raise PeerError("away")

    door.faults = away
    with pytest.raises(PeerError, match="away"):
        listing_of(door, tmp_path / "listing", limits=ListingLimits(attempts=2, pause_s=0.001))
    with pytest.raises(Conflict, match="not complete"):
        Listing.open(tmp_path / "listing")
    door.faults = None
    assert listing_of(door, tmp_path / "listing").summary.complete
    listing_of(a_site(), tmp_path / "anew")
    assert rows_of(tmp_path / "listing") == rows_of(tmp_path / "anew")


@KINDS
def test_the_time_for_the_whole_holds_and_it_can_be_gone_on_with(kind: str, tmp_path: Path) -> None:
    door = a_door(kind, tmp_path / "root")
    with pytest.raises(NotFinished, match="1 known directories are left"):
        listing_of(door, tmp_path / "listing", limits=ListingLimits(overall_timeout_s=1e-9))
    assert listing_of(door, tmp_path / "listing").summary.complete


def test_what_is_expected_holds_for_a_walk_too(tmp_path: Path) -> None:
    door = a_door("walked", tmp_path / "root")
    asked = []

    def expected(path: str) -> None:
        asked.append(path)

    listing_of(door, tmp_path / "listing", expected=expected)
    assert sorted(asked) == ["/", "/a"]
