"""The pure decisions: scopes, sources, waits, what a try means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operations_world import DATASET, SETTINGS, World

from holdfast.model.errors import OperatorError
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, BlockFiles, BlockReplica, Door, Site, SiteStatus, StorageType
from holdfast.operations import outcomes, plan
from holdfast.operations.engine import Outcome, SourceFault, Verdict
from holdfast.operations.lockfile import Lockfile
from holdfast.operations.task import QueuedRequest, Task, TaskState

BLOCK = BlockKey(DATASET, "0")
BLOCKS = [Block(BlockKey(DATASET, name), n_files=4, size=4) for name in "abc"]

scopes = st.lists(
    st.builds(
        BlockFiles,
        st.sampled_from("abc"),
        st.none() | st.lists(st.integers(0, 3), max_size=5).map(tuple),
    ),
    max_size=5,
)


def files_of(scope: tuple[BlockFiles, ...]) -> set[tuple[str, int]]:
    return {
        (part.block, ordinal) for part in scope for ordinal in (range(4) if part.ordinals is None else part.ordinals)
    }


@given(scopes)
def test_normal_scope_keeps_the_files(scope: list[BlockFiles]) -> None:
    normal = plan.normal_scope(BLOCKS, scope)
    assert files_of(normal) == files_of(tuple(scope))
    assert plan.normal_scope(BLOCKS, normal) == normal
    assert all(part.ordinals is None or 0 < len(part.ordinals) < 4 for part in normal)


@given(scopes, scopes)
def test_covers_is_being_a_superset(first: list[BlockFiles], second: list[BlockFiles]) -> None:
    greater, lesser = plan.normal_scope(BLOCKS, first), plan.normal_scope(BLOCKS, second)
    assert plan.covers(greater, lesser) == (files_of(greater) >= files_of(lesser))


def site(name: str, storage: StorageType = StorageType.DISK, status: SiteStatus = SiteStatus.READY) -> Site:
    return Site(name, (Door("memory", name),), storage, status)


def test_sources_are_ordered() -> None:
    sites = [
        site("tape", StorageType.TAPE),
        site("z"),
        site("a"),
        site("bad"),
        site("here"),
        site("m", status=SiteStatus.MORGUE),
    ]
    replicas = [BlockReplica(BLOCK, each.name) for each in sites]
    replicas.append(BlockReplica(BLOCK, "partial", held=FileSet.of([3])))
    by_name = {each.name: each for each in (*sites, site("partial"))}
    found = plan.sources(2, replicas, by_name, destination="here", failures={"bad": 2})
    assert found == ("a", "z", "bad", "tape")
    found = plan.sources(3, reversed(replicas), by_name, destination="here", failures={"bad": 2})
    assert found == ("a", "partial", "z", "bad", "tape")


@given(st.integers(1, 2000), st.integers(0, 10), st.integers(0, 10))
def test_waits_grow_within_bounds_and_follow_from_the_seed(attempts: int, task: int, seed: int) -> None:
    wait_us = plan.retry_delay_us(attempts, task, seed=seed, delay_s_min=1.0, delay_s_max=60.0)
    full_us = min(60.0, 2.0 ** min(attempts - 1, 10)) * 1e6
    assert full_us / 2 <= wait_us <= full_us
    assert wait_us == plan.retry_delay_us(attempts, task, seed=seed, delay_s_min=1.0, delay_s_max=60.0)


def test_planning_resumes_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish(9, n_blocks=3)
    request = world.ask("B")
    monkeypatch.setattr(plan, "BATCH_FILES", 1)
    with world.store.snapshot() as snapshot:
        whole = list(plan.batches(request, snapshot))
        rest = list(plan.batches(request, snapshot, whole[0].n_parts))
    assert [len(batch.tasks) for batch in whole] == [3, 3, 3]
    assert rest == whole[1:]
    assert [batch.is_last for batch in whole] == [False, False, True]
    assert world.run().files_copied == 9


REQUEST = QueuedRequest(1, "r", DATASET, "B", 1, True, 1, 1)
TASK = Task(1, REQUEST, "0", 0, "/f", 10, {}, attempts=0, token="t")


def settled(outcome: Outcome, attempts: int = 0) -> tuple[TaskState, int]:
    result = outcomes.settled(replace(TASK, attempts=attempts), outcome, SETTINGS, now_us=0, seed=0)
    return result.state, result.attempts


def test_what_a_try_means() -> None:
    assert settled(Outcome(Verdict.COPIED, "A", 5)) == (TaskState.DONE, 0)
    assert settled(Outcome(Verdict.FOUND)) == (TaskState.DONE, 0)
    assert settled(Outcome(Verdict.FULL)) == (TaskState.QUEUED, 0)
    assert settled(Outcome(Verdict.FAILED)) == (TaskState.FAILED, 1)
    assert settled(Outcome(Verdict.RETRY)) == (TaskState.QUEUED, 1)
    assert settled(Outcome(Verdict.RETRY), SETTINGS.attempts_max - 1) == (TaskState.FAILED, SETTINGS.attempts_max)


def test_sources_that_could_not_be_asked_count() -> None:
    passing, permanent = SourceFault("A", "A: down", False), SourceFault("C", "C: no path", True)
    nothing = Outcome(Verdict.FAILED, error="no source")
    assert outcomes.with_faults(nothing, ()).error == "no source: no other ready site holds it"
    assert outcomes.with_faults(nothing, (passing,)) == Outcome(Verdict.RETRY, error="A: down", faults=(passing,))
    assert outcomes.with_faults(nothing, (permanent,)).verdict is Verdict.FAILED
    assert outcomes.with_faults(Outcome(Verdict.COPIED, "D"), (permanent,)).verdict is Verdict.COPIED


def test_lock_is_exclusive_and_ends_with_its_holder(tmp_path: Path) -> None:
    first, second = Lockfile(tmp_path / "lock"), Lockfile(tmp_path / "lock")
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    assert second.holder().startswith("process ")
    first.release()
    first.release()
    assert second.acquire()
    second.release()
    with pytest.raises(OperatorError):
        Lockfile(tmp_path / "nowhere" / "lock").acquire()
    assert Lockfile(tmp_path / "nowhere" / "lock").holder() == ""
