"""Proving: what counts as the file, whose fault it is, and what is asked of whom. Storages are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from holdfast.model.clock import system_clock
from holdfast.model.errors import PeerError
from holdfast.operations.codes import Code
from holdfast.operations.engine import Place, Transfer
from holdfast.operations.engines import proving
from holdfast.operations.engines.proving import AskingPatience, Depth, EngineFault
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import Capabilities, NotAllowed, NotThere
from holdfast.testing.driver_hooks import pattern
from holdfast.testing.engine_drivers import MeddledDriver
from holdfast.testing.memory_copying import COPYING, CopyingMemoryDriver
from holdfast.testing.memory_driver import FULL, MemoryDriver
from holdfast.testing.memory_tree import MemoryTree

DATA = pattern(5000)
_T = TypeVar("_T")


class Link:
    """A file at two storages; ``calls`` are those made at the destination."""

    def __init__(
        self, capabilities: Capabilities = FULL, *, algorithms: tuple[str, ...] = ("adler32", "sha256")
    ) -> None:
        self.here, self.there = MemoryTree(system_clock), MemoryTree(system_clock)
        self.calls: list[str] = []
        self.fails: dict[str, Exception] = {}
        if capabilities.third_party_copy:
            inner: MemoryDriver = CopyingMemoryDriver({}, tree=self.there, label="D", capabilities=capabilities)
        else:
            inner = MemoryDriver(tree=self.there, label="D", capabilities=capabilities)
        source = MeddledDriver(MemoryDriver(tree=self.here, label="S", capabilities=capabilities), self._at_source)
        self.transfer = Transfer(
            1,
            "t1",
            len(DATA),
            digests_of(DATA, ("adler32", "sha256")),
            Place("SOURCE", source, "/file", ""),
            Place("DESTINATION", MeddledDriver(inner, self._hear), "/file", ""),
        )

    def _hear(self, operation: str, path: str) -> None:
        self.calls.append(operation)
        if operation in self.fails:
            raise self.fails[operation]

    def _at_source(self, operation: str, path: str) -> None:
        if f"source {operation}" in self.fails:
            raise self.fails[f"source {operation}"]

    def fault(self, call: Callable[[], Awaitable[_T]]) -> EngineFault:
        """What the call raises."""
        with pytest.raises(EngineFault) as caught:
            self.run(call)
        return caught.value

    def run(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """What the call gives."""

        async def whole() -> _T:
            return await call()

        return asyncio.run(whole())


@pytest.mark.parametrize("depth", [Depth.CHEAP, Depth.ALL, Depth.STRONG, Depth.READ])
@pytest.mark.parametrize(
    "capabilities",
    [FULL, COPYING, replace(COPYING, told=frozenset()), replace(FULL, checksums=frozenset()),
     replace(FULL, checksums=frozenset({"adler32"}))],
    ids=["full", "copying", "tells nothing", "no checksums", "adler32 only"],
)  # fmt: skip
def test_the_file_is_the_file_and_a_damaged_one_is_not(capabilities: Capabilities, depth: Depth) -> None:
    link = Link(capabilities)
    link.there.put("/file", DATA)
    assert link.run(lambda: proving.prove(link.transfer, depth=depth)).stat.size == len(DATA)
    link.there.put("/file", bytes(reversed(DATA)))
    assert link.fault(lambda: proving.prove(link.transfer, depth=depth)).code is Code.DAMAGED
    link.there.put("/file", DATA[1:])
    assert link.fault(lambda: proving.prove(link.transfer, depth=depth)).code is Code.DAMAGED
    link.there.remove("/file")
    fault = link.fault(lambda: proving.prove(link.transfer, depth=depth))
    assert fault.code is Code.DESTINATION_EMPTY
    assert "DESTINATION:/file" in fault.message


@pytest.mark.parametrize(
    ("depth", "finds"), [(Depth.TOLD, False), (Depth.CHEAP, False), (Depth.STRONG, True), (Depth.READ, True)]
)
def test_what_a_storage_only_remembers_is_found_out_by_reading(depth: Depth, finds: bool) -> None:
    link = Link(COPYING)
    link.there.put("/file", DATA)
    link.there.flip_byte("/file")
    if finds:
        assert link.fault(lambda: proving.prove(link.transfer, depth=depth)).code is Code.DAMAGED
    else:
        assert link.run(lambda: proving.prove(link.transfer, depth=depth)).checksums


def test_nothing_is_read_where_that_is_not_wanted() -> None:
    link = Link(COPYING)
    link.there.put("/file", DATA)
    link.run(lambda: proving.prove(link.transfer, depth=Depth.TOLD))
    link.run(lambda: proving.prove(link.transfer, depth=Depth.CHEAP))
    assert link.calls == ["told", "told"]
    silent = Link(FULL)
    silent.there.put("/file", DATA)
    assert silent.fault(lambda: proving.prove(silent.transfer, depth=Depth.TOLD)).code is Code.NO_CHECKSUM
    assert silent.calls == ["stat"]


def test_one_algorithm_that_disagrees_is_enough() -> None:
    link = Link()
    link.there.put("/file", DATA)
    checksums = {**link.transfer.checksums, "sha256": "0" * 64}
    wrong = replace(link.transfer, checksums=checksums)
    fault = link.fault(lambda: proving.prove(wrong, depth=Depth.ALL))
    assert fault.code is Code.DAMAGED
    assert "sha256" in fault.message


def test_without_a_checksum_nothing_can_be_proved() -> None:
    link = Link()
    with pytest.raises(EngineFault) as caught:
        proving.require_checksum(replace(link.transfer, checksums={"crc64": "0"}))
    assert caught.value.code is Code.NO_CHECKSUM
    proving.require_checksum(link.transfer)
    assert proving.algorithms(link.transfer) == ("adler32", "sha256")


@pytest.mark.parametrize(
    ("error", "code"), [(PeerError, Code.DESTINATION_FAILED), (NotAllowed, Code.DESTINATION_REFUSED)]
)
def test_a_destination_that_cannot_be_asked_is_told_as_such(error: type[Exception], code: Code) -> None:
    link = Link()
    link.there.put("/file", DATA)
    link.fails["checksum"] = error("no")
    assert link.fault(lambda: proving.prove(link.transfer)).code is code


def test_patience_asks_again_and_has_an_end() -> None:
    link, slept = Link(), list[float]()
    link.there.put("/file", DATA)
    link.fails["checksum"] = PeerError("no")

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            link.fails.clear()

    patience = AskingPatience((1.0, 2.0, 3.0), sleep)
    link.run(lambda: proving.prove(link.transfer, patience=patience))
    assert slept == [1.0, 2.0]
    link.fails["checksum"] = PeerError("no")
    slept.append(0.0)
    assert link.fault(lambda: proving.prove(link.transfer, patience=patience)).code is Code.DESTINATION_FAILED
    assert slept == [1.0, 2.0, 0.0, 1.0, 2.0, 3.0]
    link.fails["checksum"] = NotThere("gone")
    assert link.fault(lambda: proving.prove(link.transfer, patience=patience)).code is Code.DESTINATION_EMPTY
    assert len(slept) == 6


# Whose fault it is.

DAMAGED = EngineFault(Code.DAMAGED, "DESTINATION:/file: has other bytes")


@pytest.mark.parametrize("is_stale", [True, False])
def test_a_source_is_wrong_only_if_it_is(is_stale: bool) -> None:
    link = Link(replace(FULL, told=frozenset({"adler32"})))
    link.here.put("/file", DATA)
    blamed = link.run(lambda: proving.blame(link.transfer, DAMAGED))
    assert blamed.code is Code.DAMAGED
    assert "source is right" in blamed.message
    if is_stale:
        link.here.flip_byte("/file")
    else:
        link.here.put("/file", bytes(reversed(DATA)))
    blamed = link.run(lambda: proving.blame(link.transfer, DAMAGED))
    assert blamed.code is Code.SOURCE_WRONG
    assert "SOURCE:/file" in blamed.message


def test_a_source_of_another_size_is_not_read() -> None:
    link = Link()
    link.here.put("/file", DATA[1:])
    link.fails["source checksum"] = AssertionError("was read")
    assert link.run(lambda: proving.blame(link.transfer, DAMAGED)).code is Code.SOURCE_WRONG


@pytest.mark.parametrize(
    ("error", "code"),
    [(PeerError, Code.SOURCE_FAILED), (NotThere, Code.SOURCE_MISSING), (NotAllowed, Code.SOURCE_REFUSED)],
)
def test_a_source_that_cannot_be_asked_has_a_code_of_its_own(error: type[Exception], code: Code) -> None:
    link = Link()
    link.here.put("/file", DATA)
    link.fails["source checksum"] = error("no")
    blamed = link.run(lambda: proving.blame(link.transfer, DAMAGED))
    assert blamed.code is code
    assert "DESTINATION" in blamed.message
    assert "SOURCE" in blamed.message


def test_other_faults_are_nobody_elses() -> None:
    link = Link()
    fault = EngineFault(Code.DESTINATION_EMPTY, "nothing there")
    assert link.run(lambda: proving.blame(link.transfer, fault)) is fault


@pytest.mark.parametrize(
    ("data", "code"), [(DATA, None), (bytes(reversed(DATA)), Code.SOURCE_WRONG), (None, Code.SOURCE_MISSING)]
)
def test_a_source_is_proved_before_others_make_room(data: bytes | None, code: Code | None) -> None:
    link = Link()
    if data is not None:
        link.here.put("/file", data)
    if code is None:
        link.run(lambda: proving.prove_source(link.transfer))
    else:
        assert link.fault(lambda: proving.prove_source(link.transfer)).code is code
