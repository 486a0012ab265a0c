"""Listing an object store whose every answer takes 300 ms, in parallel, beside one sequential listing of it.

The yardstick is one chain of ListObjectsV2 over the flat space of keys, as
``obstore`` does it and as most tools do: each page tells where the next one
begins. It is broken off after a minute's worth of pages; its rate does not
change. Ours lists to the end and keeps the result on disk: by prefix, with the
listing engine and its ledger; and one prefix that holds all keys, in ranges.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.row import Row
from bench.s3_pages import PAGE_KEYS
from holdfast.storage.doors import open_driver
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.engine import list_tree
from holdfast.storage.listing.limits import ListingLimits
from holdfast.storage.listing.summary import ListingPlan

LATENCY_MS = 300
PREFIXES = 200
SEQUENTIAL_PAGES = 40
RANGES = 32
TARGET = 10.0


def run(workdir: Path, rows: int) -> list[Row]:
    """Keys a second: by prefix, and in one flat prefix."""
    with _server(rows) as port:
        chain = _sequential(port)
        tree, keys = asyncio.run(_listed(workdir, port, "/tree"))
        flat, flat_keys = asyncio.run(_listed(workdir, port, "/flat"))
    if flat_keys != rows or not rows - PREFIXES * PAGE_KEYS < keys <= max(rows, PREFIXES * PAGE_KEYS):
        raise RuntimeError(f"listed {keys} and {flat_keys} keys of {rows}")
    yardstick = f"{chain:,.0f} keys/s, one page after the other"
    return [
        Row(f"{keys:,} keys by prefix, {LATENCY_MS} ms", f"{tree:,.0f} keys/s", yardstick, tree / chain, TARGET),
        Row(f"{flat_keys:,} keys in one prefix, {RANGES} ranges", f"{flat:,.0f} keys/s", yardstick, flat / chain),
    ]


def _sequential(port: int) -> float:
    """Keys a second of a plain client."""
    import obstore.store  # The yardstick alone needs it.

    store = obstore.store.S3Store(
        "bucket",
        endpoint=f"http://127.0.0.1:{port}",
        region="us-east-1",
        skip_signature=True,
        client_options={"allow_http": True},
    )
    began = time.perf_counter()
    keys = 0
    for number, chunk in enumerate(obstore.list(store, "tree/", chunk_size=PAGE_KEYS), 1):
        keys += len(chunk)
        if number == SEQUENTIAL_PAGES:
            break
    return keys / (time.perf_counter() - began)


async def _listed(workdir: Path, port: int, top: str) -> tuple[float, int]:
    """Keys a second of ours, and how many there were."""
    driver = _driver(port)
    with TemporaryDirectory(dir=workdir) as folder:
        ledger = DiskLedger.open(Path(folder) / "listing", ListingPlan("BENCH", top))
        began = time.perf_counter()
        try:
            # What stores bear at once is far more than this.
            await list_tree([driver], ledger, limits=ListingLimits(in_flight_start=8, in_flight_max=256))
            took_s = time.perf_counter() - began
            return ledger.counts.files / took_s, ledger.counts.files
        finally:
            ledger.close()
            await driver.close()


def _driver(port: int) -> StorageDriver:
    root = f"s3://bucket?endpoint=http://127.0.0.1:{port}&allow_http=true&ranges={RANGES}"
    return open_driver("s3", root, site="BENCH")


@contextmanager
def _server(rows: int) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.s3_pages", str(rows), str(PREFIXES), str(LATENCY_MS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)
