"""Listings as trees: the folder of a listing, a site through its doors, and the inventory, against what is known."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from site_trees import LIMITS, listing_of, sites

from consistency.checked_world import CONTENT, DATASET, World
from holdfast.consistency.tree import difference
from holdfast.consistency.tree.difference import TreeDifference
from holdfast.consistency.tree.listings import inventory_listing, list_remote, remote_listing
from holdfast.model import changes as c
from holdfast.model import names
from holdfast.model.errors import BadInput, OperatorError, UnknownName
from holdfast.model.pfn import PfnRules
from holdfast.model.records import BlockFiles, CopyRequest, Door, Site
from holdfast.storage.driver import NOT_TOLD, Entry, Kind, Stat
from holdfast.storage.listing.tables import Directory, DirectoryState, Odd, Oddity
from holdfast.storage.posix.driver import PosixDriver
from support.logged import logged
from support.soak import examples

FILE, FOLDER = Stat(Kind.FILE, 3, 7, "v", 9), Stat(Kind.DIRECTORY, 0, 5)


@settings(max_examples=examples(60))
@given(sites())
def test_the_tree_of_a_listing_is_what_was_listed(site: dict[str, Directory]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        listing_of(Path(folder) / "listing", site)
        tree = remote_listing(Path(folder) / "listing", limits=LIMITS)
    walked = dict(tree.walk())
    assert walked.keys() == site.keys()
    for path, directory in walked.items():
        told = site[path]
        assert directory.is_listed == (told.state is DirectoryState.LISTED)
        assert [(each.name, each.size) for each in directory.files] == [(e.name, e.stat.size) for e in told.files]
        assert list(directory.others) == [each.raw.decode() for each in told.oddities]
        assert directory.mtime_ns == (None if path == "/" else 5 + len(names.split(path)[1]))


def test_sizes_and_times_that_are_not_told_are_not_known(tmp_path: Path) -> None:
    untold = Stat(Kind.FILE, NOT_TOLD, NOT_TOLD)
    listing_of(
        tmp_path / "l", {"/": Directory("/", DirectoryState.LISTED, files=(Entry("a", untold), Entry("b", FILE)))}
    )
    tree = remote_listing(tmp_path / "l", limits=LIMITS)
    assert [(each.size, each.mtime_ns, each.since_ns) for each in tree.files] == [(None, None, None), (3, 7, 9)]


def test_outside_the_top_of_a_listing_nothing_is_known(tmp_path: Path) -> None:
    listing_of(
        tmp_path / "l", {"/a/b": Directory("/a/b", DirectoryState.LISTED, files=(Entry("f", FILE),))}, top="/a/b"
    )
    tree = remote_listing(tmp_path / "l", limits=LIMITS)
    assert [(path, each.is_listed) for path, each in tree.walk()] == [("/", False), ("/a", False), ("/a/b", True)]


def test_names_that_are_no_text_or_no_names_hide_nothing(tmp_path: Path) -> None:
    odd = (
        Oddity(b"\xff", Odd.OTHER, "is a link"),
        Oddity(b"a\tb", Odd.UNNAMEABLE, "has a control character"),
        Oddity(b"twice", Odd.REFUSED, "named twice"),
    )
    listing_of(tmp_path / "l", {"/": Directory("/", DirectoryState.LISTED, oddities=odd)})
    assert remote_listing(tmp_path / "l", limits=LIMITS).others == ("twice",)


def test_a_folder_whose_name_is_a_pattern_is_read_and_one_without_a_listing_is_not(tmp_path: Path) -> None:
    listing_of(tmp_path / "[a]*?", {"/": Directory("/", DirectoryState.LISTED, files=(Entry("f", FILE),))})
    assert remote_listing(tmp_path / "[a]*?", limits=LIMITS).n_files == 1
    with pytest.raises(BadInput, match="no listing"):
        remote_listing(tmp_path / "elsewhere", limits=LIMITS)


def test_a_table_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    listing = listing_of(tmp_path / "l", {"/": Directory("/", DirectoryState.LISTED, files=(Entry("f", FILE),))})
    for table in ("entries.parquet", "directories.parquet"):
        for part in listing.parts(table):
            part.write_bytes(b"x" * part.stat().st_size)
    with pytest.raises(OperatorError, match="cannot be read") as raised:
        remote_listing(tmp_path / "l", limits=LIMITS)
    assert raised.value.place == str(tmp_path / "l")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def listed(world: World) -> TreeDifference:
    """What differs between inventory and site."""
    expected = inventory_listing(world.store, "away", limits=LIMITS)
    actual = asyncio.run(list_remote([world.away], "away", limits=LIMITS))
    return difference.compare(expected, actual)


def test_a_good_site_has_the_tree_of_the_inventory(world: World) -> None:
    assert listed(world) == TreeDifference()
    tree = inventory_listing(world.store, "away", limits=LIMITS)
    assert (tree.n_files, tree.size) == (len(CONTENT), sum(map(len, CONTENT.values())))
    assert tree.hash == asyncio.run(list_remote([world.away], "away", limits=LIMITS)).hash


def test_what_was_damaged_is_what_differs(world: World) -> None:
    world.remove("/data/a/x")
    world.away.truncate("/data/a/y", 1)
    world.away.put("/data/c/new", b"new")
    world.away.fail_directory("/data/b")
    assert listed(world) == TreeDifference(
        missing=("/data/a/x",),
        orphan=("/data/c/new",),
        size_mismatch=("/data/a/y",),
        unlisted=("/data/b/x", "/data/b/y", "/data/b/z"),
    )


def test_what_a_replica_awaits_is_not_expected(world: World) -> None:
    world.publish(DATASET._replace(version="v2"), {"/data/e/f": b"e"})
    world.commit(c.RequestCopy(CopyRequest("r", DATASET._replace(version="v2"), "away", (BlockFiles("0000"),))))
    assert listed(world) == TreeDifference()


def test_paths_are_those_at_the_site_and_what_has_none_is_left_out_and_told(tmp_path: Path) -> None:
    world = World(tmp_path, PfnRules.prefix("/data", "/store/cms"))
    with logged() as logs:
        assert listed(world) == TreeDifference()
    assert logs == []
    tree = inventory_listing(world.store, "away", limits=LIMITS)
    assert tree.file("/store/cms/a/x") is not None
    world.commit(c.PutSite(Site("away", (Door("memory", "/away", PfnRules.prefix("/data/a", "/only")),))))
    with logged() as logs:
        tree = inventory_listing(world.store, "away", limits=LIMITS)
    assert [path for path, _ in tree.walk()] == ["/", "/only"]
    assert [(each["log_level"], each["files"]) for each in logs] == [("warning", 3)]


def test_a_site_that_nobody_knows_is_an_error(world: World) -> None:
    with pytest.raises(UnknownName):
        inventory_listing(world.store, "nowhere", limits=LIMITS)


def test_a_folder_of_this_machine_is_listed_into_a_folder_that_stays(tmp_path: Path) -> None:
    (tmp_path / "site/d").mkdir(parents=True)
    (tmp_path / "site/d/f").write_bytes(b"12")
    os.symlink("d", tmp_path / "site/link")
    driver = PosixDriver(tmp_path / "site", label="bern")
    tree = asyncio.run(list_remote([driver], "bern", tmp_path / "listing", limits=LIMITS))
    assert [(path, [file.name for file in each.files]) for path, each in tree.walk()] == [("/", []), ("/d", ["f"])]
    assert tree.others == ("link",)
    assert remote_listing(tmp_path / "listing", limits=LIMITS).hash == tree.hash
    (tmp_path / "site/d/f").write_bytes(b"123")
    again = asyncio.run(list_remote([driver], "bern", tmp_path / "listing", limits=LIMITS))
    assert again.hash == tree.hash
