"""What becomes of files that can be brought, and of what stands in their place.

Part of ``holdfast.testing.engine_suite``, whose docstring says how to use it.
"""

from __future__ import annotations

import asyncio

import pytest

from holdfast.model.clock import system_clock
from holdfast.operations.codes import Code
from holdfast.operations.engine import Outcome, Verdict
from holdfast.storage.digest import digests_of
from holdfast.testing.driver_hooks import pattern
from holdfast.testing.engine_hooks import DATA, Ends, EngineHooks, MemoryDesk

OTHER = bytes(reversed(DATA))
"""Of the same size, and different."""


class CopyRules(EngineHooks):
    """What holds if nothing goes wrong on the way."""

    def test_it_can_serve_the_link(self) -> None:
        async def scenario(ends: Ends) -> None:
            transfer = ends.transfer()
            assert ends.engine.name
            assert ends.engine.can(transfer.source, transfer.destination) == ""

        self.run(scenario)

    @pytest.mark.parametrize("size", [0, 1, 3_000_000])
    def test_a_file_is_brought_and_proved(self, size: int) -> None:
        data = pattern(size)
        self.put_source("/a/b/file", data)

        async def scenario(ends: Ends) -> None:
            desk, begun_us = MemoryDesk(), system_clock()
            transfer = ends.transfer("/a/b/file", data)
            outcome = await ends.carry_one(transfer, desk)
            assert (outcome.verdict, outcome.error, outcome.has_replaced) == (Verdict.COPIED, "", False)
            assert begun_us <= outcome.verified_us <= system_clock()
            assert desk.n_checks > 0
            if self.shows_progress:
                assert desk.n_bytes.get(transfer.ordinal, 0) == size

        self.run(scenario)
        assert self.get("/a/b/file") == data
        assert self.paths() == ["/a/b/file"]

    def test_names_arrive_as_they_are(self) -> None:
        paths = [f"/d {name}/{name}" for name in self.names]
        for number, path in enumerate(paths):
            self.put_source(path, pattern(1000 + number))

        async def scenario(ends: Ends) -> None:
            transfers = [ends.transfer(path, pattern(1000 + number)) for number, path in enumerate(paths)]
            outcomes = await ends.carry(*transfers)
            assert [outcome.error for outcome in outcomes] == [""] * len(paths)

        self.run(scenario)
        assert self.paths() == sorted(paths)
        for number, path in enumerate(paths):
            assert self.get(path) == pattern(1000 + number)

    def test_many_at_once(self) -> None:
        count = 24
        for number in range(count):
            self.put_source(f"/a/{number % 3}/file{number}", pattern(100 * number))

        async def scenario(ends: Ends) -> None:
            transfers = [
                ends.transfer(f"/a/{number % 3}/file{number}", pattern(100 * number)) for number in range(count)
            ]
            outcomes = await ends.carry(*transfers, streams=6)
            assert [(outcome.verdict, outcome.error) for outcome in outcomes] == [(Verdict.COPIED, "")] * count

        self.run(scenario)
        assert len(self.paths()) == count
        for number in range(count):
            assert self.get(f"/a/{number % 3}/file{number}") == pattern(100 * number)

    def test_one_that_fails_does_not_harm_the_others(self) -> None:
        for number in (1, 3):
            self.put_source(f"/a/{number}", pattern(number))

        async def scenario(ends: Ends) -> None:
            outcomes = await ends.carry(*(ends.transfer(f"/a/{number}", pattern(number)) for number in (1, 2, 3)))
            assert [outcome.verdict for outcome in outcomes] == [Verdict.COPIED, Verdict.FAILED, Verdict.COPIED]

        self.run(scenario)
        assert self.paths() == ["/a/1", "/a/3"]

    # What stands in the place.

    def test_a_good_file_is_found_and_left_alone(self) -> None:
        """The source has nothing: so nothing can have been copied."""
        self.put("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            begun_us = system_clock()
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.error) == (Verdict.FOUND, "")
            assert outcome.verified_us >= begun_us

        self.run(scenario)
        assert self.get("/a/file") == DATA

    @pytest.mark.parametrize("other", [OTHER, b"", DATA + b"x"], ids=["bytes", "empty", "longer"])
    def test_a_different_file_stays(self, other: bytes) -> None:
        self.put_source("/a/file", DATA)
        self.put("/a/file", other)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DESTINATION_OCCUPIED)
            assert "DESTINATION" in outcome.error

        self.run(scenario)
        assert self.get("/a/file") == other
        assert self.paths() == ["/a/file"]

    def test_a_different_file_stays_if_that_is_what_is_said_when_it_is_asked_for(self) -> None:
        self.put_source("/a/file", DATA)
        self.put("/a/file", OTHER)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one(ends.transfer(replaceable=lambda: "somebody still wants it"))
            assert outcome.code is Code.DESTINATION_OCCUPIED
            assert "somebody still wants it" in outcome.error

        self.run(scenario)
        assert self.get("/a/file") == OTHER
        assert self.paths() == ["/a/file"]

    @pytest.mark.parametrize("other", [OTHER, b"x"], ids=["bytes", "size"])
    def test_a_different_file_that_may_go_is_replaced(self, other: bytes) -> None:
        self.put_source("/a/file", DATA)
        self.put("/a/file", other)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one(ends.transfer(replaceable=lambda: ""))
            assert (outcome.verdict, outcome.error) == (Verdict.COPIED, "")
            assert outcome.has_replaced

        self.run(scenario)
        assert self.get("/a/file") == DATA
        assert self.paths() == ["/a/file"]

    def test_what_may_have_been_called_wrong_is_not_found_by_what_its_storage_remembers(self) -> None:
        """It tells the checksums of the day when the file came; the bytes have changed since."""
        self.put_source("/a/file", DATA)
        self.put("/a/file", OTHER)
        outcomes: list[Outcome] = []

        async def scenario(ends: Ends) -> None:
            outcomes.append(await ends.carry_one(ends.transfer(replaceable=lambda: "")))

        self.run(scenario, noted={"/a/file": digests_of(DATA, self.algorithms)})
        (outcome,) = outcomes
        if outcome.verdict is Verdict.COPIED:
            assert outcome.has_replaced
            assert self.get("/a/file") == DATA
        else:
            assert outcome.code is Code.DESTINATION_OCCUPIED, "an engine that cannot read it leaves it"
            assert self.get("/a/file") == OTHER

    @pytest.mark.parametrize("lacking", [True, False], ids=["missing", "wrong"])
    def test_nothing_makes_room_for_a_file_that_is_not_to_be_had(self, lacking: bool) -> None:
        if not lacking:
            self.put_source("/a/file", OTHER)
        self.put("/a/file", b"other")

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one(ends.transfer(replaceable=lambda: ""))
            assert outcome.code is (Code.SOURCE_MISSING if lacking else Code.SOURCE_WRONG)

        self.run(scenario)
        assert self.get("/a/file") == b"other"
        assert self.paths() == ["/a/file"]

    def test_a_directory_in_the_place_stays(self) -> None:
        self.put_source("/a/file", DATA)
        self.put("/a/file/below", b"stays")

        async def scenario(ends: Ends) -> None:
            if not ends.destination.capabilities.directories:
                pytest.skip("there are no directories at this destination")
            outcome = await ends.carry_one(ends.transfer(replaceable=lambda: ""))
            assert outcome.code is Code.DESTINATION_OCCUPIED

        self.run(scenario)
        assert self.paths() == ["/a/file/below"]

    def test_a_file_without_a_checksum_is_not_brought(self) -> None:
        self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one(ends.transfer(checksums={}))
            assert outcome.code is Code.NO_CHECKSUM

        self.run(scenario)
        assert self.paths() == []

    def test_it_is_brought_again_after_it_was_lost(self) -> None:
        self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            assert (await ends.carry_one()).verdict is Verdict.COPIED
            self.remove("/a/file")
            assert (await ends.carry_one()).verdict is Verdict.COPIED
            assert (await ends.carry_one()).verdict is Verdict.FOUND

        self.run(scenario)
        assert self.get("/a/file") == DATA

    def test_two_jobs_for_one_file_leave_one_good_file(self) -> None:
        self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            outcomes = await asyncio.gather(*(ends.carry_one() for _ in range(4)))
            assert any(outcome.verdict is not Verdict.FAILED for outcome in outcomes)
            assert not any(outcome.code is not None and outcome.code.is_permanent for outcome in outcomes)

        self.run(scenario)
        assert self.get("/a/file") == DATA
        assert self.paths() == ["/a/file"]
