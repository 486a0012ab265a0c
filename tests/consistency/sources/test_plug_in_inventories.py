"""Inventories of other makers, and by which name which inventory is opened.

Method: a distribution as pip would install it, on the search path.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from consistency.sources.catalogues import BERN, LIMITS, WITH_RULES, expected_in, known_in
from consistency.sources.foreign_world import ForeignWorld
from holdfast.config import CatalogueSettings
from holdfast.consistency.classes import Class
from holdfast.consistency.sources import plug_ins
from holdfast.consistency.sources.dump_inventory import DumpInventory
from holdfast.consistency.sources.inventory import Inventory
from holdfast.consistency.sources.opening import Wanted, open_inventories
from holdfast.consistency.sources.snapshot_inventory import SnapshotInventory
from holdfast.consistency.sources.sql_inventory import SqlInventory
from holdfast.model.errors import BadInput, OperatorError
from holdfast.testing.memory_store import MemoryStore

PLUG_IN = """
import pyarrow as pa
from holdfast.consistency.sources import catalogue_table
from holdfast.model.errors import BadInput

class Catalogue:
    def __init__(self, options):
        self.options = options
        self.label = f"of {options['where']}"

    def write(self, site, target):
        if self.options["where"] == "nowhere":
            raise KeyError(site.name)
        if self.options["where"] == "refused":
            raise BadInput("no such catalogue", place="there")
        names = [f"/store/{number}" for number in range(3)]
        rows = {"lfn": names, "size": [1, 2, 3], "state": ["A", "A", "C"]}
        batches = [pa.record_batch(rows), pa.record_batch({name: column[:0] for name, column in rows.items()})]
        return catalogue_table.write_batches(batches, site, target, place=self.label)

def open_nothing(options):
    return object()
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site-packages"
    info = folder / "holdfast_test_catalogue-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "holdfast_test_catalogue.py").write_text(PLUG_IN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: holdfast_test_catalogue\nVersion: 1.0\n")
    points = {"ours": "Catalogue", "broken": "not_there", "nothing": "open_nothing", "sql": "Catalogue"}
    lines = [f"{name} = holdfast_test_catalogue:{target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{plug_ins.GROUP}]", *lines, ""]))
    monkeypatch.syspath_prepend(folder)


def opened(name: str, *, where: str = "here", **settings: object) -> tuple[Inventory, Inventory | None]:
    said = CatalogueSettings(**{"options": [f"where={where}"], **settings})  # type: ignore[arg-type]
    return open_inventories(Wanted(name), said, MemoryStore(epoch="e1"), LIMITS)


def test_a_plug_in_says_what_should_be_there(tmp_path: Path) -> None:
    before, after = opened("ours")
    assert before is after
    assert before.label == "ours of here"
    written = before.write(WITH_RULES, tmp_path / "t.parquet")
    assert expected_in(tmp_path / "t.parquet") == {
        "/pnfs/bern/0": (1, None, "/store/0"),
        "/pnfs/bern/1": (2, None, "/store/1"),
    }
    assert known_in(tmp_path / "t.parquet") == ["/pnfs/bern/2"]
    assert (written.files, written.known) == (2, 1)


def test_a_site_is_checked_against_a_plug_in(tmp_path: Path) -> None:
    world = ForeignWorld(tmp_path, site=WITH_RULES)
    for path in list(world.catalogue.sizes):
        world.remove(path)
    for path, content in {"/pnfs/bern/0": b"1", "/pnfs/bern/2": b"333", "/pnfs/bern/stray": b"4"}.items():
        world.driver.put(path, content)
    report = world.report(before=opened("ours")[0])
    assert report.inventory == "ours of here"
    assert world.by_class(report) == {
        Class.MISSING: ["/pnfs/bern/1"],
        Class.ORPHAN: ["/pnfs/bern/stray"],
        Class.IGNORED: ["/pnfs/bern/2"],
    }


def test_what_a_plug_in_raises_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"holdfast_test_catalogue:Catalogue .*'ours' failed: KeyError\('BERN'\)"):
        opened("ours", where="nowhere")[0].write(BERN, tmp_path / "t.parquet")
    with pytest.raises(BadInput, match="no such catalogue"):
        opened("ours", where="refused")[0].write(BERN, tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "problem"), [("broken", "failed: AttributeError"), ("nothing", "made no Inventory but <class 'object'>")]
)
def test_a_plug_in_that_is_none_is_named(name: str, problem: str) -> None:
    with pytest.raises(OperatorError, match=problem):
        opened(name)


def test_a_name_that_nobody_has_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="there is no inventory 'gopher'") as caught:
        opened("gopher")
    assert "broken, dump, nothing, ours, snapshot, sql" in caught.value.hint


def test_a_built_in_inventory_is_not_replaced() -> None:
    inventory, _ = opened("sql", url="sqlite:///x.db", query="SELECT 1 AS path WHERE :site = ''")
    assert isinstance(inventory, SqlInventory)
    assert isinstance(opened("snapshot")[0], SnapshotInventory)


def test_sql_needs_an_address_and_a_query() -> None:
    with pytest.raises(BadInput, match="url and query are not set") as caught:
        opened("sql")
    assert caught.value.place == "[catalogue]"


def test_dumps_are_named_in_the_command(tmp_path: Path) -> None:
    store, settings = MemoryStore(epoch="e1"), CatalogueSettings()
    before, after = open_inventories(Wanted("dump", "/b", "/a?layout=rucio"), settings, store, LIMITS)
    assert isinstance(after, DumpInventory)
    assert (before.label, after.label) == ("dump /b", "dump /a?layout=rucio")
    assert open_inventories(Wanted("dump", "/b"), settings, store, LIMITS)[1] is None
    with pytest.raises(BadInput, match="made before the listing is needed"):
        open_inventories(Wanted("dump", after="/a"), settings, store, LIMITS)
    with pytest.raises(BadInput, match="are about dumps, not sql"):
        open_inventories(Wanted("sql", "/b"), settings, store, LIMITS)
