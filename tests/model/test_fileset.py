"""FileSet is a set of small integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.errors import BadInput
from holdfast.model.fileset import FileSet
from holdfast.testing import strategies as ours

ORDINALS = st.sets(st.integers(0, 300))


@given(ORDINALS)
def test_it_holds_what_it_was_given(ordinals: set[int]) -> None:
    files = FileSet.of(ordinals)
    assert list(files) == sorted(ordinals)
    assert (len(files), bool(files)) == (len(ordinals), bool(ordinals))
    assert {number for number in range(-2, 310) if number in files} == ordinals
    assert files == FileSet.of(list(ordinals) * 2)


@pytest.mark.parametrize("step", [1, 3, 15, 16, 17, 500])
@pytest.mark.parametrize("first", [0, 7, 5000])
def test_many_and_few_are_alike(first: int, step: int) -> None:
    ordinals = list(range(first, 10_000, step))
    files = FileSet.of(reversed(ordinals))
    assert list(files) == ordinals
    assert files == FileSet(sum(1 << ordinal for ordinal in ordinals))


@given(ORDINALS, ORDINALS)
def test_it_is_joined_cut_and_taken_away_like_a_set(first: set[int], second: set[int]) -> None:
    one, other = FileSet.of(first), FileSet.of(second)
    assert set(one | other) == first | second
    assert set(one & other) == first & second
    assert set(one - other) == first - second
    assert (one == other) == (first == second)


@given(ORDINALS)
def test_its_bytes_come_back(ordinals: set[int]) -> None:
    files = FileSet.of(ordinals)
    data = files.to_bytes()
    assert FileSet.from_bytes(data) == files
    assert FileSet.from_bytes(data + b"\0\0") == files
    assert not data.endswith(b"\0")


@given(st.integers(0, 300))
def test_full_is_all_below_a_number(n_files: int) -> None:
    full = FileSet.full(n_files)
    assert list(full) == list(range(n_files))
    assert full.within(n_files)
    assert not n_files or not full.within(n_files - 1)


@given(ours.file_sets(), st.integers(0, 50))
def test_within_is_whether_all_are_below(files: FileSet, n_files: int) -> None:
    assert files.within(n_files) == all(ordinal < n_files for ordinal in files)


def test_the_bytes_are_little_endian() -> None:
    assert FileSet.of([0, 9]).to_bytes() == b"\x01\x02"
    assert FileSet().to_bytes() == b""


def test_negative_ordinals_are_refused() -> None:
    with pytest.raises(BadInput, match="-3"):
        FileSet.of([1, -3])
