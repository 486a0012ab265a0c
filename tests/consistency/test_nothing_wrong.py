"""Nothing is done wrongly, and everything that is true is found: random sites, damage, lies, and files in flight.

Method: a scenario comes true in memory (``damaged_world``). All sites are checked while things happen, all is asked
for that the reports speak for, and workers carry it out; again and again until nothing more is asked for, then with all
directories healed. What was found and what was done is judged by what lies at the sites (``rightness``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from damaged_world import DAY_US, DamagedWorld, TwoClocks
from hypothesis import HealthCheck, given, settings
from known_scenarios import LIVED_THROUGH
from random_scenario import Scenario, scenarios
from rightness import Moment, Truth, wrong_changes, wrong_words

from holdfast.inventory.invariants import SNAPSHOT_CHECKS
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import Store
from holdfast.inventory.verify import verify
from holdfast.testing.memory_store import MemoryStore
from support.fast_folder import fast_folder
from support.soak import examples

ROUNDS_MAX = 5
WRITING = {"write", "rename", "delete", "make_directory", "remove_directory", "set_mode"}
MakeStore = Callable[[Path, TwoClocks], Store]


def in_memory(_: Path, clock: TwoClocks) -> Store:
    return MemoryStore(clock=clock, epoch="e1")


def in_sqlite(folder: Path, clock: TwoClocks) -> Store:
    return SqlStore.create(folder / "inventory.db", clock=clock)


def live(scenario: Scenario, make_store: MakeStore = in_memory) -> None:
    """Live through a scenario; all that is wrong in it at once."""
    with fast_folder() as folder:
        clock = TwoClocks()
        store = make_store(folder, clock)
        try:
            world = DamagedWorld(scenario, store, folder, clock)
            wrong = _round(world, happens=True)[0]
            wrong += _until_quiet(world)
            world.heal()
            wrong += _until_quiet(world)
            wrong += _not_put_right(world) + _unsound(store)
        finally:
            if isinstance(store, SqlStore):
                store.close()
    assert wrong == [], "\n".join(wrong)


def _until_quiet(world: DamagedWorld) -> list[str]:
    """Until a round changes nothing, and asks for no copy.

    What a worker has looked at and left may be asked for again: it sees more than who asks.
    """
    wrong: list[str] = []
    for _ in range(ROUNDS_MAX):
        before = _state(world)
        told, n_asked = _round(world)
        wrong += told
        if not n_asked and _state(world) == before:
            return wrong
    return [*wrong, f"after {ROUNDS_MAX} rounds something is done still"]


def _state(world: DamagedWorld) -> tuple[object, ...]:
    now = Moment.of(world)
    files = {site: {path: node.data for path, node in tree.items()} for site, tree in now.trees.items()}
    directories = {site: sorted(found) for site, found in now.directories.items()}
    return files, directories, {site: sorted(held) for site, held in now.held.items()}


def _round(world: DamagedWorld, *, happens: bool = False) -> tuple[list[str], int]:
    """Check all sites, ask, and work; what was wrong, and how many copies were asked for."""
    wrong: list[str] = []
    n_copies = 0
    at_once = [(site,) for site in world.names] if world.scenario.acts_at_once else [world.names]
    for sites in at_once:
        reports = []
        for site in sites:
            before = Moment.of(world)
            with _watched(world, site, wrong, happens=happens):
                reports.append(world.check(site))
            wrong += Truth(world, site, before, world.findings(reports[-1])).wrong_findings()
        before = Moment.of(world)
        for report in reports:
            with _watched(world, report.site, wrong):
                n_copies += world.act(report).copies
        wrong += wrong_words(world, before)
        world.work()
        wrong += wrong_changes(world, before, Moment.of(world))
        world.deeds.touched.clear()
        world.deeds.moved.clear()
        world.time.now_us += 1_000_000
    world.time.now_us += 2 * DAY_US
    return wrong, n_copies


@contextmanager
def _watched(world: DamagedWorld, site: str, wrong: list[str], *, happens: bool = False) -> Iterator[None]:
    """Nothing is changed at the site meanwhile but by the events; those that were not reached come at the end."""
    events = [each for each in world.scenario.events if happens and world.site(each.site) == site]
    n_listed = 0

    def faults(operation: str, path: str) -> None:
        nonlocal n_listed
        if operation in WRITING:
            wrong.append(f"{site}:{path}: {operation} by a check, or by asking")
        if operation == "list":
            for event in [each for each in events if each.at == n_listed]:
                events.remove(event)
                world.deeds.do(event)
            n_listed += 1

    world.drivers[site].faults = faults
    try:
        yield
    finally:
        world.drivers[site].faults = None
    for event in events:
        world.deeds.do(event)


def _not_put_right(world: DamagedWorld) -> list[str]:
    """What a site should have, could have had from another one, and has not got."""
    end, wrong = Moment.of(world), []
    for site in world.names:
        for path, file in end.held[site].items():
            node = end.trees[site].get(path)
            is_good = node is not None and node.data == file.data
            is_seen = node is None or len(node.data) != len(file.data) or world.scenario.with_checksums
            others = [
                other for other in world.names if other != site and world.path(other, file.lfn) in end.held[other]
            ]
            good = [other for other in others if _has(end, other, world.path(other, file.lfn), file.data)]
            if not is_good and is_seen and good and (site, file.lfn) not in world.deeds.deletions:
                wrong.append(f"{site}:{path} is not right, and {', '.join(good)} could give it")
    return wrong


def _has(moment: Moment, site: str, path: str, data: bytes) -> bool:
    node = moment.trees[site].get(path)
    return node is not None and node.data == data


def _unsound(store: Store) -> list[str]:
    if isinstance(store, SqlStore):
        return [str(each) for each in verify(store)]
    with store.snapshot() as view:
        return [str(finding) for check in SNAPSHOT_CHECKS for finding in check(view)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", LIVED_THROUGH)
def test_nothing_is_done_wrongly_when(name: str) -> None:
    live(LIVED_THROUGH[name])


@pytest.mark.timeout(600)
@settings(max_examples=examples(45), suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios)
def test_nothing_is_done_wrongly_and_everything_is_found(scenario: Scenario) -> None:
    live(scenario)


@pytest.mark.timeout(600)
@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios)
def test_nothing_is_done_wrongly_with_a_real_inventory(scenario: Scenario) -> None:
    live(scenario, in_sqlite)
