"""What a request lacks: compared with file by file counting over small random inventories in memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_world import DATASET, Inventory, request, scope_of, size_of

from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockFiles, CopyRequest, DeletionRequest, Orphan, Request
from holdfast.operations.batch import NewBatch
from holdfast.operations.planning import lacking
from holdfast.operations.planning.lacking import PlanStep

BLOCKS = {"a": 4, "b": 3, "c": 5}


def steps(inventory: Inventory, of: Request, planned_to: str = "") -> list[PlanStep]:
    with inventory.store.snapshot() as snapshot:
        return list(lacking.steps(of, snapshot, planned_to))


def batches(found: list[PlanStep]) -> dict[str, FileSet]:
    """By block; no block has two, and every size is that of the files."""
    made = [each for step in found for each in step.batches]
    assert len({each.block for each in made}) == len(made)
    assert all(each.files and each.size == size_of(each.files) for each in made)
    assert [step.is_last for step in found] == [False] * (len(found) - 1) + [True]
    return {each.block: each.files for each in made}


@st.composite
def file_sets(draw: st.DrawFn, *, least: int = 0) -> dict[str, FileSet]:
    """Some files of each block."""
    found = {
        block: FileSet.of(draw(st.sets(st.integers(0, number - 1)) | st.just(set(range(number)))))
        for block, number in BLOCKS.items()
    }
    return found if sum(map(len, found.values())) >= least else {"a": FileSet.of([1]), **found}


@given(file_sets(least=1), file_sets(), file_sets(), st.booleans())
def test_a_copy_lacks_what_is_asked_for_and_not_there_to_stay(
    wanted: dict[str, FileSet], held: dict[str, FileSet], doomed: dict[str, FileSet], is_whole: bool
) -> None:
    inventory = Inventory(BLOCKS)
    inventory.hold("B", held)
    inventory.hold("C", {block: FileSet.full(number) for block, number in BLOCKS.items()})
    going = {block: held[block] & doomed[block] for block in BLOCKS}
    if any(going.values()):
        inventory.ask(DeletionRequest("d", "B", dataset=DATASET, scope=scope_of(going)))
    if is_whole:
        wanted = {block: FileSet.full(number) for block, number in BLOCKS.items()}
    scope = tuple(map(BlockFiles, BLOCKS)) if is_whole else scope_of(wanted)
    expected = {block: files - (held[block] - going[block]) for block, files in wanted.items()}
    found = steps(inventory, CopyRequest("r", DATASET, "B", scope))
    assert batches(found) == {block: files for block, files in expected.items() if files}
    n_wanted, n_lacking = (sum(map(len, files.values())) for files in (wanted, expected))
    assert sum(step.n_already for step in found) == n_wanted - n_lacking


@given(file_sets(least=1), file_sets(), file_sets(), st.booleans())
def test_a_deletion_has_to_do_with_what_is_asked_for_and_there_or_still_comes(
    wanted: dict[str, FileSet], held: dict[str, FileSet], coming: dict[str, FileSet], is_copying: bool
) -> None:
    inventory = Inventory(BLOCKS)
    inventory.hold("B", held)
    there = held
    if is_copying and any(coming.values()):
        inventory.ask(CopyRequest("r", DATASET, "B", scope_of(coming)))
        there = {block: held[block] | coming[block] for block in BLOCKS}
    found = steps(inventory, DeletionRequest("d", "B", dataset=DATASET, scope=scope_of(wanted)))
    expected = {block: files & there[block] for block, files in wanted.items()}
    assert batches(found) == {block: files for block, files in expected.items() if files}
    assert sum(step.n_already for step in found) == sum(map(len, wanted.values())) - sum(map(len, expected.values()))


def test_deletions_of_orphans_name_them_by_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lacking, "ORPHANS_FILES", 2)
    monkeypatch.setattr(lacking, "STEP_FILES", 3)
    asked = DeletionRequest("d", "B", tuple(Orphan(f"/dark/{number}", 10**number, 0) for number in range(7)))
    inventory = Inventory({})
    found = steps(inventory, asked)
    sets = [FileSet.of(ordinals) for ordinals in ([0, 1], [2, 3], [4, 5], [6])]
    made = [[NewBatch("", files, size_of(files)) for files in some] for some in (sets[:2], sets[2:])]
    assert [list(step.batches) for step in found] == made
    assert steps(inventory, asked, found[0].planned_to) == found[1:]


@given(file_sets(least=1), file_sets(), st.integers(1, 8))
def test_planning_goes_on_where_it_was(wanted: dict[str, FileSet], held: dict[str, FileSet], step_files: int) -> None:
    inventory = Inventory(BLOCKS)
    inventory.hold("B", held)
    asked = CopyRequest("r", DATASET, "B", scope_of(wanted))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lacking, "STEP_FILES", step_files)
        whole = steps(inventory, asked)
        for number, step in enumerate(whole[:-1], 1):
            assert steps(inventory, asked, step.planned_to) == whole[number:]
            n_files = sum(len(each.files) for each in step.batches)
            assert step_files <= n_files < step_files + max(BLOCKS.values())
    assert len(steps(inventory, asked, whole[-1].planned_to)[0].batches) == 0


def test_what_leaves_the_scope_meanwhile_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = Inventory(BLOCKS)
    monkeypatch.setattr(lacking, "STEP_FILES", 1)
    first, second, third = steps(inventory, CopyRequest("r", DATASET, "B", tuple(map(BlockFiles, "abc"))))
    for scope, rest in (("bc", [second, third]), ("ac", [third]), ("c", [third])):
        reduced = CopyRequest("r", DATASET, "B", tuple(map(BlockFiles, scope)))
        assert steps(inventory, reduced, first.planned_to) == rest


def test_a_scope_in_disorder_is_planned_in_order_and_once() -> None:
    parts = (BlockFiles("c", (1,)), BlockFiles("a", (0, 99)), BlockFiles("c", (1, 2)), BlockFiles("unknown"))
    found = steps(Inventory(BLOCKS), CopyRequest("r", DATASET, "B", parts))
    assert batches(found) == {"a": FileSet.of([0]), "c": FileSet.of([1, 2])}
    assert [each.block for each in found[0].batches] == ["a", "c"]


def test_files_are_read_only_where_sums_do_not_tell() -> None:
    inventory = Inventory(BLOCKS)
    inventory.hold("B", {"a": FileSet.of([1, 2]), "b": FileSet.full(3)})
    copy = CopyRequest("r", DATASET, "B", tuple(map(BlockFiles, BLOCKS)))
    deletion = DeletionRequest("d", "B", dataset=DATASET, scope=(BlockFiles("a"), BlockFiles("b")))
    with inventory.store.snapshot() as snapshot:
        counting = Counting(snapshot)
        assert batches(list(lacking.steps(copy, counting))) == {"a": FileSet.of([0, 3]), "c": FileSet.full(5)}
        assert batches(list(lacking.steps(deletion, counting))) == {"a": FileSet.of([1, 2]), "b": FileSet.full(3)}
        assert counting.n_read == 0
        part = CopyRequest("p", DATASET, "B", (BlockFiles("c", (0, 1)),))
        assert batches(list(lacking.steps(part, counting))) == {"c": FileSet.of([0, 1])}
        assert counting.n_read == 1


def test_many_requests_are_written_together_in_groups() -> None:
    inventory = Inventory(BLOCKS)
    asked = [CopyRequest(f"r{number}", DATASET, at, tuple(map(BlockFiles, "abc"))) for number, at in enumerate("BCBC")]
    queued = [request(number, planned_to="a" if number == 3 else "") for number in range(4)]
    with inventory.store.snapshot() as snapshot, pytest.MonkeyPatch.context() as patch:
        one_by_one = [
            (known, step)
            for known, each in zip(queued, asked, strict=True)
            for step in lacking.steps(each, snapshot, known.planned_to)
        ]
        requests = list(zip(queued, asked, strict=True))
        assert list(lacking.together(requests, snapshot)) == [tuple(one_by_one)]
        assert [len(step.batches) for _, step in one_by_one] == [3, 3, 3, 2]
        patch.setattr(lacking, "STEPS_MAX", 3)
        assert list(lacking.together(requests, snapshot)) == [tuple(one_by_one[:3]), tuple(one_by_one[3:])]
        patch.setattr(lacking, "STEP_FILES", 12)
        assert [len(group) for group in lacking.together(requests, snapshot)] == [1, 1, 1, 1]
        assert list(lacking.together([], snapshot)) == []


class Counting:
    """A snapshot that counts how often files are read."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.n_read = 0

    def __getattr__(self, name: str) -> Any:
        self.n_read += name == "files"
        return getattr(self._snapshot, name)


def test_planning_writes_nothing_for_what_is_there() -> None:
    inventory = Inventory(BLOCKS)
    assert steps(inventory, CopyRequest("r", DATASET, "A", (BlockFiles("a"),))) == [PlanStep((), "a", True, 4)]
    inventory.commit(c.BlocksArrived("B", (BlockKey(DATASET, "a"),)))
    assert steps(inventory, CopyRequest("r", DATASET, "B", (BlockFiles("a"),))) == [PlanStep((), "a", True, 4)]
