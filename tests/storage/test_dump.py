"""DumpDriver: listings that sites hand out: the conformance suite, lines, parts, doors, staging.

The suite runs on dumps that ``put`` writes anew; the rest reads files written by hand, as far as possible like
those of the field. ``test_dump_layouts`` has the layouts with columns.
"""

from __future__ import annotations

import asyncio
import bz2
import csv
import dataclasses
import gzip
import io
import os
import random
import re
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.model import names
from holdfast.model.errors import BadInput, BrokenInvariant, OperatorError, PeerError
from holdfast.storage import doors
from holdfast.storage.abilities import Taken
from holdfast.storage.access import Access
from holdfast.storage.digest import digests_of
from holdfast.storage.driver import NOT_TOLD, DirectoryListing, Kind, Stat, StorageDriver
from holdfast.storage.dump import options as dump_options
from holdfast.storage.dump.driver import PAGE_ROWS, DumpDriver, open_door
from holdfast.storage.dump.plan import plan
from holdfast.storage.dump.staging import ROWS_HELD
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.engine import list_tree
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.listing.tables import ENTRIES
from holdfast.testing.driver_suite import DriverSuite
from storage.dumps import NOON, PATHS, files, opened, read, refusal, written
from support.soak import examples

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
    assert error.message == "the last line has no end: the file is truncated"
    assert error.place.endswith("/dump")
    for name, content in (("one", "/a/b"), ("one.csv", "/a/b,5"), ("one.gz", gzip.compress(b"/a/b"))):
        error = refusal(written(tmp_path, name, content), "layout=csv&columns=path,size" if ".csv" in name else "")
        assert error.message == "the last line has no end: the file is truncated"


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
    assert refusal(written(tmp_path, "dump", "./a/1\n./b\n"), "layout=text").hint == "add prefix=. to the door"
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


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (["dump_20261101", "dump_20261102"], "holds dumps of several days: 'dump_20261101', 'dump_20261102'"),
        (["a/dump", "b/dump", "part-1"], "beside files it has in it: 'a', 'b'"),
        ([f"{letter}/dump" for letter in "abcdef"], "beside files it has in it: 'a', 'b', 'c' and 3 more"),
    ],
)
def test_a_folder_of_several_dumps_is_refused(tmp_path: Path, found: list[str], message: str) -> None:
    for name in found:
        written(tmp_path / "dumps", name, PATHS)
    error = refusal(tmp_path / "dumps")
    assert (error.message, error.hint) == (message, "name one of them in the root of the door")


def test_a_part_that_is_a_link_to_nothing_is_not_passed_over(tmp_path: Path) -> None:
    written(tmp_path / "dump", "part-1", "/a/1\n")
    (tmp_path / "dump" / "part-2").symlink_to(tmp_path / "none")
    assert "'part-2'" in refusal(tmp_path / "dump").message


def test_parts_of_one_day_are_one_dump(tmp_path: Path) -> None:
    for part in range(3):
        written(tmp_path / "dump", f"dump_20261101_part{part}", f"/a/{part}\n")
    written(tmp_path / "dump", "_logs/yesterday", "")
    assert set(files(opened(tmp_path / "dump"))) == {"/a/0", "/a/1", "/a/2"}


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dump").mkdir()
    assert refusal(tmp_path / "dump").message == "has no files in it"


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
@settings(max_examples=examples(150), deadline=None)
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
        ledger = DiskLedger.open(folder, ListingPlan("bern"))
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
