"""What is being deleted is not missed by a check, and not brought back by a repair."""

from __future__ import annotations

from pathlib import Path

from checked_world import CONTENT, DATASET, World

from holdfast.consistency.checking.doomed import REASON
from holdfast.consistency.classes import Class
from holdfast.model import changes as c
from holdfast.model.records import BlockFiles, DeletionRequest

PATHS = sorted(CONTENT)


def condemn(world: World, *ordinals: int) -> None:
    request = DeletionRequest("going", "away", dataset=DATASET, scope=(BlockFiles("0000", ordinals),))
    world.commit(c.RequestDeletion(request))


def test_bytes_that_are_gone_before_the_inventory_is_told_are_not_missing(tmp_path: Path) -> None:
    world = World(tmp_path)
    condemn(world, 0, 1)
    for path in PATHS[:3]:
        world.remove(path)
    report, by_class = world.check()
    assert by_class == {Class.MISSING: [PATHS[2]], Class.IGNORED: PATHS[:2]}
    assert {each.reason for each in world.findings(report) if each.cls is Class.IGNORED} == {REASON}


def test_nothing_is_brought_back_that_was_condemned_after_the_check(tmp_path: Path) -> None:
    world = World(tmp_path)
    for path in PATHS[:2]:
        world.remove(path)
    report = world.report()
    assert report.counts[Class.MISSING] == 2
    condemn(world, 0)
    result = world.repair(report)
    assert result.copies == 1
    assert [(each.path, each.reason) for each in result.skipped] == [(PATHS[0], REASON)]
