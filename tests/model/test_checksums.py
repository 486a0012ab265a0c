"""Checksums: normal form, and the four outcomes of a comparison."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import checksums
from holdfast.model.checksums import DIGITS, ChecksumComparison, Checksums
from holdfast.model.errors import BadInput
from holdfast.testing import strategies as ours

A, B = "0" * 8, "0" * 7 + "1"


@given(ours.checksums())
def test_a_normal_digest_stays_as_it_is(known: dict[str, str]) -> None:
    assert checksums.normalise_all(known) == known


@given(algorithm=st.sampled_from(sorted(DIGITS)), data=st.data())
def test_case_and_blanks_do_not_matter(algorithm: str, data: st.DataObject) -> None:
    digest = data.draw(ours.digests(algorithm))
    assert checksums.normalise(algorithm, f" {digest.upper()}\n") == digest


@given(st.integers(0, 2**32 - 1))
def test_short_digests_are_padded(number: int) -> None:
    for algorithm in ("adler32", "crc32c"):
        assert checksums.normalise(algorithm, f"{number:x}") == f"{number:08x}"


@given(algorithm=st.sampled_from(sorted(DIGITS)), text=ours.hostile_text())
def test_hostile_text_is_refused_or_a_digest(algorithm: str, text: str) -> None:
    try:
        digest = checksums.normalise(algorithm, text)
    except BadInput:
        return
    assert len(digest) == DIGITS[algorithm]
    assert set(digest) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("adler32", ""),
        ("adler32", " "),
        ("adler32", "Error"),
        ("adler32", "0x1234"),
        ("adler32", "123456789"),
        ("adler32", "-1"),
        ("adler32", "1_0"),
        ("adler32", "١٢"),
        ("md5", "1"),
        ("md5", "0" * 31),
        ("md5", "0" * 33),
        ("sha256", "g" * 64),
        ("sha1", "0" * 40),
        ("", "0"),
    ],
)
def test_what_is_no_digest_is_refused(algorithm: str, digest: str) -> None:
    with pytest.raises(BadInput) as caught:
        checksums.normalise(algorithm, digest)
    assert caught.value.hint
    with pytest.raises(BadInput):
        checksums.normalise_all({"crc32c": A, algorithm: digest})


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ({}, {}, ChecksumComparison.UNKNOWN),
        ({"md5": A}, {}, ChecksumComparison.UNKNOWN),
        ({"md5": A}, {"adler32": A}, ChecksumComparison.INCOMPARABLE),
        ({"md5": A}, {"md5": A}, ChecksumComparison.EQUAL),
        ({"md5": A}, {"md5": B}, ChecksumComparison.DIFFERENT),
        ({"md5": A, "adler32": A}, {"md5": A, "crc32c": B}, ChecksumComparison.EQUAL),
        ({"md5": A, "adler32": A}, {"md5": A, "adler32": B}, ChecksumComparison.DIFFERENT),
        ({"md5": A, "adler32": A}, {"md5": B, "adler32": A}, ChecksumComparison.DIFFERENT),
    ],
)
def test_comparisons(first: Checksums, second: Checksums, outcome: ChecksumComparison) -> None:
    assert checksums.compare(first, second) is outcome
    assert checksums.compare(second, first) is outcome


@given(ours.checksums(), ours.checksums())
def test_a_comparison_is_the_same_from_both_sides(first: dict[str, str], second: dict[str, str]) -> None:
    assert checksums.compare(first, second) is checksums.compare(second, first)


@given(ours.checksums(), ours.checksums())
def test_knowing_more_never_turns_different_into_equal(first: dict[str, str], more: dict[str, str]) -> None:
    for algorithm, digest in first.items():
        flipped = f"{int(digest, 16) ^ 1:0{len(digest)}x}"
        second = {**more, algorithm: flipped}
        assert checksums.compare(first, second) is ChecksumComparison.DIFFERENT


def test_what_proves_sameness_is_known() -> None:
    assert DIGITS.keys() > checksums.CRYPTOGRAPHIC
    assert "md5" not in checksums.CRYPTOGRAPHIC
