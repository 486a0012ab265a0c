"""The queue keeps its rules whatever is done to it in whatever order: random deeds beside a plain dictionary."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from queue_world import WAIT_US_MAX, QueueWorld, copy, deletion, new_batches
from sqlalchemy import Connection, func, select

from holdfast.model.fileset import FileSet
from holdfast.model.records import Request
from holdfast.operations.batch import Batch, BatchFailure, BatchState, Held, QueuedRequest, RequestKind, Settled
from holdfast.operations.batches import orders, rows, tables
from holdfast.operations.codes import Code
from holdfast.testing.memory_store import MemoryStore
from support.soak import examples

BLOCKS = ("b1", "b2", "b3")
FILES = 6
"""Of every block."""
WORKERS = ("w1", "w2")

SOME = st.sets(st.integers(0, FILES - 1), min_size=1)

OUTCOMES = [*(state for state in BatchState if state is not BatchState.ACTIVE), "done", "done", "none"]

File = tuple[str, int]


@dataclass
class Model:
    """What should be: of each file of a request that is planned and not done, its state and claim."""

    files: dict[File, tuple[BatchState, str]] = field(default_factory=dict)
    n_done: int = 0
    n_found: int = 0
    size_done: int = 0
    begun: set[File] = field(default_factory=set)
    """Files that somebody may have changed something about, and has not told what."""


def size_of(file: File) -> int:
    return 1 + file[1]


class QueueMachine(RuleBasedStateMachine):
    """Random deeds on a queue in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.world = QueueWorld(MemoryStore())
        self.queue = self.world.queue
        self.model: dict[str, Model] = {}
        self.requests: dict[str, QueuedRequest] = {}
        self.older: dict[str, list[QueuedRequest]] = {"r1": [], "r2": [], "d3": []}
        self.outdated: list[QueuedRequest] = []
        """Requests as they were before files were withdrawn from them."""
        self.waiting: list[Batch] = []
        self.seen: list[Batch] = []
        """Batches as they were once, to be claimed when they are not like that any more."""
        self.claims: dict[str, str] = {}
        """All claims that were ever made, and their workers."""
        self.names = itertools.count(1)

    # ---- helpers --------------------------------------------------------------------

    def _of_claim(self, claim: str) -> tuple[Model, dict[File, tuple[BatchState, str]]]:
        for model in self.model.values():
            files = {file: state for file, state in model.files.items() if state[1] == claim}
            if files:
                return model, files
        return Model(), {}

    def _open(self) -> list[str]:
        return [id for id, request in self.requests.items() if not request.is_closed]

    # ---- requests -------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        for worker in WORKERS:
            self.world.worker(worker)
        self.take_in("r1")
        self._plan("r1", self.world.there("r1"), BLOCKS[:2])

    @rule(id=st.sampled_from(["r1", "r2", "d3"]))
    def take_in(self, id: str) -> None:
        asked: Request = deletion(id) if id.startswith("d") else copy(id)
        was_open = id in self._open()
        [self.requests[id]] = self.queue.take_in([asked])
        if not was_open:
            self.model[id] = Model()

    @precondition(lambda self: len(self._open()) < len(self.requests))
    @rule(data=st.data())
    def take_in_again(self, data: st.DataObject) -> None:
        self.take_in(data.draw(st.sampled_from(sorted(set(self.requests) - set(self._open())))))

    @precondition(lambda self: self._open())
    @rule(data=st.data(), n_blocks=st.integers(1, 3))
    def plan(self, data: st.DataObject, n_blocks: int) -> None:
        id = data.draw(st.sampled_from(self._open()))
        # As it is now, or as it was once: some other worker has planned or withdrawn since.
        request = data.draw(st.sampled_from([self.requests[id], *self.older[id]]))
        self._plan(id, request, [block for block in BLOCKS if block > request.planned_to][:n_blocks])

    def _plan(self, id: str, request: QueuedRequest, blocks: Sequence[str]) -> None:
        now = self.world.there(id)
        planned_to = blocks[-1] if blocks else request.planned_to
        step = new_batches(dict.fromkeys(blocks, FILES))
        after = self.queue.add(request, step, planned_to, planned_to == BLOCKS[-1])
        assert after == self.world.there(id)
        is_late = request in self.outdated
        if not is_late and not now.is_planned and (request.plan, request.planned_to) == (now.plan, now.planned_to):
            for block, ordinal in itertools.product(blocks, range(FILES)):
                assert (block, ordinal) not in self.model[id].files
                self.model[id].files[block, ordinal] = (BatchState.QUEUED, "")

    @precondition(lambda self: self._open())
    @rule(data=st.data(), block=st.sampled_from(BLOCKS), ordinals=SOME)
    def withdraw(self, data: st.DataObject, block: str, ordinals: set[int]) -> None:
        id = data.draw(st.sampled_from(self._open()))
        files = self.model[id].files
        stays = self.model[id].begun if self.requests[id].kind.is_deletion else set()
        there = [each for each in sorted(ordinals) if (block, each) in files and (block, each) not in stays]
        expected = [each for each in there if files[block, each][0] is not BatchState.ACTIVE]
        assert self.world.withdraw(self.requests[id], block, ordinals) == expected
        for each in expected:
            del files[block, each]
        self.outdated += [*self.older[id], self.requests[id]]

    @precondition(lambda self: self._open() and sum(model.n_done for model in self.model.values()) > 2)
    @rule(data=st.data(), is_others=st.booleans())
    def close(self, data: st.DataObject, is_others: bool) -> None:
        id = data.draw(st.sampled_from(self._open()))
        files = self.model[id].files
        if is_others:
            left = self.queue.drop(self.requests[id], now_us=self.world.now_us)
            claimed = {state[1] for state in files.values() if state[1]}
            assert claimed == {batch.claim for batch in left if batch.claim}
            # What was begun of a deletion of replicas may be gone, and is kept until somebody has looked.
            is_kept = self.requests[id].kind is RequestKind.REPLICAS
            begun = {(batch.block, ordinal) for batch in left for ordinal in batch.files} if is_kept else set()
            self.model[id].files = {file: state for file, state in files.items() if file in begun}
            return
        with self.queue.write() as connection:
            self.queue.close(connection, self.requests[id].number)
        final = (BatchState.FAILED, BatchState.SKIPPED)
        self.model[id].files = {file: state for file, state in files.items() if state[0] in final}

    # ---- claims ---------------------------------------------------------------------

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), worker=st.sampled_from(WORKERS), ordinals=SOME)
    def claim(self, data: st.DataObject, worker: str, ordinals: set[int]) -> None:
        self._claim(data.draw(st.sampled_from(self.waiting)), worker, ordinals)

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), worker=st.sampled_from(WORKERS), ordinals=SOME)
    def claim_as_it_was_once(self, data: st.DataObject, worker: str, ordinals: set[int]) -> None:
        self._claim(data.draw(st.sampled_from(self.seen)), worker, ordinals)

    def _claim(self, batch: Batch, worker: str, ordinals: set[int]) -> None:
        files = batch.files & FileSet.of(ordinals) or batch.files
        claim = f"c{next(self.names)}"
        taken = self.world.claim(batch, files, claim=claim, worker=worker)
        as_seen = [
            each
            for each in self.waiting
            if (each.id, each.request.id, each.block) == (batch.id, batch.request.id, batch.block)
        ]
        expected = bool(as_seen) and (as_seen[0].files, as_seen[0].state) == (batch.files, batch.state)
        assert (taken is not None) == expected
        if taken is not None:
            assert replace(taken, request=self.world.there(batch.request.id)) in self.world.active()
            self.claims[claim] = worker
            for ordinal in files:
                self.model[batch.request.id].files[batch.block, ordinal] = (BatchState.ACTIVE, claim)

    def _standing(self) -> list[str]:
        return sorted({claim for model in self.model.values() for _, claim in model.files.values()} - {""})

    @precondition(lambda self: self._standing())
    @rule(data=st.data(), gives_back=st.booleans())
    def settle(self, data: st.DataObject, gives_back: bool) -> None:
        self._settle(data.draw(st.sampled_from(self._standing())), data, gives_back)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), gives_back=st.booleans())
    def settle_whatever_was_claimed_once(self, data: st.DataObject, gives_back: bool) -> None:
        self._settle(data.draw(st.sampled_from(sorted(self.claims))), data, gives_back)

    def _settle(self, claim: str, data: st.DataObject, gives_back: bool) -> None:
        model, files = self._of_claim(claim)
        blocks = sorted({block for block, _ in files}) or [BLOCKS[0]]
        outcomes = data.draw(st.lists(st.sampled_from(OUTCOMES), min_size=FILES, max_size=FILES))
        mine = [file for file in files if file[0] == blocks[0]] or [(blocks[0], 0)]
        by_outcome: dict[str, list[File]] = {}
        for file, outcome in zip(mine, outcomes, strict=False):
            by_outcome.setdefault(outcome, []).append(file)
        done = by_outcome.pop("done", [])
        rest = by_outcome.pop("none", [])
        failures = tuple(_failure(BatchState(state), failed, data) for state, failed in by_outcome.items())
        size = sum(map(size_of, done))
        settled = Settled(claim, _files(done), size, len(done) // 2, failures, gives_back)
        stood = self.world.settle(settled)
        if not files:
            # Nothing of it may be seen: the comparison with the model tells.
            assert not stood
            return
        assert stood == {claim}
        model.n_done += len(done)
        model.n_found += len(done) // 2
        model.size_done += size
        for file in done:
            del model.files[file]
        for state, failed in by_outcome.items():
            model.files.update(dict.fromkeys(failed, (BatchState(state), "")))
        for failure in failures:
            named = {(blocks[0], ordinal) for ordinal in failure.files}
            model.begun = model.begun - named if failure.left == () else model.begun | named
        if gives_back:
            model.files.update(dict.fromkeys(rest, (BatchState.QUEUED, "")))
            model.begun.update(rest)

    @rule(worker=st.sampled_from(WORKERS), waits=st.booleans())
    def bury(self, worker: str, waits: bool) -> None:
        theirs = {claim for claim, owner in self.claims.items() if owner == worker}
        with self.queue.write() as connection:
            taken = self.world.workers.bury(connection, worker, now_us=1, waits=lambda batch: waits)
        assert not waits or not taken
        for model in self.model.values():
            for file, (_, claim) in model.files.items():
                if claim in theirs and not waits:
                    model.files[file] = (BatchState.QUEUED, "")
                    model.begun.add(file)
        if worker not in {row.id for row in self.world.workers.known()}:
            self.world.worker(worker)
        elif not waits:
            raise AssertionError("whoever has nothing left is forgotten")
        self._revive(worker)

    def _revive(self, worker: str) -> None:
        """So that there is always somebody to claim; a real one gets another id."""
        with self.queue.write() as connection:
            connection.execute(tables.worker.update().where(tables.worker.c.id == worker).values(is_dead=False))

    # ---- waiting --------------------------------------------------------------------

    @rule()
    def time_passes(self) -> None:
        self.world.now_us += WAIT_US_MAX // 3

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), is_held=st.sampled_from([False, False, True]))
    def hold(self, data: st.DataObject, is_held: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.requests)))
        with self.queue.write() as connection:
            if is_held:
                self.queue.hold(connection, self.requests[id].number, "somebody")
            else:
                self.queue.unhold(connection, self.requests[id].number)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.requests)))
        again = (BatchState.HELD, BatchState.FAILED, BatchState.RETRY)
        files = self.model[id].files
        expected = [file for file, (state, _) in files.items() if state in again] if id in self._open() else []
        with self.queue.write() as connection:
            assert self.queue.retry(connection, self.requests[id].number) == len(expected)
        files.update(dict.fromkeys(expected, (BatchState.QUEUED, "")))

    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        some = data.draw(st.sets(st.sampled_from(self.world.held() or [None])))
        with self.queue.write() as connection:
            self.queue.requeue(connection, [each.id for each in some if each], forget_sources=len(some) > 1)
        self._expect(some, BatchState.QUEUED)

    def _expect(self, some: set[Any], state: BatchState) -> None:
        for batch in filter(None, some):
            for ordinal in batch.files:
                self.model[batch.request.id].files[batch.block, ordinal] = (state, "")

    # ---- what always holds ----------------------------------------------------------

    @invariant()
    def every_rule_is_kept(self) -> None:
        with self.queue.read() as connection:
            for id in self.requests:
                self.older[id] = [*self.older[id], self.requests[id]][-5:]
                self.requests[id] = _found(orders.find(connection, id))
            self._every_file_is_in_exactly_one_batch_and_totals_add_up(connection)
            self._what_waits_may_be_claimed(connection)
            _alike_batches_are_one(connection)

    def _every_file_is_in_exactly_one_batch_and_totals_add_up(self, connection: Connection) -> None:
        counted = self.queue.all_counts(connection)
        by_number = {request.number: id for id, request in self.requests.items()}
        files: dict[str, dict[File, tuple[BatchState, str]]] = {id: {} for id in self.requests}
        sizes: Counter[str] = Counter()
        for row in rows.batches(connection, "id > 0"):
            id = by_number[row.request]
            assert row.n_files == len(row.fileset) > 0
            assert row.size >= 0
            sizes[id] += row.size
            for ordinal in row.fileset:
                assert (row.block, ordinal) not in files[id], "a file is in two batches"
                files[id][row.block, ordinal] = (BatchState(row.state), row.claim)
        for id, request in self.requests.items():
            model = self.model[id]
            assert files[id] == model.files
            done = (request.n_done, request.n_found, request.size_done)
            assert done == (model.n_done, model.n_found, model.size_done)
            if not request.is_closed:
                assert request.n_files == model.n_done + len(model.files)
                assert request.size == model.size_done + sizes[id]
            counts = counted.get(request.number)
            assert (counts.files(*BatchState) if counts else 0) == len(model.files)

    def _what_waits_may_be_claimed(self, connection: Connection) -> None:
        moment = {"now_us": self.world.now_us, "wait_us_max": WAIT_US_MAX}
        self.waiting = self.queue.waiting(connection, **moment)
        self.seen = (self.seen + self.waiting)[-20:]
        for batch in self.waiting:
            assert batch.state in (BatchState.QUEUED, BatchState.RETRY)
            assert not batch.request.is_closed
            assert not batch.request.on_hold
            assert not batch.claim
        due_us = self.queue.next_due_us(connection, **moment)
        assert bool(self.waiting) == (due_us is not None and due_us <= self.world.now_us)


def _alike_batches_are_one(connection: Connection) -> None:
    queued = tables.batch.c.state == BatchState.QUEUED
    columns = [tables.batch.c[name] for name in ("request", "block", "attempts", "left_behind", "bad_sources")]
    assert set(connection.scalars(select(func.count()).where(queued).group_by(*columns))) <= {1}


def _found(request: QueuedRequest | None) -> QueuedRequest:
    assert request is not None
    return request


def _files(files: list[File]) -> FileSet:
    return FileSet.of(ordinal for _, ordinal in files)


def _failure(state: BatchState, files: list[File], data: st.DataObject) -> BatchFailure:
    held = data.draw(st.sampled_from([Held.NO_SOURCE, Held.ALL_FAILED])) if state is BatchState.HELD else Held.NOT
    return BatchFailure(
        _files(files),
        sum(map(size_of, files)),
        state,
        attempts=data.draw(st.integers(0, 2)),
        code=data.draw(st.sampled_from([None, Code.SOURCE_FAILED, Code.DAMAGED])),
        error=data.draw(st.sampled_from(["", "one", "another"])),
        not_before_us=data.draw(st.integers(0, 3)) * WAIT_US_MAX if state is BatchState.RETRY else 0,
        held=held,
        bad_sources=data.draw(st.sampled_from([(), ("A",), ("A", "C")])),
        left=data.draw(st.sampled_from([None, (), ("c1",)])),
    )


QueueMachine.TestCase.settings = settings(max_examples=examples(30), stateful_step_count=50)
TestQueueRules = pytest.mark.slow(QueueMachine.TestCase)
