"""Our own inventory as one among others: what is expected, and what is known beside."""

from __future__ import annotations

import asyncio
from pathlib import Path

from consistency.checked_world import CONTENT, World
from consistency.sources.catalogues import LIMITS, known_in
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.classes import Class
from holdfast.consistency.findings import read_table
from holdfast.consistency.report import FINDINGS
from holdfast.consistency.sources.foreign_check import run_foreign_check
from holdfast.consistency.sources.foreign_report import ForeignReport
from holdfast.consistency.sources.snapshot_inventory import SnapshotInventory
from holdfast.model import changes as c
from holdfast.model.names import DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Site


def site_of(world: World) -> Site:
    with world.store.snapshot() as view:
        return view.site("away")


def check(world: World) -> ForeignReport:
    inventory = SnapshotInventory(world.store)
    done = run_foreign_check(
        inventory,
        inventory,
        site_of(world),
        [world.away],
        reports=world.folder / "reports",
        settings=CheckSettings(LIMITS),
        clock=world.clock,
        run="run",
    )
    return asyncio.run(done)


def test_what_replicas_hold_is_expected_and_what_they_lack_is_known(tmp_path: Path) -> None:
    world = World(tmp_path)
    later = DatasetKey("later", "v1")
    world.publish(later, {"/data/later/x": b"later", "/data/later/y": b"later still"})
    world.commit(c.RequestCopy(CopyRequest("open", later, "away", (BlockFiles("0000"),))))
    inventory = SnapshotInventory(world.store)
    written = inventory.write(site_of(world), tmp_path / "t.parquet")
    assert (written.files, written.size) == (len(CONTENT), sum(map(len, CONTENT.values())))
    assert known_in(tmp_path / "t.parquet") == ["/data/later/x", "/data/later/y"]
    assert written.known == 2
    assert inventory.label == "snapshot e1"


def test_a_site_is_compared_with_it_as_with_another_catalogue(tmp_path: Path) -> None:
    world = World(tmp_path)
    later = DatasetKey("later", "v1")
    world.publish(later, {"/data/later/x": b"later"})
    world.commit(c.RequestCopy(CopyRequest("open", later, "away", (BlockFiles("0000"),))))
    world.away.put("/data/later/x", b"later")
    world.away.put("/data/stray", b"1")
    world.remove("/data/a/x")
    found = {each.path: each.cls for each in read_table(Path(check(world).folder) / FINDINGS)}
    assert found == {"/data/a/x": Class.MISSING, "/data/stray": Class.ORPHAN, "/data/later/x": Class.IGNORED}
