"""Records: columns of files, locks, PFNs of doors, and the checks of whole records."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import record_checks
from holdfast.model.errors import BadInput, InvalidName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import BlockFiles, BlockReplica, Dataset, Door, FileColumns, Lock, Site, Staging
from holdfast.testing import strategies as ours

KEY = DatasetKey("/a")
FILES = FileColumns(("/", "/d"), (0, 1), ("x", "y"), (1, 2), {"adler32": ("0" * 8, None)})


@given(ours.file_columns())
def test_columns_and_rows_say_the_same(files: FileColumns) -> None:
    record_checks.check_files(files)
    assert list(files.lfns()) == [files.lfn(row) for row in range(len(files))]
    for row in range(len(files)):
        known = files.checksums_of(row)
        assert known == {name: column[row] for name, column in files.checksums.items() if column[row] is not None}


@given(ours.sites())
def test_good_sites_pass(site: Site) -> None:
    record_checks.check_site(site)


@given(ours.datasets())
def test_good_datasets_pass(dataset: Dataset) -> None:
    record_checks.check_dataset(dataset)
    assert dataset.is_visible


@given(name=ours.bad_words())
def test_sites_with_bad_names_do_not(name: str) -> None:
    with pytest.raises(InvalidName):
        record_checks.check_site(Site(name, (Door("posix", "/"),)))


@pytest.mark.parametrize(
    "bad",
    [Site("A", ()), Site("A", (Door("posix", "/"), Door("root", "/", PfnRules(((RewriteStep("(", ""),),)))))],
    ids=repr,
)
def test_bad_sites_do_not(bad: Site) -> None:
    with pytest.raises(BadInput):
        record_checks.check_site(bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"key": DatasetKey("")},
        {"key": DatasetKey("a\n")},
        {"key": DatasetKey("a#1")},
        {"key": DatasetKey("a#1", "2")},
        {"key": DatasetKey("a", "no version")},
        {"required_copies": 0},
        {"metadata": {"a": 1j}},
    ],
    ids=repr,
)
def test_bad_datasets_do_not(bad: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        record_checks.check_dataset(Dataset(**{"key": KEY, **bad}))


@given(ours.metadata())
def test_json_is_metadata(metadata: dict[str, Any]) -> None:
    record_checks.check_metadata(metadata)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "metadata['a'][1] is nan"),
        (float("-inf"), "metadata['a'][1] is -inf"),
        ((1,), "of type tuple"),
        ({1}, "of type set"),
        (b"x", "of type bytes"),
        ({1: 2}, "key 1"),
        (KEY, "of type DatasetKey"),
    ],
    ids=str,
)
def test_only_json_is_metadata(value: object, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        record_checks.check_metadata({"a": [0, value]})
    assert says in str(caught.value)


def test_metadata_is_not_nested_without_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadInput, match="too deeply"):
        record_checks.check_metadata({"a": endless})


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"sizes": (1,)}, "column sizes has 1 rows, names has 2"),
        ({"sizes": (1, -2)}, "/d/y has a negative size"),
        ({"dir_index": (0,)}, "column dir_index"),
        ({"dir_index": (0, 2)}, "outside"),
        ({"dir_index": (-1, 1)}, "outside"),
        ({"dirs": ("/", "d")}, "not absolute"),
        ({"names": ("x", "")}, "is empty"),
        ({"checksums": {"adler32": ("0" * 8,)}}, "column adler32"),
        ({"checksums": {"adler32": ("0" * 8, "ABCDEF00")}}, "normalised"),
        ({"checksums": {"adler32": ("0" * 8, "")}}, "not a digest"),
        ({"checksums": {"sha1": ("0" * 40, None)}}, "unknown checksum algorithm"),
    ],
    ids=str,
)
def test_bad_columns_are_refused(bad: dict[str, Any], says: str) -> None:
    record_checks.check_files(FILES)
    with pytest.raises(BadInput) as caught:
        record_checks.check_files(replace(FILES, **bad))
    assert says in str(caught.value)


def test_no_files_are_columns_too() -> None:
    nothing = FileColumns((), (), (), ())
    record_checks.check_files(nothing)
    assert list(nothing.lfns()) == []


@pytest.mark.parametrize(
    ("lock", "item"),
    [
        (Lock("l", "me", KEY), "/a"),
        (Lock("l", "me", DatasetKey("/a", "1"), "b"), "/a#1::b"),
        (Lock("l", "me", lfn="/a/f"), "/a/f"),
    ],
)
def test_a_lock_names_its_item(lock: Lock, item: str) -> None:
    assert lock.item == item


@pytest.mark.parametrize(
    ("patterns", "covered"),
    [
        ({}, True),
        ({"sites": "T2_*"}, True),
        ({"sites": "T2_?H"}, True),
        ({"sites": "t2_*"}, False),
        ({"sites": "T2"}, False),
        ({"groups": "phys*"}, True),
        ({"groups": ""}, False),
        ({"expires_us": 11}, True),
        ({"expires_us": 10}, False),
        ({"sites": "T1_*", "groups": "phys*"}, False),
    ],
    ids=str,
)
def test_a_lock_covers_what_fits_its_patterns(patterns: dict[str, Any], covered: bool) -> None:
    assert Lock("l", "me", KEY, **patterns).covers("T2_CH", "physics", 10) is covered


@given(ours.file_sets(20), st.integers(20, 30))
def test_a_replica_holds_all_or_what_is_listed(held: FileSet, n_files: int) -> None:
    replica = BlockReplica(BlockKey(KEY, "b"), "A", held=held)
    assert not replica.is_complete
    assert replica.files(n_files) == held
    whole = replace(replica, held=None)
    assert whole.is_complete
    assert whole.files(n_files) == FileSet.full(n_files)


def test_a_part_of_a_scope_names_all_files_or_some() -> None:
    assert BlockFiles("b").files(3) == FileSet.full(3)
    assert BlockFiles("b", (2, 0, 2)).files(3) == FileSet.of([0, 2])
    assert BlockFiles("b", ()).files(3) == FileSet()


def test_a_door_gives_pfns() -> None:
    assert Door("root", "root://x//", PfnRules.prefix("/a", "/b")).pfn("/a/f") == "root://x/b/f"
    assert Door("root", "root://x//", PfnRules.prefix("/a", "/b")).pfn("/c/f") is None


def test_a_staged_dataset_is_not_visible() -> None:
    assert not Dataset(KEY, staging=Staging("A", "/d")).is_visible


def test_records_are_values() -> None:
    with pytest.raises(FrozenInstanceError):
        FILES.sizes = ()  # type: ignore[misc]
    assert replace(FILES) == FILES
    assert not hasattr(FILES, "__dict__")
