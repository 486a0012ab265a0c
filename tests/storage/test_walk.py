"""walk and its tables: everything is found once, nothing unknown is passed over, nothing half is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.model import names
from holdfast.model.errors import InvalidName, OperatorError, PeerError
from holdfast.storage.driver import DirectoryListing, Entry, Kind, NotThere, Stat, Unnameable
from holdfast.storage.listing import tables as listing
from holdfast.storage.listing.tables import Directory, Odd, ParquetSink, State, show_raw
from holdfast.storage.listing.walk import ATTEMPTS, WalkProgress, WalkSummary, sort_out, walk
from holdfast.storage.posix import PosixDriver
from holdfast.testing.memory_driver import MemoryDriver
from support.logged import logged

FILE = Stat(Kind.FILE, 1, 5)
FOLDER = Stat(Kind.DIRECTORY, 0, 5)


class ListSink:
    """Keeps what the walk gives it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.directories: list[Directory] = []
        self.ended: list[str] = []
        self._error = error

    def add(self, directories: Sequence[Directory]) -> None:
        if self._error:
            raise self._error
        self.directories.extend(directories)

    def finish(self) -> None:
        self.ended.append("finish")

    def abandon(self) -> None:
        self.ended.append("abandon")


def walked(driver: Any, sink: Any, **options: Any) -> WalkSummary:
    async def no_pause(seconds: float) -> None:
        await asyncio.sleep(0)

    return asyncio.run(walk(driver, sink=sink, **{"concurrency": 4, "sleep": no_pause, **options}))


def states(sink: ListSink) -> dict[str, tuple[str, str]]:
    found = {directory.dir: (directory.state.value, directory.reason) for directory in sink.directories}
    assert len(found) == len(sink.directories), "a directory twice"
    return found


def files(sink: ListSink) -> list[str]:
    return sorted(names.join(d.dir, entry.name) for d in sink.directories for entry in d.files)


def a_tree() -> MemoryDriver:
    driver = MemoryDriver()
    for path in ("/top", "/a/one", "/a/two", "/a/deep/er/file", "/b/file", "/c/x/y/z"):
        driver.put(path, path.encode())
    return driver


@pytest.mark.parametrize("concurrency", [1, 2, 50])
def test_everything_is_found_once(concurrency: int) -> None:
    driver, sink = a_tree(), ListSink()
    summary = walked(driver, sink, concurrency=concurrency)
    assert files(sink) == driver.paths()
    assert set(states(sink)) == {"/", "/a", "/a/deep", "/a/deep/er", "/b", "/c", "/c/x", "/c/x/y"}
    assert summary == WalkSummary("/", True, 8, 0, 0, 6, sum(map(len, driver.paths())), 0)
    assert summary.complete
    assert sink.ended == ["finish"]


def test_one_worker_goes_depth_first_in_the_order_of_bytes() -> None:
    sink = ListSink()
    walked(a_tree(), sink, concurrency=1)
    order = ["/", "/a", "/a/deep", "/a/deep/er", "/b", "/c", "/c/x", "/c/x/y"]
    assert [directory.dir for directory in sink.directories] == order


def test_a_walk_may_begin_below_the_root() -> None:
    sink = ListSink()
    assert walked(a_tree(), sink, top="/a").top_listed
    assert files(sink) == ["/a/deep/er/file", "/a/one", "/a/two"]
    with pytest.raises(InvalidName):
        walked(a_tree(), ListSink(), top="/a/..")


def test_at_most_so_many_directories_are_asked_for_at_once() -> None:
    class Counting(MemoryDriver):
        now = most = 0

        async def list(self, path: str) -> DirectoryListing:
            Counting.now += 1
            Counting.most = max(Counting.most, Counting.now)
            await asyncio.sleep(0.001)
            found = await super().list(path)
            Counting.now -= 1
            return found

    driver = Counting()
    for number in range(60):
        driver.put(f"/d{number}/file", b"")
    walked(driver, ListSink(), concurrency=7)
    assert Counting.most == 7


def test_a_directory_that_fails_is_unknown_and_the_walk_goes_on() -> None:
    driver, sink = a_tree(), ListSink()
    driver.fail_directory("/a")
    summary = walked(driver, sink)
    assert states(sink)["/a"] == ("failed", "permission denied")
    assert not [path for path in states(sink) if path.startswith("/a/")]
    assert files(sink) == ["/b/file", "/c/x/y/z", "/top"]
    assert (summary.failed, summary.complete, summary.top_listed) == (1, False, True)
    assert summary.failures == (("/a", "permission denied"),)


def test_a_directory_that_fails_is_logged() -> None:
    driver = a_tree()
    driver.fail_directory("/a")
    with logged() as events:
        walked(driver, ListSink())
    assert events == [
        {
            "event": "directory not listed",
            "log_level": "info",
            "room": "storage",
            "place": "memory:/a",
            "reason": "permission denied",
        }
    ]


@pytest.mark.parametrize("failing", ["/", "/nowhere"])
def test_a_top_that_cannot_be_listed_is_no_empty_storage(failing: str) -> None:
    driver, sink = a_tree(), ListSink()
    if failing == "/":
        driver.fail_directory("/")
    summary = walked(driver, sink, top=failing)
    assert states(sink)[failing][0] == "failed"
    assert (summary.top_listed, summary.failed, summary.files, summary.complete) == (False, 1, 0, False)


@pytest.mark.parametrize("failures", [1, ATTEMPTS - 1, ATTEMPTS])
def test_trouble_that_passes_is_waited_out(failures: int) -> None:
    driver, sink = a_tree(), ListSink()
    pauses: list[float] = []
    left = failures

    def fault(operation: str, path: str) -> None:
        nonlocal left
        if path == "/b" and left:
            left -= 1
            raise PeerError("connection reset")

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    driver.faults = fault
    summary = walked(driver, sink, sleep=sleep)
    assert states(sink)["/b"] == (("listed", "") if failures < ATTEMPTS else ("failed", "connection reset"))
    assert summary.failed == (failures >= ATTEMPTS)
    assert len(pauses) == min(failures, ATTEMPTS - 1)
    assert pauses == sorted(set(pauses)), "pauses grow"


def test_trouble_that_stays_is_asked_once() -> None:
    driver = a_tree()
    asked: list[str] = []

    def fault(operation: str, path: str) -> None:
        asked.append(path)
        if path == "/b":
            raise NotThere("no such file or directory")

    driver.faults = fault
    walked(driver, ListSink())
    assert asked.count("/b") == 1


def test_what_is_skipped_is_told_and_not_entered() -> None:
    sink = ListSink()
    summary = walked(a_tree(), sink, skip=lambda path: "not ours" if path == "/a" else "")
    assert states(sink)["/a"] == ("skipped", "not ours")
    assert not [path for path in states(sink) if path.startswith("/a/")]
    assert (summary.skipped, summary.complete) == (1, False)


def test_progress_counts_up_to_the_summary() -> None:
    seen: list[WalkProgress] = []
    summary = walked(a_tree(), ListSink(), progress=seen.append)
    assert len(seen) == summary.listed
    assert seen == sorted(seen, key=lambda progress: progress.directories)
    assert seen[-1] == WalkProgress(8, 6, summary.bytes, 0, 0)
    assert max(progress.queue for progress in seen) > 0


def test_a_sink_that_breaks_ends_the_walk() -> None:
    error = OperatorError("disk full")
    sink = ListSink(error)
    with pytest.raises(OperatorError) as caught:
        walked(a_tree(), sink)
    assert caught.value is error
    assert sink.ended == ["abandon"]


def test_a_driver_that_breaks_its_contract_ends_the_walk() -> None:
    def fault(operation: str, path: str) -> None:
        if path == "/c/x":
            raise RuntimeError("a bug of a plug-in")

    driver, sink = a_tree(), ListSink()
    driver.faults = fault
    with pytest.raises(RuntimeError, match="a bug of a plug-in"):
        walked(driver, sink)
    assert sink.ended == ["abandon"]


def test_a_sink_is_not_abandoned_under_its_own_feet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.storage.walk.BATCH_ROWS", 1)
    adding = threading.Event()

    class Slow(ListSink):
        def add(self, directories: Sequence[Directory]) -> None:
            adding.set()
            time.sleep(0.1)
            self.ended.append("added")

    class Breaking(MemoryDriver):
        async def list(self, path: str) -> DirectoryListing:
            found = await super().list(path)
            if path == "/b":
                adding.clear()
                await asyncio.to_thread(adding.wait, 10)
                raise RuntimeError("while another worker is at the sink")
            if path == "/a":
                await asyncio.sleep(0.05)
            return found

    driver, sink = Breaking(), Slow()
    driver.put("/b/file", b"")
    driver.put("/a/file", b"")
    with pytest.raises(RuntimeError):
        walked(driver, sink)
    assert sink.ended == ["added", "added", "abandon"]


def test_a_cancelled_walk_leaves_nothing() -> None:
    driver, sink = a_tree(), ListSink()

    async def scenario() -> None:
        task = asyncio.ensure_future(walk(driver, concurrency=2, sink=sink))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert sink.ended == ["abandon"]


# Distrust.


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../../etc", "/etc", "new\nline", "x" * 256, "caf\udce9"])
@pytest.mark.parametrize("stat", [FILE, FOLDER])
def test_a_name_that_is_none_is_never_joined(name: str, stat: Stat) -> None:
    directory = sort_out("/a", DirectoryListing((Entry(name, stat), Entry("good", stat))))
    assert [entry.name for entry in (*directory.files, *directory.directories)] == ["good"]
    (odd,) = directory.oddities
    assert (odd.raw, odd.kind) == (name.encode(errors="surrogateescape"), Odd.REFUSED)
    assert odd.reason


@pytest.mark.parametrize(
    ("name", "raw"), [("\ud800", b"\xed\xa0\x80"), ("a\udcff\udbff", b"a\xed\xb3\xbf\xed\xaf\xbf")]
)
def test_text_that_is_no_unicode_does_not_end_a_walk(tmp_path: Path, name: str, raw: bytes) -> None:
    class Careless(MemoryDriver):
        async def list(self, path: str) -> DirectoryListing:
            if path == "/b":
                raise PeerError(f"cannot list {name}")
            found = await super().list(path)
            return DirectoryListing((*found.entries, Entry(name, FILE), Entry(name, FOLDER)))

    driver = Careless()
    driver.put("/a/file", b"")
    driver.put("/b/file", b"")
    summary = walked(driver, ParquetSink(tmp_path))
    assert (summary.files, summary.listed, summary.failed, summary.oddities) == (1, 2, 1, 4)
    found = tables(tmp_path)
    assert {(row["raw"], row["kind"]) for row in found[listing.ODDITIES]} == {(raw, "refused")}
    assert [row["reason"] for row in found[listing.DIRECTORIES] if row["dir"] == "/b"] != [""]


def test_a_time_that_no_table_holds_does_not_end_a_walk(tmp_path: Path) -> None:
    (tmp_path / "root/deep").mkdir(parents=True)
    for name in ("file", "deep/file"):
        (tmp_path / "root" / name).touch()
    far_ns = 13_569_465_600 * 10**9  # The year 2400.
    for name in ("file", "deep"):
        os.utime(tmp_path / "root" / name, ns=(0, far_ns))
    if (tmp_path / "root/file").stat().st_mtime_ns != far_ns:
        pytest.skip("this file system does not keep such times")
    summary = walked(PosixDriver(tmp_path / "root"), ParquetSink(tmp_path / "listing"))
    assert (summary.files, summary.listed, summary.oddities) == (1, 2, 1)
    found = tables(tmp_path / "listing")
    assert [(row["shown"], row["reason"]) for row in found[listing.ODDITIES]] == [
        ("file", "the listing gives it a time too far from now")
    ]
    assert [row["mtime_ns"] for row in found[listing.DIRECTORIES] if row["dir"] == "/deep"] == [None]


@pytest.mark.parametrize("stat", [Stat(Kind.FILE, -1, 5), Stat(Kind.FILE, 2**63, 5), Stat(Kind.FILE, 1, 5, "", 2**63)])
def test_numbers_that_make_no_sense_are_told(stat: Stat) -> None:
    directory = sort_out("/a", DirectoryListing((Entry("file", stat),)))
    assert directory.files == ()
    assert directory.oddities[0].reason.startswith("the listing gives it")


def test_a_name_given_twice_is_taken_once() -> None:
    entries = (Entry("b", FILE), Entry("a", FILE), Entry("b", Stat(Kind.FILE, 2, 6)), Entry("a", FOLDER))
    directory = sort_out("/d", DirectoryListing(entries))
    assert [(entry.name, entry.stat.size) for entry in directory.files] == [("a", 1), ("b", 1)]
    assert directory.directories == ()
    assert [odd.reason for odd in directory.oddities] == ["the listing names it twice"] * 2


def test_a_path_that_would_be_too_long_is_told() -> None:
    above = "/" + "/".join(["d" * 200] * 5)
    fits = names.LFN_BYTES_MAX - len(above) - 1
    directory = sort_out(above, DirectoryListing((Entry("x" * fits, FILE), Entry("y" * (fits + 1), FOLDER))))
    assert [entry.name for entry in directory.files] == ["x" * fits]
    names.lfn(names.join(above, "x" * fits))
    assert "longer than" in directory.oddities[0].reason
    assert directory.directories == ()


def test_links_and_names_that_are_none_are_oddities() -> None:
    found = DirectoryListing((Entry("link", Stat(Kind.OTHER, 1, 5)),), (Unnameable(b"\xff", "not UTF-8"),))
    assert [(odd.raw, odd.kind) for odd in sort_out("/", found).oddities] == [
        (b"\xff", Odd.UNNAMEABLE),
        (b"link", Odd.OTHER),
    ]


@example(b"\\xff", b"\xff")
@example(b"\\n", b"\n")
@given(st.binary(max_size=40), st.binary(max_size=40))
def test_escaped_names_are_printable_and_distinct(one: bytes, two: bytes) -> None:
    assert show_raw(one).isprintable()
    assert (show_raw(one) == show_raw(two)) == (one == two)


# The tables.


def tables(folder: Path) -> dict[str, list[dict[str, Any]]]:
    assert sorted(os.listdir(folder)) == sorted(listing.SCHEMAS)
    for name, schema in listing.SCHEMAS.items():
        assert pq.read_schema(folder / name).equals(schema)
    return {name: pq.read_table(folder / name).to_pylist() for name in listing.SCHEMAS}


def test_the_tables_say_what_was_found(tmp_path: Path) -> None:
    driver = a_tree()
    driver.put("/a/one", b"123", mtime_ns=-1)
    driver.put("/a/.holdfast-part-x", b"")
    driver.tree.put_other("/a/link")
    driver.tree.put_unnameable("/a", b"caf\xe9\n")
    driver.fail_directory("/b")
    walked(driver, ParquetSink(tmp_path / "new" / "folder"), concurrency=1)
    found = tables(tmp_path / "new" / "folder")
    stat = asyncio.run(driver.stat("/a/one"))
    assert stat.changed_ns is not None
    (row,) = [row for row in found[listing.ENTRIES] if row["name"] == "one"]
    assert row == {
        "dir": "/a",
        "name": "one",
        "size": 3,
        "mtime": -1,
        "mtime_ns": -1,
        "version": stat.version,
        "changed_ns": stat.changed_ns,
    }
    assert [names.join(row["dir"], row["name"]) for row in found[listing.ENTRIES]] == [
        "/top",
        "/a/.holdfast-part-x",
        "/a/one",
        "/a/two",
        "/a/deep/er/file",
        "/c/x/y/z",
    ]
    by_dir = {row.pop("dir"): row for row in found[listing.DIRECTORIES]}
    assert by_dir["/"].pop("mtime_ns") is None
    assert by_dir["/"] == {"state": "listed", "reason": "", "files": 1, "directories": 3, "oddities": 0}
    assert by_dir["/a"].pop("mtime_ns") > 0
    assert by_dir["/a"] == {"state": "listed", "reason": "", "files": 3, "directories": 1, "oddities": 2}
    assert (by_dir["/b"]["state"], by_dir["/b"]["reason"]) == ("failed", "permission denied")
    assert [(row["shown"], row["raw"], row["kind"]) for row in found[listing.ODDITIES]] == [
        ("caf\\xe9\\n", b"caf\xe9\n", "unnameable"),
        ("link", b"link", "other"),
    ]


def test_a_storage_that_does_not_tell_of_changes_gives_null(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path)
    sink.add([Directory("/a", State.LISTED, files=(Entry("file", FILE),))])
    sink.finish()
    (row,) = tables(tmp_path)[listing.ENTRIES]
    assert (row["mtime_ns"], row["changed_ns"]) == (5, None)


def test_an_empty_storage_gives_empty_tables(tmp_path: Path) -> None:
    walked(MemoryDriver(), ParquetSink(tmp_path))
    found = tables(tmp_path)
    assert (found[listing.ENTRIES], found[listing.ODDITIES]) == ([], [])
    assert [(row["dir"], row["state"]) for row in found[listing.DIRECTORIES]] == [("/", "listed")]


def test_many_rows_are_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "ROWS_HELD", 100)
    monkeypatch.setattr("holdfast.storage.walk.BATCH_ROWS", 50)
    driver = MemoryDriver()
    for number in range(1000):
        driver.put(f"/d{number % 37}/file{number}", b"")
    walked(driver, ParquetSink(tmp_path))
    metadata = pq.read_metadata(tmp_path / listing.ENTRIES)
    assert (metadata.num_rows, metadata.num_row_groups > 5) == (1000, True)
    rows = tables(tmp_path)[listing.ENTRIES]
    assert sorted(names.join(row["dir"], row["name"]) for row in rows) == driver.paths()
    # Rows of one directory stand together, in the order of the names' bytes.
    dirs = [row["dir"] for row in rows]
    assert len([dir for place, dir in enumerate(dirs) if place == 0 or dirs[place - 1] != dir]) == 37
    for dir in set(dirs):
        own = [row["name"] for row in rows if row["dir"] == dir]
        assert own == sorted(own, key=str.encode)


def test_a_walk_that_breaks_leaves_older_tables_alone(tmp_path: Path) -> None:
    walked(a_tree(), ParquetSink(tmp_path))
    before = tables(tmp_path)
    driver = MemoryDriver()

    def fault(operation: str, path: str) -> None:
        raise RuntimeError("a bug")

    driver.faults = fault
    with pytest.raises(RuntimeError):
        walked(driver, ParquetSink(tmp_path))
    assert tables(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_the_operators_business(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OperatorError) as caught:
        ParquetSink(tmp_path / "file" / "below")
    assert caught.value.place == str(tmp_path / "file" / "below")


@pytest.mark.real("tmpfs mount")
def test_a_full_disk_under_the_tables_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "ROWS_HELD", 100)
    driver = MemoryDriver()
    for number in range(5000):
        driver.put(f"/d{number % 7}/{os.urandom(60).hex()}", b"")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "holdfast-test", str(folder)], check=True)
    try:
        with pytest.raises(OperatorError, match="no space left"):
            walked(driver, ParquetSink(folder))
        assert os.listdir(folder) == []
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


# Against os.walk, on trees of any shape.

NAMES = st.one_of(
    st.sampled_from([b"a", b"b", b"with blank", b"-x", b"...", "grüße".encode(), b"caf\xe9", b"new\nline", b"\\"]),
    st.binary(min_size=1, max_size=8).filter(
        lambda raw: b"/" not in raw and b"\0" not in raw and raw not in (b".", b"..")
    ),
)
TREES = st.recursive(
    st.one_of(st.integers(0, 3000), st.just("link"), st.just("pipe")),
    lambda below: st.dictionaries(NAMES, below, max_size=5),
    max_leaves=25,
)


def plant(folder: bytes, tree: Any) -> None:
    for name, below in tree.items():
        path = folder + b"/" + name
        if isinstance(below, dict):
            os.mkdir(path)
            plant(path, below)
        elif below == "link":
            os.symlink(b"/", path)
        elif below == "pipe":
            os.mkfifo(path)
        else:
            with open(path, "wb") as file:
                file.write(bytes(below))


def expected(root: bytes) -> tuple[set[tuple[str, int, int]], set[str], set[tuple[str, bytes]]]:
    """What ``os.walk`` finds: files, directories that can be named, and everything else."""
    found: set[tuple[str, int, int]] = set()
    directories: set[str] = set()
    odd: set[tuple[str, bytes]] = set()
    for at, below, others in os.walk(root):
        dir = at[len(root) :].decode() or "/"
        directories.add(dir)
        for raw in (*below, *others):
            path = os.path.join(at, raw)
            try:
                lfn = names.lfn(names.join(dir, raw.decode()))
            except (UnicodeDecodeError, InvalidName):
                odd.add((dir, raw))
                continue
            if os.path.islink(path) or not (os.path.isfile(path) or os.path.isdir(path)):
                odd.add((dir, raw))
            elif os.path.isfile(path):
                state = os.stat(path)
                found.add((str(lfn), state.st_size, state.st_mtime_ns))
        # What cannot be named cannot be entered; os.walk would.
        below[:] = [raw for raw in below if (dir, raw) not in odd]
    return found, directories, odd


@settings(max_examples=60)
@given(st.dictionaries(NAMES, TREES, max_size=6), st.integers(1, 5))
def test_a_walk_finds_what_os_walk_finds(tree: Any, concurrency: int) -> None:
    root = Path(tempfile.mkdtemp(prefix="holdfast-walk-"))
    try:
        plant(os.fsencode(root), tree)
        sink = ListSink()
        summary = walked(PosixDriver(root), sink, concurrency=concurrency)
        wanted, directories, odd = expected(os.fsencode(root))
        rows = [(d.dir, entry) for d in sink.directories for entry in d.files]
        found = [(names.join(dir, entry.name), entry.stat.size, entry.stat.mtime_ns) for dir, entry in rows]
        assert len(found) == len(set(found))
        assert set(found) == wanted
        assert states(sink) == dict.fromkeys(directories, ("listed", ""))
        assert {(d.dir, o.raw) for d in sink.directories for o in d.oddities} == odd
        assert (summary.files, summary.listed, summary.oddities) == (len(wanted), len(directories), len(odd))
    finally:
        shutil.rmtree(root)


def test_the_schemas_are_those_the_docstring_names() -> None:
    for schema in listing.SCHEMAS.values():
        for field in schema:
            assert field.name in (listing.__doc__ or "")
    assert {state.value for state in State} == {"listed", "failed", "skipped"}
    assert pa.types.is_int64(listing.SCHEMAS[listing.ENTRIES].field("mtime").type)
