"""GuardedDriver: the contract over careless hands, and what happens between a look and a deed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from holdfast.model.errors import InvalidName, PeerError
from holdfast.storage.driver import (
    CHUNK_BYTES,
    AlreadyThere,
    ChangedWhileRead,
    DirectoryNames,
    DirectoryNotEmpty,
    Entry,
    Kind,
    NotADirectory,
    NotAFile,
    NotThere,
    StorageDriver,
    Unsupported,
)
from holdfast.storage.guarded.driver import GuardedDriver
from holdfast.storage.guarded.hands import Heard, Unclear, Unreadable
from holdfast.storage.guarded.listing import ONE_BY_ONE_MAX
from holdfast.storage.parts import part_name
from holdfast.testing.driver_hooks import everything, pattern, shown, stream
from holdfast.testing.driver_suite import DriverSuite
from support.careless_hands import CarelessHands, poorer


class TestGuardedDriver(DriverSuite):
    supports_links = False

    @pytest.fixture(autouse=True)
    def _storage(self) -> None:
        self.hands = CarelessHands()

    def make_driver(self) -> StorageDriver:
        return GuardedDriver(CarelessHands(self.hands.tree, self.hands.capabilities), label="SITE")

    def put(self, path: str, data: bytes) -> None:
        self.hands.tree.put(path, data)

    def get(self, path: str) -> bytes | None:
        return self.hands.tree.get(path)


class TestGuardedDriverOfPoorHands(TestGuardedDriver):
    @pytest.fixture(autouse=True)
    def _storage(self) -> None:
        self.hands = CarelessHands(
            capabilities=poorer(removes_directories=False, not_in_paths="?", listed_bytes_max=254)
        )


@pytest.fixture
def hands() -> CarelessHands:
    return CarelessHands()


@pytest.fixture
def driver(hands: CarelessHands) -> GuardedDriver:
    return GuardedDriver(hands, label="SITE")


# Looks before deeds.


def test_an_empty_directory_is_not_deleted_as_a_file(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.make_directory("/empty")
    with pytest.raises(NotAFile):
        asyncio.run(driver.delete("/empty"))
    assert "remove" not in hands.calls


def test_a_move_makes_no_directories(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.put("/file", b"")
    with pytest.raises(NotThere):
        asyncio.run(driver.rename("/file", "/none/file"))
    assert not hands.tree.has("/none")


def test_a_directory_that_fills_before_it_is_removed_stays(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.make_directory("/a")
    hands.before = lambda operation, path: operation == "names" and hands.tree.put("/a/new", b"")  # type: ignore[assignment, func-returns-value]
    with pytest.raises(DirectoryNotEmpty):
        asyncio.run(driver.remove_directory("/a"))
    assert hands.tree.has("/a/new")


def test_writers_of_one_driver_do_not_overtake_each_other(hands: CarelessHands, driver: GuardedDriver) -> None:
    async def scenario() -> list[object]:
        moves = [driver.rename(f"/{number}", "/target") for number in range(5)]
        return await asyncio.gather(*moves, return_exceptions=True)

    for number in range(5):
        hands.tree.put(f"/{number}", str(number).encode())
    outcomes = asyncio.run(scenario())
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, AlreadyThere) for outcome in outcomes) == 4
    assert len(list(hands.tree.files())) == 5


def test_a_part_that_is_somebody_elses_is_not_discarded(hands: CarelessHands, driver: GuardedDriver) -> None:
    part = f"/{part_name('ab')}"

    def somebody(operation: str, path: str) -> None:
        if operation == "write":
            hands.tree.put(part, b"theirs")
            raise AlreadyThere("is there already")

    hands.before = somebody
    with pytest.raises(AlreadyThere):
        asyncio.run(driver.write(part, stream(b"ours")))
    assert hands.tree.get(part) == b"theirs"


def test_what_arrives_shorter_is_not_given_its_name(hands: CarelessHands, driver: GuardedDriver) -> None:
    def cut(operation: str, path: str) -> None:
        if operation == "stat" and part_name("a")[:10] in path and hands.tree.has(path):
            hands.tree.truncate(path, 1)

    hands.before = cut
    with pytest.raises(PeerError, match="has 1 bytes after 5"):
        asyncio.run(driver.write("/file", stream(b"12345")))
    assert list(hands.tree.files()) == []


def test_a_cancelled_move_is_carried_out(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.put("/file", b"x")

    async def scenario() -> None:
        moving = asyncio.ensure_future(driver.rename("/file", "/new"))
        while "move" not in hands.calls:
            await asyncio.sleep(0)
        moving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await moving
        assert hands.busy == 0

    asyncio.run(scenario())
    assert hands.tree.get("/new") == b"x"


# Reading.


def test_less_than_the_file_has_is_never_its_bytes(hands: CarelessHands, driver: GuardedDriver) -> None:
    async def short(path: str):  # type: ignore[no-untyped-def]
        yield b"123"

    hands.tree.put("/file", b"12345")
    hands.read = short  # type: ignore[method-assign]
    with pytest.raises(PeerError, match="gave 3 bytes of a file that has 5"):
        asyncio.run(everything(driver.read("/file")))
    with pytest.raises(PeerError, match="gave 3 bytes"):
        asyncio.run(driver.checksum("/file", ["md5"]))


def test_a_file_that_goes_away_while_it_is_read_has_changed(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.put("/file", pattern(2 * CHUNK_BYTES))

    def remove(operation: str, path: str) -> None:
        if hands.calls.count("read.chunk") == 2 and hands.tree.has("/file"):
            hands.tree.remove("/file")

    hands.before = remove
    with pytest.raises(ChangedWhileRead):
        asyncio.run(everything(driver.read("/file")))


@pytest.mark.parametrize("is_changed", [True, False])
def test_who_stumbles_over_a_file_that_is_exchanged_has_read_a_changed_one(
    hands: CarelessHands, driver: GuardedDriver, *, is_changed: bool
) -> None:
    hands.tree.put("/file", pattern(2 * CHUNK_BYTES))

    async def stumbling(path: str) -> AsyncIterator[bytes]:
        yield b"123"
        if is_changed:
            hands.tree.put("/file", pattern(CHUNK_BYTES))
        raise PeerError("invalid read")

    hands.read = stumbling  # type: ignore[method-assign]
    with pytest.raises(PeerError, match="changed while it was read" if is_changed else "invalid read") as caught:
        asyncio.run(everything(driver.read("/file")))
    assert isinstance(caught.value, ChangedWhileRead) is is_changed


def test_only_what_the_storage_does_not_tell_is_read(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.put("/file", b"abc")
    digest = asyncio.run(driver.checksum("/file", ["adler32", "md5"]))
    assert digest.told == {"adler32"}
    assert digest.checksums == {"adler32": "024d0127", "md5": "900150983cd24fb0d6963f7d28e17f72"}
    assert hands.calls.count("read") == 1
    assert asyncio.run(driver.checksum("/file", ["adler32"])).told == {"adler32"}
    assert hands.calls.count("read") == 1
    assert asyncio.run(driver.checksum("/file", ["adler32"], read=True)).told == frozenset()
    assert hands.calls.count("read") == 2


# What is unclear.


@pytest.mark.parametrize("path", ["/file/below", "/file/far/below"])
def test_an_unclear_answer_below_a_file_is_explained(hands: CarelessHands, driver: GuardedDriver, path: str) -> None:
    hands.tree.put("/file", b"")
    with pytest.raises(NotADirectory) as caught:
        asyncio.run(driver.stat(path))
    assert caught.value.place == f"SITE:{path}"


def test_an_unclear_answer_below_nothing_is_not_there(hands: CarelessHands, driver: GuardedDriver) -> None:
    def unclear(operation: str, path: str) -> None:
        if path == "/none/file":
            raise Unclear("file system error")

    hands.before = unclear
    with pytest.raises(NotThere):
        asyncio.run(driver.stat("/none/file"))


def test_what_stays_unclear_is_worth_trying_again(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.put("/a/file", b"")

    def unclear(operation: str, path: str) -> None:
        if path == "/a/file":
            raise Unclear("file system error")

    hands.before = unclear
    with pytest.raises(PeerError) as caught:
        asyncio.run(driver.stat("/a/file"))
    assert caught.value.retryable
    assert caught.value.place == "SITE:/a/file"


# Listings.


def test_a_directory_that_cannot_be_listed_is_looked_at_name_by_name(
    hands: CarelessHands, driver: GuardedDriver
) -> None:
    hands.tree.put("/a/whole", b"12")
    hands.tree.put("/a/two", b"1")
    hands.unreadable = Unreadable("unknown")
    found = ("lines", "two", "whole", "two")

    async def names(path: str):  # type: ignore[no-untyped-def]
        return DirectoryNames(found)

    hands.names = names  # type: ignore[method-assign]
    listing = asyncio.run(driver.list("/a"))
    assert [(entry.name, entry.stat.size) for entry in listing.entries] == [("two", 1), ("whole", 2)]
    assert [entry.raw for entry in listing.unnameable] == [b"lines", b"two"]
    found = tuple(f"name{number}" for number in range(ONE_BY_ONE_MAX + 1))
    with pytest.raises(Unsupported, match="too many"):
        asyncio.run(driver.list("/a"))


def test_what_cannot_be_listed_in_any_way_is_not_tried_again(hands: CarelessHands, driver: GuardedDriver) -> None:
    async def names(path: str) -> DirectoryNames:
        raise Unreadable("unknown")

    hands.unreadable = Unreadable("unknown")
    hands.names = names  # type: ignore[method-assign]
    for call in (driver.list("/"), driver.names("/")):
        with pytest.raises(Unsupported):
            asyncio.run(call)


def test_names_without_a_stat_are_looked_at(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.put("/a/there", b"123")

    async def heard(path: str) -> Heard:
        return Heard((), ("gone", "there"), (), "incomplete")

    hands.list = heard  # type: ignore[method-assign]
    listing = asyncio.run(driver.list("/a"))
    assert [(entry.name, entry.stat.size) for entry in listing.entries] == [("there", 3)]
    assert [entry.raw for entry in listing.unnameable] == [b"gone"]
    assert listing.doubt == "incomplete"


def test_a_name_as_long_as_can_be_shown_counts_if_it_is_there() -> None:
    hands = CarelessHands(capabilities=poorer(listed_bytes_max=10))
    driver = GuardedDriver(hands, label="SITE")
    for name in ("0123456789", "short"):
        hands.tree.put(f"/{name}", b"")

    async def cut(path: str) -> Heard:
        stat = hands.tree.find("/short").stat
        return Heard((Entry("0123456789", stat), Entry("abcdefghij", stat), Entry("short", stat)))

    hands.list = cut  # type: ignore[method-assign]
    listing = asyncio.run(driver.list("/"))
    assert shown(listing) == ["0123456789", "short"]
    assert [entry.raw for entry in listing.unnameable] == [b"abcdefghij"]


def test_names_given_twice_are_handed_on(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.put("/file", b"")
    entry = asyncio.run(driver.list("/")).entries[0]

    async def twice(path: str) -> Heard:
        return Heard((entry, entry))

    hands.list = twice  # type: ignore[method-assign]
    assert asyncio.run(driver.list("/")).entries == (entry, entry)


# The rest.


def test_a_path_that_the_protocol_cannot_carry_asks_nothing() -> None:
    hands = CarelessHands(capabilities=poorer(not_in_paths="?"))
    driver = GuardedDriver(hands, label="SITE")
    for call in (driver.stat("/a?b"), driver.rename("/a", "/b?"), driver.list("/?/x")):
        with pytest.raises(InvalidName):
            asyncio.run(call)
    assert hands.calls == []


def test_closing_closes_the_hands(hands: CarelessHands, driver: GuardedDriver) -> None:
    asyncio.run(driver.close())
    assert hands.closed


def test_something_else_is_no_file(hands: CarelessHands, driver: GuardedDriver) -> None:
    hands.tree.put_other("/link")
    assert asyncio.run(driver.stat("/link")).kind is Kind.OTHER
    for call in (driver.delete("/link"), driver.rename("/link", "/new"), everything(driver.read("/link"))):
        with pytest.raises(NotAFile):
            asyncio.run(call)
