"""S3Driver: the contract against OpenStack Swift, a real store that others than Amazon have made."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest

from holdfast.model.errors import PeerError
from holdfast.storage.driver import AlreadyThere, DirectoryListing, StorageDriver
from holdfast.storage.s3.driver import S3Driver
from holdfast.storage.s3.requests import Reply
from holdfast.testing.driver_hooks import SourceFailedError, broken_stream, everything, pattern, shown, stream
from holdfast.testing.servers.swift_server import KEYS, SwiftServer, swift_server
from support.s3_hooks import S3Hooks, client_of, write_keys
from support.soak import only_in_soak

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real("swift"),
    only_in_soak,
]

MIB = 1 << 20


@pytest.fixture(scope="module")
def swift() -> Iterator[SwiftServer]:
    with swift_server() as server:
        yield server


class TestSwift(S3Hooks):
    n_buckets: ClassVar[int] = 0

    @pytest.fixture(autouse=True)
    def _storage(self, swift: SwiftServer, tmp_path: Path) -> None:
        TestSwift.n_buckets += 1
        self.bucket = f"bucket-{TestSwift.n_buckets}"
        self.client = client_of(swift.endpoint, KEYS)
        self.client.create_bucket(Bucket=self.bucket)
        self.root = swift.root(self.bucket)
        self.keys_file = write_keys(tmp_path, KEYS)

    def test_a_large_file_comes_in_parts_and_is_one_object(self) -> None:
        self.root += "&part_mb=5"
        data = pattern(17 * MIB + 3)

        async def scenario(driver: StorageDriver) -> None:
            stat = await driver.write("/a/big", stream(*(data[at : at + MIB] for at in range(0, len(data), MIB))))
            assert [entry.stat for entry in (await driver.list("/a")).entries] == [stat]
            assert await everything(driver.read("/a/big")) == data
            await driver.rename("/a/big", "/b/big")
            assert await everything(driver.read("/b/big")) == data
            with pytest.raises(AlreadyThere):
                await driver.write("/b/big", stream(data))
            with pytest.raises(SourceFailedError):
                await driver.write("/b/other", broken_stream(data, error=SourceFailedError()))
            assert shown(await driver.list("/b")) == ["big"]

        self.run(scenario)
        assert "Uploads" not in self.client.list_multipart_uploads(Bucket=self.bucket)

    def test_odd_keys_come_back_exactly_or_raw(self) -> None:
        for key in ("new\nline", "a//b", "dir/", "dots/../x", "both", "both/below", "plus+and%20 blank"):
            self.client.put_object(Bucket=self.bucket, Key=key, Body=b"")

        async def scenario(driver: StorageDriver) -> None:
            listing = await driver.list("/")
            assert shown(listing) == ["a", "both", "both", "dir", "dots", "plus+and%20 blank"]
            assert [each.raw for each in listing.unnameable] == [b"new\nline"]
            assert [each.raw for each in (await driver.list("/a")).unnameable] == [b"/"]
            assert [each.raw for each in (await driver.list("/dots")).unnameable] == [b"../"]
            assert await driver.list("/dir") == DirectoryListing(())

        self.run(scenario)

    def test_no_key_is_lost_or_told_twice_at_a_seam(self) -> None:
        keys = [f"flat/file_{number:04d}" for number in range(0, 3000, 7)] + [f"flat/d{n}/x" for n in range(20)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: self.client.put_object(Bucket=self.bucket, Key=key, Body=b""), keys))

        async def scenario(driver: StorageDriver) -> None:
            assert isinstance(driver, S3Driver)
            page = driver._client.call

            async def short_pages(method: str, key: str = "", **more: Any) -> Reply:
                if query := more.get("query"):
                    more["query"] = {"max-keys": "20", **query}
                return await page(method, key, **more)

            with mock.patch.object(driver._client, "call", short_pages):
                listing = await driver.list("/flat")
            assert shown(listing) == sorted({key.split("/")[1] for key in keys})
            assert len(listing.entries) == len(keys)
            assert (await driver.list("/flat")) == listing

        self.run(scenario)

    def test_it_is_found_again_when_it_is_back(self, swift: SwiftServer) -> None:
        self.put("/file", b"data")

        async def scenario(driver: StorageDriver) -> None:
            assert shown(await driver.list("/")) == ["file"]
            swift.kill()
            with pytest.raises(PeerError):
                await driver.list("/")
            swift.start()
            assert await everything(driver.read("/file")) == b"data"

        self.run(scenario)
