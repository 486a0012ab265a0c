"""Every inventory keeps the contract: the suite, on dumps of each kind, SQL, batches of a plug-in, and our own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zlib import adler32

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from consistency.sources.catalogues import dump, put
from consistency.sources.test_sql_inventory import of_postgres, of_sqlite
from holdfast.consistency.sources import catalogue_table
from holdfast.consistency.sources.inventory import Inventory, Written
from holdfast.consistency.sources.snapshot_inventory import SnapshotInventory
from holdfast.consistency.sources.sql_inventory import SqlInventory
from holdfast.model import changes as c
from holdfast.model import names
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, Door, FileColumns, RequestState, Site, Staging
from holdfast.testing.inventory_suite import SITE, InventorySuite, Said
from holdfast.testing.memory_store import MemoryStore
from holdfast.testing.postgres_server import PostgresServer

QUERY = "SELECT pfn AS lfn, bytes AS size, sum AS adler32, state FROM replicas WHERE rse = :site"


class OfFiles:
    """Inventories that are made of files in a folder of the test."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path


def state(said: Said) -> str:
    return "A" if said.is_expected else "C"


class TestRucioDump(OfFiles, InventorySuite):
    def make_inventory(self, files: Mapping[str, Said]) -> Inventory:
        rows = [
            f"RSE\ts\tn\tad:{said.adler32}\t{said.size}\t2026-10-01 10:00:00\t{path}\t\t{state(said)}\n"
            for path, said in files.items()
        ]
        return dump(f"{put(self.folder / 'replicas', ''.join(rows))}?layout=rucio")


class TestDiracDump(OfFiles, InventorySuite):
    tells_states = False
    names_are_lfns = True

    def make_inventory(self, files: Mapping[str, Said]) -> Inventory:
        lines = []
        for path, said in files.items():
            quoted = '"' + path.replace('"', '""') + '"' if '"' in path or "|" in path else path
            lines.append(f"SE|{quoted}|{said.adler32.lstrip('0')}|{said.size}\r\n")
        return dump(f"{put(self.folder / 'se.dump', ''.join(lines))}?layout=dirac")


class TestCmsPartitions(OfFiles, InventorySuite):
    tells_sizes = tells_checksums = tells_states = False
    names_are_lfns = True

    def make_inventory(self, files: Mapping[str, Said]) -> Inventory:
        for part in range(3):
            own = [path for path in files if adler32(path.encode()) % 3 == part]
            put(self.folder / f"T2.{part:05}.gz", "".join(f"{path}\n" for path in own))
        return dump(f"{self.folder / 'T2'}?layout=cms")


class TestParquetList(OfFiles, InventorySuite):
    names_are_lfns = True

    def make_inventory(self, files: Mapping[str, Said]) -> Inventory:
        pq.write_table(pa.table(columns(files)), self.folder / "list.parquet")
        return dump(self.folder / "list.parquet")


class TestSqlite(OfFiles, InventorySuite):
    names_are_lfns = True

    def make_inventory(self, files: Mapping[str, Said]) -> Inventory:
        return SqlInventory(of_sqlite(self.folder / "catalogue.db", rows(files)), QUERY)


@pytest.mark.real("postgresql")
class TestPostgres(InventorySuite):
    names_are_lfns = True

    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self.server = postgres

    def make_inventory(self, files: Mapping[str, Said]) -> Inventory:
        return SqlInventory(of_postgres(self.server, rows(files)), QUERY)


class TestBatches(InventorySuite):
    """What a plug-in makes of ``write_batches``."""

    names_are_lfns = True
    may_be_empty = True

    def make_inventory(self, files: Mapping[str, Said]) -> Inventory:
        class Batches:
            label = "batches"

            def write(self, site: Site, target: Path) -> Written:
                batches = pa.table(columns(files)).to_batches(max_chunksize=2)
                return catalogue_table.write_batches(batches, site, target, place=self.label)

        return Batches()


class TestSnapshot(InventorySuite):
    names_are_lfns = True
    may_be_empty = True

    def make_inventory(self, files: Mapping[str, Said]) -> Inventory:
        self.store = MemoryStore(epoch="e1")
        self.commit(c.PutSite(SITE), c.PutSite(Site("HOME", (Door("memory", "/home"),))))
        if files:
            self.register(files)
        return SnapshotInventory(self.store)

    def commit(self, *changes: c.Change) -> None:
        self.store.commit(c.ChangeSet(changes, actor="test", cause="test"))

    def register(self, files: Mapping[str, Said]) -> None:
        """A dataset at home, of which those files have come here that are expected."""
        key, paths = DatasetKey("all", "v1"), sorted(files)
        dirs = sorted({names.split(path)[0] for path in paths})
        block = FileColumns(
            tuple(dirs),
            tuple(dirs.index(names.split(path)[0]) for path in paths),
            tuple(names.split(path)[1] for path in paths),
            tuple(files[path].size for path in paths),
            {"adler32": tuple(files[path].adler32 for path in paths)},
        )
        self.commit(c.CreateDataset(Dataset(key, staging=Staging("HOME", "/"))))
        self.commit(c.RegisterFiles(BlockKey(key, "0000"), 0, block, "HOME", verified_us=1))
        self.commit(c.RevealDataset(key, len(block), sum(block.sizes)))
        self.commit(c.RequestCopy(CopyRequest("r", key, SITE.name, (BlockFiles("0000"),))))
        here = tuple(row for row, path in enumerate(paths) if files[path].is_expected)
        self.commit(c.FilesArrived(BlockKey(key, "0000"), SITE.name, here, 1))
        if len(here) == len(paths):
            self.commit(c.CloseRequest("r", RequestState.DONE))


def rows(files: Mapping[str, Said]) -> list[tuple[str, str, int, str, str]]:
    return [(SITE.name, path, said.size, said.adler32, state(said)) for path, said in files.items()]


def columns(files: Mapping[str, Said]) -> dict[str, pa.Array]:
    said = list(files.values())
    return {
        "lfn": pa.array(list(files), pa.string()),
        "size": pa.array([each.size for each in said], pa.int64()),
        "adler32": pa.array([each.adler32 for each in said], pa.string()),
        "state": pa.array([state(each) for each in said], pa.string()),
    }
