"""What the tests of dumps share: files written by hand, and all that a driver says of them."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdfast.model import names
from holdfast.model.errors import BadInput
from holdfast.storage.driver import (
    DirectoryListing,
    Kind,
    Stat,
)
from holdfast.storage.dump import options as dump_options
from holdfast.storage.dump.driver import DumpDriver
from holdfast.storage.dump.plan import plan
from holdfast.storage.dump.staging import ROWS_HELD


def opened(file: Path, options: str = "", *, rows_held: int = ROWS_HELD) -> DumpDriver:
    planned = plan(dump_options.parse(f"{file}?{options}"))
    return DumpDriver(dataclasses.replace(planned, rows_held=rows_held), label="bern:dump")


async def every_listing(driver: DumpDriver) -> dict[str, DirectoryListing]:
    """Every directory from the root on, by ``list`` and by ``pages``, which have to agree."""
    found: dict[str, DirectoryListing] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        found[path] = listing = await driver.list(path)
        pages = [page async for page in driver.pages(path)]
        assert sorted(entry for page in pages for entry in page.entries) == sorted(listing.entries)
        assert sorted(str(odd) for page in pages for odd in page.unnameable) == sorted(map(str, listing.unnameable))
        waiting += [names.join(path, e.name) for e in listing.entries if e.stat.kind is Kind.DIRECTORY]
    return found


def read(driver: DumpDriver) -> dict[str, DirectoryListing]:
    async def whole() -> dict[str, DirectoryListing]:
        try:
            return await every_listing(driver)
        finally:
            await driver.close()

    return asyncio.run(whole())


def files(driver: DumpDriver) -> dict[str, Stat]:
    """Every file of a dump that has nothing odd in it; ``stat`` says of each what its listing says."""

    async def whole() -> dict[str, Stat]:
        found: dict[str, Stat] = {}
        try:
            for path, listing in (await every_listing(driver)).items():
                assert not listing.unnameable
                assert not listing.doubt
                for name, stat in listing.entries:
                    assert await driver.stat(names.join(path, name)) == stat
                    if stat.kind is Kind.FILE:
                        found[names.join(path, name)] = stat
        finally:
            await driver.close()
        return found

    return asyncio.run(whole())


def refusal(file: Path, options: str = "") -> BadInput:
    """Why a dump cannot be read: told when the door is opened, or by every call."""

    async def scenario() -> None:
        driver = opened(file, options)
        try:
            for _ in range(2):
                with pytest.raises(BadInput) as caught:
                    await driver.list("/")
            raise caught.value
        finally:
            await driver.close()

    with pytest.raises(BadInput) as caught:
        asyncio.run(scenario())
    return caught.value


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parquet(path: Path, /, **columns: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)
    return path


DAY_NS = 86_400 * 10**9
NOON = 1_730_000_000
PATHS = "/store/a/1.root\n/store/a/2.root\n/store/b/c/3.root\n"
