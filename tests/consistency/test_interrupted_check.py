"""A check that is interrupted goes on; one that is told too little asks again."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from checked_world import DAY_US, World

from holdfast.consistency.classes import Class
from holdfast.model import changes as c
from holdfast.model import steps
from holdfast.model.errors import BadInput, OperatorError, PeerError
from holdfast.model.names import DatasetKey
from holdfast.storage.driver import DirectoryListing
from holdfast.storage.listing.limits import ListingLimits
from holdfast.testing.memory_driver import FULL, MemoryDriver
from support.logged import logged


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class KilledError(BaseException):
    """What nobody expects."""


def interrupt(world: World, after: int) -> None:
    """A check that ends when so many directories have been listed."""
    seen: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation in ("list", "pages"):
            seen.append(path)
            if len(seen) > after:
                raise KilledError

    world.away.faults = faults
    with pytest.raises(KilledError):
        world.report(listing=ListingLimits(in_flight_max=1))
    world.away.faults = None


def runs(world: World, pattern: str = "*[!.]*") -> list[str]:
    """What is in the site's folder of reports."""
    return sorted(path.name for path in (world.folder / "reports/away").glob(pattern) if path.name != ".lock")


def listed(world: World) -> list[str]:
    """What is listed from now on."""
    seen: list[str] = []

    def faults(operation: str, path: str) -> None:
        if operation in ("list", "pages"):
            seen.append(path)

    world.away.faults = faults
    return seen


def test_an_interrupted_check_is_gone_on_with(world: World) -> None:
    interrupt(world, after=3)
    (left,) = runs(world)
    seen = listed(world)
    report = world.report()
    assert seen == ["/data/b"]
    assert report.agrees
    assert (report.run, report.resumed, report.actual) == (left.removesuffix(".part"), 1, 6)
    assert runs(world) == [report.run]


def test_what_was_expected_is_what_was_so_at_the_beginning(world: World) -> None:
    interrupt(world, after=2)
    content = {"/data/later/x": b"later"}
    later = DatasetKey("later", "v1")
    world.publish(later, content)
    world.arrive(later, (0,))
    report, found = world.check()
    # Registered while the check went on: neither missing nor an orphan.
    assert (report.expected, report.resumed) == (6, 1)
    assert Class.MISSING not in found


@pytest.mark.parametrize("reason", ["asked for", "too old", "another site"])
def test_an_interrupted_check_is_begun_anew(world: World, reason: str) -> None:
    interrupt(world, after=2)
    (left,) = runs(world)
    if reason == "too old":
        world.now_us += 8 * DAY_US
    if reason == "another site":
        with world.store.snapshot() as view:
            away = view.site("away")
        world.commit(c.PutSite(replace(away, doors=(replace(away.first_door, root="/elsewhere"),))))
    seen = listed(world)
    report = world.report(afresh=reason == "asked for")
    assert sorted(seen) == ["/", "/data", "/data/a", "/data/b"]
    assert report.resumed == 0
    assert report.run != left.removesuffix(".part")
    assert runs(world) == [report.run]


def test_a_check_that_ended_before_it_listed_is_gone_on_with(world: World) -> None:
    with steps.observed(fail_at("check.snapshot-taken")), pytest.raises(KilledError):
        world.report()
    (left,) = runs(world)
    assert f"{world.report().run}.part" == left


def test_a_check_killed_after_its_listing_does_not_list_again(world: World) -> None:
    folder = world.folder / "reports/away"
    with steps.observed(keep_at("check.listed", folder)), pytest.raises(KilledError):
        world.report()
    (folder / "kept").rename(folder / "run9.part")
    seen = listed(world)
    assert world.report().run == "run9"
    assert seen == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OperatorError("disk full"), PeerError("away")])
def test_a_check_that_is_stopped_after_its_listing_keeps_it(world: World, error: BaseException) -> None:
    with steps.observed(fail_at("check.compared", error)), pytest.raises(type(error)):
        world.report()
    (left,) = runs(world)
    seen = listed(world)
    assert f"{world.report().run}.part" == left
    assert seen == []


def test_an_error_that_would_come_again_after_the_listing_removes_it(world: World) -> None:
    with steps.observed(fail_at("check.compared", BadInput("not in order"))), pytest.raises(BadInput):
        world.report()
    assert runs(world) == []


def test_a_check_killed_before_it_could_tidy_is_whole_and_tidied_by_the_next(world: World) -> None:
    world.away.put("/dark", b"1")
    with steps.observed(fail_at("check.renamed")), pytest.raises(KilledError):
        world.report()
    (done,) = runs(world)
    folder = world.folder / "reports/away" / done
    assert json.loads((folder / "report.json").read_text())["orphan"] == 1
    assert (folder / "run.json").exists()
    assert world.report().run != done
    kept = ["findings.parquet", "listing", "report.json", "sightings.parquet", "tree.parquet"]
    assert sorted(path.name for path in folder.iterdir()) == kept
    assert not (folder / "listing/entries").exists()


def test_what_was_proved_is_told_before_anything_is_removed(world: World) -> None:
    def observe(name: str) -> None:
        if name == "check.renamed":
            with world.store.snapshot() as view:
                (replica,) = view.replicas(site="away")
            told.append(replica.verified_us)

    told: list[int | None] = []
    with steps.observed(observe):
        world.report(with_checksums=True)
    assert told == [world.now_us]


@pytest.mark.parametrize("what", ["expected", "ledger", "version", "listing"])
def test_a_run_that_cannot_be_opened_any_more_is_begun_anew(world: World, what: str) -> None:
    if what == "listing":
        with steps.observed(fail_at("check.listed")), pytest.raises(KilledError):
            world.report()
    else:
        interrupt(world, after=2)
    (left,) = runs(world)
    damage(world.folder / "reports/away" / left, what)
    with logged() as events:
        assert world.report().agrees
    assert left.removesuffix(".part") not in runs(world)
    assert any("cannot be gone on with" in event["event"] for event in events)


def damage(folder: Path, what: str) -> None:
    """Make one thing of an interrupted run unreadable."""
    if what == "expected":
        (folder / "expected.parquet").write_bytes(b"")
    elif what == "ledger":
        (folder / "listing/ledger.db").write_bytes(b"\xff" * 20_000)
    elif what == "version":
        with closing(sqlite3.connect(folder / "listing/ledger.db")) as connection:
            connection.execute("PRAGMA user_version = 99")
    else:
        next((folder / "listing/entries").iterdir()).unlink()


def test_a_last_report_that_cannot_be_read_is_ignored(world: World) -> None:
    first = Path(world.report().folder)
    part = first / "listing/directories/000000.parquet"
    part.write_bytes(part.read_bytes()[:-9])
    with logged() as events:
        assert world.report().agrees
    assert any("is ignored" in event["event"] for event in events)


def fail_at(step: str, error: BaseException | type[BaseException] = KilledError) -> Callable[[str], None]:
    def observe(name: str) -> None:
        if name == step:
            raise error

    return observe


def keep_at(step: str, folder: Path) -> Callable[[str], None]:
    """Keep what a killed process would leave."""

    def observe(name: str) -> None:
        if name == step:
            (left,) = folder.glob("*.part")
            shutil.copytree(left, folder / "kept")
            raise KilledError

    return observe


def test_a_directory_that_shows_less_than_expected_is_asked_again(world: World) -> None:
    """The first answer for a directory is empty, as doors under load give it."""
    pages, lied = world.away.pages, []

    async def lie_once(path: str) -> AsyncIterator[DirectoryListing]:
        if path in ("/data/a", "/data") and path not in lied:
            lied.append(path)
            yield DirectoryListing(())
            return
        async for page in pages(path):
            yield page

    world.away.pages = lie_once  # type: ignore[method-assign]
    report, found = world.check()
    assert sorted(lied) == ["/data", "/data/a"]
    assert found == {}
    assert report.agrees


def test_a_door_that_shows_what_once_was_is_not_checked_by(world: World) -> None:
    world.away = MemoryDriver(world.old, capabilities=replace(FULL, live=False))
    with pytest.raises(BadInput, match="made earlier"):
        world.report()
