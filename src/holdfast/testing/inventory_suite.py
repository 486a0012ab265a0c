"""InventorySuite: the rules of the Inventory contract (``consistency.sources.inventory``), one test each.

Every inventory that a site can be checked against has a test class that inherits
from InventorySuite and gives it one hook; others say what its catalogue cannot tell.

    class TestMyInventory(InventorySuite):
        def make_inventory(self, files): ...

Nobody overrides a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from holdfast.consistency.comparing.compare import compare_files
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.sources.inventory import Inventory, known_beside
from holdfast.model.errors import HoldfastError
from holdfast.model.pfn import PfnRules
from holdfast.model.records import Door, Site

SITE = Site("T2_XX_Here", (Door("memory", "/here"),))


@dataclass(frozen=True, slots=True)
class Said:
    """What a catalogue says of a file; one that is not expected is known only."""

    size: int
    adler32: str = "0a1b2c3d"
    is_expected: bool = True


FILES: Mapping[str, Said] = {
    "/store/a/one.root": Said(10),
    "/store/a/two.root": Said(2**40, "00000001"),
    "/store/b/c/d/three": Said(0, "11e60398"),
    "/top": Said(1),
    "/store/a/with blank, \"quote\" and 'quote'": Said(2),
    "/store/ü/%41?x=y&z#1": Said(3),
}
KNOWN: Mapping[str, Said] = {"/store/a/coming": Said(5, is_expected=False)}


class InventorySuite:
    """All rules. See the module's docstring for what a subclass has to give."""

    tells_sizes = True
    tells_checksums = True
    tells_states = True
    """False: the catalogue knows no files but those that should be there."""
    may_be_empty = False
    """True: the inventory knows by itself whether a site should have nothing."""
    names_are_lfns = False
    """True: what it tells goes through the rules of the site."""

    def make_inventory(self, files: Mapping[str, Said]) -> Inventory:
        """An inventory whose catalogue says this of ``SITE`` (and anything of others), by path, or by LFN."""
        raise NotImplementedError

    def _expected(self, files: Mapping[str, Said]) -> dict[str, tuple[int | None, str | None]]:
        return {
            path: (said.size if self.tells_sizes else None, said.adler32 if self.tells_checksums else None)
            for path, said in files.items()
            if said.is_expected
        }

    def test_what_should_be_there_is_written(self, tmp_path: Path) -> None:
        written = self.make_inventory(FILES).write(SITE, tmp_path / "t.parquet")
        assert table(tmp_path / "t.parquet") == self._expected(FILES)
        sizes = sum(said.size for said in FILES.values()) if self.tells_sizes else 0
        assert (written.files, written.size, written.without_path) == (len(FILES), sizes, 0)

    def test_what_is_only_known_is_beside(self, tmp_path: Path) -> None:
        if not self.tells_states:
            pytest.skip("the catalogue has no states")
        written = self.make_inventory({**FILES, **KNOWN}).write(SITE, tmp_path / "t.parquet")
        assert set(table(tmp_path / "t.parquet")) == set(FILES)
        assert paths(known_beside(tmp_path / "t.parquet")) == sorted(KNOWN)
        assert (written.files, written.known) == (len(FILES), len(KNOWN))

    def test_its_table_is_a_listing_that_can_be_compared(self, tmp_path: Path) -> None:
        self.make_inventory(FILES).write(SITE, tmp_path / "t.parquet")
        rows = [f"{path}\t{said.size}\t{said.adler32}\n" for path, said in FILES.items()]
        (tmp_path / "list.tsv").write_text("".join(["path\tsize\tadler32\n", *rows]))
        limits = EngineLimits(threads=1)
        found = compare_files(tmp_path / "t.parquet", tmp_path / "list.tsv", tmp_path / "d.parquet", limits=limits)
        assert found.equal

    def test_asked_again_it_writes_again(self, tmp_path: Path) -> None:
        inventory = self.make_inventory(FILES)
        first = inventory.write(SITE, tmp_path / "t.parquet")
        assert inventory.write(SITE, tmp_path / "t.parquet") == first
        assert table(tmp_path / "t.parquet") == self._expected(FILES)

    def test_lfns_go_through_the_rules_of_the_site(self, tmp_path: Path) -> None:
        if not self.names_are_lfns:
            pytest.skip("the catalogue tells paths")
        site = Site(SITE.name, (Door("memory", "/here", PfnRules.prefix("/store", "/pnfs/here")),))
        written = self.make_inventory(FILES).write(site, tmp_path / "t.parquet")
        within = {path for path in FILES if path.startswith("/store/")}
        assert set(table(tmp_path / "t.parquet")) == {path.replace("/store", "/pnfs/here", 1) for path in within}
        assert (written.without_path, written.without_path_shown) == (1, ("/top",))
        lfns = pq.read_table(tmp_path / "t.parquet").column("lfn").to_pylist()
        assert set(lfns) == within

    def test_a_site_that_should_have_nothing_is_an_error_unless_that_is_known(self, tmp_path: Path) -> None:
        inventory = self.make_inventory({})
        if self.may_be_empty:
            assert inventory.write(SITE, tmp_path / "t.parquet").files == 0
            assert table(tmp_path / "t.parquet") == {}
        else:
            with pytest.raises(HoldfastError):
                inventory.write(SITE, tmp_path / "t.parquet")

    def test_its_label_is_a_line_that_stays(self) -> None:
        inventory = self.make_inventory(FILES)
        assert inventory.label.isprintable()
        assert inventory.label == inventory.label != ""


def table(target: Path) -> dict[str, tuple[int | None, str | None]]:
    """Size and adler32 by path, of what was written; no path is there twice."""
    rows = pq.read_table(target).to_pylist()
    found = {_path(row): (row["size"], row["adler32"]) for row in rows}
    assert len(found) == len(rows)
    return found


def paths(target: Path) -> list[str]:
    """The paths in a table, sorted."""
    return sorted(_path(row) for row in pq.read_table(target).to_pylist())


def _path(row: Mapping[str, str]) -> str:
    return f"{row['dir'].rstrip('/')}/{row['name']}"
