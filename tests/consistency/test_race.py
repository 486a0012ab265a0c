"""Checks, repairs and removals at two real XRootD servers, while files come, go, move and break all the time.

Method: workers run, people publish, copy, delete and cancel through Holdfast and change files behind its back
(``race_world``), and both sites are checked again and again through a slow line, with everything asked for that the
reports speak for. What was said and asked is judged by the people's notes: nothing that was in flight was touched. When
they have gone, everything comes right by itself.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from damaged_world import open_gates
from race_world import IGNORE_AGE_S, People, RaceWorld, publish_stable

from holdfast.consistency import findings
from holdfast.consistency.checking import check
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.classes import LACKING, WRONG, Class
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.findings import Finding
from holdfast.consistency.mending import removals, repair
from holdfast.consistency.mending.asker import MendingAsker, Repair
from holdfast.consistency.report import FINDINGS, Report
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.model import quarantine
from holdfast.model.clock import system_clock
from holdfast.model.errors import Conflict
from holdfast.model.records import Site
from holdfast.operations import requests
from holdfast.storage import doors
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.limits import ListingLimits
from support import real
from support.fast_folder import fast_folder

RACE_S = 300 if "HOLDFAST_SOAK" in os.environ else 15
ROUND_TRIP_S = 0.01
"""Of the line that a site is listed through: so a listing takes a second or two, in which much happens."""
ROUNDS_MAX = 6
SKEW_US = 1_000_000
"""Servers tell whole seconds."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.real("xrootd", "xrootd python client")]


@pytest.fixture
def world() -> Iterator[RaceWorld]:
    for part in ("xrootd", "xrootd python client"):
        real.require(part)
    from holdfast.testing.servers.xrootd_server import xrootd_server

    with ExitStack() as stack:
        folder = stack.enter_context(fast_folder())
        one = stack.enter_context(xrootd_server())
        two = stack.enter_context(xrootd_server(authority=one.authority))
        yield RaceWorld(folder, {"ONE": one, "TWO": two})


class Checker:
    """Who checks the sites, each through a slow line, and asks for all that the reports speak for."""

    def __init__(self, world: RaceWorld, store: SqlStore, ports: dict[str, int]) -> None:
        self._world, self._store, self.ports = world, store, ports
        self._n = 0

    def check(self, site: str, *, with_checksums: bool = False) -> tuple[Report, list[Finding]]:
        self._n += 1
        settings = CheckSettings(
            EngineLimits(threads=1),
            with_checksums=with_checksums,
            listing=ListingLimits(in_flight_max=1),
            ignore_age_s=IGNORE_AGE_S,
        )

        async def go() -> Report:
            far = self._world.servers[site].root_url.replace(
                str(self._world.servers[site].root_port), str(self.ports[site])
            )
            driver = doors.open_driver("xroot", f"{far}/t", site=site)
            try:
                return await check.check(
                    self._store,
                    [driver],
                    self._record(site),
                    reports=self._world.folder / "reports",
                    settings=settings,
                    clock=system_clock,
                    actor="test",
                    run=f"run{self._n:03}",
                )
            finally:
                await driver.close()

        report = asyncio.run(go())
        return report, list(findings.read_table(Path(report.folder) / FINDINGS))

    def _record(self, site: str) -> Site:
        with self._store.snapshot() as view:
            return view.site(site)

    def act(self, report: Report, found: list[Finding], *, is_quarantined: bool) -> Repair:
        asked, gates = Repair(), open_gates(report)
        lacking = [each for each in found if each.cls in LACKING]

        async def go(driver: StorageDriver) -> None:
            door = self._record(report.site).first_door
            asker = MendingAsker(self._store, driver, "test", system_clock, requests.random_id, door)
            with suppress(Conflict):
                await repair.repair(asker, report, lacking, asked, gates=gates)
            with suppress(Conflict):
                await removals.delete_orphans(
                    asker, report, found, asked, gates=gates, lacking=found, is_quarantined=is_quarantined
                )
            with suppress(Conflict):
                await removals.remove_empty(asker, report, found, asked, gates=gates)

        asyncio.run(self._world.with_driver(report.site, go))
        return asked


def test_nothing_in_flight_is_touched_and_everything_comes_right(world: RaceWorld) -> None:
    from holdfast.testing.servers.delay_proxy import delay_proxy

    publish_stable(world)
    people = People(world, seed=1)
    with ExitStack() as stack:
        proxies = {
            site: stack.enter_context(delay_proxy(server.root_port, round_trip_s=ROUND_TRIP_S))
            for site, server in world.servers.items()
        }
        store = stack.enter_context(closing(world.store()))
        stack.enter_context(world.working())
        checker = Checker(world, store, {site: proxy.port for site, proxy in proxies.items()})
        n_gone = n_removed = 0
        end_s = time.monotonic() + RACE_S
        people.start()
        try:
            for number in itertools.count():
                for site in world.servers:
                    report, found = checker.check(site, with_checksums=number % 2 == 0)
                    asked = checker.act(report, found, is_quarantined=number % 2 == 1)
                    n_gone, n_removed = n_gone + asked.copies, n_removed + asked.deletions
                if time.monotonic() > end_s:
                    break
        finally:
            people.stop()
        world.wait_until_idle(store)
        time.sleep(IGNORE_AGE_S + 2)
        checker.ports = {site: server.root_port for site, server in world.servers.items()}
        told = put_right(world, store, checker)
        wrong = wrong_words(world, store) + wrong_files(world, store)
        for site in world.servers:
            wrong += left_over(site, *checker.check(site, with_checksums=True))
    assert wrong == [], "\n".join([*wrong, str(people.done), *told])
    # It was a race indeed.
    assert min(n_gone, n_removed) > 0
    assert min(people.done[deed] for deed in ("publish", "copy", "delete", "hurt", "grow", "add_dark")) > 0
    with closing(world.store()) as store:
        assert verify(store) == []


def put_right(world: RaceWorld, store: SqlStore, checker: Checker) -> list[str]:
    """Check and ask until nothing is left over, at most ``ROUNDS_MAX`` times; what was found and left, by rounds.

    Two rounds are the least: what was moved stays until its file is back. Nobody changes anything any more, but a
    server may still end a copy that was cancelled; what such a copy leaves is young for a while.
    """
    told = []
    for number in range(ROUNDS_MAX):
        left = []
        for site in world.servers:
            report, found = checker.check(site, with_checksums=True)
            asked = checker.act(report, found, is_quarantined=False)
            left += left_over(site, report, found)
            told += [f"round {number}, {site}: {left}, left alone {asked.skipped}"]
        if not left:
            break
        world.wait_until_idle(store)
    return told


def wrong_words(world: RaceWorld, store: SqlStore) -> list[str]:
    """What repairs said and asked, and nobody had done anything that speaks for it."""
    wrong: list[str] = []
    notes = world.notes
    with store.snapshot() as view:
        lfns = {
            block.key: list(view.files(block.key).lfns()) for each in view.datasets() for block in view.blocks(each.key)
        }
    for entry in store.entries(limit=100_000):
        for change in entry.changes:
            if isinstance(change, c.FilesGone) and entry.cause.startswith("check "):
                gone = {lfns[change.block][ordinal] for ordinal in change.ordinals}
                wrong += [
                    f"{change.site}:{lfn} was called gone" for lfn in gone if (change.site, lfn) not in notes.hurt
                ]
            if isinstance(change, c.RequestDeletion) and change.request.dataset is None:
                site = change.request.site
                for orphan in change.request.orphans:
                    put_us = notes.dark.get((site, orphan.path))
                    if orphan.path.startswith("/busy/"):
                        continue  # Left by a copy that was cancelled. What should be there is looked at in the end.
                    if put_us is None:
                        wrong.append(f"{site}:{orphan.path} was asked to go, and nobody had left it there")
                    elif entry.at_us - put_us < IGNORE_AGE_S * 1_000_000 - SKEW_US:
                        wrong.append(f"{site}:{orphan.path} was asked to go when it was young")
    return wrong


def wrong_files(world: RaceWorld, store: SqlStore) -> list[str]:
    """Files that should be somewhere, and are not there or not right."""
    there = {site: world.files(site) for site in world.servers}
    wrong = []
    held: set[str] = set()
    with store.snapshot() as view:
        for replica in view.replicas():
            lfns = list(view.files(replica.block).lfns())
            for ordinal in replica.files(len(lfns)):
                lfn = lfns[ordinal]
                held.add(lfn)
                if there[replica.site].get(lfn) != world.notes.content[lfn]:
                    wrong.append(f"{replica.site}:{lfn} is not right")
    wrong += [f"{lfn}: nobody has it any more" for lfn in world.notes.content.keys() - held]
    for (site, path), data in world.notes.growing.items():
        if there[site].get(path) != data:
            wrong.append(f"{site}:{path} was being written, and is not what was written")
    return wrong


def left_over(site: str, report: Report, found: list[Finding]) -> list[str]:
    """What a last check finds, and should not after all that was done."""
    return [
        f"{site}:{each.path} is {each.cls} still: {each.reason}"
        for each in found
        if each.cls in (*WRONG, Class.AWAITED, Class.UNLISTED, Class.SUSPECT)
        or (each.cls is Class.ORPHAN and not each.reason.startswith("must stay"))
        if not quarantine.is_quarantined(each.path)
    ]
