"""Planning, as workers do it: small requests together, a large one in steps that let the others come in between."""

from __future__ import annotations

import pytest
from operations_world import World

from holdfast.model import steps
from holdfast.model.names import DatasetKey
from holdfast.model.records import RequestState
from holdfast.operations.batches.queue import Queue
from holdfast.operations.planning import lacking


def test_many_small_requests_are_planned_in_one_transaction(world: World) -> None:
    for number in range(30):
        world.publish(1, dataset=DatasetKey(f"/small/{number}", "1"))
    made = [world.ask("B", dataset=DatasetKey(f"/small/{number}", "1")) for number in range(30)]
    planned: list[str] = []
    with steps.observed(lambda name: planned.append(name) if name == "copy.planned" else None):
        world.run()
    assert len(planned) == 1
    assert {world.request(request.id).state for request in made} == {RequestState.DONE}


def test_a_large_request_lets_a_small_one_in_after_its_first_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lacking, "STEP_FILES", 2)
    large, small = DatasetKey("/large", "1"), DatasetKey("/small", "1")
    world.publish(12, dataset=large, n_blocks=6)
    world.publish(1, dataset=small)
    made = [world.ask("B", dataset=large), world.ask("B", dataset=small)]
    queue, seen = Queue(world.store), list[list[bool]]()

    def observe(step: str) -> None:
        if step == "copy.planned":
            found = [queue.find(request.id) for request in made]
            seen.append([each is not None and each.is_planned for each in found])

    with steps.observed(observe):
        world.run()
    assert seen[:2] == [[False, False], [False, True]]
    assert seen[-1] == [True, True]
    assert len(seen) > 4
    assert {world.request(request.id).state for request in made} == {RequestState.DONE}
