"""Told: every spelling of a digest that the field sends, and every word that is none.

Vectors by hand, from what servers and listings really send; properties by
Hypothesis: whatever comes in, what goes out is a digest or a refusal.
"""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import checksums
from holdfast.model.checksums import DIGITS
from holdfast.storage import told
from holdfast.storage.told import Told
from holdfast.testing import strategies as ours
from holdfast.testing.driver_hooks import VECTORS

ADLER = VECTORS["adler32"][b"Wikipedia"]
MD5 = VECTORS["md5"][b"abc"]
SHA256 = VECTORS["sha256"][b"abc"]
CRC32C = VECTORS["crc32c"][b"123456789"]


def in_base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("adler32", "adler32"),
        ("ADLER32", "adler32"),
        ("Adler-32", "adler32"),
        ("ad", "adler32"),
        ("CRC32C", "crc32c"),
        ("crc-32c", "crc32c"),
        ("x-amz-checksum-crc32c", "crc32c"),
        ("checksum_sha256", "sha256"),
        ("ChecksumSHA256", "sha256"),
        ("SHA-256", "sha256"),
        ("sha2-256", "sha256"),
        ("md5", "md5"),
        ("MD", "md5"),
        ("BLAKE3", "blake3"),
        ("crc32", None),
        ("sha1", None),
        ("sha-512", None),
        ("unixsum", None),
        ("", None),
        ("checksum", None),
    ],
)
def test_names_of_algorithms(word: str, name: str | None) -> None:
    assert told.algorithm(word) == name


@pytest.mark.parametrize("text", ["11e60398", "11E60398", " 11e60398\n", "0x11e60398", "0X11E60398"])
def test_spellings_of_hexadecimal(text: str) -> None:
    assert told.from_hex("ADLER32", text) == Told({"adler32": ADLER})


@pytest.mark.parametrize("text", ["1", "0x1", "01", "00000001"])
def test_lost_zeros_are_given_back(text: str) -> None:
    assert told.from_hex("adler32", text).checksums == {"adler32": "00000001"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adler32=11e60398", {"adler32": ADLER}),
        ("ADLER32=11e60398", {"adler32": ADLER}),
        (f"adler32=11e60398,md5={in_base64(MD5)}", {"adler32": ADLER, "md5": MD5}),
        (f"md5={MD5}", {"md5": MD5}),
        (f"SHA-256={in_base64(SHA256)}, unixsum=30637", {"sha256": SHA256}),
        (f"sha-256=:{in_base64(SHA256)}:", {"sha256": SHA256}),
        (f"sha-256=:{in_base64(SHA256)}:;q=1, md5=:{in_base64(MD5)}:", {"sha256": SHA256, "md5": MD5}),
        (f'md5="{in_base64(MD5)}"', {"md5": MD5}),
        (f"crc32c={in_base64(CRC32C)}", {"crc32c": CRC32C}),
        (f"crc32c={CRC32C}", {"crc32c": CRC32C}),
        ("", {}),
    ],
)
def test_headers(text: str, expected: dict[str, str]) -> None:
    assert told.from_digest_header(text).checksums == expected


def test_what_else_a_header_says_is_refused_by_name() -> None:
    found = told.from_digest_header("adler32=11e60398, unixsum=30637, md5=, sha-256")
    assert found.checksums == {"adler32": ADLER}
    assert [str(refusal) for refusal in found.refusals] == [
        "unixsum 30637: is of an algorithm that is not used here",
        "md5: has no value",
        "sha-256: is not a name and a value",
    ]
    assert found.why_not == "; ".join(str(refusal) for refusal in found.refusals)


def test_words() -> None:
    assert told.from_words("adler32 11e60398\n").checksums == {"adler32": ADLER}
    assert told.from_words(f"md5 {MD5}").checksums == {"md5": MD5}
    for text in ("11e60398", "adler32", "adler32 11e60398 more", "", "Error_accessing /a/b"):
        assert not told.from_words(text).checksums
        assert told.from_words(text).refusals


def test_base64() -> None:
    for name, digest in {"crc32c": CRC32C, "md5": MD5, "sha256": SHA256}.items():
        assert told.from_base64(name, in_base64(digest)).checksums == {name: digest}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("crc32c", CRC32C, "is not 4 bytes in base64"),
        ("sha256", in_base64(MD5), "is not 32 bytes in base64"),
        ("sha256", in_base64(SHA256) + "-5", "is a digest of the digests of parts"),
        ("md5", in_base64(MD5).rstrip("="), "is not 16 bytes in base64"),
        ("md5", "*" + in_base64(MD5)[1:], "is not 16 bytes in base64"),
        ("crc32", "AAAAAA==", "is of an algorithm that is not used here"),
        ("md5", "", "has no value"),
    ],
)
def test_what_is_no_base64_of_a_digest(name: str, text: str, reason: str) -> None:
    (refusal,) = told.from_base64(name, text).refusals
    assert refusal.reason == reason


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("adler32:11e60398", "", {"adler32": ADLER}),
        ("ad:11E60398", "", {"adler32": ADLER}),
        (f"ad:11e60398,md:{MD5}", "", {"adler32": ADLER, "md5": MD5}),
        (f"adler32=11e60398; md5={MD5}", "", {"adler32": ADLER, "md5": MD5}),
        ("11e60398", "adler32", {"adler32": ADLER}),
        ("ad:11e60398", "adler32", {"adler32": ADLER}),
        (in_base64(SHA256), "sha256", {"sha256": SHA256}),
        ("", "adler32", {}),
        ("None", "", {}),
        ("-", "adler32", {}),
        ("\\N", "", {}),
    ],
)
def test_columns(text: str, name: str, expected: dict[str, str]) -> None:
    assert told.from_column(text, name).checksums == expected


def test_a_column_without_a_name_has_to_say_of_what() -> None:
    assert told.from_column("11e60398").why_not == "11e60398: does not say of which algorithm"


@pytest.mark.parametrize("text", ["", " ", "None", "NULL", "-", "unknown", "n/a"])
def test_nothing_known_is_refused_where_it_was_asked_for_and_none_in_a_column(text: str) -> None:
    assert told.from_hex("adler32", text).refusals[0].reason == "has no value"
    assert told.from_column(text, "adler32") == Told()


@pytest.mark.parametrize("text", ["0", "00000000", "0x0"])
def test_zero_is_no_adler32(text: str) -> None:
    assert told.from_hex("adler32", text).refusals[0].reason == "is what storages say that know none"
    assert told.from_hex("crc32c", text.removeprefix("0x")).checksums == {"crc32c": "00000000"}


@pytest.mark.parametrize(
    "text", ["Error_accessing", "11e6039g", "111e60398", "-1", "1_1", "\uff11\uff11", "not found", "\u0661"]
)
def test_words_are_no_digests(text: str) -> None:
    assert not told.from_hex("adler32", text).checksums
    assert not told.from_column(text, "adler32").checksums


def test_two_values_of_one_algorithm_are_none() -> None:
    found = told.from_digest_header("adler32=11e60398, ADLER32=11e60399, md5=" + MD5)
    assert found.checksums == {"md5": MD5}
    assert found.why_not == "adler32 11e60398 and 11e60399: are two values of one file"
    assert not told.from_digest_header("adler32=11e60398, adler32=1e60398, adler32=11e60398").checksums
    assert told.from_digest_header("adler32=11e60398, ad=0x11E60398").checksums == {"adler32": ADLER}


def test_a_refusal_is_one_short_printable_line() -> None:
    for text in ("adler32 \x1b[31m\u2028" + "x" * 9000, "é" * 9000, "\udcff"):
        (refusal,) = told.from_words(text).refusals
        assert len(refusal.said) <= 80
        assert refusal.said.isprintable()
        assert refusal.said.isascii()


@given(st.sampled_from(sorted(DIGITS)), st.data())
def test_every_digest_comes_back_in_every_spelling(name: str, data: st.DataObject) -> None:
    digest = data.draw(ours.digests(name).filter(lambda text: name != "adler32" or int(text, 16) > 0))
    expected = Told({name: digest})
    assert told.from_hex(name, digest.upper()) == expected
    assert told.from_base64(name, in_base64(digest)) == expected
    assert told.from_words(f"{name.upper()} {digest}") == expected
    assert told.from_digest_header(f"{name}={digest}") == expected
    assert told.from_digest_header(f"{name}=:{in_base64(digest)}:") == expected
    assert told.from_column(f"{name}:{digest}") == expected
    assert told.from_column(in_base64(digest), name) == expected


@given(st.one_of(ours.hostile_text(), st.text(alphabet='adler32md5sha-crc:=,; 0123456789abcdefx/+=\n"')))
def test_whatever_is_said_is_a_digest_or_a_refusal(text: str) -> None:
    found = [told.from_digest_header(text), told.from_words(text), told.from_column(text)]
    for name in (*DIGITS, text):
        found += [told.from_hex(name, text), told.from_base64(name, text), told.from_column(text, name)]
    for each in found:
        assert checksums.normalise_all(each.checksums) == each.checksums
        assert all(refusal.reason for refusal in each.refusals)
