"""Files that a copy has brought, and that are lost again while it is open: they are brought again before it is done."""

from __future__ import annotations

import asyncio

from operations_world import World

from holdfast.inventory.store import Head
from holdfast.model import changes as c
from holdfast.model.names import BlockKey
from holdfast.model.records import CopyRequest, Evidence, RequestState


def gone(request: CopyRequest, ordinal: int) -> c.FilesGone:
    """A person says that B has lost a file of the first block."""
    return c.FilesGone(BlockKey(request.dataset, "0"), "B", (ordinal,), Evidence.DECLARED, "the disk broke")


def begun(world: World, lfns: list[str]) -> tuple[CopyRequest, bytes]:
    """A copy to B that has brought all but the last file, which is at A for nobody for now."""
    content = world.data[lfns[-1]]
    asyncio.run(world.drivers["A"].delete(lfns[-1]))
    request = world.ask("B")
    world.run(request)
    assert world.request(request.id).state is RequestState.OPEN
    assert world.paths("B") == lfns[:-1]
    return request, content


def test_asking_again_brings_what_was_lost(any_world: World) -> None:
    lfns = sorted(any_world.publish(4, n_blocks=2, at="A"))
    request, content = begun(any_world, lfns)
    asyncio.run(any_world.drivers["B"].delete(lfns[0]))
    any_world.commit(gone(request, 0))
    assert any_world.ask("B").id == request.id
    any_world.run(request)
    assert any_world.paths("B") == lfns[:-1]
    any_world.put("A", lfns[-1], content)
    report = any_world.run(request)
    assert any_world.request(request.id).state is RequestState.DONE
    assert report.files_copied == 1
    any_world.assert_copied(lfns)


def test_asking_again_for_what_is_under_way_adds_nothing(world: World) -> None:
    lfns = sorted(world.publish(4, n_blocks=2, at="A"))
    request, content = begun(world, lfns)
    head = world.store.head()
    assert world.ask("B").id == request.id
    assert world.store.head() == head
    world.put("A", lfns[-1], content)
    assert world.run(request).files_copied == 1
    assert "4 files" in world.request(request.id).detail


def test_a_copy_is_not_done_while_a_file_of_it_is_lost(world: World) -> None:
    lfns = sorted(world.publish(4, n_blocks=2, at="A"))
    request, content = begun(world, lfns)
    asyncio.run(world.drivers["B"].delete(lfns[0]))
    world.commit(gone(request, 0))
    world.put("A", lfns[-1], content)
    world.run(request)
    assert world.request(request.id).state is RequestState.DONE
    world.assert_copied(lfns)


def test_a_file_that_is_lost_in_the_last_moment_is_brought_again(world: World) -> None:
    lfns = sorted(world.publish(4, n_blocks=2, at="A"))
    request, content = begun(world, lfns)
    world.put("A", lfns[-1], content)
    commit, lost = world.store.commit, []

    def losing(change_set: c.ChangeSet, **given: object) -> Head:
        if not lost and any(isinstance(change, c.CloseRequest) for change in change_set.changes):
            lost.append(1)
            world.commit(gone(request, 0))
        return commit(change_set, **given)  # type: ignore[arg-type]

    world.store.commit = losing  # type: ignore[method-assign,assignment]
    report = world.run(request)
    assert (lost, world.request(request.id).state) == ([1], RequestState.DONE)
    assert (report.files_copied, report.files_found) == (1, 1)
    world.assert_copied(lfns)
