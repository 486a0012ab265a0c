"""What becomes of files whose ends fail, lie, fill up or are taken away, and of jobs that are given up.

Part of ``holdfast.testing.engine_suite``, whose docstring says how to use it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from holdfast.model.errors import PeerError
from holdfast.operations.codes import Code
from holdfast.operations.engine import ClaimLost, Transfer, Verdict
from holdfast.storage.driver import NotAllowed
from holdfast.storage.parts import is_part_name
from holdfast.testing.driver_hooks import pattern
from holdfast.testing.engine_drivers import CHANGING
from holdfast.testing.engine_hooks import DATA, DESTINATION, SOURCE, Ends, EngineHooks, MemoryDesk

CHECKS_MAX = 12
"""An engine asks less often than this for one file."""
DISCARDS_MAX = 50
"""As often as this what is left is discarded, as a worker does, until the storage lets it be."""


class TroubleRules(EngineHooks):
    """What holds if something goes wrong."""

    # The source.

    def test_a_source_that_is_not_there(self) -> None:
        self.put_source("/a/other", DATA)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.SOURCE_MISSING)
            assert SOURCE in outcome.error

        self.run(scenario)
        assert self.paths() == []

    @pytest.mark.parametrize("wrong", [bytes(reversed(DATA)), DATA[:-1], DATA + b"x", b""])
    def test_a_source_that_is_wrong_is_called_wrong(self, wrong: bytes) -> None:
        self.put_source("/a/file", wrong)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.SOURCE_WRONG)
            assert SOURCE in outcome.error

        self.run(scenario)
        assert self.paths() == []

    # The destination.

    def test_a_destination_that_does_not_answer_is_passing_trouble(self) -> None:
        self.put_source("/a/file", DATA)

        def fail(operation: str, path: str) -> None:
            if operation == "stat":
                raise PeerError("no answer", place=path)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DESTINATION_FAILED)
            assert DESTINATION in outcome.error

        self.run(scenario, at_destination=fail)
        assert self.paths() == []

    def test_a_destination_that_refuses_us_is_told_as_such(self) -> None:
        self.put_source("/a/file", DATA)

        def fail(operation: str, path: str) -> None:
            if operation in ("stat", "rename"):
                raise NotAllowed("permission denied", place=path)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert outcome.code is Code.DESTINATION_REFUSED

        self.run(scenario, at_destination=fail)

    def test_a_destination_that_damages_a_byte_is_found_out(self) -> None:
        self.put_source("/a/file", DATA)

        def damage(path: str) -> None:
            self.put(path, b"X" + DATA[1:])

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DAMAGED)
            assert DESTINATION in outcome.error

        self.run(scenario, at_destination=self.when_arrived(damage))
        assert self.paths() == []

    def test_a_destination_that_cuts_a_file_off_is_found_out(self) -> None:
        self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DAMAGED)

        self.run(scenario, at_destination=self.when_arrived(lambda path: self.put(path, DATA[:-1])))
        assert self.paths() == []

    def test_a_destination_that_says_done_and_has_nothing_is_found_out(self) -> None:
        self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one()
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, Code.DESTINATION_EMPTY)
            assert DESTINATION in outcome.error

        self.run(scenario, at_destination=self.when_arrived(self.remove))
        assert self.paths() == []

    def test_a_full_destination_is_told_as_such(self) -> None:
        self.fill_up()
        data = pattern(5_000_000)
        self.put_source("/a/small", b"small")
        self.put_source("/a/large", data)

        async def scenario(ends: Ends) -> None:
            outcome = await ends.carry_one(ends.transfer("/a/large", data))
            assert (outcome.verdict, outcome.code) == (Verdict.FAILED, self.code_when_full)
            assert self.paths() == []
            assert (await ends.carry_one(ends.transfer("/a/small", b"small"))).verdict is Verdict.COPIED

        self.run(scenario)
        assert self.paths() == ["/a/small"]

    # The claim.

    @pytest.mark.parametrize("is_occupied", [False, True], ids=["free", "occupied"])
    def test_nothing_is_changed_after_the_claim_was_lost(self, is_occupied: bool) -> None:
        """Lost before the first call, before the second, and so on, until it is not lost any more."""
        self.put_source("/a/file", DATA)

        async def scenario(ends: Ends) -> None:
            for checks in range(CHECKS_MAX):
                if is_occupied:
                    self.put("/a/file", b"other")
                desk = MemoryDesk(checks=checks)
                transfer = ends.transfer(replaceable=lambda: "")
                try:
                    await ends.engine.carry(ends.job(transfer), desk)
                except ClaimLost:
                    assert desk.outcomes == {}
                    await ends.engine.discard(transfer.destination, transfer.token)
                    # Where nothing can be renamed the old file has to go before the new one comes.
                    may_be_gone = not ends.destination.capabilities.rename and desk.n_checks > 2
                    assert self.paths() == (["/a/file"] if is_occupied and not may_be_gone else [])
                    assert self.get("/a/file") == (b"other" if is_occupied and not may_be_gone else None)
                else:
                    assert checks > 0
                    assert desk.outcomes[transfer.ordinal].verdict is Verdict.COPIED
                    return
            pytest.fail(f"the claim is asked for more than {CHECKS_MAX} times")

        self.run(scenario)

    def test_a_claim_that_is_lost_from_the_beginning_changes_nothing_at_all(self) -> None:
        self.put_source("/a/file", DATA)
        changed: list[str] = []

        def heard(operation: str, path: str) -> None:
            if operation in CHANGING:
                changed.append(f"{operation} {path}")

        async def scenario(ends: Ends) -> None:
            with pytest.raises(ClaimLost):
                await ends.engine.carry(ends.job(ends.transfer()), MemoryDesk(checks=0))

        self.run(scenario, at_source=heard, at_destination=heard)
        assert changed == []
        assert self.paths() == []

    # Giving up, and cleaning up.

    def test_a_cancelled_job_leaves_nothing_but_what_discard_removes(self) -> None:
        self.put_source("/a/file", DATA)
        running: list[asyncio.Future[None]] = []

        async def cancel(_: str) -> None:
            running[0].cancel()
            await asyncio.sleep(0)

        async def scenario(ends: Ends) -> None:
            transfer, desk = ends.transfer(), MemoryDesk()
            running.append(asyncio.ensure_future(ends.engine.carry(ends.job(transfer), desk)))
            with pytest.raises(asyncio.CancelledError):
                await running[0]
            assert desk.outcomes == {}
            await self._given_up(ends, transfer, desk)

        self.run(scenario, at_destination=self.when_arrived(cancel))

    def test_a_job_that_is_cancelled_at_any_moment_leaves_nothing_that_is_wrong(self) -> None:
        """The claim is lost, too: so a file that is there in the end has been proved before."""
        data = pattern(2_000_000)
        self.put_source("/a/file", data)

        async def scenario(ends: Ends) -> None:
            for turns in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144):
                transfer, desk = ends.transfer(data=data), MemoryDesk()
                running = asyncio.ensure_future(ends.engine.carry(ends.job(transfer), desk))
                for _ in range(turns):
                    await asyncio.sleep(0)
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                await self._given_up(ends, transfer, desk)
                if self.get("/a/file") is not None:
                    self.remove("/a/file")

        self.run(scenario)

    async def _given_up(self, ends: Ends, transfer: Transfer, desk: MemoryDesk) -> None:
        for handle in desk.handles:
            await ends.engine.cancel(handle)
        for number in range(DISCARDS_MAX):
            # A server that has not noticed yet that a call was given up may keep the part locked for a moment,
            # or only now begin with what it was asked for: then a part comes after it has been discarded.
            try:
                await ends.engine.discard(transfer.destination, transfer.token)
            except PeerError:
                if number == DISCARDS_MAX - 1:
                    raise
            else:
                if not self._parts():
                    break
            await asyncio.sleep(0.1)
        assert self._parts() == []
        left = self.paths()
        assert left in ([], [transfer.destination.path])
        if left:
            assert self.get(left[0]) is not None
            assert len(self.get(left[0]) or b"") == transfer.size

    def _parts(self) -> list[str]:
        return [path for path in self.paths() if is_part_name(path.rpartition("/")[2])]

    def test_a_part_that_was_left_is_discarded(self) -> None:
        async def scenario(ends: Ends) -> None:
            transfer = ends.transfer()
            await ends.engine.discard(transfer.destination, transfer.token)
            self.put(f"/a/.holdfast-part-{transfer.token}", b"left")
            self.put("/a/.holdfast-part-somebodyelses", b"stays")
            await ends.engine.discard(transfer.destination, transfer.token)

        self.run(scenario)
        assert self.paths() == ["/a/.holdfast-part-somebodyelses"]

    def test_a_part_of_an_earlier_try_is_in_nobodys_way(self) -> None:
        self.put_source("/a/file", DATA)
        self.put("/a/.holdfast-part-earlier0", b"left")

        async def scenario(ends: Ends) -> None:
            assert (await ends.carry_one()).verdict is Verdict.COPIED

        self.run(scenario)
        assert self.get("/a/file") == DATA
        assert self.get("/a/.holdfast-part-earlier0") == b"left"
