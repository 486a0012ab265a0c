"""A storage that shows nothing at all has lost nothing by that: its disk may not be mounted."""

from __future__ import annotations

import pytest
from operations_world import SETTINGS, World

from holdfast.model.records import RequestState
from holdfast.testing.memory_driver import MemoryDriver
from holdfast.testing.memory_tree import MemoryTree

ONE_BY_ONE = SETTINGS.model_copy(update={"deletions_per_site": 1})


def unmount(world: World, site: str) -> MemoryTree:
    """An empty folder is where the files were; returns what was there."""
    inner: MemoryDriver = world.memory(site)
    tree, inner.tree = inner.tree, MemoryTree(world.clock)
    return tree


@pytest.mark.parametrize("what", ["replicas", "orphans"])
def test_nothing_is_gone_from_a_storage_that_is_not_mounted(world: World, what: str) -> None:
    lfns = world.publish(3, at="AB")
    if what == "replicas":
        id = world.ask_replica_deletion()
    else:
        lfns = ["/dark/o"]
        id = world.ask_deletion(world.orphan("B", "/dark/o"))
    tree = unmount(world, "B")
    (report,) = world.delete()
    assert world.request(id).state is RequestState.OPEN
    assert "is the storage mounted?" in report.error
    (replica,) = world.replica("B")
    assert replica.is_complete
    world.memory("B").tree = tree
    world.delete()
    assert world.request(id).state is RequestState.DONE
    assert not set(world.paths("B")) & set(lfns)


def test_a_disk_that_goes_away_in_between_has_lost_nothing_more(world: World) -> None:
    lfns = world.publish(4, at="AB")
    id = world.ask_replica_deletion()

    def faults(operation: str, path: str) -> None:
        if operation == "delete.done" and path == lfns[1]:
            unmount(world, "B")

    world.memory("B").faults = faults
    world.delete(settings=ONE_BY_ONE)
    assert world.request(id).state is RequestState.OPEN
    (replica,) = world.replica("B")
    assert replica.held is not None
    assert list(replica.held) == [2, 3]
