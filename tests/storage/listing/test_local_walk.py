"""The local walk: what it finds is what the engine finds over a PosixDriver, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat as modes
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.model.errors import OperatorError
from holdfast.storage.driver import NotADirectory, NotThere
from holdfast.storage.listing import disk_ledger, local_columns, local_packet, parts, table_output
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.engine import list_tree
from holdfast.storage.listing.expectation import Expectation
from holdfast.storage.listing.local_columns import LocalColumns
from holdfast.storage.listing.local_handles import LocalHandles
from holdfast.storage.listing.local_walk import LocalProgress, walk_local
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.listing.tables import DIRECTORIES, ENTRIES, ODDITIES
from holdfast.storage.posix.driver import PosixDriver
from storage.listing.ledgers import rows_of
from storage.listing.planted import TREES, Killing, Noting, Raising, plant, plant_many, skip_b
from support.fast_folder import fast_folder
from support.soak import examples
from support.users import Unprivileged


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as made:
        yield made


def walked(root: Path, listing: Path, *, top: str = "/", **options: Any) -> dict[str, list[Any]]:
    """All rows that the local walk writes."""
    ledger = DiskLedger.open(listing, ListingPlan("bern", top))
    try:
        assert walk_local(root, ledger, **{"workers": 1, **options}) is not None
    finally:
        ledger.close()
    return rows_of(listing)


def asked(root: Path, listing: Path, *, top: str = "/", **options: Any) -> dict[str, list[Any]]:
    """All rows that the engine writes."""

    async def list_it() -> None:
        ledger, driver = DiskLedger.open(listing, ListingPlan("bern", top)), PosixDriver(root)
        try:
            await list_tree([driver], ledger, **options)
        finally:
            ledger.close()
            await driver.close()

    asyncio.run(list_it())
    return rows_of(listing)


def shrink(patch: pytest.MonkeyPatch, amount: int) -> None:
    """Let a small tree pass every bound."""
    patch.setattr(local_packet, "HUGE_ENTRIES", 2 + amount)
    patch.setattr(local_packet, "LEFT_MAX", 2 + amount)
    patch.setattr(local_packet, "HURRY_S", 0)
    patch.setattr(local_packet, "LOOK_S", 0)
    patch.setattr(local_columns, "CHUNK_ROWS", 1 + amount)
    patch.setattr(table_output, "PART_ROWS", 3 + amount)
    patch.setattr(parts, "PART_ROWS", 4 + 3 * amount)
    patch.setattr(disk_ledger, "ROWS_DUE", 2)


# The result.


@settings(max_examples=examples(30))
@given(TREES, st.integers(0, 9), st.integers(1, 30))
def test_it_finds_what_the_engine_finds(tree: Any, amount: int, rows_max: int) -> None:
    with fast_folder() as folder, pytest.MonkeyPatch.context() as patch:
        (folder / "root").mkdir()
        plant(os.fsencode(folder / "root"), tree)
        wanted = asked(folder / "root", folder / "asked")
        assert walked(folder / "root", folder / "walked") == wanted
        shrink(patch, amount)
        assert walked(folder / "root", folder / "in pieces", rows_max=rows_max) == wanted
        assert sorted(os.listdir(folder / "in pieces")) == ["directories", "entries", "listing.json", "oddities"]


def test_skipped_directories_and_another_top(folder: Path) -> None:
    root = folder / "root"
    plant_many(root, 30, 2)
    for path in ("d0/b", "d0/b/c", "d1/b"):
        (root / path).mkdir()
    (root / "d0/b/file").touch()
    for number, top in enumerate(["/", "/d0", "/d0/b"]):
        wanted = asked(root, folder / f"asked{number}", top=top, skip=skip_b)
        assert walked(root, folder / f"walked{number}", top=top, skip=skip_b) == wanted
        assert wanted[DIRECTORIES]


def test_directories_that_may_not_be_read_are_failed(unprivileged: Unprivileged) -> None:
    root = unprivileged.folder / "root"
    # All that will be imported is imported now: the checkout can lie where nobody enters.
    (unprivileged.folder / "empty").mkdir()
    asked(unprivileged.folder / "empty", unprivileged.folder / "asked first")
    for path in ("closed/below", "names-only", "enter-only/below", "open"):
        (root / path).mkdir(parents=True)
    (root / "names-only/file").touch()
    for path, mode in (("closed", 0), ("names-only", 0o444), ("enter-only", 0o111)):
        (root / path).chmod(mode)
    for path in (root, *root.iterdir()):
        os.chown(path, unprivileged.uid, unprivileged.gid)
    with unprivileged.acting():
        wanted = asked(root, unprivileged.folder / "asked")
        found = walked(root, unprivileged.folder / "walked")
    for path in root.iterdir():
        path.chmod(0o755)
    assert found == wanted
    assert Counter(row[1] for row in found[DIRECTORIES]) == {"listed": 2, "failed": 3}
    assert {row[2] for row in found[DIRECTORIES]} == {"", "permission denied"}


def test_deep_trees_need_few_handles(folder: Path) -> None:
    path = folder / "root"
    for _ in range(300):
        (path / "side").mkdir(parents=True)
        (path / "a").touch()
        path = path / "d"
    path.mkdir()
    code = f"""
import resource
from pathlib import Path
from holdfast.storage.listing.disk_ledger import DiskLedger, ListingPlan
from holdfast.storage.listing.local_walk import walk_local
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
folder = Path({str(folder)!r})
walk_local(folder / "root", DiskLedger.open(folder / "walked", ListingPlan("bern")), workers=1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert rows_of(folder / "walked") == asked(folder / "root", folder / "asked")


def test_moments_that_the_tables_cannot_hold_are_oddities(folder: Path) -> None:
    root = folder / "root"
    (root / "deep").mkdir(parents=True)
    for name in ("file", "plain", "other"):
        (root / name).touch()
    far_ns = 2**62 * 5
    for path in (root / "file", root / "deep"):
        os.utime(path, ns=(far_ns, far_ns))
    if (root / "file").stat().st_mtime_ns != far_ns:
        pytest.skip("this file system does not keep such times")
    found = walked(root, folder / "walked")
    assert found == asked(root, folder / "asked")
    assert [row[1] for row in found[ODDITIES]] == ["file"]
    assert [row[1] for row in found[ENTRIES]] == ["other", "plain"]


def test_inodes_may_have_all_bits(folder: Path) -> None:
    # As FUSE file systems give them; none of those that tests can mount does.
    numbers = (modes.S_IFREG, 2**64 - 1, 1, 1, 0, 0, 2**62, 0, 0, 0)
    times = {"st_atime_ns": 0, "st_mtime_ns": -1, "st_ctime_ns": 7}
    found = os.stat_result(numbers, times)
    if found.st_mtime_ns != -1:
        pytest.skip("this Python makes no such values")
    columns = LocalColumns(folder, "/")
    columns.add(DirectoryRow("/", "listed", "", 4, 0, 0, None), ["a", "b", "c", "d"], [found] * 4)
    done = columns.done()
    assert columns.counts.bytes == 2**64
    assert [piece.rows for piece in done if isinstance(piece, local_packet.RowPiece)] == [4, 1]


# What changes meanwhile.


class Once:
    """Skips nothing; does something when it is asked for a directory, the first time."""

    def __init__(self, path: str, deed: Callable[[], object]) -> None:
        self._path = path
        self._deed: Callable[[], object] | None = deed

    def __call__(self, path: str) -> str:
        if path == self._path and self._deed is not None:
            self._deed, deed = None, self._deed
            deed()
        return ""


def states(found: dict[str, list[Any]]) -> dict[str, tuple[str, str]]:
    return {row[0]: (row[1], row[2]) for row in found[DIRECTORIES]}


@pytest.mark.parametrize("rows_max", [1, 1000])
def test_a_directory_that_became_a_link_is_not_entered(folder: Path, rows_max: int) -> None:
    root, outside = folder / "root", folder / "outside"
    for path in (root / "a/b", outside):
        path.mkdir(parents=True)
    (outside / "secret").touch()

    def swap() -> None:
        (root / "a/b").rmdir()
        (root / "a/b").symlink_to(outside)

    found = walked(root, folder / "walked", skip=Once("/a/b", swap), rows_max=rows_max)
    assert states(found)["/a/b"] == ("failed", "not a directory")
    assert found[ENTRIES] == []


@pytest.mark.parametrize("rows_max", [1, 1000])
def test_a_directory_that_is_gone_is_listed_with_nothing(folder: Path, rows_max: int) -> None:
    root = folder / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/c").mkdir()
    found = walked(root, folder / "walked", skip=Once("/a/b", (root / "a/b").rmdir), rows_max=rows_max)
    assert states(found) == dict.fromkeys(["/", "/a", "/a/b", "/a/c"], ("listed", ""))


def test_what_is_gone_with_all_above_it_is_failed(folder: Path) -> None:
    root = folder / "root"
    (root / "a/b").mkdir(parents=True)
    skip = Once("/a/b", lambda: shutil.rmtree(root / "a"))
    found = walked(root, folder / "walked", skip=skip, rows_max=1)
    assert states(found)["/a/b"] == ("failed", "no such file or directory")


@pytest.mark.parametrize(("times", "state"), [(2, "listed"), (3, "failed")])
def test_what_may_pass_is_tried_again(folder: Path, times: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder / "root"
    (root / "a").mkdir(parents=True)
    (root / "a/file").touch()
    monkeypatch.setattr(local_packet, "PAUSE_S", 0)
    really_open, tried = LocalHandles.open, Counter[str]()

    def fail(self: LocalHandles, above: str, name: str) -> int:
        tried[above + name] += 1
        if name == "a" and tried["/a"] <= times:
            raise OSError(errno.EIO, "")
        return really_open(self, above, name)

    monkeypatch.setattr(LocalHandles, "open", fail)
    assert states(walked(root, folder / "walked"))["/a"][0] == state
    assert tried == {"/": 1, "/a": 3}


@pytest.mark.parametrize(("top", "error"), [("/nowhere", NotThere), ("/a/file", NotADirectory)])
def test_a_top_that_cannot_be_listed_is_no_listing_and_asked_for_again(
    folder: Path, top: str, error: type[Exception]
) -> None:
    root = folder / "root"
    (root / "a").mkdir(parents=True)
    (root / "a/file").touch()
    for _ in range(2):
        with pytest.raises(error):
            walked(root, folder / "walked", top=top)
        with pytest.raises(error):
            asked(root, folder / "asked", top=top, top_required=True)
    (root / "a/file").unlink()
    (root / top[1:]).mkdir()
    (root / top[1:] / "now").touch()
    found = walked(root, folder / "walked", top=top)
    assert [row[:2] for row in found[ENTRIES]] == [(top, "now")]
    assert asked(root, folder / "asked", top=top, top_required=True) == found


def test_a_huge_directory_is_broken_off_when_all_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder / "root"
    (root / "huge").mkdir(parents=True)
    for number in range(200):
        (root / f"huge/file{number}").touch()
    monkeypatch.setattr(local_packet, "HUGE_ENTRIES", 10)
    ledger = DiskLedger.open(folder / "walked", ListingPlan("bern"))
    looks = 0

    def stopped() -> bool:
        nonlocal looks
        looks += 1
        return looks > 3

    assert walk_local(root, ledger, workers=1, stopped=stopped) is None
    assert looks < 10
    assert (ledger.counts.files, ledger.waiting) == (0, 1)
    assert not list((folder / "walked").glob(".spool*"))
    ledger.close()
    assert walked(root, folder / "walked") == asked(root, folder / "asked")


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_names_are_those_of_the_storage_whatever_the_locale(folder: Path, locale: str) -> None:
    root = folder / "root"
    plant(b"%s" % os.fsencode(folder), {b"root": {}})
    plant(os.fsencode(root), {"grüße".encode(): {"é".encode(): 3, b"caf\xe9": 1, b"a": 2}, b"plain": {b"b": 1}})
    environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    if locale != "C":
        made = folder / "locales"
        made.mkdir()
        command = ["localedef", "-c", "-i", "en_US", "-f", "ISO-8859-1", str(made / locale)]
        if shutil.which("localedef") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this locale cannot be made here")
        environment["LOCPATH"] = str(made)
    said = [sys.executable, "-c", "import sys; print(sys.getfilesystemencoding())"]
    assert subprocess.run(said, env=environment, capture_output=True, check=True).stdout.strip() != b"utf-8"
    subprocess.run([sys.executable, "-c", _MEMORY, str(folder)], env=environment, check=True, capture_output=True)
    found = rows_of(folder / "walked")
    assert found == asked(root, folder / "asked")
    assert [row[:2] for row in found[ENTRIES]] == [("/grüße", "a"), ("/grüße", "é"), ("/plain", "b")]
    assert [row[2] for row in found[ODDITIES]] == [b"caf\xe9"]


# What was expected.


def test_less_than_expected_is_looked_at_again_before_it_is_believed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder / "root"
    for path in ("away/below", "few", "lost", "new"):
        (root / path).mkdir(parents=True)
    (root / "few/one").touch()
    (root / "away/below/file").touch()
    (root / "away").rename(folder / "hidden")
    (root / "away").mkdir()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        """What is mounted late is there after the first pause."""
        pauses.append(seconds)
        if len(pauses) == 1:
            (root / "away").rmdir()
            (folder / "hidden").rename(root / "away")

    monkeypatch.setattr(local_packet.time, "sleep", pause)
    hints = {"/away": 1, "/lost": 70, "/few": 9}
    found = walked(root, folder / "walked", expected=hints.get)
    # The same three times, at one door: believed. No other directory waits for it.
    assert pauses == [local_packet.DOUBT_PAUSE_S] * 2
    assert found == asked(root, folder / "asked")
    assert [row[:2] for row in found[ENTRIES]] == [("/away/below", "file"), ("/few", "one")]


def test_what_says_something_else_at_each_look_is_doubted_with_all_that_was_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder / "root"
    (root / "a").mkdir(parents=True)
    looks = 0

    def pause(seconds: float) -> None:
        nonlocal looks
        looks += 1
        for each in (root / "a").iterdir():
            each.unlink()
        (root / f"a/file{looks}").touch()

    monkeypatch.setattr(local_packet.time, "sleep", pause)
    found = walked(root, folder / "walked", expected={"/a": 70}.get)
    assert states(found)["/a"] == (
        "doubted",
        "empty, where 70 names were expected; 4 answers gave from 0 to 1 names",
    )
    assert [row[1] for row in found[ENTRIES]] == ["file1", "file2", "file3"]
    monkeypatch.setattr(local_packet, "HUGE_ENTRIES", 1)
    pieces = walked(root, folder / "pieces", expected={"/a": 70}.get)
    assert states(pieces)["/a"] == ("doubted", "only 1 names, where 70 were expected")


def test_where_something_was_expected_gone_is_not_believed(folder: Path) -> None:
    root = folder / "root"
    (root / "a/b").mkdir(parents=True)
    skip = Once("/a/b", (root / "a/b").rmdir)
    found = walked(root, folder / "walked", skip=skip, rows_max=1, expected={"/a/b": 1}.get)
    assert states(found)["/a/b"] == ("failed", "no such file or directory")


def test_what_is_expected_goes_to_the_others_too(folder: Path) -> None:
    root, notes = folder / "root", folder / "notes"
    plant_many(root, 400, 3)
    expected = Expectation.of([(f"/d0/e0/f{number}", 900) for number in range(0, 400, 49)])
    skip = Noting(notes, os.getpid())
    found = walked(root, folder / "walked", workers=3, skip=skip, expected=expected)
    assert found == asked(root, folder / "asked")


# Several processes.


def test_the_others_do_their_part(folder: Path) -> None:
    root, notes = folder / "root", folder / "notes"
    plant_many(root, 400, 3)
    told: list[LocalProgress] = []
    skip = Noting(notes, os.getpid())
    found = walked(root, folder / "walked", workers=3, skip=skip, progress=told.append)
    assert found == asked(root, folder / "asked")
    done = Counter(notes.read_text().split())
    assert sum(done.values()) == len(found[DIRECTORIES])
    assert len(done) == 3
    assert told[-1] == LocalProgress(Listing.open(folder / "walked").summary.counts, 0)
    assert sorted(os.listdir(folder / "walked")) == ["directories", "entries", "listing.json", "oddities"]


def test_the_packet_of_a_worker_that_died_is_walked_again(folder: Path) -> None:
    root = folder / "root"
    plant_many(root, 300, 3)
    skip = Killing(folder / "marker", os.getpid(), once=True)
    assert walked(root, folder / "walked", workers=2, skip=skip) == asked(root, folder / "asked")
    assert skip.marker.exists()


@pytest.mark.parametrize("way", ["killed", "bug"])
def test_workers_that_die_one_after_the_other_end_the_walk(folder: Path, way: str) -> None:
    root = folder / "root"
    plant_many(root, 300, 3)
    skip = Killing(folder / "marker", os.getpid(), once=False) if way == "killed" else Raising(os.getpid())
    with pytest.raises(OperatorError, match="signal 9" if way == "killed" else "RuntimeError: a bug of its own"):
        walked(root, folder / "walked", workers=2, skip=skip)
    assert walked(root, folder / "walked") == asked(root, folder / "asked")


def test_stopped_it_can_be_gone_on_with_by_the_engine(folder: Path) -> None:
    root = folder / "root"
    plant_many(root, 100, 3)
    ledger = DiskLedger.open(folder / "listing", ListingPlan("bern"))
    told: list[LocalProgress] = []
    ended = walk_local(root, ledger, workers=1, rows_max=20, progress=told.append, stopped=lambda: len(told) > 3)
    ledger.close()
    assert ended is None
    assert 0 < told[-1].counts.files < 300
    assert asked(root, folder / "listing") == asked(root, folder / "asked")
    assert Listing.open(folder / "listing").summary.resumed == 1


def test_a_root_that_cannot_be_opened_is_told(folder: Path) -> None:
    ledger = DiskLedger.open(folder / "listing", ListingPlan("bern"))
    with pytest.raises(OperatorError, match="the root of the storage cannot be opened"):
        walk_local(folder / "nowhere", ledger)
    ledger.close()


@pytest.mark.parametrize("where", ["sync_file", "PartFile.write", "PartFile.complete"])
def test_a_full_disk_under_the_listing_is_no_failure_of_a_directory(
    folder: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder / "root"
    plant_many(root, 50, 3)
    monkeypatch.setattr(table_output, "PART_ROWS", 10)
    monkeypatch.setattr(local_columns, "CHUNK_ROWS", 5)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(f"holdfast.storage.listing.part_files.{where}", full)
    with pytest.raises(OperatorError, match="no space left on device"):
        walked(root, folder / "walked")
    assert not list((folder / "walked").glob("*/*"))


# Amounts.

_MEMORY = """
import sys
from pathlib import Path
from holdfast.storage.listing.disk_ledger import DiskLedger, ListingPlan
from holdfast.storage.listing.local_walk import walk_local
folder = Path(sys.argv[1])
walk_local(folder / "root", DiskLedger.open(folder / "walked", ListingPlan("bern")), workers=1)
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the system of Linux for the memory of a process")
def test_a_directory_of_very_many_needs_little_memory(folder: Path) -> None:
    root = folder / "root"
    root.mkdir()
    for number in range(300_000):
        os.close(os.open(root / f"a-name-of-usual-length-{number}.root", os.O_CREAT))
    for number in range(100_000):
        os.mkdir(root / f"a-directory-of-usual-length-{number}")
    ran = subprocess.run([sys.executable, "-c", _MEMORY, str(folder)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 200
    counts = Listing.open(folder / "walked").summary.counts
    assert (counts.files, counts.directories) == (300_000, 100_001)
