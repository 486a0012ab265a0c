"""DirectoryInfo: what is in the hash and what is not, and that wide and deep trees are nothing special."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from site_trees import FlatTree, flat_trees

from holdfast.consistency.tree import difference
from holdfast.consistency.tree.building import TreeRow, build
from holdfast.consistency.tree.difference import TreeDifference
from holdfast.consistency.tree.directory_info import HASH_BYTES, DirectoryInfo, FileInfo
from holdfast.model.errors import BadInput
from support.soak import examples


def a_tree(**changed: object) -> DirectoryInfo:
    """``/below/file`` and ``/x``; ``changed`` are the size, name or times of the file, or what is beside it."""
    values = {"name": "file", "size": 5, "mtime_ns": 7, "dir": "below", "others": (), "is_listed": True} | changed
    file = FileInfo.of(values["name"], values["size"], values["mtime_ns"])  # type: ignore[arg-type]
    below = DirectoryInfo.of(
        str(values["dir"]),
        files=[file],
        mtime_ns=values["mtime_ns"],  # type: ignore[arg-type]
        others=values["others"],  # type: ignore[arg-type]
        is_listed=bool(values["is_listed"]),
    )
    return DirectoryInfo.of("/", [below], [FileInfo.of("x", 1)])


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"size": 6},
        {"size": None},
        {"dir": "elsewhere"},
        {"others": ("link",)},
        {"is_listed": False},
    ],
)
def test_the_hash_speaks_for_all_below(changed: dict[str, object]) -> None:
    assert a_tree(**changed).hash != a_tree().hash


def test_times_and_its_own_name_are_not_in_the_hash() -> None:
    assert a_tree(mtime_ns=8).hash == a_tree().hash
    assert DirectoryInfo.of("a").hash == DirectoryInfo.of("b", mtime_ns=5).hash
    assert len(a_tree().hash) == HASH_BYTES


def test_a_name_is_not_taken_for_a_size_or_for_two_names() -> None:
    assert FileInfo.of("1:x", 2).hash != FileInfo.of("x", 21).hash
    assert FileInfo.of("x", None).hash != FileInfo.of("x", 0).hash
    two = DirectoryInfo.of("/", [DirectoryInfo.of("a"), DirectoryInfo.of("b")])
    assert two.hash != DirectoryInfo.of("/", [DirectoryInfo.of("ab")]).hash
    assert DirectoryInfo.of("/", others=["a"]).hash != DirectoryInfo.of("/", [DirectoryInfo.of("a")]).hash


@given(flat_trees(), st.randoms(use_true_random=False))
def test_the_order_in_which_things_came_is_not_in_it(tree: FlatTree, chance: random.Random) -> None:
    def shuffled(directory: DirectoryInfo) -> DirectoryInfo:
        below = [shuffled(each) for each in directory.directories]
        files, others = list(directory.files), list(directory.others)
        for held in (below, files, others):
            chance.shuffle(held)  # type: ignore[arg-type]
        return DirectoryInfo.of(directory.name, below, files, is_listed=directory.is_listed, others=others)

    built = tree.built()
    assert shuffled(built).hash == built.hash
    names = [each.name for each in built.files]
    assert names == sorted(names, key=str.encode)


@settings(max_examples=examples(300))
@given(flat_trees(), flat_trees())
def test_hashes_are_equal_if_and_only_if_the_trees_are(one: FlatTree, other: FlatTree) -> None:
    def told(tree: FlatTree) -> object:
        return tree.files, tree.others, {path: tree.listed.get(path, True) for path in tree.directories}

    assert (one.built().hash == other.built().hash) == (told(one) == told(other))


@given(flat_trees())
def test_the_sums_and_paths_are_those_of_all_below(tree: FlatTree) -> None:
    built = tree.built()
    assert built.n_files == len(tree.files)
    assert built.size == sum(size or 0 for size in tree.files.values())
    assert built.n_directories == len(tree.directories) - 1
    walked = dict(built.walk())
    assert walked.keys() == tree.directories
    assert list(walked) == sorted(walked, key=lambda path: path.strip("/").split("/") if path != "/" else [])
    assert all(built.find(path) is directory for path, directory in walked.items())
    for path, size in tree.files.items():
        found = built.file(path)
        assert found is not None
        assert found.size == size
    assert built.find("/not there") is None
    assert built.file("/not there/a") is built.file("/a file that is not there") is None


def test_a_file_that_is_given_twice_is_one_and_its_size_is_not_known_if_they_differ() -> None:
    same = DirectoryInfo.of("/", files=[FileInfo.of("a", 1, 5), FileInfo.of("b", 2), FileInfo.of("a", 1, 9)])
    assert [(each.name, each.size, each.mtime_ns) for each in same.files] == [("a", 1, 9), ("b", 2, None)]
    differing = DirectoryInfo.of("/", files=[FileInfo.of("a", 1), FileInfo.of("a", 2), FileInfo.of("a", 2)])
    assert [(each.name, each.size) for each in differing.files] == [("a", None)]


def test_directories_of_one_name_are_refused_and_so_are_rows_out_of_order() -> None:
    with pytest.raises(BadInput, match="same name"):
        DirectoryInfo.of("/", [DirectoryInfo.of("a"), DirectoryInfo.of("a")])
    with pytest.raises(BadInput, match="same name"):
        build([TreeRow("/a", "x", 1), TreeRow("/b", "x", 1), TreeRow("/a/c", "x", 1)])


def test_a_directory_of_very_many_files_with_one_difference() -> None:
    n_files = 100_000
    rows = [TreeRow("/d", f"{number:06}", 1) for number in range(n_files)]
    expected = build(rows)
    rows[77_777] = rows[77_777]._replace(size=2)
    actual = build(rows)
    assert difference.compare(expected, actual) == TreeDifference(size_mismatch=("/d/077777",))
    found = expected.file("/d/077777")
    assert found is not None
    assert found.size == 1


def test_very_many_directories_side_by_side() -> None:
    rows = [TreeRow(f"/{number:05}", "x", 1) for number in range(20_000)]
    expected, actual = build(rows), build([*rows[:9_999], *rows[10_000:]])
    assert difference.compare(expected, actual) == TreeDifference(missing=("/09999/x",))
    assert difference.compare(actual, expected) == TreeDifference(orphan=("/09999/x",))


def test_a_tree_may_be_deeper_than_python_recurses() -> None:
    deep = "/d" * 3_000
    expected, actual = build([TreeRow(deep, "x", 1)]), build([TreeRow(deep, "x", 2)])
    assert difference.compare(expected, actual) == TreeDifference(size_mismatch=(f"{deep}/x",))
    assert sum(1 for _ in expected.walk()) == 3_001
    assert "1 files" in repr(expected)
    assert len(repr(expected)) < 100


def test_names_of_bytes_that_are_no_text_have_a_hash_too() -> None:
    odd = b"\xff\xfe".decode(errors="surrogateescape")
    tree = DirectoryInfo.of("/", [DirectoryInfo.of(odd, files=[FileInfo.of(odd, 1)])])
    assert tree.file(f"/{odd}/{odd}") == FileInfo.of(odd, 1)
