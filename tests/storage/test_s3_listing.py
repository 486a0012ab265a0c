"""Listing an object store: every key comes once, whatever it is called, however many pieces are listed at once.

Against a store of the tests' own, which lists any bytes, as stores on the wire do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from holdfast.model.errors import OperatorError, PeerError
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.doors import open_driver
from holdfast.storage.driver import NOT_TOLD, DirectoryListing, Kind, NotADirectory, NotThere, Stat
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.engine import list_tree
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.s3 import crew as s3_crew
from holdfast.storage.s3 import prefix as s3_prefix
from holdfast.storage.s3.driver import S3Driver
from holdfast.storage.s3.ranges import KeyRange, cuts, first_cuts, split
from support.s3_store import LISTED, Answer, Asked, KeyStore, error, reply

_T = TypeVar("_T")


def with_store(
    store: KeyStore, scenario: Callable[[S3Driver], Awaitable[_T]], prefix: str = "", **options: object
) -> _T:
    async def whole() -> _T:
        async with store.open():
            access = Access(AccessSettings(call_timeout_s=5))
            driver = open_driver("s3", store.root(prefix, **options), site="SITE", access=access)
            assert isinstance(driver, S3Driver)
            try:
                return await scenario(driver)
            finally:
                await driver.close()

    return asyncio.run(whole())


def listed(store: KeyStore, path: str = "/", **options: object) -> DirectoryListing:
    return with_store(store, lambda driver: driver.list(path), **options)


def truth(keys: set[bytes], prefix: bytes = b"") -> tuple[list[tuple[bytes, Kind]], list[bytes]]:
    """What is below a prefix: the files and directories that have names, and the raw names of the rest."""
    found: set[tuple[bytes, Kind]] = set()
    for key in keys:
        if key.startswith(prefix) and key != prefix:
            name, mark, _ = key[len(prefix) :].partition(b"/")
            found.add((name, Kind.DIRECTORY if mark else Kind.FILE))
    good, bad = [], []
    for name, kind in sorted(found):
        try:
            plain = name.decode().isprintable() and name not in (b"", b".", b"..") and len(name) <= 255
        except UnicodeDecodeError:
            plain = False
        good.append((name, kind)) if plain else bad.append(name + b"/" * (kind is Kind.DIRECTORY))
    return good, sorted(bad)


def told(listing: DirectoryListing) -> tuple[list[tuple[bytes, Kind]], list[bytes]]:
    entries = sorted((entry.name.encode(), entry.stat.kind) for entry in listing.entries)
    return entries, [each.raw for each in listing.unnameable]


# Keys that are no names of ours, or no names at all.

ODD = {
    b"plain",
    b"with blank",
    b"plus+and%20percent%",
    b'quo"te<&>',
    b"new\nline",
    b"c\x01ntrol",
    b"bytes \xff\xfe",
    "grüße".encode(),
    b"#?",
    b"dots/../x",
    b"dots/./x",
    b"../up",
    b"./here",
    b"empty//x",
    b"/leading",
    b"..",
    b".",
    b"both",
    b"both/below",
    b"marker/",
    b"full marker/",
    b"x" * 256,
}


def test_keys_of_any_bytes_are_told_exactly_or_raw() -> None:
    assert told(listed(KeyStore(ODD))) == truth(ODD)


def test_a_name_may_be_an_object_and_a_directory() -> None:
    entries = listed(KeyStore(ODD)).entries
    assert [entry.stat.kind for entry in entries if entry.name == "both"] == [Kind.FILE, Kind.DIRECTORY]


def test_a_key_without_a_name_is_told_where_it_lies() -> None:
    assert told(listed(KeyStore(ODD), "/empty")) == ([], [b"/"])
    assert told(listed(KeyStore(ODD), "/dots")) == ([], [b"../", b"./"])


def test_an_empty_key_that_marks_a_directory_makes_it_be_there() -> None:
    class Marked(KeyStore):
        def _page(self, found: list[tuple[bytes, bool]], more: bool, is_new: bool, encoded: bool) -> bytes:
            return super()._page(found, more, is_new, encoded).replace(b"<Size>7</Size>", b"<Size>0</Size>")

    assert listed(Marked([b"marker/"]), "/marker") == DirectoryListing(())
    full = listed(KeyStore([b"full marker/"]), "/full marker")
    assert [each.raw for each in full.unnameable] == [b""]
    assert "holds bytes" in full.unnameable[0].reason


def test_a_store_that_cannot_encode_is_a_named_error_where_xml_cannot_carry_the_key() -> None:
    assert told(listed(KeyStore({b"a&b", b"a+b"}, is_encoding=False))) == truth({b"a&b", b"a+b"})
    with pytest.raises(PeerError, match="no XML") as caught:
        listed(KeyStore({b"c\x01ntrol"}, is_encoding=False))
    assert caught.value.place.endswith(":/")


def test_listing_and_stat_agree_to_the_second() -> None:
    async def scenario(driver: S3Driver) -> None:
        (entry,) = (await driver.list("/a")).entries
        assert entry.stat == await driver.stat("/a/file")
        assert entry.stat.mtime_ns == 1_772_600_767_000_000_000

    with_store(KeyStore([b"a/file"]), scenario)


def test_nothing_below_a_prefix_is_a_file_or_not_there() -> None:
    store = KeyStore([b"root/file", b"root-not/x"])

    async def scenario(driver: S3Driver) -> None:
        assert (await driver.list("/")).entries[0].name == "file"
        for path, raised in (("/file", NotADirectory), ("/none", NotThere)):
            with pytest.raises(raised):
                await driver.list(path)
            with pytest.raises(raised):
                [piece async for piece in driver.pages(path)]
            with pytest.raises(raised):
                await driver.names(path)

    with_store(store, scenario, prefix="root")


# Many at once.


def flat(count: int, seed: int) -> set[bytes]:
    """Names as experiments give them, and others, in one directory; some with something below."""
    chance = random.Random(seed)
    kinds: list[Callable[[], str]] = [
        lambda: f"run{chance.randrange(3)}_file_{chance.randrange(10**6):06d}.root",
        lambda: f"{chance.getrandbits(64):016x}",
        lambda: f"sub{chance.randrange(10**4)}/x{chance.randrange(3)}",
        lambda: "".join(chance.choices("ab/é文\U0001f4be-~ %", k=chance.randrange(1, 6))),
        lambda: f"deep/{chance.randrange(100)}",
    ]
    few = chance.sample(kinds, chance.randrange(1, len(kinds) + 1))
    keys = {chance.choice(few)().encode() for _ in range(count)}
    return keys | ({b"odd \xff" + bytes([chance.randrange(256)]) for _ in range(5)} if seed % 3 == 0 else set())


@pytest.mark.parametrize("seed", range(40))
def test_no_key_is_lost_or_told_twice_at_a_seam(seed: int) -> None:
    chance = random.Random(seed)
    keys = flat(chance.choice([1, 20, 300, 2000]), seed)
    prefix = chance.choice(["", "sub/"])
    store = KeyStore({prefix.encode() + key for key in keys}, page_keys=chance.choice([1, 3, 10, 50]))
    store.latency_s = chance.choice([0, 0.001])

    async def scenario(driver: S3Driver) -> list[DirectoryListing]:
        return [piece async for piece in driver.pages("/sub" if prefix else "/")]

    pieces = with_store(store, scenario, ranges=chance.choice([2, 5, 16]))
    everything = [told(piece) for piece in pieces]
    entries = [entry for piece, _ in everything for entry in piece]
    raw = [each for _, piece in everything for each in piece]
    # Every name once; a full marker of a directory among the keys holds bytes here.
    good, bad = truth(keys)
    assert sorted(entries) == sorted(good)
    assert sorted(raw) == sorted(bad)
    for piece in pieces:
        assert [entry.name for entry in piece.entries] == sorted(entry.name for entry in piece.entries)
    assert store.in_flight_max <= 16


def test_a_flat_prefix_is_listed_by_many_at_once() -> None:
    keys = {f"block/file_{number:06d}.root".encode() for number in range(20_000)}
    store = KeyStore(keys, page_keys=100, latency_s=0.01)

    async def scenario(driver: S3Driver) -> int:
        return len((await driver.list("/block")).entries)

    assert with_store(store, scenario, ranges=16) == 20_000
    # 200 pages one after the other would be 200 rounds; guesses cost some requests more.
    assert len(store.asked) < 400
    assert store.in_flight_max > 12


def test_a_small_directory_costs_one_request() -> None:
    store = KeyStore({f"a/{number}".encode() for number in range(1000)})
    assert len(listed(store, "/a").entries) == 1000
    assert len(store.asked) == 1


def test_pages_that_nobody_takes_are_not_asked_for() -> None:
    keys = {f"file_{number:06d}".encode() for number in range(20_000)}
    store = KeyStore(keys, page_keys=10)

    async def scenario(driver: S3Driver) -> None:
        pages = driver.pages("/")
        await anext(pages)
        await anext(pages)
        await asyncio.sleep(0.2)
        asked = len(store.asked)
        assert asked < 60
        await pages.aclose()
        await asyncio.sleep(0.05)
        assert len(store.asked) <= asked + 4
        assert await driver.stat("/")

    with_store(store, scenario, ranges=4)


def test_a_store_that_does_not_begin_where_it_is_told_is_found_out() -> None:
    keys = {f"file_{number:04d}".encode() for number in range(100)}
    with pytest.raises(OperatorError, match="order of keys") as caught:
        listed(KeyStore(keys, page_keys=10, is_ordered=False))
    assert "ranges=1" in caught.value.hint


@pytest.mark.parametrize("seed", range(10))
def test_cuts_are_within_and_ascending(seed: int) -> None:
    chance = random.Random(seed)
    names = sorted({"".join(chance.choices("ab019é~\U0001f4be", k=chance.randrange(1, 8))) for _ in range(200)})
    for _ in range(200):
        after, upto = sorted(chance.sample(names, 2))
        whole = KeyRange(after, chance.choice([upto, None]))
        for places in (cuts(whole, "ab01é/", chance.randrange(1, 9)), first_cuts(names[0], after)):
            assert places == sorted(set(places))
            assert all(after < place and "/" not in place for place in places)
            if places and whole.upto is not None and places[-1] < whole.upto:
                pieces = split(whole, places)
                for name in names:
                    inside = [p for p in pieces if name > p.after and (p.upto is None or name <= p.upto)]
                    assert len(inside) == (after < name <= whole.upto)


# A second look, and what stores say of themselves.


def test_the_second_look_asks_in_the_older_way() -> None:
    store = KeyStore(ODD, page_keys=3)

    async def scenario(driver: S3Driver) -> None:
        listing, names = await driver.list("/"), await driver.names("/")
        assert names.names == tuple(entry.name for entry in listing.entries)
        assert names.unnameable == listing.unnameable

    with_store(store, scenario)
    assert {asked.query.get("list-type", "1") for asked in store.asked} == {"1", "2"}


def changing(old: bytes, new: bytes) -> Callable[[KeyStore], Callable[[Asked], Answer]]:
    """Answers of a store, a little different."""

    def made(store: KeyStore) -> Callable[[Asked], Answer]:
        def answers(asked: Asked) -> Answer:
            if asked.key:
                return None
            body = store._listing(asked.query)
            assert old in body
            return reply(200, body.replace(old, new, 1))

        return answers

    return made


def test_a_page_that_counts_more_than_it_has_is_in_doubt() -> None:
    store = KeyStore([b"one", b"two"])
    store.answers = changing(b"<KeyCount>2<", b"<KeyCount>5<")(store)
    assert "counted 5 keys and sent 2" in listed(store).doubt


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"</ListBucketResult>", b""),
        (b"<Size>3<", b"<Size>-3<"),
        (b"<Size>3<", b"<Size><"),
        (b"<Size>3</Size>", b""),
        (b"<Key>one</Key>", b""),
        (b"<Key>one<", b"<Key>sub/one<"),
        (b"2026-03-04T05", b"2026-13-04T05"),
        (b"<IsTruncated>false</IsTruncated>", b""),
        (b"<IsTruncated>false<", b"<IsTruncated>true<"),
        (b"ListBucketResult", b"!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult"),
        (b"<KeyCount>2<", b"<KeyCount>many<"),
    ],
)
def test_a_reply_that_makes_no_sense_is_no_listing(old: bytes, new: bytes) -> None:
    prefix = "other/" if b"sub/" in new else ""
    store = KeyStore([prefix.encode() + b"one", prefix.encode() + b"two"])
    store.answers = changing(old.replace(b"<Key>", b"<Key>" + prefix.encode()), new)(store)
    with pytest.raises(PeerError) as caught:
        listed(store, f"/{prefix[:-1]}")
    assert caught.value.place == f"SITE:s3://bucket:/{prefix[:-1]}"


def test_pages_that_lead_to_themselves_end() -> None:
    store = KeyStore({f"{number:04d}".encode() for number in range(100)}, page_keys=10)
    store.answers = lambda asked: reply(200, store._listing({**asked.query, "continuation-token": b"0009".hex()}))
    with pytest.raises((PeerError, OperatorError)):
        listed(store, ranges=1)


def page_of(*keys: str, more: str) -> bytes:
    """A page that says that there are more."""
    contents = "".join(
        f"<Contents><Key>{key}</Key><LastModified>{LISTED}</LastModified><ETag>e</ETag><Size>1</Size></Contents>"
        for key in keys
    )
    more = f"<KeyCount>{len(keys)}</KeyCount><NextContinuationToken>{more}</NextContinuationToken>"
    return f"<ListBucketResult><IsTruncated>true</IsTruncated>{more}{contents}</ListBucketResult>".encode()


LISTING = [lambda driver: driver.list("/"), lambda driver: driver.names("/")]
LOOKING = [lambda driver: driver.stat("/none"), lambda driver: driver.remove_directory("/none")]


@pytest.mark.parametrize(
    ("ask", "keys"),
    [*((ask, ["b", "a"]) for ask in LISTING), *((ask, []) for ask in [*LISTING, *LOOKING])],
)
@pytest.mark.parametrize("period", [2, 1 << 40])
@pytest.mark.parametrize("ranges", [1, 8])
def test_a_listing_that_does_not_lead_on_ends(
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[S3Driver], Awaitable[object]],
    keys: list[str],
    period: int,
    ranges: int,
) -> None:
    """Continuations by turns, or always new ones; pages with the same keys again, or with none at all."""
    monkeypatch.setattr(s3_prefix, "EMPTY_PAGES_MAX", 20)
    store = KeyStore()
    store.answers = lambda asked: None if asked.key else reply(200, page_of(*keys, more=str(len(store.asked) % period)))
    with pytest.raises(PeerError, match="goes round in circles"):
        with_store(store, ask, ranges=ranges)
    assert len(store.asked) < 30


@pytest.mark.parametrize("period", [2, 1 << 40])
def test_a_piece_that_does_not_lead_on_ends(monkeypatch: pytest.MonkeyPatch, period: int) -> None:
    """The same of one of several that are listed at once."""
    monkeypatch.setattr(s3_prefix, "EMPTY_PAGES_MAX", 20)
    store = KeyStore({f"{number:04d}".encode() for number in range(1000)}, page_keys=10)
    store.answers = lambda asked: (
        reply(200, page_of(more=str(len(store.asked) % period))) if len(store.asked) > s3_crew.ALONE else None
    )
    with pytest.raises(PeerError, match="goes round in circles"):
        listed(store)
    assert len(store.asked) < 300


def test_empty_pages_before_the_first_key_are_passed_over() -> None:
    """As of stores that have to pass over what was deleted."""
    store = KeyStore([b"dir/file"])
    store.answers = lambda asked: (
        reply(200, page_of(more=b"d".hex() + "00" * len(store.asked))) if len(store.asked) < 5 else None
    )
    assert [entry.name for entry in listed(store, "/dir").entries] == ["file"]


def test_of_a_directory_no_time_is_told() -> None:
    store = KeyStore([b"dir/file"])
    expected = Stat(Kind.DIRECTORY, 0, NOT_TOLD)
    assert listed(store).entries == (("dir", expected),)
    assert with_store(store, lambda driver: driver.stat("/dir")) == expected
    assert with_store(store, lambda driver: driver.stat("/")) == expected


def test_a_listing_of_the_tree_has_no_times_of_directories(tmp_path: Path) -> None:
    async def scenario(driver: S3Driver) -> None:
        ledger = DiskLedger.open(tmp_path / "listing", ListingPlan("SITE"))
        await list_tree([driver], ledger)
        ledger.close()

    with_store(KeyStore([b"dir/file", b"dir/sub/file"]), scenario)
    listing = Listing.open(tmp_path / "listing")
    assert {row.dir: row.mtime_ns for row in listing.directories()} == {"/": None, "/dir": None, "/dir/sub": None}


def test_a_page_as_long_as_pages_can_be_is_read() -> None:
    store = KeyStore([b"d/" + b"\xc3\xbc" * 509 + b"%04d" % number for number in range(1000)])
    listing = listed(store, "/d")
    assert len(listing.entries) + len(listing.unnameable) == 1000


def test_a_reply_longer_than_any_page_is_not_kept() -> None:
    store = KeyStore([b"file"])
    store.answers = lambda asked: reply(200, store._listing(asked.query) + b" " * (9 << 20))
    with pytest.raises(PeerError, match="is longer than 8388608 bytes"):
        listed(store)


# Trouble on the way.


def test_a_later_page_that_fails_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_prefix, "PAUSE_S", 0.001)
    chance = random.Random(1)
    store = KeyStore({f"file_{number:06d}".encode() for number in range(3000)}, page_keys=20)
    n_refused = 0

    def answers(asked: Asked) -> Answer:
        nonlocal n_refused
        if len(store.asked) > 1 and chance.random() < 0.1:
            n_refused += 1
            return chance.choice([error(503, "SlowDown"), b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
        return None

    store.answers = answers
    assert len(listed(store).entries) == 3000
    assert n_refused > 5


def test_a_first_page_that_fails_is_the_callers_to_ask_again() -> None:
    store = KeyStore([b"file"], answers=lambda asked: error(503, "SlowDown", "Please reduce your request rate."))
    with pytest.raises(PeerError, match="503 SlowDown") as caught:
        listed(store)
    assert caught.value.retryable
    assert len(store.asked) == 1


def test_a_page_that_keeps_failing_fails_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_prefix, "PAUSE_S", 0.001)
    store = KeyStore({f"file_{number:06d}".encode() for number in range(3000)}, page_keys=20)
    for ranges in (1, 8):
        store.asked.clear()
        store.answers = lambda asked: error(503, "SlowDown") if len(store.asked) > 40 else None
        with pytest.raises(PeerError, match="SlowDown"):
            listed(store, ranges=ranges)
