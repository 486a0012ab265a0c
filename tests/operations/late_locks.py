"""A lock that somebody puts on files while they are being removed."""

from __future__ import annotations

from collections.abc import Sequence

from operations_world import SETTINGS, World

from holdfast.model import changes as c
from holdfast.model import steps
from holdfast.model.records import Lock, Orphan
from holdfast.operations.deletion_report import DeletionReport


def deleted_with_a_late_lock(world: World, moment: str, orphans: Sequence[Orphan]) -> DeletionReport:
    """One after the other; at the named step, or at the stat of the second, the second and third are locked at B."""
    locked: list[str] = []
    one_by_one = SETTINGS.model_copy(update={"deletions_per_site": 1})

    def lock(*_: str) -> None:
        if not locked:
            locked.append(moment)
            world.commit(*(c.PutLock(Lock(each.path[1:], "somebody", lfn=each.path)) for each in orphans[1:3]))

    if moment == "stat":
        world.memory("B").faults = lambda operation, path: lock() if path == orphans[1].path else None
        (report,) = world.delete(settings=one_by_one)
    else:
        with steps.observed(lambda name: lock() if name == moment else None):
            (report,) = world.delete(settings=one_by_one)
    return report
