"""The table of what a site should hold: whose files are in it, and how they are grouped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from holdfast.consistency import expected
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import changes as c
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, Dataset, Door, FileColumns, Site, Staging

SHOWN, HIDDEN = DatasetKey("shown", "1"), DatasetKey("hidden", "1")
BLOCKS = ("0000", "0001", "0002")
FILES_A_BLOCK = 4


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """A visible dataset of three blocks at A, of which B has two files; and one at A that nobody may see yet."""
    with closing(SqlStore.create(tmp_path / "inventory.db")) as store:
        sites = [c.PutSite(Site(name, (Door("posix", str(tmp_path / name)),))) for name in ("A", "B")]
        store.commit(c.ChangeSet(tuple(sites), "test", "test"))
        changes: list[c.Change] = [c.CreateDataset(Dataset(key, staging=Staging("A", "/s"))) for key in (SHOWN, HIDDEN)]
        changes += [
            c.RegisterFiles(BlockKey(SHOWN, block), 0, columns(f"/s/{block}"), "A", verified_us=1) for block in BLOCKS
        ]
        changes.append(c.RegisterFiles(BlockKey(HIDDEN, "0000"), 0, columns("/h"), "A", verified_us=1))
        changes.append(c.RevealDataset(SHOWN, len(BLOCKS) * FILES_A_BLOCK, len(BLOCKS) * FILES_A_BLOCK * 10))
        changes.append(c.RequestCopy(CopyRequest("copy", SHOWN, "B", (BlockFiles("0001"),), reason="test")))
        changes.append(c.FilesArrived(BlockKey(SHOWN, "0001"), "B", (0, 3), 1))
        store.commit(c.ChangeSet(tuple(changes), "test", "test"))
        yield store


def columns(directory: str) -> FileColumns:
    """The files of one block."""
    names = tuple(f"f{number}" for number in range(FILES_A_BLOCK))
    return FileColumns((directory,), (0,) * FILES_A_BLOCK, names, (10,) * FILES_A_BLOCK, {"adler32": ("00000001",) * 4})


def written(store: SqlStore, site: str, target: Path) -> tuple[expected.Expected, list[str], int]:
    """What was written of a site: the totals, the paths, and in how many groups."""
    with store.snapshot() as view:
        told = expected.write_expected(view, view.site(site), target)
    with pq.ParquetFile(target) as table:
        rows = table.read().to_pylist()
        return told, [f"{row['dir']}/{row['name']}" for row in rows], table.num_row_groups


@pytest.mark.parametrize(("group_rows", "n_groups"), [(1, 3), (FILES_A_BLOCK + 1, 2), (50_000, 1)])
def test_all_that_a_site_should_hold_is_there_however_it_is_grouped(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_rows: int, n_groups: int
) -> None:
    monkeypatch.setattr(expected, "GROUP_ROWS", group_rows)
    told, paths, n_written = written(store, "A", tmp_path / "expected.parquet")
    assert sorted(paths) == [f"/s/{block}/f{number}" for block in BLOCKS for number in range(FILES_A_BLOCK)]
    assert (told.files, told.size, told.without_path) == (12, 120, ())
    assert n_written == n_groups


def test_a_part_of_a_block_is_that_part(store: SqlStore, tmp_path: Path) -> None:
    assert written(store, "B", tmp_path / "expected.parquet")[1] == ["/s/0001/f0", "/s/0001/f3"]


def test_a_site_that_holds_nothing_has_an_empty_table(store: SqlStore, tmp_path: Path) -> None:
    store.commit(c.ChangeSet((c.PutSite(Site("C", (Door("posix", str(tmp_path / "C")),))),), "test", "test"))
    told, paths, n_groups = written(store, "C", tmp_path / "expected.parquet")
    assert (told.files, paths, n_groups) == (0, [], 0)
