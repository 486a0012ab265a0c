"""What was seen behind a site's door is told of that door only, though the site's record changes meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from checked_world import BLOCK, CONTENT, LIMITS, World

from holdfast.consistency.checking import check
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.classes import WRONG
from holdfast.consistency.mending import declaring
from holdfast.consistency.report import Report
from holdfast.model import changes as c
from holdfast.model.errors import Conflict
from holdfast.model.records import Door, Evidence, Site

ELSEWHERE = Site("away", (Door("memory", "/elsewhere"),))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def checked(world: World, site: Site) -> Report:
    """A check with checksums through the driver that was opened by this record."""
    settings = CheckSettings(LIMITS, with_checksums=True)
    reports = world.folder / "reports"
    run = {"reports": reports, "settings": settings, "clock": world.clock, "actor": "test", "run": "run"}
    return asyncio.run(check.check(world.store, [world.away], site, **run))  # type: ignore[arg-type]


def proved(world: World) -> list[bool]:
    with world.store.snapshot() as view:
        return [each.verified_us is not None for each in view.replicas(site="away")]


def test_a_site_whose_record_changed_while_its_doors_were_opened_is_not_checked(world: World) -> None:
    opened = world.record("away")
    world.commit(c.PutSite(ELSEWHERE))
    assert proved(world) == [False]
    with pytest.raises(Conflict, match="the record of away was changed"):
        checked(world, opened)
    assert proved(world) == [False]
    assert not (world.folder / "reports").exists()


def test_what_a_check_proves_is_not_told_of_another_door(world: World) -> None:
    """The door becomes another one while the site is listed."""
    opened = world.record("away")
    world.commit(c.PutSite(ELSEWHERE), c.PutSite(opened))  # Nothing is proved there any more.

    def move(operation: str, path: str) -> None:
        world.away.faults = None
        world.commit(c.PutSite(ELSEWHERE))

    world.away.faults = move
    with pytest.raises(Conflict, match="away has another first door now"):
        checked(world, opened)
    assert proved(world) == [False]


def test_nothing_is_declared_lost_that_was_looked_at_behind_another_door(world: World) -> None:
    lost = sorted(CONTENT)[0]
    world.remove(lost)
    world.commit(c.FilesGone(BLOCK, "home", (0,), Evidence.DECLARED))
    report = world.report()
    asker = world.asker()
    world.commit(c.PutSite(ELSEWHERE))
    missing = [each for each in world.findings(report) if each.cls in WRONG]
    with pytest.raises(Conflict, match="away has another first door now"):
        asyncio.run(declaring.declare(asker, report, missing, reason="gone"))
    world.commit(c.PutSite(Site("away", (asker.door,))))
    assert asyncio.run(declaring.declare(asker, report, missing, reason="gone")) == missing
