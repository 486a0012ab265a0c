"""ThirdPartyEngine: the contract between storages in memory that copy, whatever they tell and whichever way they go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from between import Between

from holdfast.model.clock import system_clock
from holdfast.model.errors import PeerError
from holdfast.operations.codes import Code
from holdfast.operations.engine import TransferEngine, Verdict
from holdfast.operations.engines import standing, third_party
from holdfast.operations.engines.one_by_one import OneByOne
from holdfast.operations.engines.proving import Depth
from holdfast.operations.engines.third_party import PROOF_PAUSES_S, ThirdPartyEngine
from holdfast.storage.driver import Capabilities, FarNotAllowed, NoSpace, NotAllowed, StorageDriver, Unsupported
from holdfast.testing.driver_hooks import pattern
from holdfast.testing.engine_hooks import DATA, Ends
from holdfast.testing.memory_copying import COPYING, CopyingMemoryDriver, Network
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.testing.memory_tree import MemoryTree


class TestInMemory(Between):
    there: MemoryTree
    algorithms = ("sha256", "adler32")
    capabilities: Capabilities = COPYING
    fetches = True
    sends = True
    reads = True

    @pytest.fixture(autouse=True)
    def _trees(self) -> None:
        self.network: Network = {}
        self.here, self.there = MemoryTree(system_clock), MemoryTree(system_clock)
        self.slept: list[float] = []

    def make_engine(self) -> TransferEngine:
        return OneByOne(ThirdPartyEngine("memory", "memory", system_clock, reads=self.reads, sleep=self.sleep))

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def make_source(self) -> StorageDriver:
        return CopyingMemoryDriver(
            self.network,
            tree=self.here,
            label="memory:source",
            capabilities=self.capabilities,
            sends=self.sends,
        )

    def make_destination(self) -> StorageDriver:
        return CopyingMemoryDriver(
            self.network,
            tree=self.there,
            label="memory:destination",
            capabilities=self.capabilities,
            fetches=self.fetches,
        )

    def paths(self) -> list[str]:
        return MemoryDriver(tree=self.there).paths()


class TestWithoutAWordOfChecksums(TestInMemory):
    """So that all is read for a proof."""

    capabilities = replace(COPYING, told=frozenset())


class TestWithoutReading(TestInMemory):
    reads = False


class TestSending(TestInMemory):
    """The destination does not fetch."""

    fetches = False


class TestWithRenamingThatCopies(TestInMemory):
    capabilities = replace(COPYING, atomic_rename=False)


class TestWithoutRenaming(TestInMemory):
    capabilities = replace(COPYING, rename=False, atomic_rename=False)


# What a suite cannot know.


def link(*, told: frozenset[str] = COPYING.told, reads: bool = True, fetches: bool = True) -> TestInMemory:
    made = TestInMemory()
    made.capabilities = replace(COPYING, told=told)
    made.reads, made.fetches = reads, fetches
    made.network, made.slept = {}, []
    made.here, made.there = MemoryTree(system_clock), MemoryTree(system_clock)
    return made


def outcome_of(
    made: TestInMemory,
    *,
    at_source: Callable[[str, str], object] | None = None,
    at_destination: Callable[[str, str], object] | None = None,
    expected: tuple[Verdict, Code | None],
) -> str:
    """What is said in the end; the outcome has to be as expected."""
    said: list[str] = []

    async def scenario(ends: Ends) -> None:
        outcome = await ends.carry_one()
        assert (outcome.verdict, outcome.code) == expected
        said.append(outcome.error)

    made.run(scenario, at_source=at_source, at_destination=at_destination)
    return said[0]


def failing(operation: str, error: Callable[[str], Exception], *, times: int = 1000) -> Callable[[str, str], object]:
    """The first ``times`` calls of an operation fail."""
    left = [times]

    def heard(heard_operation: str, path: str) -> None:
        if heard_operation == operation and left[0]:
            left[0] -= 1
            raise error(path)

    return heard


def test_bytes_go_past_us() -> None:
    made = link()
    made.put_source("/a/file", DATA)
    heard: list[str] = []

    def hear(operation: str, path: str) -> None:
        heard.append(operation)

    assert outcome_of(made, at_source=hear, at_destination=hear, expected=(Verdict.COPIED, None)) == ""
    assert not {"read", "checksum", "write"}.intersection(heard)


def test_a_stale_word_of_the_source_does_not_acquit_it() -> None:
    made = link()
    made.put_source("/a/file", DATA)
    made.here.flip_byte("/a/file")
    assert "source is wrong" in outcome_of(made, expected=(Verdict.FAILED, Code.SOURCE_WRONG))
    assert made.paths() == []


def test_a_stale_word_is_believed_where_nothing_is_to_be_read() -> None:
    made = link(reads=False)
    made.put_source("/a/file", DATA)
    made.here.flip_byte("/a/file")
    assert "source is right" in outcome_of(made, expected=(Verdict.FAILED, Code.DAMAGED))


def test_where_nothing_is_told_and_nothing_to_be_read_nothing_is_proved() -> None:
    made = link(told=frozenset(), reads=False)
    made.put_source("/a/file", DATA)
    outcome_of(made, expected=(Verdict.FAILED, Code.NO_CHECKSUM))
    assert made.paths() == []


def test_a_proof_is_asked_for_again_before_a_copy_is_given_up() -> None:
    made = link()
    made.put_source("/a/file", DATA)
    busy = failing("told", lambda path: PeerError("too many at once", place=path), times=2)
    outcome_of(made, at_destination=busy, expected=(Verdict.COPIED, None))
    assert made.slept == list(PROOF_PAUSES_S[:2])
    made.remove("/a/file")
    dead = failing("told", lambda path: PeerError("no answer", place=path))
    outcome_of(made, at_destination=dead, expected=(Verdict.COPIED, None))
    assert made.slept == [*PROOF_PAUSES_S[:2], *PROOF_PAUSES_S]


def test_who_never_tells_is_not_read_where_that_is_not_wanted() -> None:
    made = link(reads=False)
    made.put_source("/a/file", DATA)
    dead = failing("told", lambda path: PeerError("no answer", place=path))
    outcome_of(made, at_destination=dead, expected=(Verdict.FAILED, Code.DESTINATION_FAILED))
    assert made.paths() == []


@pytest.mark.parametrize(
    ("operation", "error", "code"),
    [
        ("pull", NoSpace, Code.DESTINATION_FULL),
        ("pull", NotAllowed, Code.DESTINATION_REFUSED),
        ("pull", FarNotAllowed, Code.SOURCE_REFUSED),
        ("pull", PeerError, Code.DESTINATION_FAILED),
        ("rename", NoSpace, Code.DESTINATION_FULL),
    ],
)
def test_what_the_destination_says_has_its_code(operation: str, error: type[Exception], code: Code) -> None:
    made = link()
    made.put_source("/a/file", DATA)
    said = outcome_of(made, at_destination=failing(operation, lambda _: error("no")), expected=(Verdict.FAILED, code))
    assert ("SOURCE" if code is Code.SOURCE_REFUSED else "DESTINATION") in said
    assert made.paths() == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoSpace, Code.DESTINATION_FULL),
        (NotAllowed, Code.SOURCE_REFUSED),
        (FarNotAllowed, Code.DESTINATION_REFUSED),
        (PeerError, Code.DESTINATION_FAILED),
    ],
)
def test_what_a_source_that_sends_says_has_its_code(error: type[Exception], code: Code) -> None:
    made = link(fetches=False)
    made.put_source("/a/file", DATA)
    outcome_of(made, at_source=failing("push", lambda _: error("no")), expected=(Verdict.FAILED, code))


def test_where_neither_fetches_nor_sends_another_engine_takes_over() -> None:
    made = link(fetches=False)
    made.put_source("/a/file", DATA)
    made.sends = False

    async def scenario(ends: Ends) -> None:
        transfer = ends.transfer()
        assert ends.engine.can(transfer.source, transfer.destination) == ""
        outcome = await ends.carry_one(transfer)
        assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.ENGINE_FAILED)
        assert "DESTINATION does not fetch" in ends.engine.can(transfer.source, transfer.destination)

    made.run(scenario)
    assert made.paths() == []


def test_a_source_that_has_sent_before_is_not_given_up_for_one_file() -> None:
    made = link(fetches=False)
    for name in ("one", "two", "three"):
        made.put_source(f"/a/{name}", DATA)

    def refuse(operation: str, path: str) -> None:
        if operation == "push" and path == "/a/two":
            raise Unsupported("this one cannot be sent", place=path)

    async def scenario(ends: Ends) -> None:
        transfers = [ends.transfer(f"/a/{name}") for name in ("one", "two", "three")]
        outcomes = await ends.carry(*transfers, streams=1)
        assert [outcome.code for outcome in outcomes] == [None, Code.UNSUPPORTED, None]

    made.run(scenario, at_source=refuse)
    assert made.paths() == ["/a/one", "/a/three"]


def test_who_does_not_fetch_is_asked_once() -> None:
    made = link(fetches=False)
    asked: list[str] = []
    for number in range(5):
        made.put_source(f"/a/{number}", DATA)

    def hear(operation: str, path: str) -> None:
        asked.append(operation)

    async def scenario(ends: Ends) -> None:
        outcomes = await ends.carry(*(ends.transfer(f"/a/{number}") for number in range(5)), streams=1)
        assert [outcome.verdict for outcome in outcomes] == [Verdict.COPIED] * 5

    made.run(scenario, at_destination=hear)
    assert asked.count("pull") == 1


def test_a_source_that_fails_is_called_so_by_its_own_word() -> None:
    made = link()
    made.put_source("/a/file", DATA)
    outcome_of(
        made,
        at_source=failing("stat", lambda path: PeerError("no answer", place=path)),
        at_destination=failing("pull", lambda path: PeerError("the other side is silent", place=path)),
        expected=(Verdict.FAILED, Code.SOURCE_FAILED),
    )


@pytest.mark.parametrize("fetches", [True, False], ids=["fetched", "sent"])
def test_a_copy_that_gets_no_further_costs_no_more_than_the_silence_of_the_other_end(
    fetches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(third_party, "LOOK_EVERY_S", 0.01)
    made = link(fetches=fetches)
    made.put_source("/a/file", DATA)
    under_way: list[str] = []

    async def hang(operation: str, path: str) -> None:
        if operation == ("pull" if fetches else "push"):
            under_way.append(path)
            await asyncio.sleep(3600)

    def freeze(operation: str, path: str) -> None:
        if operation == "stat" and under_way:
            raise PeerError("no answer", place=path)

    said = outcome_of(
        made,
        at_source=freeze if fetches else hang,
        at_destination=hang if fetches else freeze,
        expected=(Verdict.FAILED, Code.SOURCE_FAILED if fetches else Code.DESTINATION_FAILED),
    )
    assert ("SOURCE" if fetches else "DESTINATION") in said
    assert len(under_way) == 1
    assert made.paths() == []


def test_many_new_files_in_one_directory_take_few_looks() -> None:
    made, count = link(), 200
    looks: list[str] = []
    for number in range(count):
        made.put_source(f"/a/{number}", pattern(number))

    def hear(operation: str, path: str) -> None:
        if operation in ("stat", "list"):
            looks.append(path)

    async def scenario(ends: Ends) -> None:
        outcomes = await ends.carry(*(ends.transfer(f"/a/{number}", pattern(number)) for number in range(count)))
        assert [outcome.verdict for outcome in outcomes] == [Verdict.COPIED] * count
        # Once for each after it was renamed, because this storage renames in one step.
        assert len(looks) < count + 30

    made.run(scenario, at_destination=hear)
    assert len(made.paths()) == count


def test_a_large_file_in_place_is_not_read_by_an_engine_that_copies_past_us(monkeypatch: pytest.MonkeyPatch) -> None:
    made = link()
    made.put("/a/file", DATA)
    read: list[str] = []

    def hear(operation: str, path: str) -> None:
        if operation in ("read", "checksum"):
            read.append(path)

    outcome_of(made, at_destination=hear, expected=(Verdict.FOUND, None))
    assert len(read) == 1
    monkeypatch.setattr(standing, "READ_FOUND_BYTES_MAX", len(DATA) - 1)
    outcome_of(made, at_destination=hear, expected=(Verdict.FOUND, None))
    assert len(read) == 1


@pytest.mark.parametrize("renames", [True, False], ids=["renames", "renames nothing"])
@pytest.mark.parametrize("reads", [True, False], ids=["reads", "reads nothing"])
def test_a_large_file_that_was_called_wrong_is_read_or_copied_anew(
    monkeypatch: pytest.MonkeyPatch, *, reads: bool, renames: bool
) -> None:
    """The storage tells the checksum of the day when it came; it has rotted since."""
    made = link(reads=reads)
    made.capabilities = replace(COPYING, rename=renames, atomic_rename=renames)
    made.put_source("/a/file", DATA)
    made.put("/a/file", DATA)
    MemoryDriver(tree=made.there).flip_byte("/a/file", 100)
    rotten = made.get("/a/file")
    monkeypatch.setattr(standing, "READ_FOUND_BYTES_MAX", len(DATA) - 1)
    stays = not (reads or renames)

    async def scenario(ends: Ends) -> None:
        outcome = await ends.carry_one(ends.transfer())
        assert outcome.verdict is Verdict.FOUND, "nobody has called it wrong"
        outcome = await ends.carry_one(ends.transfer(replaceable=lambda: "somebody still wants it"))
        assert outcome.code is Code.DESTINATION_OCCUPIED
        outcome = await ends.carry_one(ends.transfer(replaceable=lambda: ""))
        if stays:
            assert outcome.code is Code.DESTINATION_OCCUPIED
            assert "give the site a door that can be read" in outcome.error
        else:
            assert (outcome.verdict, outcome.has_replaced) == (Verdict.COPIED, True)

    made.run(scenario)
    assert made.get("/a/file") == (rotten if stays else DATA)
    assert made.paths() == ["/a/file"]


@pytest.mark.parametrize("renames", [True, False], ids=["renames", "renames nothing"])
def test_what_was_brought_by_one_who_was_killed_is_found_however_large(
    monkeypatch: pytest.MonkeyPatch, *, renames: bool
) -> None:
    made = link()
    made.capabilities = replace(COPYING, rename=renames, atomic_rename=renames)
    made.put_source("/a/file", DATA)
    monkeypatch.setattr(standing, "READ_FOUND_BYTES_MAX", len(DATA) - 1)

    async def scenario(ends: Ends) -> None:
        for expected in (Verdict.COPIED, Verdict.FOUND):
            outcome = await ends.carry_one(ends.transfer(replaceable=lambda: ""))
            assert outcome.verdict is expected

    made.run(scenario)


def test_what_was_called_wrong_at_a_door_that_nothing_is_read_through_is_not_read() -> None:
    made = link()

    async def scenario(ends: Ends) -> None:
        wrong = ends.transfer(replaceable=lambda: "")
        assert standing.depth_for(wrong) is Depth.READ
        blind = CopyingMemoryDriver({}, label="blind", capabilities=replace(COPYING, readable=False))
        assert standing.depth_for(replace(wrong, destination=replace(wrong.destination, driver=blind))) is None

    made.run(scenario)


def test_only_doors_of_the_protocol_will_do() -> None:
    made = link()

    async def scenario(ends: Ends) -> None:
        transfer = ends.transfer()
        plain = replace(transfer.source, driver=MemoryDriver())
        assert "memory" in ends.engine.can(plain, transfer.destination)
        other = OneByOne(ThirdPartyEngine("http", "http", system_clock))
        assert other.can(transfer.source, transfer.destination)
        assert other.name == "http"
        await other.close()

    made.run(scenario)
