"""DumpDriver: listings that sites hand out, in every layout that is known; whole, damaged and unclear ones.

The conformance suite runs on dumps that ``put`` writes anew; the rest reads
files written by hand, as far as possible like those of the field.
"""

from __future__ import annotations

import asyncio
import bz2
import csv
import dataclasses
import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.model import names
from holdfast.model.errors import BadInput, BrokenInvariant, OperatorError, PeerError
from holdfast.storage import doors, dump_options
from holdfast.storage.access import Access
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import (
    NOT_TOLD,
    Digest,
    DirectoryListing,
    Entry,
    Kind,
    NotAllowed,
    Stat,
    StorageDriver,
    Taken,
    Unnameable,
    Unsupported,
)
from holdfast.storage.dump import PAGE_ROWS, DumpDriver, open_door
from holdfast.storage.dump_plan import plan
from holdfast.storage.dump_staging import ROWS_HELD
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.engine import list_tree
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import Plan
from holdfast.storage.listing.tables import ENTRIES, Directory, Odd, Oddity, State
from holdfast.testing.driver_suite import DriverSuite

ALGORITHMS = ("adler32", "crc32c", "md5", "sha256", "blake3")


class TestDump(DriverSuite):
    """The suite over a CSV with everything that a dump can tell."""

    supports_links = False

    @pytest.fixture(autouse=True)
    def _storage(self, tmp_path: Path) -> None:
        self.file = tmp_path / "dump_20261101.csv"
        self.data: dict[str, bytes] = {}
        self.write()

    def write(self) -> None:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["path", "size", "mtime", *ALGORITHMS])
        for number, (path, data) in enumerate(self.data.items()):
            digests = digests_of(data, ALGORITHMS)
            rows.writerow([path, len(data), 1_700_000_000 + number, *(digests[name] for name in ALGORITHMS)])
        self.file.write_bytes(text.getvalue().encode())

    def make_driver(self) -> StorageDriver:
        return open_door(f"{self.file}?empty=allowed", site="bern", access=Access())

    def put(self, path: str, data: bytes) -> None:
        self.data[path] = data
        self.write()

    def get(self, path: str) -> bytes | None:
        return self.data.get(path)


class TestDumpInParts(DriverSuite):
    """The suite over a folder of TSV parts in Rucio's layout, staged on disk three rows at a time."""

    supports_links = False

    @pytest.fixture(autouse=True)
    def _storage(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "replicas_02-11-2026"
        self.folder.mkdir()
        self.data: dict[str, bytes] = {}
        (self.folder / "part-0").touch()

    def make_driver(self) -> StorageDriver:
        planned = plan(dump_options.parse(f"file://{self.folder}?empty=allowed&layout=rucio"))
        return DumpDriver(dataclasses.replace(planned, rows_held=3), label="bern:replicas")

    def put(self, path: str, data: bytes) -> None:
        self.data[path] = data
        digests = digests_of(data, ["adler32", "md5"])
        known = f"ad:{digests['adler32']},md:{digests['md5']}"
        row = ("BERN", "test", "name", known, str(len(data)), "2026-11-01 10:00:00", path, "2026-11-01 10:00:00", "A")
        part = self.folder / f"part-{len(self.data)}"
        part.write_text("\t".join(row) + "\n", encoding="utf-8", newline="")

    def get(self, path: str) -> bytes | None:
        return self.data.get(path)


# ---- helpers -------------------------------------------------------------------------


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

# ---- one path a line -----------------------------------------------------------------


def test_one_path_a_line_is_the_layout_of_atlas_sites(tmp_path: Path) -> None:
    driver = opened(written(tmp_path, "dump_20261101", PATHS))
    assert driver.taken == Taken(1_793_491_200 * 10**9, 1_793_577_600 * 10**9, "name")
    found = files(driver)
    assert set(found) == set(PATHS.split())
    # Nothing is told of them but that they were there when the dump was made.
    assert set(found.values()) == {Stat(Kind.FILE, NOT_TOLD, NOT_TOLD, "", driver.taken.latest_ns)}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_dumps_may_be_packed(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    # The name does not matter: the bytes tell.
    assert set(files(opened(written(tmp_path, "dump", pack(PATHS.encode()))))) == set(PATHS.split())


@pytest.mark.parametrize("cut", [1, 9, 60])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_a_packed_dump_that_breaks_off_is_refused(tmp_path: Path, pack: Callable[[bytes], bytes], cut: int) -> None:
    text = "".join(f"/store/{number}/{number * 7919}.root\n" for number in range(20_000))
    file = written(tmp_path, "dump", pack(text.encode())[:-cut])
    assert "too early" in refusal(file).message


def test_a_last_line_without_end_is_a_truncated_dump(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "dump", PATHS.removesuffix("oot\n")))
    assert error.message == "the last line has no end, all others have: the file is truncated"
    assert error.place.endswith("/dump")
    assert set(files(opened(written(tmp_path, "one", "/a/b")))) == {"/a/b"}


def test_line_ends_of_other_systems_and_empty_lines_are_no_names(tmp_path: Path) -> None:
    text = "\ufeff/a/b\r\n/a/c\r\n\r\n"
    assert set(files(opened(written(tmp_path, "dump", text)))) == {"/a/b", "/a/c"}


def test_an_empty_dump_is_refused_unless_it_may_be(tmp_path: Path) -> None:
    for content in ("", "\n\n"):
        file = written(tmp_path, "dump", content)
        assert "not a single file" in refusal(file).message
        assert read(opened(file, "empty=allowed")) == {"/": DirectoryListing(())}
    header = written(tmp_path, "dump.tsv", "path\tsize\n")
    assert "not a single file" in refusal(header).message
    assert read(opened(header, "empty=allowed")) == {"/": DirectoryListing(())}


def test_a_prefix_is_taken_off_and_another_put_before(tmp_path: Path) -> None:
    file = written(tmp_path, "dump", PATHS)
    for prefix in ("/store", "/store/"):
        assert set(files(opened(file, f"prefix={prefix}"))) == {"/a/1.root", "/a/2.root", "/b/c/3.root"}
    under = files(opened(file, "prefix=/store&under=/data/x"))
    assert set(under) == {"/data/x/a/1.root", "/data/x/a/2.root", "/data/x/b/c/3.root"}
    url = written(tmp_path, "urls", "".join(f"root://door:1094/{path}\n" for path in PATHS.split()))
    assert set(files(opened(url, "prefix=root://door:1094//store"))) == {"/a/1.root", "/a/2.root", "/b/c/3.root"}


def test_a_path_that_does_not_begin_with_the_prefix_is_named(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "dump", "/store/a\n/store/b\n/stored/c\n"), "prefix=/store")
    assert (error.message, error.place[-12:]) == ("the path '/stored/c' is not below '/store'", "dump, line 3")
    error = refusal(written(tmp_path, "dump", "/store/a\n/other\n"), "prefix=/store")
    assert error.message == "the path '/other' does not begin with '/store'"


def test_relative_paths_are_below_the_root(tmp_path: Path) -> None:
    assert set(files(opened(written(tmp_path, "dump", "a/1\nb\n"), "layout=text"))) == {"/a/1", "/b"}
    error = refusal(written(tmp_path, "dump", "a/1\n\n/a/2\n"))
    assert (error.message, error.place[-6:]) == ("the path '/a/2' is absolute, the first one is relative", "line 3")
    assert refusal(written(tmp_path, "dump", "./a/1\n./b\n")).hint == "add prefix=. to the door"
    assert set(files(opened(written(tmp_path, "dump", "./a/1\n./b\n"), "prefix=."))) == {"/a/1", "/b"}


def test_names_that_are_none_of_ours_are_told_where_they_would_be(tmp_path: Path) -> None:
    lines = [b"/a/good", b"/a/\xff\xfe", b"/a/tab\there", b"/a/\x01dir/below", b"/a/\x01dir/more", b"/a//b", b"/a/../c"]
    lines += [b"/a/" + b"x" * 256, b"/a/.", b"//d", b"/a/\xe2\x80\xa8", b"/a/" + b"y/" * 520 + b"z"]
    found = read(opened(written(tmp_path, "dump", b"\n".join(lines) + b"\n"), "layout=text"))
    assert [entry.name for entry in found["/a"].entries] == ["good", "y"]
    raw = {odd.raw: odd.reason for odd in found["/a"].unnameable}
    assert set(raw) == {b"\xff\xfe", b"tab\there", b"\x01dir", b"/b", b"../c", b"x" * 256, b".", b"\xe2\x80\xa8"}
    assert raw[b"\xff\xfe"] == "the name is not UTF-8"
    assert raw[b"/b"] == "the path has an empty component"
    assert [odd.raw for odd in found["/"].unnameable] == [b"/d"]
    (too_long,) = (
        listing
        for listing in found.values()
        if listing.unnameable and len(listing.unnameable) == 1 and "longer" in listing.unnameable[0].reason
    )
    assert too_long.unnameable[0].reason == "the path is longer than 1024 bytes"


def test_a_path_with_a_slash_at_its_end_is_a_directory(tmp_path: Path) -> None:
    found = read(opened(written(tmp_path, "dump", "/a/empty/\n/a/full/\n/a/full/file\n/\n")))
    assert [(e.name, e.stat.kind) for e in found["/a"].entries] == [("empty", Kind.DIRECTORY), ("full", Kind.DIRECTORY)]
    assert found["/a/empty"] == DirectoryListing(())
    assert [entry.name for entry in found["/a/full"].entries] == ["file"]


# ---- parts ---------------------------------------------------------------------------


def cms_parts(folder: Path, paths: list[str], parts: int, *, suffix: str = "") -> Path:
    for number in range(parts):
        text = "".join(f"{path}\n" for path in paths if zlib.adler32(path.encode()) % parts == number).encode()
        written(folder, f"T2_XX_R.{number:05d}{suffix}", gzip.compress(text) if suffix else text)
    return folder / "T2_XX_R"


CMS_PATHS = [f"/store/mc/{number % 7}/{number}.root" for number in range(200)]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_numbered_parts_are_one_dump(tmp_path: Path, suffix: str) -> None:
    root = cms_parts(tmp_path, CMS_PATHS, 5, suffix=suffix)
    written(tmp_path, "T2_XX_R_old.00000", "/not/ours\n")
    assert set(files(opened(root, "layout=cms"))) == set(CMS_PATHS)


@pytest.mark.parametrize("lost", [0, 2, 4])
def test_a_part_that_is_missing_is_noticed(tmp_path: Path, lost: int) -> None:
    root = cms_parts(tmp_path, CMS_PATHS, 5)
    (tmp_path / f"T2_XX_R.{lost:05d}").unlink()
    message = refusal(root).message
    assert message == f"part {lost:05d} is not there" if lost < 4 else "belongs into part" in message


def test_a_folder_of_parts_is_one_dump(tmp_path: Path) -> None:
    written(tmp_path / "dump", "part-1.gz", gzip.compress(b"/a/1\n"))
    written(tmp_path / "dump", "part-2", "/a/2\n/b/3\n")
    written(tmp_path / "dump", "_SUCCESS", "")
    written(tmp_path / "dump", ".part-2.crc", "xxx")
    assert set(files(opened(tmp_path / "dump"))) == {"/a/1", "/a/2", "/b/3"}


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dump").mkdir()
    assert refusal(tmp_path / "dump").message == "has no files in it"


# ---- columns -------------------------------------------------------------------------


def test_path_size_and_day_is_the_layout_of_ral(tmp_path: Path) -> None:
    text = "/castor/a/1\t100\t20000\n/castor/a/2\t0\t20001\n"
    expected = {
        "/castor/a/1": Stat(Kind.FILE, 100, 20000 * DAY_NS),
        "/castor/a/2": Stat(Kind.FILE, 0, 20001 * DAY_NS),
    }
    for options in ("", "layout=ral"):
        driver = opened(written(tmp_path, "consistency-2026-11-01.tsv", text), options)
        assert driver.capabilities.mtime_resolution_ns == DAY_NS
        assert files(driver) == expected
    blanks = written(tmp_path, "blanks", text.replace("\t", "   "))
    assert files(opened(blanks, "layout=ral")) == expected
    assert "blanks" in refusal(blanks).message


RUCIO = (
    "BERN\tmc16\tf.1\tad:11e60398\t10\t2026-10-01 10:00:00\t/rucio/mc16/aa/f.1\t2026-10-02 10:00:00\tA\n"
    "BERN\tmc16\tf.2\tmd:900150983cd24fb0d6963f7d28e17f72\t20\t2026-10-01 10:00:00\t/rucio/mc16/bb/f.2\t\tA\n"
    "BERN\tmc16\tf.3\t\t30\t2026-10-01 10:00:00\t/rucio/mc16/cc/f.3\t\tB\n"
)


def test_replica_dumps_of_rucio(tmp_path: Path) -> None:
    file = written(tmp_path, "replicas_per_rse_BERN_01-11-2026", RUCIO)
    found = files(opened(file))
    assert {path: stat.size for path, stat in found.items()} == {"/rucio/mc16/aa/f.1": 10, "/rucio/mc16/bb/f.2": 20}
    assert set(files(opened(file, "states=B"))) == {"/rucio/mc16/cc/f.3"}
    assert len(files(opened(file, "states=A,B"))) == 3
    without_state = "".join(line.rpartition("\t")[0] + "\n" for line in RUCIO.splitlines())
    assert len(files(opened(written(tmp_path, "old", without_state)))) == 3


def test_digests_of_mixed_algorithms(tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = opened(written(tmp_path, "dump", RUCIO))
        assert driver.capabilities.checksums == driver.capabilities.told == {"adler32", "md5"}
        digest = await driver.checksum("/rucio/mc16/aa/f.1", ["adler32"])
        assert digest == Digest(
            {"adler32": "11e60398"}, await driver.stat("/rucio/mc16/aa/f.1"), frozenset({"adler32"})
        )
        with pytest.raises(Unsupported, match="tells no md5"):
            await driver.checksum("/rucio/mc16/aa/f.1", ["md5"])
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("path\tsize\tmtime\tadler32", "/a/b\t5\t1730000000\t11E60398"),
        ("ADLER32\tLFN\tfile_size\tignored\tModified", "0x11e60398\t/a/b\t5\tx\t2024-10-27T03:33:20Z"),
        ("dir\tname\tsize\tmtime\tchecksum", "/a\tb\t5\t1730000000.000000000\tadler32:11e60398"),
        ("path\tsize\tmtime\tchecksum", "/a/b\t5\t1730000000000\tad=11e60398"),
        ("path\tsize\tmtime_ns\tmtime\tadler32", "/a/b\t5\t1730000000000000000\tx\t11e60398"),
        ("path,size,mtime,adler32", '"/a/b",5,"2024-10-27 03:33:20+00:00",11e60398'),
        ("Path;Size;mtime;adler32", "/a/b;5;1730000000;11e60398"),
        ("path|size|mtime|adler32", "/a/b|5|1730000000|11e60398"),
    ],
)
def test_columns_are_known_by_their_names(tmp_path: Path, header: str, row: str) -> None:
    delimiter = {";": "delimiter=semicolon", "|": "delimiter=pipe"}.get(header[4], "")
    driver = opened(written(tmp_path, "dump", f"{header}\n{row}\n"), delimiter)

    async def scenario() -> None:
        digest = await driver.checksum("/a/b", ["adler32"])
        assert digest.checksums == {"adler32": "11e60398"}
        assert digest.stat == Stat(Kind.FILE, 5, NOON * 10**9)
        await driver.close()

    asyncio.run(scenario())


def test_columns_are_named_by_the_door(tmp_path: Path) -> None:
    file = written(tmp_path, "dump", "x\t7\t/a/b\n")
    assert refusal(file).hint == "add columns=path,size,... to the door, - for what is to be ignored"
    assert files(opened(file, "columns=-,size,path"))["/a/b"].size == 7
    assert "3 columns where 2" in refusal(file, "columns=size,path").message
    assert "'colour'" in refusal(file, "columns=colour,size,path").message
    headed = written(tmp_path, "dump.csv", "k,v,w\nx,7,/a/b\n")
    assert files(opened(headed, "layout=csv&header=yes&columns=-,size,path"))["/a/b"].size == 7


def test_what_a_row_leaves_open_is_not_told(tmp_path: Path) -> None:
    driver = opened(written(tmp_path, "dump_20261101", "path\tsize\tmtime\n/a/1\t\t1730000000\n/a/2\t5\t\n"))
    latest = driver.taken.latest_ns
    assert files(driver) == {
        "/a/1": Stat(Kind.FILE, NOT_TOLD, NOON * 10**9),
        "/a/2": Stat(Kind.FILE, 5, NOT_TOLD, "", latest),
    }


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("/a\t5\t1730000000\tx", "has 4 columns where 3 were expected"),
        ("/a\t5", "has 2 columns where 3 were expected"),
        ("\t5\t1730000000", "the path is empty"),
        ("/a\t-5\t1730000000", "the size '-5' is no whole number of bytes"),
        ("/a\t5.0\t1730000000", "the size '5.0' is no whole number of bytes"),
        ("/a\tfive\t1730000000", "the size 'five' is no whole number of bytes"),
        ("/a\t99999999999999999999\t1730000000", "the size '99999999999999999999' is no whole number of bytes"),
        ("/a\t5\tyesterday", "'yesterday' is no time in seconds"),
    ],
)
def test_a_row_that_makes_no_sense_is_named_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    before = "path\tsize\tmtime\n" + "".join(f"/b/{number}\t1\t1730000000\n" for number in range(1200))
    error = refusal(written(tmp_path, "dump", f"{before}{row}\n/c\t1\t1730000000\n"))
    assert error.message == problem
    assert error.place.endswith("dump, line 1202")


def test_times_have_to_be_written_alike(tmp_path: Path) -> None:
    file = written(tmp_path, "dump", "path\tmtime\n/a\t20000\n/b\t1730000000\n")
    assert "not clear how its times" in refusal(file).message
    file = written(tmp_path, "dump", "path\tmtime\n/a\tlast week\n")
    assert "not clear how its times" in refusal(file).message
    file = written(tmp_path, "dump", "path\tmtime\n/a\t1500.5\n/b\t1600\n")
    assert files(opened(file, "times=seconds"))["/a"].mtime_ns == 1_500_500_000_000


def test_a_digest_that_is_none_is_not_believed(tmp_path: Path) -> None:
    text = "path\tadler32\n/a/1\tError_accessing\n/a/2\t\n/a/3\t11e60398\n/a/4\t00000000\n"

    async def scenario() -> None:
        driver = opened(written(tmp_path, "dump", text))
        assert (await driver.checksum("/a/3", ["adler32"])).checksums == {"adler32": "11e60398"}
        with pytest.raises(Unsupported):
            await driver.checksum("/a/2", ["adler32"])
        for path, reason in (("/a/1", "Error_accessing"), ("/a/4", "know none")):
            with pytest.raises(PeerError, match=reason):
                await driver.checksum(path, ["adler32"])
        with pytest.raises(Unsupported):
            await driver.checksum("/a/3", ["md5"])
        await driver.close()

    asyncio.run(scenario())


def test_csv_has_quotes(tmp_path: Path) -> None:
    text = 'path,size\n"/a/with, comma",1\n"/a/with ""quotes""",2\n"/a/with\nline",3\n'
    found = read(opened(written(tmp_path, "dump.csv", text)))
    assert [entry.name for entry in found["/a"].entries] == ['with "quotes"', "with, comma"]
    assert [odd.raw for odd in found["/a"].unnameable] == [b"with\nline"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('path,size\n/a,1\n"/b,2\n', ""),
        ("path,size\n/a,1\n/b,2,3\n", "row 3"),
        ("path,size\n/a,1\n/b\n", "row 3"),
    ],
)
def test_csv_that_is_none_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in refusal(written(tmp_path, "dump.csv", text)).place


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("/a/b,5\n/a/c,6\n", "add layout=text or layout=csv to the door"),
        ("/a/b 5 20000\n/a/c 6 20000\n", "add layout=text or layout=ral to the door"),
        ("nothing\nhere\n", "add layout=text to the door"),
        ("a\tb\n", "add columns=path,size,... to the door, - for what is to be ignored"),
        ("name\tsize\nx\t1\n", "say which with columns="),
        ("path\tpath\n/x\t/y\n", "say which with columns=, - for the other"),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(tmp_path: Path, text: str, hint: str) -> None:
    assert refusal(written(tmp_path, "dump", text)).hint == hint


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    assert "no text" in refusal(written(tmp_path, "dump", b"/a\n\0\0\0\n")).message
    assert "no layout 'atlas'" in refusal(written(tmp_path, "dump", PATHS), "layout=atlas").message


# ---- Parquet -------------------------------------------------------------------------


def test_parquet_by_the_names_of_its_columns(tmp_path: Path) -> None:
    moment = datetime(2024, 10, 27, 3, 33, 20, tzinfo=UTC)
    file = parquet(tmp_path / "x.parquet", dir=["/a", "/"], name=["b", "c"], size=[5, None], mtime=[moment, None])
    driver = opened(file, "taken=2026-11-01")
    assert files(driver) == {
        "/a/b": Stat(Kind.FILE, 5, NOON * 10**9),
        "/c": Stat(Kind.FILE, NOT_TOLD, NOT_TOLD, "", driver.taken.latest_ns),
    }


def test_parquet_with_whole_numbers_for_times(tmp_path: Path) -> None:
    file = parquet(tmp_path / "x.parquet", path=["/a/b"], size=[5], mtime=[NOON])
    assert files(opened(file)) == {"/a/b": Stat(Kind.FILE, 5, NOON * 10**9)}


def test_parquet_that_is_none_is_refused(tmp_path: Path) -> None:
    whole = parquet(tmp_path / "whole", path=["/a/b"], size=[5]).read_bytes()
    assert "not a whole Parquet file" in refusal(written(tmp_path, "dump", whole[:-20])).message
    assert "no column with a path" in refusal(parquet(tmp_path / "x", colour=["red"])).message
    assert "is of type int64" in refusal(parquet(tmp_path / "x", path=[5])).message
    assert "the path is empty" in refusal(parquet(tmp_path / "x", path=["/a", None])).message
    assert "is no whole number" in refusal(parquet(tmp_path / "x", path=["/a", "/b"], size=[1, -1])).message
    assert "'b/c' is no name" in refusal(parquet(tmp_path / "x", dir=["/a"], name=["b/c"])).message


# ---- S3 Inventory --------------------------------------------------------------------

CSV_SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
CSV_ROWS = [
    ("data/run%201/a%2Bb.root", "v2", "true", "false", "10", "2024-10-27T03:33:20.000Z", "e1", "STANDARD"),
    ("data/run%201/a%2Bb.root", "v1", "false", "false", "9", "2024-10-26T03:33:20.000Z", "e0", "STANDARD"),
    ("data/gone", "v3", "true", "true", "", "2024-10-26T03:33:20.000Z", "", ""),
    ("data/run+2/%C3%BC", "v1", "true", "false", "0", "2024-10-26T03:33:20.000Z", "e2", "GLACIER"),
    ("data/empty/", "v1", "true", "false", "0", "2024-10-26T03:33:20.000Z", "e3", "STANDARD"),
    ("data//double", "v1", "true", "false", "1", "2024-10-26T03:33:20.000Z", "e4", "STANDARD"),
    ("/rooted", "v1", "true", "false", "1", "2024-10-26T03:33:20.000Z", "e5", "STANDARD"),
]


def inventory(
    folder: Path, data: bytes, *, form: str = "CSV", schema: str = CSV_SCHEMA, name: str = "1.csv.gz"
) -> Path:
    """An inventory as the bucket has it; the folder of its manifest."""
    key = f"inventory/source/weekly/data/{name}"
    written(folder, key, data)
    entry = {"key": key, "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
    manifest = {
        "sourceBucket": "source",
        "destinationBucket": "arn:aws:s3:::destination",
        "version": "2016-11-30",
        "creationTimestamp": "1730000000000",
        "fileFormat": form,
        "fileSchema": schema,
        "files": [entry],
    }
    content = json.dumps(manifest).encode()
    there = folder / "inventory/source/weekly/2024-10-27T03-33Z"
    written(there, "manifest.json", content)
    written(there, "manifest.checksum", hashlib.md5(content).hexdigest() + "\n")
    return there


def csv_inventory(folder: Path) -> Path:
    text = "".join(",".join(f'"{value}"' for value in ("source", *row)) + "\n" for row in CSV_ROWS)
    return inventory(folder, gzip.compress(text.encode()))


def test_an_inventory_in_csv(tmp_path: Path) -> None:
    there = csv_inventory(tmp_path)
    for root in (there, there / "manifest.json"):
        driver = opened(root)
        assert (driver.taken.earliest_ns, driver.taken.source) == (NOON * 10**9, "manifest")
        found = read(driver)
        assert found["/data/run 1"].entries == (("a+b.root", Stat(Kind.FILE, 10, NOON * 10**9, "e1")),)
        assert [entry.name for entry in found["/data/run 2"].entries] == ["ü"]
        assert [entry.name for entry in found["/data"].entries] == ["empty", "run 1", "run 2"]
        assert [odd.raw for odd in found["/data"].unnameable] == [b"/double"]
        assert [odd.raw for odd in found["/"].unnameable] == [b"/rooted"]
        assert found["/data/empty"].entries == ()


def test_a_prefix_of_keys_is_taken_off(tmp_path: Path) -> None:
    text = '"b","data/a","5"\n"b","data/","0"\n'
    there = inventory(tmp_path, text.encode(), schema="Bucket, Key, Size")
    assert list(files(opened(there, "prefix=data"))) == ["/a"]


def test_an_inventory_in_parquet(tmp_path: Path) -> None:
    moment = datetime(2024, 10, 27, 3, 33, 20)
    file = parquet(
        tmp_path / "p",
        bucket=["b", "b", "b"],
        key=["a%20b", "old", "gone"],
        is_latest=[True, False, True],
        is_delete_marker=[False, False, True],
        size=[5, 5, None],
        last_modified_date=[moment, moment, moment],
        e_tag=["e1", "e2", None],
    )
    schema = (
        "message s3.inventory { required binary bucket (STRING); required binary key (STRING); "
        "optional boolean is_latest; optional boolean is_delete_marker; optional int64 size; "
        "optional int64 last_modified_date (TIMESTAMP(MILLIS,true)); optional binary e_tag (STRING);}"
    )
    there = inventory(tmp_path, file.read_bytes(), form="Parquet", schema=schema, name="1.parquet")
    assert files(opened(there)) == {"/a%20b": Stat(Kind.FILE, 5, NOON * 10**9, "e1")}


def test_an_inventory_may_be_put_together_in_one_folder(tmp_path: Path) -> None:
    there = csv_inventory(tmp_path / "bucket")
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in (there / "manifest.json", there / "manifest.checksum", there.parent / "data" / "1.csv.gz"):
        shutil.copy(file, flat)
    assert "/data/run 1" in read(opened(flat))


def test_an_inventory_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    there = csv_inventory(tmp_path / "a")
    data = there.parent / "data" / "1.csv.gz"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "its MD5 is not the one in the manifest" in _either(refusal(there), "damaged")
    data.write_bytes(whole + b"x")
    assert "where the manifest says" in refusal(there).message
    data.unlink()
    assert "is not there" in refusal(there).message
    (there / "manifest.checksum").write_text("0" * 32)
    assert "does not agree with manifest.checksum" in refusal(there).message
    assert "no JSON" in refusal(written(tmp_path / "b", "manifest.json", "{")).message
    assert "names no files" in refusal(written(tmp_path / "c", "manifest.json", "{}")).message
    orc = inventory(tmp_path / "d", b"ORC", form="ORC", schema="struct<bucket:string,key:string>")
    assert refusal(orc).message == "the inventory is in ORC"
    out = written(tmp_path / "e", "manifest.json", json.dumps({"files": [{"key": "../a/inventory"}]}))
    assert "is not there" in refusal(out).message


def _either(error: BadInput, other: str) -> str:
    return error.message if other not in error.message else "its MD5 is not the one in the manifest"


# ---- our own listings ----------------------------------------------------------------


def own_listing(folder: Path) -> Path:
    ledger = DiskLedger.open(folder, Plan("bern"), clock=lambda: NOON * 10**6)
    stat = Stat(Kind.FILE, 5, 17, "v1", 19)
    there = Stat(Kind.DIRECTORY, 0, 0)
    odd = (Oddity(b"link", Odd.OTHER, "neither"), Oddity(b"\xff", Odd.UNNAMEABLE, "bytes"))
    for directory in (
        Directory("/", State.LISTED, directories=(Entry("a", there), Entry("b", there), Entry("c", there))),
        Directory("/a", State.LISTED, files=(Entry("file", stat),), directories=(Entry("empty", there),), oddities=odd),
        Directory("/a/empty", State.LISTED),
        Directory("/b", State.FAILED, "permission denied"),
        Directory("/c", State.DOUBTED, "much shorter", files=(Entry("x", stat),)),
    ):
        ledger.take(1)
        ledger.found(directory)
    ledger.save()
    ledger.finish()
    ledger.close()
    return folder


def test_our_own_listing_is_a_dump(tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = opened(own_listing(tmp_path / "listing"))
        assert driver.taken == Taken(NOON * 10**9, NOON * 10**9, "listing")
        assert [entry.name for entry in (await driver.list("/")).entries] == ["a", "b", "c"]
        inside = await driver.list("/a")
        assert [(e.name, e.stat.kind) for e in inside.entries] == [
            ("empty", Kind.DIRECTORY),
            ("file", Kind.FILE),
            ("link", Kind.OTHER),
        ]
        assert inside.entries[1].stat == Stat(Kind.FILE, 5, 17, "v1", 19)
        assert inside.unnameable == (Unnameable(b"\xff", "bytes"),)
        assert await driver.list("/a/empty") == DirectoryListing(())
        with pytest.raises(NotAllowed, match="permission denied"):
            await driver.list("/b")
        doubted = await driver.list("/c")
        assert [entry.name for entry in doubted.entries] == ["x"]
        assert "much shorter" in doubted.doubt
        await driver.close()

    asyncio.run(scenario())


# ---- what contradicts itself ---------------------------------------------------------


def test_what_is_named_twice_is_listed_twice(tmp_path: Path) -> None:
    text = "path\tsize\n/a/same\t1\n/a/two\t1\n/a/same\t1\n/a/two\t2\n/a/two\t1\n"

    async def scenario() -> None:
        driver = opened(written(tmp_path, "dump", text))
        listing = await driver.list("/a")
        assert [(e.name, e.stat.size) for e in listing.entries] == [
            ("same", 1),
            ("same", 1),
            ("two", 1),
            ("two", 1),
            ("two", 2),
        ]
        assert listing.doubt == "'two' is named twice, and not alike"
        assert (await driver.stat("/a/same")).size == 1
        with pytest.raises(PeerError, match="named twice"):
            await driver.stat("/a/two")
        await driver.close()

    asyncio.run(scenario())


def test_a_path_that_is_a_file_and_a_directory_is_in_doubt(tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = opened(written(tmp_path, "dump", "/a/b\n/a/b/c\n"))
        listing = await driver.list("/a")
        assert {entry.stat.kind for entry in listing.entries} == {Kind.FILE, Kind.DIRECTORY}
        assert "'b' is named twice" in listing.doubt
        assert [entry.name for entry in (await driver.list("/a/b")).entries] == ["c"]
        with pytest.raises(PeerError):
            await driver.stat("/a/b")
        await driver.close()

    asyncio.run(scenario())


# ---- the door ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        ("dump", "is not the root of a dump"),
        ("http://host/dump", "is not the root of a dump"),
        ("file://host/dump", "is not the root of a dump"),
        ("/dump?colour=red", "no option 'colour'"),
        ("/dump?layuot=text", "no option 'layuot'"),
        ("/dump?layout=text&layout=csv", "twice"),
        ("/dump?header=maybe", "header=maybe makes no sense"),
        ("/dump?delimiter=x", "delimiter=x makes no sense"),
        ("/dump?times=weeks", "times=weeks makes no sense"),
        ("/dump?taken=yesterday", "no day and no time"),
        ("/dump?under=a", "is no directory"),
        ("/dump?under=/a/../b", "is no directory"),
        ("/dump?x", "cannot be read"),
    ],
)
def test_a_door_that_makes_no_sense_is_refused(root: str, problem: str) -> None:
    with pytest.raises(BadInput, match=re.escape(problem)) as caught:
        open_door(root, site="bern", access=Access())
    assert caught.value.place == f"bern:{root}"
    assert caught.value.hint


def test_the_nearest_option_is_named() -> None:
    with pytest.raises(BadInput) as caught:
        dump_options.parse("/dump?layuot=text")
    assert caught.value.hint == "did you mean layout?"


def test_a_path_in_a_url_is_percent_encoded(tmp_path: Path) -> None:
    file = written(tmp_path, "a dump?.txt", PATHS)
    driver = open_door(f"file://{tmp_path}/a%20dump%3F.txt?prefix=%2Fstore", site="bern", access=Access())
    assert set(files(driver)) == {"/a/1.root", "/a/2.root", "/b/c/3.root"}
    assert file.exists()


def test_a_dump_that_is_not_there_is_told_when_the_door_is_opened(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no such file") as caught:
        open_door(f"{tmp_path}/none", site="bern", access=Access())
    assert caught.value.hint


def test_doors_know_dumps(tmp_path: Path) -> None:
    driver = doors.open_driver("dump", str(written(tmp_path, "dump", PATHS)), site="bern")
    assert isinstance(driver, DumpDriver)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("dump_20261101", "", (1_793_491_200, 1_793_577_600, "name")),
        ("listing-2026-11-01.gz", "", (1_793_491_200, 1_793_577_600, "name")),
        ("replicas_01-11-2026", "", (1_793_491_200, 1_793_577_600, "name")),
        ("x_2026-11-01T06-30Z", "", (1_793_514_600, 1_793_514_600, "name")),
        ("dump_20261101", "taken=2026-10-01", (1_790_812_800, 1_790_899_200, "option")),
        ("dump", "taken=2026-10-01T06:30Z", (1_790_836_200, 1_790_836_200, "option")),
        ("dump", "taken=2026-10-01T08:30%2B02:00", (1_790_836_200, 1_790_836_200, "option")),
        ("dump", "taken=1790836200", (1_790_836_200, 1_790_836_201, "option")),
        ("dump", "", (NOON, NOON, "file time")),
        ("dump_20261345", "", (NOON, NOON, "file time")),
        ("from_20261101_to_20261102", "", (NOON, NOON, "file time")),
        ("1202611010", "", (NOON, NOON, "file time")),
    ],
)
def test_when_a_dump_was_taken(tmp_path: Path, name: str, options: str, expected: tuple[int, int, str]) -> None:
    file = written(tmp_path, name, PATHS)
    os.utime(file, (NOON, NOON))
    taken = opened(file, options).taken
    assert (taken.earliest_ns // 10**9, taken.latest_ns // 10**9, taken.source) == expected


# ---- staging -------------------------------------------------------------------------


@pytest.mark.parametrize("rows_held", [20, 100, ROWS_HELD])
@pytest.mark.parametrize("seed", range(2))
def test_a_dump_in_any_order_is_the_tree_it_was_made_of(tmp_path: Path, seed: int, rows_held: int) -> None:
    rng = random.Random(seed)
    paths = {f"/{rng.randrange(3)}/{rng.randrange(20)}/{rng.randrange(4)}-{n}" for n in range(300)}
    paths |= {f"/giant/{n}" for n in range(100)} | {f"/{'d/' * depth}f" for depth in range(40)}
    shuffled = sorted(paths)
    rng.shuffle(shuffled)
    file = written(tmp_path, "dump", "".join(f"{path}\n" for path in shuffled))
    assert set(files(opened(file, rows_held=rows_held))) == paths


def test_a_directory_larger_than_memory_comes_in_pieces_in_order(tmp_path: Path) -> None:
    count = 3 * PAGE_ROWS
    file = written(tmp_path, "dump", "".join(f"/giant/{n * 7919 % count}\n" for n in range(count)))

    async def scenario() -> None:
        driver = opened(file, rows_held=1000)
        pages = [page async for page in driver.pages("/giant")]
        assert len(pages) >= 3
        assert max(len(page.entries) for page in pages) <= PAGE_ROWS
        found = [entry.name for page in pages for entry in page.entries]
        assert found == sorted(map(str, range(count)))
        assert (await driver.stat("/giant/4711")).kind is Kind.FILE
        await driver.close()

    asyncio.run(scenario())


def test_a_dump_is_staged_once_for_all_who_ask_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work))
    file = written(tmp_path, "dump", PATHS)

    async def scenario() -> None:
        driver = opened(file, rows_held=1)
        found = await asyncio.gather(*(driver.list("/store/a") for _ in range(20)))
        file.unlink()
        assert all(listing == found[0] for listing in found)
        # Its files have no names any more: even a killed process leaves nothing behind.
        assert not list(work.iterdir())
        assert len((await driver.list("/store/a")).entries) == 2
        await driver.close()

    asyncio.run(scenario())
    assert refusal(written(tmp_path, "bad", "/a\nb\n")).message
    assert not list(work.iterdir())


def test_who_gives_up_waiting_does_no_harm_to_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = opened(written(tmp_path, "dump", PATHS))
        first = asyncio.create_task(driver.list("/"))
        other = asyncio.create_task(driver.list("/store"))
        await asyncio.sleep(0)
        first.cancel()
        assert [entry.name for entry in (await other).entries] == ["a", "b"]
        await driver.close()

    asyncio.run(scenario())


def test_closing_while_it_is_staged_waits_for_that(tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = opened(written(tmp_path, "dump", PATHS))
        waiting = asyncio.create_task(driver.list("/"))
        await asyncio.sleep(0)
        await driver.close()
        # Who asked before may have been just in time.
        (answer,) = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(answer, DirectoryListing | BrokenInvariant)
        with pytest.raises(BrokenInvariant):
            await driver.list("/")

    asyncio.run(scenario())


def test_a_dump_that_is_written_while_it_is_read_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "dump", PATHS)

    async def scenario() -> None:
        driver = opened(file)
        with open(file, "a") as more:
            more.write("/store/more\n")
        with pytest.raises(BadInput, match="changed while it was read"):
            await driver.list("/")
        await driver.close()

    asyncio.run(scenario())


def test_no_room_for_staging_is_the_operators_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))

    async def scenario() -> None:
        driver = opened(written(tmp_path, "dump", PATHS))
        with pytest.raises(OperatorError, match="cannot be staged"):
            await driver.list("/")
        await driver.close()

    asyncio.run(scenario())


@given(lines=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=30))
@settings(max_examples=150, deadline=None)
def test_no_line_of_a_dump_is_silently_absent(lines: list[bytes]) -> None:
    """Any bytes: every line is a file, a directory, an unnameable name, or the dump is refused with its line."""
    lines = [line.replace(b"\n", b"_") for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        file = written(Path(folder), "dump", b"".join(b"/%s\n" % line for line in lines))
        try:
            found = read(opened(file, "layout=text"))
        except BadInput:
            return
    said = {names.join(path, e.name).encode() for path, listing in found.items() for e in listing.entries}
    odd = [(path, each.raw) for path, listing in found.items() for each in listing.unnameable]
    for line in lines:
        path = b"/" + (line.removesuffix(b"\r") if lines[0].endswith(b"\r") else line)
        plain = b"/" + path[1:].removesuffix(b"/")
        below = (names.join(dir, "").encode() + raw for dir, raw in odd)
        assert plain in said or plain == b"/" or any(path.startswith(each) for each in below), line


# ---- listing -------------------------------------------------------------------------


def test_a_dump_is_listed_like_any_storage_and_what_it_does_not_tell_is_null(tmp_path: Path) -> None:
    text = "path\tsize\tmtime\n/a/1\t5\t1730000000\n/a/2\t\t\n/b/c/3\t7\t\n"
    folder = tmp_path / "listing"

    async def scenario() -> DumpDriver:
        driver = opened(written(tmp_path, "dump_20261101", text))
        ledger = DiskLedger.open(folder, Plan("bern"))
        await list_tree([driver], ledger)
        ledger.close()
        await driver.close()
        return driver

    latest = asyncio.run(scenario()).taken.latest_ns
    listing = Listing.open(folder)
    assert (listing.summary.counts.files, listing.summary.counts.bytes, listing.summary.counts.listed) == (3, 12, 4)
    rows = [
        (row["dir"], row["name"], row["size"], row["mtime"], row["mtime_ns"], row["changed_ns"])
        for batch in listing.batches(ENTRIES)
        for row in batch.to_pylist()
    ]
    assert sorted(rows) == [
        ("/a", "1", 5, NOON, NOON * 10**9, None),
        ("/a", "2", None, None, None, latest),
        ("/b/c", "3", 7, None, None, latest),
    ]
    assert all(row.mtime_ns is None for row in listing.directories())
    # What was listed is a dump itself, and says the same.
    again = files(opened(folder))
    assert again == {
        "/a/1": Stat(Kind.FILE, 5, NOON * 10**9),
        "/a/2": Stat(Kind.FILE, NOT_TOLD, NOT_TOLD, "", latest),
        "/b/c/3": Stat(Kind.FILE, 7, NOT_TOLD, "", latest),
    }
