"""A deletion and a copy that needs the same file as its source: the earlier one wins, and neither waits for ever."""

from __future__ import annotations

import pytest
from operations_world import World

from holdfast.model.records import RequestState, StorageType
from holdfast.operations.batch import Held, RequestKind
from holdfast.operations.batches.queue import Queue


def held(world: World) -> list[Held]:
    queue = Queue(world.store)
    with queue.read() as connection:
        return [batch.held for batch in queue.held(connection)]


@pytest.mark.parametrize("is_tape_broken", [False, True])
def test_a_copy_that_was_asked_for_first_has_its_source_to_the_end(world: World, is_tape_broken: bool) -> None:
    lfns = world.publish(4, at="AB")
    copy = world.ask("C")
    deletion = world.ask_replica_deletion("B")
    world.change_site("A", storage_type=StorageType.TAPE)
    if is_tape_broken:
        for lfn in lfns:
            world.memory("A").truncate(lfn, 1)
    world.delete()
    assert held(world) == [Held.NEEDED]
    assert len(world.paths("B")) == 4
    world.run(kinds=None)
    assert world.request(copy.id).state is RequestState.DONE
    assert world.request(deletion).state is RequestState.DONE
    assert [world.drivers["B"].count("read", lfn) for lfn in lfns] == [1] * 4
    assert [world.drivers["A"].count("read", lfn) for lfn in lfns] == [1] * 4, "once, when B was filled"
    assert (len(world.paths("B")), len(world.paths("C"))) == (0, 4)


def test_a_copy_that_is_asked_for_later_does_not_keep_the_file(world: World) -> None:
    world.publish(4, at="AB")
    world.change_site("A", storage_type=StorageType.TAPE)
    deletion = world.ask_replica_deletion("B")
    copy = world.ask("C")
    world.delete()
    assert world.request(deletion).state is RequestState.DONE
    assert world.request(copy.id).state is RequestState.OPEN
    assert world.paths("B") == []
    world.run(kinds=[RequestKind.COPY])
    assert world.request(copy.id).state is RequestState.DONE


def test_a_copy_that_is_asked_for_later_takes_nothing_from_there(world: World) -> None:
    lfns = world.publish(4, at="AB")
    world.ask_replica_deletion("B")
    world.change_site("A", storage_type=StorageType.TAPE)
    world.ask("C")
    world.run()
    assert [world.drivers["B"].count("read", lfn) for lfn in lfns] == [0] * 4
    assert len(world.paths("C")) == 4
