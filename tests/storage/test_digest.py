"""Hasher and the names of parts: published vectors, any cutting of the stream, refusals."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import checksums, names
from holdfast.model.errors import BadInput
from holdfast.storage import parts
from holdfast.storage.digest import ALGORITHMS, Hasher, digests_of
from holdfast.testing.driver_hooks import VECTORS


def test_every_known_algorithm_can_be_computed() -> None:
    assert set(checksums.DIGITS) == ALGORITHMS
    assert set(VECTORS) == ALGORITHMS


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_digests_are_those_published(algorithm: str) -> None:
    for data, expected in VECTORS[algorithm].items():
        assert digests_of(data, [algorithm]) == {algorithm: expected}


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=6))
def test_cutting_the_stream_changes_nothing(data: bytes, cuts: list[int]) -> None:
    hasher = Hasher(sorted(ALGORITHMS))
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        hasher.update(memoryview(data)[start:end])
        hasher.hexdigests()
    assert hasher.hexdigests() == digests_of(data, sorted(ALGORITHMS))
    assert hasher.size == len(data)


def test_an_unknown_algorithm_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="rot13") as caught:
        Hasher(["md5", "rot13"])
    assert "adler32" in caught.value.hint


def test_no_algorithm_still_counts() -> None:
    hasher = Hasher([])
    hasher.update(b"abc")
    assert (hasher.size, hasher.hexdigests()) == (3, {})


def test_part_names_are_names_and_recognised() -> None:
    random = {parts.part_name() for _ in range(50)}
    assert len(random) == 50
    for name in (*random, parts.part_name("task7"), parts.part_name("z" * 64)):
        assert names.file_name(name) == name
        assert parts.is_part_name(name)
    assert parts.token_of(parts.part_name("task7")) == "task7"


@pytest.mark.parametrize(
    "name", ["", "file", ".holdfast-part-", ".holdfast-part-A", "x.holdfast-part-a", ".holdfast-part-a.txt", ".hidden"]
)
def test_other_names_are_no_parts(name: str) -> None:
    assert not parts.is_part_name(name)
    assert parts.token_of(name) is None


@pytest.mark.parametrize("token", ["", "a/b", "A", "a b", "..", "a\n", "z" * 65])
def test_a_token_that_cannot_be_in_a_name_is_refused(token: str) -> None:
    with pytest.raises(BadInput):
        parts.part_name(token)


def test_a_part_lies_beside_its_file() -> None:
    assert parts.part_path("/a/b", "t") == "/a/.holdfast-part-t"
    assert parts.part_path("/b", "t") == "/.holdfast-part-t"
