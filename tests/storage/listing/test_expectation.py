"""Expectation: many directories in little memory, from an earlier listing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from engine_world import a_site, listed
from hypothesis import given
from hypothesis import strategies as st

from holdfast.storage.listing.expectation import COUNT_MAX, Expectation
from holdfast.storage.listing.tables import DIRECTORIES
from storage.listing.parquet_sink import ParquetSink


@given(st.dictionaries(st.text(max_size=6), st.integers(0, 2 * COUNT_MAX)), st.text(max_size=6))
def test_it_is_as_a_dict_would_be(counts: dict[str, int], other: str) -> None:
    expectation = Expectation.of(counts.items())
    for path, count in counts.items():
        assert expectation(path) == min(count, COUNT_MAX)
    assert (expectation(other) is None) == (other not in counts)
    assert len(expectation) == len(counts)


def test_of_nothing_nothing_is_expected() -> None:
    assert Expectation.of(())("/") is None


def test_directories_that_cannot_be_told_apart_are_not_known() -> None:
    digest = int(Expectation.of([("/a", 0)])._numbers[0])
    expectation = Expectation(np.array([digest | 3, digest | 9], dtype=np.uint64))
    assert expectation("/a") is None


def test_it_takes_eight_bytes_a_directory() -> None:
    expectation = Expectation.of((f"/store/data/{number}", number % 7) for number in range(10_000))
    assert expectation._numbers.nbytes == 80_000
    assert expectation("/store/data/9999") == 9999 % 7


def test_an_earlier_listing_says_what_to_expect(tmp_path: Path) -> None:
    site = a_site()
    site.fail_directory("/c")
    site.tree.put_other("/a/link")
    listed(site, ParquetSink(tmp_path), skip=lambda path: "not ours" if path == "/b" else "")
    expectation = Expectation.of_parts([tmp_path / DIRECTORIES])
    assert {path: expectation(path) for path in ("/", "/a", "/a/deep", "/b", "/c", "/c/x", "/nowhere")} == {
        "/": 4,
        "/a": 4,
        "/a/deep": 1,
        "/b": None,
        "/c": None,
        "/c/x": None,
        "/nowhere": None,
    }
    assert Expectation.of_parts([])("/") is None
