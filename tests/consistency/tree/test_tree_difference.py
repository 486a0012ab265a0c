"""The difference of two trees: against flat dictionaries, and what older tools got wrong, with the right answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from site_trees import FlatTree, above_of, flat_trees

from holdfast.consistency.tree import difference
from holdfast.consistency.tree.building import TreeRow, build
from holdfast.consistency.tree.difference import TreeDifference
from holdfast.consistency.tree.directory_info import DirectoryInfo, FileInfo
from support.soak import examples

DAY_NS = 86_400 * 10**9
NOW_NS = 100 * DAY_NS
OLD, NEW = NOW_NS - 9 * DAY_NS, NOW_NS - 1
YOUNGEST_NS = NOW_NS - DAY_NS


def may_have(tree: FlatTree, path: str) -> bool:
    """Whether a tree that does not show a file may have it all the same: the nearest directory it shows says so."""
    directories = tree.directories
    nearest = next(each for each in (path, *above_of(path)) if each in directories)
    return not tree.listed.get(nearest, True)


def oracle(expected: FlatTree, actual: FlatTree) -> TreeDifference:
    """The same without any tree."""
    found: dict[str, list[str]] = {name: [] for name in ("missing", "orphan", "size_mismatch", "unlisted")}
    for path in expected.files.keys() | actual.files.keys():
        if path in expected.files and path in actual.files:
            sizes = expected.files[path], actual.files[path]
            if None in sizes or sizes[0] == sizes[1]:
                continue
            cls = "size_mismatch"
        elif path in expected.files:
            cls = "unlisted" if may_have(actual, path) else "missing"
        else:
            cls = "unlisted" if may_have(expected, path) else "orphan"
        if not {path, *above_of(path)}.isdisjoint(expected.others | actual.others):
            cls = "unlisted"
        found[cls].append(path)
    return TreeDifference(**{cls: tuple(sorted(paths)) for cls, paths in found.items()})


@settings(max_examples=examples(1000))
@given(flat_trees(), flat_trees())
def test_it_finds_what_flat_dictionaries_find(expected: FlatTree, actual: FlatTree) -> None:
    assert difference.compare(expected.built(), actual.built()) == oracle(expected, actual)


@given(flat_trees())
def test_a_tree_does_not_differ_from_itself(tree: FlatTree) -> None:
    assert difference.compare(tree.built(), tree.built()) == TreeDifference()


@given(flat_trees(), flat_trees())
def test_a_file_is_in_one_class(expected: FlatTree, actual: FlatTree) -> None:
    found = difference.compare(expected.built(), actual.built())
    paths = [*found.missing, *found.orphan, *found.size_mismatch, *found.unlisted, *found.ignored]
    assert len(paths) == len(set(paths))


def test_it_does_not_look_below_equal_hashes() -> None:
    expected = build([TreeRow("/same", "x", 1), TreeRow("/other", "y", 1)][::-1])
    same = expected.directories[1]
    # Nothing is left in it but its hash: whoever looked inside would miss the file.
    hollow = replace(same, files=())
    other = DirectoryInfo.of("other", files=[FileInfo.of("y", 2)])
    actual = DirectoryInfo.of("/", [hollow, other])
    assert difference.compare(expected, actual) == TreeDifference(size_mismatch=("/other/y",))


def site(
    files: Mapping[str, tuple[int, int]],
    *,
    failed: tuple[str, ...] = (),
    doubted: tuple[str, ...] = (),
    listed: tuple[str, ...] = (),
) -> DirectoryInfo:
    """What is at a site: files with size and mtime, directories that were not listed, or that are empty."""
    rows = [TreeRow(path.rpartition("/")[0], path.rpartition("/")[2], *told) for path, told in files.items()]
    rows += [TreeRow(path, "", is_listed=False) for path in (*failed, *doubted)]
    rows += [TreeRow(path, "", is_listed=True) for path in listed]
    return build(sorted(rows, key=lambda row: (row.dir.split("/"), row.name)))


CASES = {
    "size differs, both old": (
        {"/d/f": (1, 0)},
        site({"/d/f": (2, OLD)}),
        TreeDifference(size_mismatch=("/d/f",)),
    ),
    "size differs, the one at the site is new": (
        {"/d/f": (1, 0)},
        site({"/d/f": (2, NEW)}),
        TreeDifference(ignored=("/d/f",)),
    ),
    "the site is empty": ({"/d/f": (1, 0)}, site({}), TreeDifference(missing=("/d/f",))),
    "the top of the site failed": ({"/d/f": (1, 0)}, site({}, failed=("/",)), TreeDifference(unlisted=("/d/f",))),
    "the inventory is empty": ({}, site({"/d/f": (1, OLD)}), TreeDifference(orphan=("/d/f",))),
    "only new files where another one is expected": (
        {"/d/f": (1, 0)},
        site({"/d/new": (1, NEW)}),
        TreeDifference(missing=("/d/f",), ignored=("/d/new",)),
    ),
    "an orphan where the inventory expects nothing yet": (
        {"/e/f": (1, 0)},
        site({"/e/f": (1, OLD), "/d/x": (1, OLD)}),
        TreeDifference(orphan=("/d/x",)),
    ),
    "a directory failed": (
        {"/d/f": (1, 0), "/d/e/g": (1, 0), "/h": (1, 0)},
        site({"/h": (1, OLD)}, failed=("/d",)),
        TreeDifference(unlisted=("/d/e/g", "/d/f")),
    ),
    "a directory was listed in part": (
        {"/d/f": (1, 0), "/d/lost": (1, 0), "/d/e/g": (1, 0), "/d/open/i": (1, 0), "/d/open/k": (1, 0)},
        site({"/d/f": (2, OLD), "/d/x": (1, OLD), "/d/open/i": (1, OLD)}, doubted=("/d",), listed=("/d/open",)),
        TreeDifference(
            missing=("/d/open/k",), orphan=("/d/x",), size_mismatch=("/d/f",), unlisted=("/d/e/g", "/d/lost")
        ),
    ),
    "a directory failed where a file is expected": (
        {"/d": (1, 0)},
        site({}, failed=("/d",)),
        TreeDifference(unlisted=("/d",)),
    ),
    "a file lies where a directory is expected": (
        {"/d/f": (1, 0)},
        site({"/d": (1, OLD)}),
        TreeDifference(missing=("/d/f",), orphan=("/d",)),
    ),
    "moved to another name": (
        {"/d/f": (1, 0)},
        site({"/d/g": (1, OLD)}),
        TreeDifference(missing=("/d/f",), orphan=("/d/g",)),
    ),
    "only an empty directory more": ({"/d/f": (1, 0)}, site({"/d/f": (1, OLD)}, listed=("/e",)), TreeDifference()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_older_tools_got_wrong(
    case: tuple[Mapping[str, tuple[int, int]], DirectoryInfo, TreeDifference],
) -> None:
    expected, actual, wanted = case
    assert difference.compare(site(expected), actual, youngest_ns=YOUNGEST_NS) == wanted


def test_what_was_moved_in_lately_or_has_no_time_is_young() -> None:
    files = [FileInfo.of("moved", 1, OLD, NEW), FileInfo.of("timeless", 1), FileInfo.of("old", 1, OLD, OLD)]
    found = difference.compare(DirectoryInfo.of("/"), DirectoryInfo.of("/", files=files), youngest_ns=YOUNGEST_NS)
    assert found == TreeDifference(orphan=("/old",), ignored=("/moved", "/timeless"))
    found = difference.compare(DirectoryInfo.of("/"), DirectoryInfo.of("/", files=files))
    assert found.orphan == ("/moved", "/old", "/timeless")


def test_nothing_is_known_behind_a_link() -> None:
    expected = site({"/link/f": (1, 0), "/file": (1, 0)})
    actual = DirectoryInfo.of("/", others=["link", "file"])
    assert difference.compare(expected, actual) == TreeDifference(unlisted=("/file", "/link/f"))
