"""Answers, whole and in pieces: no name is believed, none is taken twice, and everything is somewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from engine_world import FILE, FOLDER, ListSink, listed
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import names
from holdfast.model.errors import PeerError
from holdfast.storage.driver import NOT_TOLD, DirectoryListing, Entry, Kind, Stat, Unnameable
from holdfast.storage.listing.answer import TWICE, bytes_in, seen_in, sort_out
from holdfast.storage.listing.pieces import Known, Pieces, seen_whole
from holdfast.storage.listing.tables import Odd
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.memory_driver import FULL, MemoryDriver


def told(*entries: Entry, **others: Any) -> DirectoryListing:
    return DirectoryListing(entries, **others)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../../etc", "/etc", "new\nline", "x" * 256, "caf\udce9"])
@pytest.mark.parametrize("stat", [FILE, FOLDER])
def test_a_name_that_is_none_is_never_joined(name: str, stat: Stat) -> None:
    directory = sort_out("/a", told(Entry(name, stat), Entry("good", stat))).directory
    assert [entry.name for entry in (*directory.files, *directory.directories)] == ["good"]
    (odd,) = directory.oddities
    assert (odd.raw, odd.kind) == (name.encode(errors="surrogateescape"), Odd.REFUSED)
    assert odd.reason


@pytest.mark.parametrize(
    ("name", "raw"), [("\ud800", b"\xed\xa0\x80"), ("a\udcff\udbff", b"a\xed\xb3\xbf\xed\xaf\xbf")]
)
def test_text_that_is_no_unicode_does_not_end_a_listing(name: str, raw: bytes) -> None:
    class Careless(MemoryDriver):
        async def list(self, path: str) -> DirectoryListing:
            if path == "/b":
                raise PeerError(f"cannot list {name}")
            found = await super().list(path)
            return told(*found.entries, Entry(name, FILE), Entry(name, FOLDER))

    door, sink = Careless(capabilities=FULL.__class__()), ListSink()
    door.put("/a/file", b"")
    door.put("/b/file", b"")
    outcome = listed(door, sink)
    assert (outcome.files, outcome.listed, outcome.failed, outcome.oddities) == (1, 2, 1, 4)
    assert {(odd.raw, odd.kind) for d in sink.directories for odd in d.oddities} == {(raw, Odd.REFUSED)}
    assert sink.states["/b"][1].encode()


def test_a_time_that_no_table_holds_does_not_end_a_listing(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir(parents=True)
    for name in ("file", "deep/file"):
        (tmp_path / name).touch()
    far_ns = 13_569_465_600 * 10**9  # The year 2400.
    for name in ("file", "deep"):
        os.utime(tmp_path / name, ns=(0, far_ns))
    if (tmp_path / "file").stat().st_mtime_ns != far_ns:
        pytest.skip("this file system does not keep such times")
    sink = ListSink()
    outcome = listed(PosixDriver(tmp_path), sink)
    assert (outcome.files, outcome.listed, outcome.oddities) == (1, 2, 1)
    odd = [(odd.raw, odd.reason) for d in sink.directories for odd in d.oddities]
    assert odd == [(b"file", "the listing gives it a time too far from now")]
    assert [d.mtime_ns for d in sink.directories if d.dir == "/deep"] == [None]


@pytest.mark.parametrize("stat", [Stat(Kind.FILE, -2, 5), Stat(Kind.FILE, 2**63, 5), Stat(Kind.FILE, 1, 5, "", 2**63)])
@pytest.mark.parametrize("beside", [(), (Entry("\n", FILE),)], ids=["plain", "odd"])
def test_numbers_that_make_no_sense_are_told(stat: Stat, beside: tuple[Entry, ...]) -> None:
    directory = sort_out("/a", told(Entry("file", stat), *beside)).directory
    assert directory.files == ()
    assert directory.oddities[0].reason.startswith("the listing gives it")


def test_a_size_that_is_not_told_is_in_no_sum() -> None:
    directory = sort_out("/a", told(Entry("a", Stat(Kind.FILE, NOT_TOLD, NOT_TOLD)), Entry("b", FILE))).directory
    assert [entry.stat.size for entry in directory.files] == [NOT_TOLD, 1]
    assert bytes_in(directory) == 1


def test_a_name_given_twice_for_one_thing_is_merged_and_the_latest_time_counts() -> None:
    early, late = Stat(Kind.FILE, 3, 5, "v1", 9), Stat(Kind.FILE, 3, 6, "v2", 7)
    older = FOLDER._replace(mtime_ns=1)
    found = sort_out(
        "/d", told(Entry("f", early), Entry("f", late), Entry("d", FOLDER), Entry("d", older), Entry("d", FOLDER))
    )
    assert (found.merged, found.contradictions, found.names) == (3, 0, 2)
    assert found.directory.files == (Entry("f", Stat(Kind.FILE, 3, 6, "", 9)),)
    assert [entry.name for entry in found.directory.directories] == ["d"]
    assert found.directory.oddities == ()


def test_a_name_given_twice_for_two_things_is_taken_once_and_told() -> None:
    found = sort_out(
        "/d", told(Entry("b", FILE), Entry("a", FILE), Entry("b", Stat(Kind.FILE, 2, 6)), Entry("a", FOLDER))
    )
    assert [(entry.name, entry.stat.size) for entry in found.directory.files] == [("a", 1), ("b", 1)]
    assert found.directory.directories == ()
    assert [odd.reason for odd in found.directory.oddities] == [TWICE] * 2
    assert (found.merged, found.contradictions, found.names) == (0, 2, 2)


def test_a_path_that_would_be_too_long_is_told() -> None:
    above = "/" + "/".join(["d" * 200] * 5)
    fits = names.LFN_BYTES_MAX - len(above) - 1
    directory = sort_out(above, told(Entry("x" * fits, FILE), Entry("y" * (fits + 1), FOLDER))).directory
    assert [entry.name for entry in directory.files] == ["x" * fits]
    names.lfn(names.join(above, "x" * fits))
    assert "longer than" in directory.oddities[0].reason
    assert directory.directories == ()


def test_links_and_names_that_are_none_are_oddities() -> None:
    found = told(Entry("link", Stat(Kind.OTHER, 1, 5)), unnameable=(Unnameable(b"\xff", "not UTF-8"),))
    assert [(odd.raw, odd.kind) for odd in sort_out("/", found).directory.oddities] == [
        (b"\xff", Odd.UNNAMEABLE),
        (b"link", Odd.OTHER),
    ]


def test_the_drivers_doubt_is_handed_on() -> None:
    for entries in ((), (Entry("a", FILE),), (Entry("\n", FILE),)):
        assert sort_out("/", told(*entries, doubt="it broke off")).doubt == "it broke off"


NAMES = st.one_of(st.text(max_size=4), st.sampled_from(["a", "b", "grüße", "..", "x" * 64, "x" * 300, "\udcff"]))
STATS = st.builds(
    Stat, st.sampled_from(list(Kind)), st.sampled_from([-5, -1, 0, 1, 7, 2**63]), st.sampled_from([-1, 5, 6, 2**63])
)
ENTRIES = st.lists(st.builds(Entry, NAMES, STATS), max_size=12)
RAW = st.lists(st.binary(min_size=1, max_size=2).map(lambda raw: Unnameable(b"\xff" + raw, "why")), max_size=2)


@given(ENTRIES, RAW)
def test_every_name_is_somewhere_and_those_taken_are_names_in_order(
    entries: list[Entry], unnameable: list[Unnameable]
) -> None:
    found = sort_out("/d", told(*entries, unnameable=tuple(unnameable)))
    directory = found.directory
    for held in (directory.files, directory.directories):
        assert [entry.name.encode() for entry in held] == sorted({entry.name.encode() for entry in held})
        for entry in held:
            names.file_name(entry.name)
    raws = {entry.name.encode(errors="surrogatepass") for entry in entries if "\udcff" not in entry.name}
    assert raws <= seen_in(directory)
    given = len(entries) + len(unnameable)
    assert len(directory.files) + len(directory.directories) + len(directory.oddities) + found.merged == given


SANE = st.lists(
    st.builds(
        Entry,
        st.sampled_from(["a", "b", "c", "grüße", "x" * 64, "x" * 300, "\n"]),
        st.sampled_from([FILE, FILE._replace(size=2), FOLDER]),
    ),
    max_size=12,
)


@given(SANE, st.integers(1, 5))
def test_pieces_come_to_the_same_as_the_whole(entries: list[Entry], size: int) -> None:
    whole = sort_out("/d", told(*entries, doubt="because"))
    pieces = Pieces("/d", None)
    starts = range(0, max(1, len(entries)), size)
    taken = [pieces.take(told(*entries[start : start + size], doubt="because")) for start in starts]
    directory = whole.directory
    for kind in ("files", "directories"):
        found = [entry.name for piece in taken for entry in getattr(piece, kind)]
        assert sorted(found, key=str.encode) == [entry.name for entry in getattr(directory, kind)]
    assert {odd.raw for piece in taken for odd in piece.oddities} == {odd.raw for odd in directory.oddities}
    assert pieces.seen == seen_whole(seen_in(directory))
    assert (pieces.files, pieces.doubt) == (len(directory.files), "because")
    assert bool(pieces.contradictions) == bool(whole.contradictions)
    assert pieces.merged + pieces.contradictions == whole.merged + whole.contradictions


@given(st.lists(st.lists(st.integers(0, 40), max_size=8), max_size=12))
def test_a_growing_set_of_numbers(batches: list[list[int]]) -> None:
    import numpy as np

    known, model = Known(), set[int]()
    for batch in batches:
        numbers = np.array(batch, dtype=np.uint64)
        assert [bool(found) for found in known.has(numbers)] == [number in model for number in batch]
        known.add(numbers)
        model |= set(batch)
