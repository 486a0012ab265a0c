"""Losses: what no disk can give back, and that only what is gone, seen and said so is declared lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from checked_world import BLOCK, CONTENT, World

from holdfast.consistency.findings import Finding
from holdfast.consistency.history.runs import History
from holdfast.consistency.mending import declaring, losses
from holdfast.consistency.mending.declaring import DECLARED
from holdfast.consistency.mending.losses import Hope, Loss
from holdfast.consistency.report import Report
from holdfast.model import changes as c
from holdfast.model.errors import Conflict
from holdfast.model.records import Evidence, SiteStatus, StorageType

PATHS = sorted(CONTENT)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def found(world: World, report: Report) -> list[Loss]:
    with world.store.snapshot() as view:
        return list(losses.losses(view, "away", world.findings(report)))


def declare(world: World, report: Report, *, dry_run: bool = False) -> list[Finding]:
    files = [each.finding for each in found(world, report)]
    return asyncio.run(declaring.declare(world.asker(dry_run=dry_run), report, files, reason="fire"))


def gone_at_home(world: World, *ordinals: int) -> None:
    world.commit(c.FilesGone(BLOCK, "home", ordinals, Evidence.DECLARED))


def held_away(world: World) -> set[int]:
    with world.store.snapshot() as view:
        (replica,) = view.replicas(block=BLOCK, site="away")
    return {ordinal for ordinal in range(len(PATHS)) if replica.holds(ordinal)}


def test_what_a_ready_disk_has_is_no_loss(world: World) -> None:
    world.remove(PATHS[0])
    assert found(world, world.report()) == []


@pytest.mark.parametrize(
    ("status", "storage_type", "hope"),
    [
        (SiteStatus.READY, StorageType.TAPE, Hope.TAPE),
        (SiteStatus.MORGUE, StorageType.DISK, Hope.NOT_READY),
        (SiteStatus.WAITROOM, StorageType.TAPE, Hope.NOT_READY),
    ],
)
def test_where_a_file_may_still_be(world: World, status: SiteStatus, storage_type: StorageType, hope: Hope) -> None:
    with world.store.snapshot() as view:
        home = view.site("home")
    world.remove(PATHS[0])
    world.commit(c.PutSite(home.__class__(home.name, home.doors, storage_type, status)))
    report = world.report()
    (loss,) = found(world, report)
    assert (loss.finding.path, loss.hope, loss.sites) == (PATHS[0], hope, ("home",))
    assert declare(world, report) == []
    assert held_away(world) == set(range(len(PATHS)))


def test_what_is_gone_is_declared_in_the_journal_and_the_history(world: World) -> None:
    gone_at_home(world, 0, 1)
    world.remove(PATHS[0])
    world.away.put(PATHS[1], b"of another size")
    report = world.report()
    assert {each.hope for each in found(world, report)} == {Hope.NONE}
    assert [each.path for each in declare(world, report, dry_run=True)] == PATHS[:2]
    assert held_away(world) == set(range(len(PATHS)))
    assert [each.path for each in declare(world, report)] == PATHS[:2]
    assert held_away(world) == set(range(2, len(PATHS)))
    assert world.away.get(PATHS[1]) == b"of another size"
    last = list(world.store.entries())[-1]
    (change,) = last.changes
    assert isinstance(change, c.FilesGone)
    assert (change.evidence, change.ordinals, change.reason) == (Evidence.DECLARED, (0, 1), "fire")
    actions = History(world.store).actions(run=report.run)
    assert {each.request for each in actions} == {f"{DECLARED}: {BLOCK.dataset}"}
    assert sum(each.n_files for each in actions) == 2
    assert declare(world, report) == []


def test_what_is_there_again_is_not_declared(world: World) -> None:
    gone_at_home(world, 0)
    world.remove(PATHS[0])
    report = world.report()
    world.away.put(PATHS[0], CONTENT[PATHS[0]])
    assert declare(world, report) == []
    assert 0 in held_away(world)


def test_nothing_is_declared_while_the_storage_shows_nothing(world: World) -> None:
    gone_at_home(world, 0)
    world.remove(PATHS[0])
    report = world.report()
    for path in PATHS[1:]:
        world.remove(path)
    for directory in ("/data/a", "/data/b", "/data"):
        asyncio.run(world.away.remove_directory(directory))
    with pytest.raises(Conflict, match="no file at all"):
        declare(world, report)
    assert 0 in held_away(world)
