"""A copy and a deletion of the same files, one of them asked for while the other is carried out.

Method: whoever asks does so in the middle of a write, or of a deletion, of the worker's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from operations_world import DATASET, World

from holdfast.model.records import BlockFiles, RequestState
from holdfast.operations import requests
from holdfast.storage.driver import ChangedWhileRead

BOTH_KINDS: dict[str, Any] = {"kinds": None}


def once(deed: Callable[[], object]) -> Callable[[str], None]:
    """Do something at the first call only."""
    left = [deed]

    def act(_path: str) -> None:
        if left:
            left.pop()()

    return act


def test_a_deletion_waits_for_the_copy_that_has_begun(world: World) -> None:
    lfns = world.publish(6, n_blocks=2)
    world.run(world.ask(scope=[BlockFiles("0")]))
    copy = world.ask()
    asked: list[Any] = []

    who: dict[str, Any] = {"reason": "test", "actor": "test", "clock": world.clock, "new_id": world.new_id}

    def ask() -> None:
        asked.append(requests.request_replica_deletion(world.store, DATASET, "B", **who))

    world.drivers["B"].after_write = once(ask)
    world.run(**BOTH_KINDS)
    (deletion,) = asked
    assert deletion.n_waiting > 0
    assert deletion.opposites == (copy.id,)
    assert world.paths("B") == []
    assert world.replica("B") == []
    assert world.request(deletion.request.id).state is RequestState.DONE
    assert world.request(copy.id).state in (RequestState.DONE, RequestState.CANCELLED)
    assert world.paths("A") == sorted(lfns)


def test_a_copy_waits_for_the_deletion_that_has_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lfns = world.publish(6, n_blocks=2)
    world.run(world.ask())
    deletion = world.ask_replica_deletion()
    asked: list[Any] = []

    who: dict[str, Any] = {"reason": "test", "actor": "test", "clock": world.clock, "new_id": world.new_id}
    delete = world.drivers["B"].delete

    async def deleting(path: str, **given: Any) -> None:
        await delete(path, **given)
        if not asked:
            asked.append(requests.request_copy(world.store, DATASET, "B", **who))

    monkeypatch.setattr(world.drivers["B"], "delete", deleting)
    world.run(**BOTH_KINDS)
    (copy,) = asked
    assert copy.n_waiting > 0
    assert copy.opposites == (deletion,)
    world.assert_copied(lfns)
    assert world.request(copy.request.id).state is RequestState.DONE
    assert world.request(deletion).state in (RequestState.DONE, RequestState.CANCELLED)


def test_a_copy_that_fails_is_not_tried_again_once_the_files_are_to_go(world: World) -> None:
    world.publish(6, n_blocks=2)
    world.run(world.ask(scope=[BlockFiles("0")]))
    copy = world.ask()

    def ask_and_spoil() -> None:
        world.ask_replica_deletion()
        raise ChangedWhileRead("it is not what it was")

    world.drivers["B"].after_write = once(ask_and_spoil)
    world.run(**BOTH_KINDS)
    assert world.paths("B") == []
    assert world.replica("B") == []
    assert world.request(copy.id).state is not RequestState.OPEN
