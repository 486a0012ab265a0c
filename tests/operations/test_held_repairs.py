"""Nothing that a repair was to bring is forgotten: what fails for good is held, and its request stays open."""

from __future__ import annotations

from operations_world import SETTINGS, World

from holdfast.model import changes as c
from holdfast.model.errors import Conflict
from holdfast.model.records import Lock, RequestState
from holdfast.operations.batch import BatchState, Held
from holdfast.operations.batches.queue import Queue


def test_what_a_repair_could_not_replace_is_held_and_brought_when_it_can(world: World) -> None:
    lfns = world.publish(3)
    world.put("B", lfns[0], b"precious")
    world.commit(c.PutLock(Lock("mine", "somebody", lfn=lfns[0])))
    request = world.ask("B", may_replace=True)
    report = world.run()
    assert (report.files_failed, report.files_held) == (0, 1)
    assert world.request(request.id).state is RequestState.OPEN
    queue = Queue(world.store)
    (batch,) = queue.problems(request=queue.find(request.id))  # type: ignore[arg-type]
    assert (batch.state, batch.held, batch.attempts) == (BatchState.HELD, Held.ALL_FAILED, SETTINGS.attempts_max)
    world.commit(c.RemoveLock("mine"))
    world.run()
    assert world.request(request.id).state is RequestState.DONE
    world.assert_copied(lfns)


def test_what_the_inventory_refuses_of_a_repair_is_held_too(world: World) -> None:
    world.publish(2)
    request = world.ask("B", may_replace=True)
    commit = world.store.commit

    def refusing(change_set: c.ChangeSet, **given: object) -> object:
        if any(isinstance(change, c.FilesArrived) for change in change_set.changes):
            raise Conflict("not these")
        return commit(change_set, **given)  # type: ignore[arg-type]

    world.store.commit = refusing  # type: ignore[method-assign,assignment]
    report = world.run()
    assert report.files_held == 2
    assert world.request(request.id).state is RequestState.OPEN
    del world.store.commit  # type: ignore[method-assign]
    world.run()
    assert world.request(request.id).state is RequestState.DONE


def test_what_a_copy_that_may_not_replace_cannot_bring_has_failed(world: World) -> None:
    lfns = world.publish(2)
    world.put("B", lfns[0], b"precious")
    request = world.ask("B")
    assert world.run().files_failed == 1
    assert world.request(request.id).state is RequestState.FAILED
