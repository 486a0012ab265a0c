"""S3Driver: the contract against moto, and what only an object store can do to it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from holdfast.model.errors import BadInput, HoldfastError, InvalidName, OperatorError, PeerError
from holdfast.storage.access import Access, AccessSettings
from holdfast.storage.doors import open_driver
from holdfast.storage.driver import (
    AlreadyThere,
    DirectoryNotEmpty,
    NoSpace,
    NotADirectory,
    NotAllowed,
    NotThere,
    Unsupported,
)
from holdfast.storage.s3 import door as s3_door
from holdfast.storage.s3 import upload as s3_upload
from holdfast.storage.s3.driver import S3Driver
from holdfast.testing.driver_hooks import SourceFailedError, broken_stream, everything, pattern, shown, stream
from holdfast.testing.servers.moto_server import KEYS, MotoServer, moto_server
from support.s3_hooks import S3Hooks, client_of, write_keys
from support.s3_store import KeyStore, error, reply

pytestmark = pytest.mark.real("moto")

_T = TypeVar("_T")
MIB = 1 << 20


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    with moto_server() as server:
        yield server


class OnMoto(S3Hooks):
    @pytest.fixture(autouse=True)
    def _storage(self, moto: MotoServer, tmp_path: Path) -> None:
        self.bucket = moto.new_bucket()
        self.client = client_of(moto.endpoint, KEYS)
        self.root = self.root_of(moto)
        self.keys_file = write_keys(tmp_path, KEYS)

    def root_of(self, moto: MotoServer) -> str:
        return moto.root(self.bucket)


class TestS3Driver(OnMoto):
    pass


class TestBelowAPrefix(OnMoto):
    """A site that has a part of a bucket, of a store that does not keep conditions, listed in the plain way."""

    prefix = "some/where äöü%/"

    def root_of(self, moto: MotoServer) -> str:
        return moto.root(self.bucket, "some/where%20%C3%A4%C3%B6%C3%BC%25", conditional="false", ranges="1")

    def test_nothing_beside_the_prefix_is_seen(self) -> None:
        self.client.put_object(Bucket=self.bucket, Key="some/where else/file", Body=b"")
        self.client.put_object(Bucket=self.bucket, Key="some/where äöü%", Body=b"")
        assert self.run(lambda driver: driver.list("/")).entries == ()


# The rest has a bucket at hand, and another client.


class Bucket:
    def __init__(self, moto: MotoServer, keys_file: Path) -> None:
        self.moto = moto
        self.name = moto.new_bucket()
        self.client = client_of(moto.endpoint, KEYS)
        self.keys_file = keys_file

    def run(self, scenario: Callable[[S3Driver], Awaitable[_T]], *, call_timeout_s: float = 20, **options: str) -> _T:
        settings = AccessSettings(keys=self.keys_file, call_timeout_s=call_timeout_s, connect_timeout_s=1)
        return run_at(self.moto.root(self.name, **options), scenario, settings)

    def put(self, key: str, data: bytes, **more: str) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data, **more)

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def uploads(self) -> list[str]:
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]


@pytest.fixture
def bucket(moto: MotoServer, tmp_path: Path) -> Bucket:
    return Bucket(moto, write_keys(tmp_path, KEYS))


def run_at(
    root: str,
    scenario: Callable[[S3Driver], Awaitable[_T]],
    settings: AccessSettings = AccessSettings(),  # noqa: B008
) -> _T:
    async def whole() -> _T:
        driver = open_driver("s3", root, site="SITE", access=Access(settings))
        assert isinstance(driver, S3Driver)
        try:
            return await scenario(driver)
        finally:
            await driver.close()

    return asyncio.run(whole())


# Uploads.


def test_a_large_file_comes_in_parts_and_is_one_object(bucket: Bucket) -> None:
    data = pattern(17 * MIB + 3)
    chunks = [data[start : start + 700_001] for start in range(0, len(data), 700_001)]

    async def scenario(driver: S3Driver) -> None:
        stat = await driver.write("/a/big", stream(*chunks))
        assert stat == await driver.stat("/a/big")
        assert stat.version.endswith("-4")
        assert await everything(driver.read("/a/big")) == data
        with pytest.raises(AlreadyThere):
            await driver.write("/a/big", stream(*chunks))

    bucket.run(scenario, part_mb="5")
    assert bucket.uploads() == []


@pytest.mark.parametrize("size", [5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB, 10 * MIB + 1])
def test_sizes_about_those_of_parts(bucket: Bucket, size: int) -> None:
    data = pattern(size)

    async def scenario(driver: S3Driver) -> None:
        assert (await driver.write("/file", stream(data))).size == size
        assert await everything(driver.read("/file")) == data

    bucket.run(scenario, part_mb="5")


def test_parts_grow_so_that_they_stay_few() -> None:
    sizes = [s3_upload.part_bytes(number, 16 * MIB) for number in range(10_000)]
    assert sizes[0] == sizes[249] == 16 * MIB
    assert sum(sizes[:1000]) > 50 << 30
    assert sum(sizes) > 4 << 40
    assert max(sizes) == 512 * MIB


@pytest.mark.parametrize("written", [1, 7, 12])
def test_a_large_write_that_fails_leaves_no_parts(bucket: Bucket, written: int) -> None:
    chunks = [pattern(MIB)] * written

    async def scenario(driver: S3Driver) -> None:
        with pytest.raises(SourceFailedError):
            await driver.write("/file", broken_stream(*chunks, error=SourceFailedError()))

    bucket.run(scenario, part_mb="5")
    assert (bucket.keys(), bucket.uploads()) == ([], [])


def test_a_large_write_that_is_cancelled_leaves_no_parts(bucket: Bucket) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for number in range(10_000):
            if number == 12:
                begun.set()
            yield pattern(MIB)

    async def scenario(driver: S3Driver) -> None:
        writing = asyncio.ensure_future(driver.write("/file", endless()))
        await begun.wait()
        assert bucket.uploads() == ["file"]
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

    bucket.run(scenario, part_mb="5")
    assert (bucket.keys(), bucket.uploads()) == ([], [])


@pytest.mark.parametrize("conditional", ["true", "false"])
@pytest.mark.parametrize("size", [100, 6 * MIB])
def test_a_name_that_is_taken_meanwhile_is_not_replaced(bucket: Bucket, size: int, conditional: str) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield pattern(size)
        bucket.put("file", b"somebody else's")

    async def scenario(driver: S3Driver) -> None:
        with pytest.raises(AlreadyThere):
            await driver.write("/file", source())

    bucket.run(scenario, part_mb="5", conditional=conditional)
    assert bucket.client.get_object(Bucket=bucket.name, Key="file")["Body"].read() == b"somebody else's"
    assert bucket.uploads() == []


# Moving.


def test_what_is_moved_keeps_its_bytes_and_its_checksums(bucket: Bucket) -> None:
    async def scenario(driver: S3Driver) -> None:
        await driver.write("/a/old name%?", stream(b"data"))
        await driver.rename("/a/old name%?", "/b/new+name#")
        assert await everything(driver.read("/b/new+name#")) == b"data"
        digest = await driver.checksum("/b/new+name#", ["sha256"])
        assert digest.checksums == {"sha256": hashlib.sha256(b"data").hexdigest()}

    bucket.run(scenario)
    assert bucket.keys() == ["b/new+name#"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_large_object_is_moved_in_pieces(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, replace: bool) -> None:
    monkeypatch.setattr(s3_upload, "COPY_BYTES_MAX", 5 * MIB)
    data = pattern(12 * MIB + 1)
    bucket.put("old", data)
    if replace:
        bucket.put("new", b"was there")

    async def scenario(driver: S3Driver) -> None:
        await driver.rename("/old", "/new", replace=replace)
        assert await everything(driver.read("/new")) == data

    bucket.run(scenario)
    assert (bucket.keys(), bucket.uploads()) == (["new"], [])


# Directories that are none.


def test_a_marker_is_a_directory_that_can_be_removed(bucket: Bucket) -> None:
    bucket.put("a/marker/", b"")
    bucket.put("a/full/", b"")
    bucket.put("a/full/file", b"")

    async def scenario(driver: S3Driver) -> None:
        assert shown(await driver.list("/a")) == ["full", "marker"]
        assert (await driver.list("/a/marker")).entries == ()
        with pytest.raises(DirectoryNotEmpty):
            await driver.remove_directory("/a/full")
        await driver.remove_directory("/a/marker")
        for path, raised in (("/a/marker", NotThere), ("/a/full/file", NotADirectory), ("/", NotAllowed)):
            with pytest.raises(raised):
                await driver.remove_directory(path)
        await driver.make_directory("/a/new")

    bucket.run(scenario)
    assert bucket.keys() == ["a/full/", "a/full/file"]


def test_a_key_longer_than_keys_may_be_is_refused(moto: MotoServer) -> None:
    root = moto.root("bucket", "/".join(["x" * 200] * 4))
    path = "/" + "/".join(["y" * 100] * 3)

    async def scenario(driver: S3Driver) -> None:
        for call in (driver.stat(path), everything(driver.read(path)), driver.write(path, stream(b""))):
            with pytest.raises(InvalidName, match="longer than 1024") as caught:
                await call
            assert caught.value.place

    run_at(root, scenario)


# Checksums.


def test_what_the_store_tells_is_not_read(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("file", b"data", ChecksumAlgorithm="SHA256")
    sha256 = hashlib.sha256(b"data").hexdigest()

    async def scenario(driver: S3Driver) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(driver._objects, "read", None)
            digest = await driver.checksum("/file", ["sha256"])
        assert (digest.checksums, digest.told) == ({"sha256": sha256}, {"sha256"})
        mixed = await driver.checksum("/file", ["adler32", "sha256"])
        assert (mixed.checksums, mixed.told) == ({"adler32": "0400019b", "sha256": sha256}, {"sha256"})
        read = await driver.checksum("/file", ["sha256"], read=True)
        assert (read.checksums, read.told) == ({"sha256": sha256}, frozenset())

    bucket.run(scenario)


def test_an_etag_is_an_md5_only_where_the_door_says_so(bucket: Bucket) -> None:
    bucket.put("file", b"data")
    md5 = hashlib.md5(b"data").hexdigest()

    async def told(driver: S3Driver) -> frozenset[str]:
        digest = await driver.checksum("/file", ["md5"])
        assert digest.checksums == {"md5": md5}
        return digest.told

    assert bucket.run(told) == frozenset()
    assert bucket.run(told, etag_is_md5="true") == {"md5"}


CRC = base64.b64encode(bytes.fromhex("e3069283")).decode()


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (f"x-amz-checksum-crc32c: {CRC}\r\n", {"crc32c": "e3069283"}),
        (f"x-amz-checksum-crc32c: {CRC}\r\nx-amz-checksum-type: FULL_OBJECT\r\n", {"crc32c": "e3069283"}),
        (f"x-amz-checksum-crc32c: {CRC}\r\nx-amz-checksum-type: COMPOSITE\r\n", {}),
        (f"x-amz-checksum-crc32c: {CRC}-3\r\n", {}),
        ("x-amz-checksum-crc32c: \r\n", {}),
        ("x-amz-checksum-crc32c: Error\r\n", {}),
        ("x-amz-checksum-crc32c: 4waSgw\r\n", {}),
        ("x-amz-checksum-sha256: 4waSgw==\r\n", {}),
        ('ETag: "25f9e794323b453885f5181f1b624d0b-2"\r\n', {}),
        ('ETag: "25f9e794323b453885f5181f1b624d0b"\r\n', {"md5": "25f9e794323b453885f5181f1b624d0b"}),
    ],
)
def test_only_digests_of_the_whole_object_are_believed(headers: str, told: dict[str, str]) -> None:
    body = b"123456789"
    head = f"Last-Modified: Wed, 04 Mar 2026 05:06:07 GMT\r\n{headers}"
    store = KeyStore(answers=lambda asked: None if not asked.key else _of(asked.method, body, head))

    async def scenario() -> None:
        async with store.open():
            driver = open_driver("s3", store.root(etag_is_md5="true"), site="SITE")
            algorithms = sorted(driver.capabilities.told)
            digest = await driver.checksum("/file", algorithms)
            assert {name: digest.checksums[name] for name in digest.told} == told
            assert digest.checksums["crc32c"] == "e3069283"
            assert digest.checksums["sha256"] == hashlib.sha256(body).hexdigest()
            await driver.close()

    asyncio.run(scenario())


def _of(method: str, body: bytes, head: str) -> bytes:
    whole = reply(200, body, head)
    return whole.removesuffix(body) if method == "HEAD" else whole


# What stores refuse, and how.


@pytest.mark.parametrize(
    ("answer", "raised", "words"),
    [
        (error(503, "SlowDown", "Please reduce your request rate."), PeerError, "503 SlowDown"),
        (error(500, "InternalError"), PeerError, "InternalError"),
        (error(400, "RequestTimeout"), PeerError, "RequestTimeout"),
        (reply(502, b"<html>Bad gateway</html>"), PeerError, "502"),
        (reply(404, b"<html>Not here</html>"), PeerError, "something else"),
        (reply(200, b"<html>Welcome</html>"), PeerError, "not ListBucketResult"),
        (error(200, "InternalError", "later"), PeerError, "InternalError"),
        (error(403, "AccessDenied", "Access Denied"), NotAllowed, "AccessDenied"),
        (error(403, "ExpiredToken"), NotAllowed, "ExpiredToken"),
        (error(400, "ExpiredToken"), NotAllowed, "ExpiredToken"),
        (error(403, "RequestTimeTooSkewed", "The difference is too large."), OperatorError, "clock"),
        (error(404, "NoSuchBucket"), OperatorError, "correct the root"),
        (error(301, "PermanentRedirect"), OperatorError, "endpoint and region"),
        (error(400, "AuthorizationHeaderMalformed"), OperatorError, "region"),
        (error(400, "InvalidArgument"), OperatorError, "InvalidArgument"),
        (error(501, "NotImplemented"), Unsupported, "cannot do this"),
        (error(507, "InsufficientStorage"), NoSpace, "no room"),
        (error(403, "QuotaExceeded"), NoSpace, "no room"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", PeerError, "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<ListBu"[:-1] + b"c", PeerError, ""),
        (b"\x00" * 100, PeerError, ""),
    ],
)
def test_each_refusal_has_its_meaning(answer: bytes, raised: type[HoldfastError], words: str) -> None:
    """Whether a listing meets it or a HEAD, which has no body to say it and asks a listing."""
    store = KeyStore(answers=lambda asked: answer if not asked.key else _of("HEAD", b"", "").replace(b"200", b"403"))

    async def scenario(driver: S3Driver) -> None:
        for call in (driver.list("/"), driver.stat("/file"), driver.delete("/file"), driver.write("/x", stream(b""))):
            with pytest.raises(HoldfastError) as caught:
                await asyncio.wait_for(call, 10)
            assert type(caught.value) is raised
            assert words in str(caught.value)
            assert caught.value.retryable == (raised is PeerError)
            assert caught.value.place.startswith("SITE:s3://bucket")

    async def whole() -> None:
        async with store.open():
            driver = open_driver("s3", store.root(), site="SITE", access=Access(AccessSettings(call_timeout_s=2)))
            assert isinstance(driver, S3Driver)
            await scenario(driver)
            await driver.close()

    asyncio.run(whole())


def test_no_bucket_is_never_no_file(moto: MotoServer, tmp_path: Path) -> None:
    settings = AccessSettings(keys=write_keys(tmp_path, KEYS))

    async def scenario(driver: S3Driver) -> None:
        for call in (
            driver.stat("/file"),
            driver.delete("/file"),
            everything(driver.read("/file")),
            driver.checksum("/file", ["md5"]),
            driver.rename("/file", "/new"),
            driver.list("/"),
            driver.list("/a"),
            driver.stat("/"),
            driver.remove_directory("/a"),
        ):
            with pytest.raises(OperatorError, match="NoSuchBucket"):
                await call

    run_at(moto.root("no-such-bucket"), scenario, settings)


def test_a_body_that_ends_early_is_no_file() -> None:
    whole_reply = _of("GET", b"x" * 3_000_000, "Last-Modified: Wed, 04 Mar 2026 05:06:07 GMT\r\n")

    async def scenario() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(whole_reply[:2_000_000])
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        driver = open_driver("s3", f"s3://bucket?endpoint=http://127.0.0.1:{port}&allow_http=true", site="SITE")
        with pytest.raises(PeerError, match="broke off"):
            await everything(driver.read("/file"))
        await driver.close()
        server.close()

    asyncio.run(scenario())


# Servers that are not there, or hang, or come back.


def test_a_server_that_is_not_there_costs_a_moment(moto: MotoServer) -> None:
    root = "s3://bucket?endpoint=http://127.0.0.1:1&allow_http=true"

    async def scenario(driver: S3Driver) -> None:
        begun = time.monotonic()
        for call in (driver.list("/"), driver.stat("/x"), everything(driver.read("/x")), driver.write("/x", stream())):
            with pytest.raises(PeerError, match="refused") as caught:
                await call
            assert caught.value.retryable
        assert time.monotonic() - begun < 5

    run_at(root, scenario)


def test_a_server_that_hangs_is_given_up_and_then_found_again(moto: MotoServer, bucket: Bucket) -> None:
    bucket.put("big", pattern(64 * MIB))
    bucket.put("file", b"data")

    async def scenario(driver: S3Driver) -> None:
        reading = driver.read("/big")
        await anext(reading)
        moto.pause()
        try:
            begun = time.monotonic()
            calls = (
                driver.list("/"),
                driver.stat("/file"),
                everything(reading),
                driver.write("/x", stream(pattern(9 * MIB))),
            )
            for outcome in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(outcome, PeerError)
                assert "silent" in str(outcome)
            assert time.monotonic() - begun < 6
        finally:
            moto.resume()
        assert await everything(driver.read("/file")) == b"data"
        assert shown(await driver.list("/"))[:2] == ["big", "file"]

    bucket.run(scenario, call_timeout_s=1)


def test_a_server_that_died_is_found_again_when_it_is_back(tmp_path: Path) -> None:
    with moto_server() as server:
        mine = Bucket(server, write_keys(tmp_path, KEYS))
        mine.put("file", b"data")

        async def scenario(driver: S3Driver) -> None:
            assert shown(await driver.list("/")) == ["file"]
            server.kill()
            with pytest.raises(PeerError):
                await driver.list("/")
            server.start()
            assert mine.client.create_bucket(Bucket=mine.name)
            mine.put("other", b"data")
            assert shown(await driver.list("/")) == ["other"]
            assert (await driver.write("/new", stream(b"x"))).size == 1

        mine.run(scenario)


# Roots of doors.


@pytest.mark.parametrize(
    ("root", "door"),
    [
        ("s3://bucket", {"base": "https://bucket.s3.us-east-1.amazonaws.com", "prefix": ""}),
        ("s3://bucket/", {"prefix": ""}),
        ("s3://bucket/a/b?region=eu-west-3", {"base": "https://bucket.s3.eu-west-3.amazonaws.com", "prefix": "a/b/"}),
        ("s3://bucket/a%20b/?path_style=true", {"prefix": "a b/", "base": "https://s3.us-east-1.amazonaws.com/bucket"}),
        ("s3://b.x?endpoint=https://Host:99/", {"base": "https://host:99/b.x", "region": "us-east-1"}),
        ("s3://bucket?endpoint=https://host&path_style=false", {"base": "https://bucket.host"}),
        ("s3://bucket?endpoint=https://[::1]:9000", {"base": "https://[::1]:9000/bucket"}),
        ("s3://bucket?endpoint=http://host&allow_http=true&ranges=1", {"secure": False, "ranges": 1}),
        ("s3://bucket?part_mb=64&etag_is_md5=true", {"part_bytes": 64 * MIB, "etag_is_md5": True}),
    ],
)
def test_a_root_says_where_the_store_is(root: str, door: dict[str, object]) -> None:
    parsed = s3_door.parse(root)
    assert {name: getattr(parsed, name) for name in door} == door


@pytest.mark.parametrize(
    "root",
    [
        "",
        "bucket",
        "s3:bucket",
        "s3://",
        "s3:///prefix",
        "https://bucket/prefix",
        "s3://bucket:99/x",
        "s3://b",
        "s3://-bucket",
        "s3://bucket/a//b",
        "s3://bucket/../a",
        "s3://bucket/a%00",
        "s3://bucket/caf%E9",
        "s3://bucket/x#y",
        "s3://AKIA:SECRET@bucket/x",
        "s3://bucket?secret=SECRET",
        "s3://bucket?endpoint=http://host",
        "s3://bucket?endpoint=ftp://host",
        "s3://bucket?endpoint=https://host/SECRET",
        "s3://bucket?endpoint=https://user:SECRET@host",
        "s3://bucket?endpoint=https://host?x",
        "s3://bucket?region=a b",
        "s3://bucket?region",
        "s3://bucket?ranges=0",
        "s3://bucket?ranges=many",
        "s3://bucket?part_mb=1",
        "s3://bucket?path_style=yes",
        "s3://bucket?path_style=true&path_style=true",
        "s3://[bucket",
    ],
)
def test_a_root_that_makes_no_sense_is_refused(root: str) -> None:
    async def scenario() -> None:
        with pytest.raises(BadInput) as caught:
            open_driver("s3", root, site="SITE")
        assert caught.value.place == "SITE"
        assert "SECRET" not in str(caught.value)

    asyncio.run(scenario())


def test_an_option_that_is_not_known_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean 'endpoint'"):
        s3_door.parse("s3://bucket?endpont=https://host")


# Secrets.


def test_no_secret_is_in_anything_that_is_shown(tmp_path: Path) -> None:
    marker = "VERYSECRETVALUE"
    settings = AccessSettings(keys=write_keys(tmp_path, ("AKID" + marker, marker)), call_timeout_s=1)
    echo = error(403, "SignatureDoesNotMatch", f"The key AKID{marker} does not match")

    async def scenario() -> None:
        store = KeyStore(answers=lambda asked: _of("HEAD", b"", "").replace(b"200", b"403") if asked.key else echo)
        async with store.open():
            driver = open_driver("s3", store.root(), site="SITE", access=Access(settings))
            for call in (driver.list("/"), driver.stat("/file"), driver.write("/x", stream(b""))):
                with pytest.raises(NotAllowed) as caught:
                    await call
                assert marker not in f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"
            assert marker in store.asked[0].headers["authorization"]
            assert marker not in f"{driver!r}{driver.label}"
            await driver.close()

    asyncio.run(scenario())


def test_keys_that_are_renewed_are_taken_up(bucket: Bucket) -> None:
    store = KeyStore()

    async def scenario() -> None:
        async with store.open():
            settings = replace(AccessSettings(), keys=bucket.keys_file)
            driver = open_driver("s3", store.root(), site="SITE", access=Access(settings))
            await driver.list("/")
            write_keys(bucket.keys_file.parent, ("another", "secret"))
            await driver.list("/")
            await driver.close()

    asyncio.run(scenario())
    shown_keys = [asked.headers["authorization"].partition("Credential=")[2].split("/")[0] for asked in store.asked]
    assert shown_keys == [KEYS[0], "another"]
