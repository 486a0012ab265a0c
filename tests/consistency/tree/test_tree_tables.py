"""The table of directories, usage and empty directories: against what plain loops find on random sites."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from site_trees import LIMITS, above_of, components, dirs, listing_of, sites

import holdfast
from holdfast.consistency.tree.empty import empty_directories
from holdfast.consistency.tree.table import write_tree
from holdfast.consistency.tree.usage import Usage, storage_json, usage
from holdfast.model import names
from holdfast.model.errors import OperatorError
from holdfast.storage.driver import NOT_TOLD, Entry, Kind, Stat
from holdfast.storage.listing.tables import INT64_MAX, Directory, DirectoryState, Odd, Oddity
from support.soak import examples

FOLDER = Stat(Kind.DIRECTORY, 0, 5)


def listed(
    path: str, *below: str, state: DirectoryState = DirectoryState.LISTED, n_files: int = 0, size: int = 1
) -> Directory:
    """A directory with files and some directories."""
    files = tuple(Entry(f"f{number}", Stat(Kind.FILE, size, 5)) for number in range(n_files))
    return Directory(path, state, files=files, directories=tuple(Entry(name, FOLDER) for name in below))


def usage_oracle(site: dict[str, Directory], depth: int) -> list[Usage]:
    found = []
    for path in sorted((path for path in site if len(components(path)) <= depth), key=components):
        below = [each for other, each in site.items() if path in (other, *above_of(other))]
        sizes = [entry.stat.size for each in below for entry in each.files]
        unlisted = sum(each.state is not DirectoryState.LISTED for each in below)
        found.append(Usage(path, len(sizes), sum(sizes), len(below) - 1, unlisted))
    return found


@settings(max_examples=examples(60))
@given(sites(), st.integers(0, 5))
def test_usage_is_the_sum_of_all_below(site: dict[str, Directory], depth: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "tree.parquet"
        write_tree(listing_of(Path(folder) / "listing", site), table, LIMITS)
        assert usage(table, LIMITS, depth=depth) == usage_oracle(site, depth)
        order = [components(path) for path in pq.read_table(table).column("dir").to_pylist()]
        assert order == sorted(order)


def test_sizes_that_are_not_told_count_as_nothing_and_too_large_ones_as_the_largest(tmp_path: Path) -> None:
    site = {
        "/": listed("/", "big", "untold"),
        "/big": listed("/big", n_files=3, size=INT64_MAX),
        "/untold": listed("/untold", n_files=2, size=NOT_TOLD),
    }
    write_tree(listing_of(tmp_path / "listing", site), tmp_path / "tree.parquet", LIMITS)
    assert usage(tmp_path / "tree.parquet", LIMITS) == [
        Usage("/", 5, INT64_MAX, 2, 0),
        Usage("/big", 3, INT64_MAX, 0, 0),
        Usage("/untold", 2, 0, 0, 0),
    ]


def test_the_table_has_what_is_directly_in_each_directory_and_replaces_what_was_there(tmp_path: Path) -> None:
    site = {"/": listed("/", "b", "a", n_files=4), "/a": listed("/a", state=DirectoryState.FAILED), "/b": listed("/b")}
    for name in ("tree.parquet", "tree.parquet.part"):
        (tmp_path / name).write_bytes(b"of a run that was killed")
    write_tree(listing_of(tmp_path / "listing", site), tmp_path / "tree.parquet", LIMITS)
    assert pq.read_table(tmp_path / "tree.parquet").to_pylist() == [
        {"dir": "/", "state": "listed", "files": 4, "size": 4},
        {"dir": "/a", "state": "failed", "files": 0, "size": 0},
        {"dir": "/b", "state": "listed", "files": 0, "size": 0},
    ]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["listing", "tree.parquet"]


def test_a_table_that_cannot_be_written_or_read_is_one_clear_error(tmp_path: Path) -> None:
    listing = listing_of(tmp_path / "listing", {"/": listed("/")})
    target = tmp_path / "not there" / "tree.parquet"
    with pytest.raises(OperatorError, match="cannot be written") as raised:
        write_tree(listing, target, LIMITS)
    assert raised.value.place == str(target)
    (tmp_path / "tree.parquet").write_bytes(b"no table")
    with pytest.raises(OperatorError, match="cannot be read") as raised:
        usage(tmp_path / "tree.parquet", LIMITS)
    assert raised.value.place == str(tmp_path / "tree.parquet")


def test_the_storage_report_has_a_share_for_each_directory_with_files() -> None:
    used = [Usage("/", 3, 30, 2, 0), Usage("/cms", 3, 30, 0, 0), Usage("/empty", 0, 0, 0, 0)]
    assert storage_json("bern", used, 1_700_000_000_999_999) == {
        "storageservice": {
            "name": "bern",
            "implementation": "holdfast",
            "implementationversion": holdfast.__version__,
            "latestupdate": 1_700_000_000,
            "storageshares": [
                {"name": path, "path": [path], "numberoffiles": 3, "usedsize": 30, "timestamp": 1_700_000_000}
                for path in ("/", "/cms")
            ],
        }
    }
    nothing = storage_json("bern", [Usage("/", 0, 0, 0, 0)], 0)
    assert [each["usedsize"] for each in nothing["storageservice"]["storageshares"]] == [0]


def empty_oracle(site: dict[str, Directory], fixed: list[str]) -> set[str]:
    kept = {"/"} | {each for path in fixed for each in (path, *above_of(path))}

    def is_empty(path: str) -> bool:
        told = site[path]
        below = [names.join(path, entry.name) for entry in told.directories]
        has_nothing = told.state is DirectoryState.LISTED and not told.files and not told.oddities
        return has_nothing and all(is_empty(each) for each in below)

    return {path for path in site if path not in kept and is_empty(path)}


@settings(max_examples=examples(60))
@given(sites(), st.lists(dirs, max_size=2))
def test_empty_is_what_has_nothing_below_it(site: dict[str, Directory], fixed: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        listing = listing_of(Path(folder) / "listing", site)
        found = list(empty_directories(listing, LIMITS, fixed=fixed))
    paths = [each.path for each in found]
    assert set(paths) == empty_oracle(site, fixed)
    assert len(paths) == len(set(paths))
    assert all(
        paths.index(above) > place for place, path in enumerate(paths) for above in above_of(path) if above in paths
    )
    assert all(each.mtime_ns == 5 + len(names.split(each.path)[1]) for each in found)


def empty_of(folder: Path, *directories: Directory, fixed: tuple[str, ...] = ()) -> list[str]:
    site = {each.dir: each for each in directories}
    return [each.path for each in empty_directories(listing_of(folder / "l", site), LIMITS, fixed=fixed)]


@pytest.mark.parametrize("state", [DirectoryState.FAILED, DirectoryState.SKIPPED, DirectoryState.DOUBTED])
def test_what_was_not_wholly_listed_is_not_empty_nor_is_what_it_is_in(tmp_path: Path, state: DirectoryState) -> None:
    found = empty_of(
        tmp_path,
        listed("/", "a", "e"),
        listed("/a", "b"),
        listed("/a/b", state=state),
        listed("/e"),
    )
    assert found == ["/e"]


def test_a_thing_that_is_no_file_keeps_its_directory(tmp_path: Path) -> None:
    odd = Directory("/a", DirectoryState.LISTED, oddities=(Oddity(b"\xff", Odd.UNNAMEABLE, "is no name"),))
    assert empty_of(tmp_path, listed("/", "a", "b"), odd, listed("/b")) == ["/b"]


def test_the_top_and_what_all_files_have_in_common_are_never_empty(tmp_path: Path) -> None:
    site = (listed("/", "store"), listed("/store", "cms"), listed("/store/cms", "x"), listed("/store/cms/x"))
    assert empty_of(tmp_path / "1", *site) == ["/store/cms/x", "/store/cms", "/store"]
    assert empty_of(tmp_path / "2", *site, fixed=("/store/cms/",)) == ["/store/cms/x"]
    assert empty_of(tmp_path / "3", listed("/")) == []
    assert empty_of(tmp_path / "4", *site, fixed=("/store/cms/x/y",)) == []


def test_a_directory_that_was_shown_and_is_not_told_of_keeps_those_above_it(tmp_path: Path) -> None:
    listing = listing_of(tmp_path / "l", {"/": listed("/", "a"), "/a": listed("/a", "b"), "/a/b": listed("/a/b")})
    (part,) = listing.parts("directories.parquet")
    table = pq.read_table(part)
    pq.write_table(table.filter(pa.compute.field("dir") != "/a/b"), part)
    assert list(empty_directories(listing, LIMITS, fixed=())) == []
