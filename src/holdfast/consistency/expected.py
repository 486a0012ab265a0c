"""The inventory's side of a check: what a site should hold, as a Parquet table.

Columns: ``dir``, ``name`` (the path at the site, by its first door's rules),
``size``, a column per checksum algorithm (null where unknown), and whose file
it is: ``lfn``, ``dataset``, ``version``, ``block``, ``ordinal``.

Expected is what replicas of visible datasets hold, and nothing that they lack.
What is only awaited (``awaited.py``), or being published, is not expected and
is no orphan either; the check asks the inventory about such files afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.consistency.durable import sync
from holdfast.inventory.store import Head, Snapshot
from holdfast.model import checksums, names, pfn
from holdfast.model.records import BlockReplica, FileColumns, Site

ALGORITHMS = tuple(checksums.DIGITS)

_FIELDS: list[pa.Field[Any]] = [
    pa.field("dir", pa.string()),
    pa.field("name", pa.string()),
    pa.field("size", pa.int64()),
    *(pa.field(algorithm, pa.string()) for algorithm in ALGORITHMS),
    pa.field("lfn", pa.string()),
    pa.field("dataset", pa.string()),
    pa.field("version", pa.string()),
    pa.field("block", pa.string()),
    pa.field("ordinal", pa.int32()),
]
SCHEMA = pa.schema(_FIELDS)
GROUP_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Expected:
    """What was written: the position it shows, totals, and LFNs the site's rules have no path for."""

    head: Head
    files: int
    size: int
    without_path: tuple[str, ...]


def write_expected(view: Snapshot, site: Site, target: Path) -> Expected:
    """Write what ``site`` should hold to ``target``, durably."""
    visible = {dataset.key for dataset in view.datasets()}
    files = size = 0
    without_path: list[str] = []
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        gathered = _Gathered(writer)
        for replica in view.replicas(site=site.name):
            if replica.block.dataset in visible and replica.n_files:
                columns = _columns(replica, view.files(replica.block), site.first_door.rules, without_path)
                gathered.add(pa.table(columns, schema=SCHEMA))
                files += len(columns["name"])
                size += sum(columns["size"])
        gathered.write()
    sync(target)
    return Expected(view.head, files, size, tuple(without_path))


class _Gathered:
    """Rows on their way into a table, in groups of many blocks: small groups are slow to write, and slower to read."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._tables: list[pa.Table] = []
        self._n_rows = 0

    def add(self, table: pa.Table) -> None:
        self._tables.append(table)
        self._n_rows += table.num_rows
        if self._n_rows >= GROUP_ROWS:
            self.write()

    def write(self) -> None:
        """What was gathered, as one group."""
        if self._n_rows:
            self._writer.write_table(pa.concat_tables(self._tables).combine_chunks())
        self._tables, self._n_rows = [], 0


def _columns(replica: BlockReplica, files: FileColumns, rules: pfn.PfnRules, without_path: list[str]) -> dict[str, Any]:
    rows: list[int] = []
    places: list[tuple[str, str]] = []
    lfns: list[str] = []
    for row, lfn in _held(replica, files):
        path = pfn.path_of(rules, lfn)
        if path is None:
            without_path.append(lfn)
            continue
        rows.append(row)
        places.append(names.split(path))
        lfns.append(lfn)
    key = replica.block
    digests = {algorithm: files.checksums.get(algorithm) for algorithm in ALGORITHMS}
    return {
        "dir": [dir for dir, _ in places],
        "name": [name for _, name in places],
        "size": [files.sizes[row] for row in rows],
        **{name: [column[row] if column else None for row in rows] for name, column in digests.items()},
        "lfn": lfns,
        "dataset": [key.dataset.name] * len(rows),
        "version": [key.dataset.version] * len(rows),
        "block": [key.block] * len(rows),
        "ordinal": rows,
    }


def _held(replica: BlockReplica, files: FileColumns) -> Iterator[tuple[int, str]]:
    for row, lfn in enumerate(files.lfns()):
        if replica.holds(row):
            yield row, lfn
