"""Sites, and what catalogues say of them, for the tests of sources."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow.parquet as pq

from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.sources.dump_inventory import DumpInventory
from holdfast.consistency.sources.inventory import known_beside
from holdfast.model.pfn import PfnRules
from holdfast.model.records import Door, Site

LIMITS = EngineLimits(threads=1)
BERN = Site("BERN", (Door("memory", "/bern"),))
WITH_RULES = Site("BERN", (Door("memory", "/bern", PfnRules.prefix("/store", "/pnfs/bern")),))


def dump(root: Path | str, *, are_lfns: bool | None = None) -> DumpInventory:
    return DumpInventory(str(root), are_lfns=are_lfns, limits=LIMITS)


def put(path: Path, text: str) -> Path:
    """A file of this content, packed if its name says so."""
    content = text.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def expected_in(target: Path) -> dict[str, tuple[int | None, str | None, str | None]]:
    """Size, adler32 and LFN by path, of what was written."""
    rows = pq.read_table(target).to_pylist()
    found = {_path(row): (row["size"], row["adler32"], row["lfn"]) for row in rows}
    assert len(found) == len(rows)
    return found


def known_in(target: Path) -> list[str]:
    return sorted(map(_path, pq.read_table(known_beside(target)).to_pylist()))


def _path(row: dict[str, str]) -> str:
    return f"{row['dir'].rstrip('/')}/{row['name']}"
