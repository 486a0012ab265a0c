"""What was done: each request of a report notes the paths that it is about, in one transaction with itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from checked_world import BLOCK, CONTENT, DAY_US, World
from sqlalchemy import select

from holdfast.consistency.classes import Class
from holdfast.consistency.history import tables
from holdfast.consistency.history.deeds import DeedKind
from holdfast.consistency.mending import declaring
from holdfast.consistency.mending.asker import MendingAsker
from holdfast.inventory.dry_run import Also
from holdfast.model import changes as c
from holdfast.model.records import Evidence

FIRST, SECOND, THIRD = sorted(CONTENT)[:3]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def done(world: World) -> set[tuple[str, str, str, str, int]]:
    """All that was done: at which site, in which class, about which path, what, when."""
    with world.store.room(tables.metadata).read() as connection:
        rows = connection.execute(select(tables.deed)).mappings().all()
    assert len(rows) == len({(row["class"], row["path"], row["request"]) for row in rows})
    return {(row["site"], row["class"], row["path"], row["kind"], row["at_us"]) for row in rows}


def requests_of(world: World) -> dict[str, str]:
    """By path the request that something was done with."""
    with world.store.room(tables.metadata).read() as connection:
        return {row.path: row.request for row in connection.execute(select(tables.deed))}


def test_copies_are_told_of_each_path(world: World) -> None:
    world.remove(FIRST)
    world.away.truncate(SECOND, 3)
    world.away.flip_byte(THIRD)
    report = world.report(with_checksums=True)
    world.repair(report, dry_run=True)
    assert done(world) == set()
    (request,) = world.repair(report).copy_requests
    assert done(world) == {
        ("away", cls, path, DeedKind.COPY, world.now_us)
        for cls, path in ((Class.MISSING, FIRST), (Class.SIZE_MISMATCH, SECOND), (Class.CHECKSUM_MISMATCH, THIRD))
    }
    assert set(requests_of(world).values()) == {request}


@pytest.mark.parametrize("is_quarantined", [True, False])
def test_removals_are_told_of_each_path(world: World, is_quarantined: bool) -> None:
    for name in "de":
        world.away.put(f"/data/{name}", b"dark")
    report = world.report()
    world.delete_orphans(report, limit=9, is_quarantined=is_quarantined, dry_run=True)
    assert done(world) == set()
    (request,) = world.delete_orphans(report, limit=9, is_quarantined=is_quarantined).deletion_requests
    kind = DeedKind.QUARANTINE if is_quarantined else DeedKind.DELETION
    assert done(world) == {("away", Class.ORPHAN, f"/data/{name}", kind, world.now_us) for name in "de"}
    assert requests_of(world) == {"/data/d": request, "/data/e": request}


def test_what_was_asked_for_already_is_not_done_twice(world: World) -> None:
    world.away.put("/data/dark", b"dark")
    report = world.report()
    world.delete_orphans(report, limit=9)
    world.delete_orphans(report, limit=9)
    assert len(done(world)) == 1


def test_what_is_skipped_was_not_done(world: World) -> None:
    world.remove(FIRST)
    report = world.report()
    world.away.put(FIRST, CONTENT[FIRST])
    world.repair(report)
    assert done(world) == set()


def test_directories_are_told_of(world: World) -> None:
    world.away.put("/data/old/file", b"dark")
    world.remove("/data/old/file")
    report = world.report()
    (request,) = world.remove_empty(report).directory_requests
    assert done(world) == {("away", Class.EMPTY_DIRECTORY, "/data/old", DeedKind.DIRECTORY_REMOVAL, world.now_us)}
    assert requests_of(world) == {"/data/old": request}


def test_what_is_declared_lost_is_told_of(world: World) -> None:
    world.commit(c.FilesGone(BLOCK, "home", (0,), Evidence.DECLARED))
    world.remove(FIRST)
    report = world.report()
    asyncio.run(declaring.declare(world.asker(), report, world.findings(report), reason="fire"))
    assert done(world) == {("away", Class.MISSING, FIRST, DeedKind.LOST, world.now_us)}
    assert requests_of(world) == {FIRST: f"{declaring.DECLARED}: {BLOCK.dataset}"}


def test_a_request_that_is_refused_leaves_no_trace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.remove(FIRST)
    report = world.report()
    recorder = MendingAsker.recorder

    def breaks(*arguments: object) -> Also:
        record = recorder(*arguments)  # type: ignore[arg-type]

        def also(connection: object) -> None:
            record(connection)  # type: ignore[arg-type]
            raise KeyError

        return also

    monkeypatch.setattr(MendingAsker, "recorder", breaks)
    with pytest.raises(KeyError):
        world.repair(report)
    assert done(world) == set()
    with world.store.snapshot() as view:
        assert view.copy_requests() == []


def test_a_check_forgets_what_was_done_long_ago(world: World) -> None:
    world.remove(FIRST)
    world.repair(world.report())
    world.work()
    world.now_us += 2 * DAY_US
    world.report(history_days=3)
    assert len(done(world)) == 1
    world.report(history_days=1, dry_run=True)
    assert len(done(world)) == 1
    world.report(history_days=1)
    assert done(world) == set()
