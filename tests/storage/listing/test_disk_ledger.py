"""DiskLedger: broken off anywhere and gone on with, it comes to the same; memory and disk keep their bounds.

Breaking off is ``close`` without ``save``: nothing more reaches the disk than a
killed process would have written. Real kills are in ``tests/crash``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.model import steps
from holdfast.model.errors import BadInput, BrokenInvariant, Conflict, OperatorError
from holdfast.storage.driver import Entry, Kind, Stat
from holdfast.storage.listing import disk_ledger, part_files, parts, waiting_stack
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.ledger import WaitingDirectory
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import SHOWN_MAX, ListingPlan
from holdfast.storage.listing.tables import DIRECTORIES, ENTRIES, SCHEMAS, Directory, DirectoryState
from storage.listing.ledgers import PLAN, a_tree, counts_wanted, find, rows_of, rows_wanted
from support.fast_folder import fast_folder
from support.soak import examples

FILE = Stat(Kind.FILE, 1, 5)
FOLDER = Stat(Kind.DIRECTORY, 0, 5)


def opened(folder: Path, plan: ListingPlan = PLAN, **options: Any) -> DiskLedger:
    return DiskLedger.open(folder, plan, clock=lambda: 7, **options)


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as made:
        yield made / "listing"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amounts so small that a few dozen directories pass every bound."""
    shrink(monkeypatch)


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_ledger, "ROWS_DUE", 20)
    monkeypatch.setattr(parts, "PART_ROWS", 50)
    monkeypatch.setattr(part_files, "GROUP_ROWS", 16)
    for module in (waiting_stack, disk_ledger):
        monkeypatch.setattr(module, "HELD_MAX", 6)
    monkeypatch.setattr(waiting_stack, "HELD_MIN", 3)


def run_through(ledger: DiskLedger, tree: dict[str, Directory], source: random.Random | None = None) -> None:
    source = source or random.Random(1)
    while taken := ledger.take(source.randint(1, 5)):
        for waiting in taken:
            find(ledger, waiting, tree, source)
        if ledger.due:
            ledger.save()
    ledger.finish()
    ledger.close()


# Going on.


@settings(max_examples=examples(30))
@given(st.integers(0, 2**32), st.integers(0, 6))
def test_broken_off_anywhere_it_comes_to_the_same(seed: int, breaks: int) -> None:
    source, tree = random.Random(seed), a_tree(seed)
    with fast_folder() as folder, pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        ends = sorted(source.randrange(1, 150) for _ in range(breaks))
        deeds = 0
        ledger = opened(folder)
        in_flight: deque[WaitingDirectory] = deque()
        while ledger.waiting or in_flight:
            in_flight.extend(ledger.take(source.randint(0, 4)))
            in_flight.rotate(source.randrange(3))
            for _ in range(min(source.randint(0, 4), len(in_flight))):
                find(ledger, in_flight.popleft(), tree, source)
            if ledger.due or source.random() < 0.1:
                ledger.save()
            deeds += 1
            if ends and deeds >= ends[0]:
                ends.pop(0)
                ledger.close()
                in_flight.clear()
                ledger = opened(folder)
        summary = ledger.finish()
        ledger.close()
        assert rows_of(folder) == rows_wanted(tree)
        assert replace(summary.counts, failures=[], doubts=[]) == counts_wanted(tree)
        assert len(summary.counts.failures) == min(summary.counts.failed, SHOWN_MAX)
        assert Listing.open(folder).summary == summary
        assert sorted(os.listdir(folder)) == ["directories", "entries", "listing.json", "oddities"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("step", steps.STEPS["listing"])
def test_dying_at_every_pass_of_a_step_comes_to_the_same(folder: Path, step: str) -> None:
    class Died(BaseException):
        pass

    tree = a_tree(3, 120)
    for nth in range(1, 1000):
        at = folder / str(nth)
        passed = 0

        def die(name: str, nth: int = nth) -> None:
            nonlocal passed
            passed += name == step
            if name == step and passed == nth:
                raise Died

        ledger = opened(at)
        try:
            with steps.observed(die):
                run_through(ledger, tree)
        except Died:
            ledger.close()
            if step == "listing.revealed":
                with pytest.raises(Conflict, match="complete"):
                    opened(at)
            else:
                again = opened(at)
                assert again.resumed == 1
                run_through(again, tree)
        assert rows_of(at) == rows_wanted(tree)
        assert sorted(os.listdir(at)) == ["directories", "entries", "listing.json", "oddities"]
        if passed < nth:
            assert nth > (1 if step == "listing.revealed" else 3)
            return
    pytest.fail("no end")


def test_the_newest_are_taken_first_and_in_the_order_of_names(folder: Path) -> None:
    ledger = opened(folder)
    (top,) = ledger.take(5)
    assert top == WaitingDirectory("/", None)
    ledger.found(Directory("/", DirectoryState.LISTED, directories=(Entry("a", FOLDER), Entry("b", FOLDER))))
    assert [each.dir for each in ledger.take(1)] == ["/a"]
    ledger.found(Directory("/a", DirectoryState.LISTED, directories=(Entry("x", FOLDER),)))
    assert ledger.waiting == 2
    assert [each.dir for each in ledger.take(5)] == ["/a/x", "/b"]
    assert not ledger.take(5)
    ledger.close()


def test_what_was_taken_and_not_found_waits_again(folder: Path) -> None:
    ledger = opened(folder)
    ledger.take(1)
    ledger.found(Directory("/", DirectoryState.LISTED, directories=(Entry("a", FOLDER), Entry("b", FOLDER))))
    ledger.take(1)
    ledger.save()
    ledger.take(1)
    assert ledger.waiting == 0
    ledger.close()
    ledger = opened(folder)
    assert (ledger.waiting, ledger.resumed, ledger.counts.listed) == (2, 1, 1)
    assert [each.dir for each in ledger.take(5)] == ["/a", "/b"]
    ledger.close()


def test_a_directory_is_found_once_and_only_if_it_was_taken(folder: Path) -> None:
    ledger = opened(folder)
    with pytest.raises(BrokenInvariant):
        ledger.found(Directory("/", DirectoryState.LISTED))
    ledger.take(1)
    ledger.found(Directory("/", DirectoryState.LISTED))
    with pytest.raises(BrokenInvariant):
        ledger.found(Directory("/", DirectoryState.LISTED))
    ledger.close()


def test_finishing_early_is_refused(folder: Path) -> None:
    ledger = opened(folder)
    with pytest.raises(BrokenInvariant):
        ledger.finish()
    ledger.take(1)
    with pytest.raises(BrokenInvariant):
        ledger.finish()
    ledger.close()


def test_it_is_due_by_rows_and_by_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_ledger, "ROWS_DUE", 4)
    moment = 100.0
    ledger = opened(folder, now=lambda: moment)
    ledger.take(1)
    moment += 60
    assert not ledger.due, "nothing was found"
    ledger.found(Directory("/", DirectoryState.LISTED, directories=(Entry("a", FOLDER), Entry("b", FOLDER))))
    assert ledger.due
    ledger.save()
    assert not ledger.due
    ledger.take(2)
    ledger.found(Directory("/a", DirectoryState.LISTED))
    moment += disk_ledger.SECONDS_DUE - 0.01
    assert not ledger.due
    ledger.found(Directory("/b", DirectoryState.LISTED, files=(Entry("f", FILE), Entry("g", FILE))))
    assert ledger.due
    ledger.save()
    ledger.close()


def test_what_waits_in_a_spool_is_had_without_saving(folder: Path) -> None:
    ledger = opened(folder)
    (top,) = ledger.take(1)
    spool = ledger.spool(top)
    spool.add(Directory("/", DirectoryState.LISTED, directories=(Entry("a", FOLDER), Entry("b", FOLDER))))
    assert ledger.waiting == 0
    spool.keep(Directory("/", DirectoryState.LISTED, directories=(Entry("c", FOLDER),)))
    assert ledger.waiting == 3
    assert ledger.due
    assert sorted(each.dir for each in ledger.take(9)) == ["/a", "/b", "/c"]
    with pytest.raises(BrokenInvariant):
        spool.add(Directory("/", DirectoryState.LISTED))
    ledger.close()


def test_a_dropped_spool_leaves_nothing(folder: Path) -> None:
    ledger = opened(folder)
    before = sorted(os.listdir(folder))
    (top,) = ledger.take(1)
    spool = ledger.spool(top)
    spool.add(Directory("/", DirectoryState.LISTED, files=(Entry("f", FILE),), directories=(Entry("a", FOLDER),)))
    spool.drop()
    spool.drop()
    assert sorted(os.listdir(folder)) == before
    ledger.found(Directory("/", DirectoryState.FAILED, "it broke off"))
    ledger.finish()
    ledger.close()
    assert rows_of(folder)[ENTRIES] == []


# Parts.


@pytest.mark.usefixtures("small")
def test_files_that_no_save_has_named_are_removed(folder: Path) -> None:
    tree = a_tree(5)
    ledger = opened(folder)
    while not list(folder.glob("entries/*.parquet")):
        for waiting in ledger.take(3):
            ledger.found(tree[waiting.dir])
        ledger.save()
    ledger.close()
    strays = [
        "entries/000077.parquet",
        "oddities/.folded.part",
        ".spool-00ff00ff00ff00ff-entries.part",
        "listing.json.part",
    ]
    (folder / "oddities").mkdir(exist_ok=True)
    for stray in strays:
        (folder / stray).write_bytes(b"half")
    others = ["entries/notes.txt", "movie.mkv.part", "000001.parquet", "entries/x.part", ".folded.part"]
    for other in others:
        (folder / other).write_text("somebody's")
    ledger = opened(folder)
    assert not [stray for stray in strays if (folder / stray).exists()]
    assert {(folder / other).read_text() for other in others} == {"somebody's"}
    run_through(ledger, tree)
    assert rows_of(folder) == rows_wanted(tree)


def test_rows_become_a_part_when_there_are_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 100)
    ledger = opened(folder)
    ledger.take(1)
    ledger.found(Directory("/", DirectoryState.LISTED, directories=tuple(Entry(f"d{n:02}", FOLDER) for n in range(60))))
    for waiting in ledger.take(60):
        files = tuple(Entry(f"f{n}", FILE) for n in range(4))
        ledger.found(Directory(waiting.dir, DirectoryState.LISTED, files=files))
        ledger.save()
    assert len(list(folder.glob("entries/*"))) == 2
    assert not list(folder.glob("directories/*"))
    ledger.finish()
    ledger.close()
    listing = Listing.open(folder)
    assert [part.rows for part in listing.summary.parts if part.table == ENTRIES] == [100, 100, 40]
    assert [part.rows for part in listing.summary.parts if part.table == DIRECTORIES] == [61]


def test_an_empty_listing_has_an_empty_part_of_each_table(folder: Path) -> None:
    ledger = opened(folder)
    ledger.take(1)
    ledger.found(Directory("/", DirectoryState.FAILED, "permission denied"))
    summary = ledger.finish()
    ledger.close()
    assert summary.counts.top_state == DirectoryState.FAILED
    assert not summary.complete
    assert [part.rows for part in summary.parts] == [1, 0, 0]
    assert {part.table for part in summary.parts} == set(SCHEMAS)


def test_a_time_that_the_tables_cannot_hold_is_left_out(folder: Path) -> None:
    ledger = opened(folder)
    ledger.take(1)
    ledger.found(Directory("/", DirectoryState.LISTED, directories=(Entry("a", Stat(Kind.DIRECTORY, 0, 2**63)),)))
    ledger.save()
    assert ledger.take(1) == [WaitingDirectory("/a", None)]
    ledger.close()


# Who may open it.


def test_another_plan_is_refused_and_told_apart(folder: Path) -> None:
    opened(folder).close()
    with pytest.raises(Conflict, match=r"site 'bern', not 'oslo'") as caught:
        opened(folder, replace(PLAN, site="oslo"))
    assert "top" not in caught.value.message
    with pytest.raises(Conflict, match=r"top '/', not '/a'; .*skip '', not 'x'"):
        opened(folder, replace(PLAN, top="/a", skip="x"))
    with pytest.raises(Conflict, match=r"doors \('posix /data',\), not \('posix /other',\)"):
        opened(folder, replace(PLAN, doors=("posix /other",)))
    opened(folder).close()


def test_a_top_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput):
        opened(folder, ListingPlan("bern", "data"))
    assert not folder.exists()


def test_a_complete_listing_is_not_gone_on_with(folder: Path) -> None:
    run_through(opened(folder), tree := a_tree(1, 5))
    for _ in range(2):
        with pytest.raises(Conflict, match="complete"):
            opened(folder)
    assert rows_of(folder) == rows_wanted(tree)


def test_a_second_opener_is_told_who_has_it(folder: Path) -> None:
    ledger = opened(folder)
    with pytest.raises(Conflict, match=f"process {os.getpid()} on") as caught:
        opened(folder)
    assert caught.value.place == str(folder)
    script = f"""
from pathlib import Path
from holdfast.model.errors import Conflict
from holdfast.storage.listing.disk_ledger import DiskLedger, ListingPlan
try:
    DiskLedger.open(Path({str(folder)!r}), ListingPlan("bern", "/", ("posix /data",)))
except Conflict as error:
    print(error.message)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"process {os.getpid()} on" in ran.stdout
    ledger.close()
    ledger.close()
    opened(folder).close()


def test_parts_without_a_ledger_are_not_overwritten(folder: Path) -> None:
    (folder / "entries").mkdir(parents=True)
    (folder / "entries/000000.parquet").write_bytes(b"days of work")
    with pytest.raises(Conflict, match="no ledger"):
        opened(folder)
    assert (folder / "entries/000000.parquet").read_bytes() == b"days of work"


@pytest.mark.parametrize("name", ["movie.mkv.part", "000000.parquet", "notes", "listing.json.part", "ledger.db-wal"])
@pytest.mark.parametrize("is_directory", [False, True])
def test_a_folder_with_anything_else_in_it_is_refused_and_left_as_it_is(
    folder: Path, name: str, is_directory: bool
) -> None:
    folder.mkdir(exist_ok=True)
    if is_directory:
        (folder / name).mkdir()
    else:
        (folder / name).write_text("somebody's")
    with pytest.raises(Conflict, match=f"not empty.*{name}"):
        opened(folder)
    assert os.listdir(folder) == [name]
    assert is_directory or (folder / name).read_text() == "somebody's"


@pytest.mark.usefixtures("small")
def test_a_ledger_that_has_lost_its_log_begins_nothing_anew_beside_parts(folder: Path) -> None:
    tree = a_tree(5)
    ledger = opened(folder)
    while not list(folder.glob("entries/*.parquet")):
        for waiting in ledger.take(3):
            ledger.found(tree[waiting.dir])
        ledger.save()
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    ledger.close()
    (copy / "ledger.db-wal").unlink()
    there = sorted(copy.rglob("*.parquet"))
    with pytest.raises(OperatorError, match=r"blank.*'entries'.*ledger.db-wal"):
        opened(copy)
    assert sorted(copy.rglob("*.parquet")) == there


def test_a_database_of_something_else_is_not_written_to(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "ledger.db")) as books:
        books.execute("CREATE TABLE money (owed INTEGER)")
    with pytest.raises(OperatorError, match="something else"):
        opened(folder)


def test_a_folder_that_cannot_be_made_is_the_operators_business(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OperatorError, match="not a directory"):
        opened(tmp_path / "file" / "below")


# Damage.


def begun(folder: Path) -> None:
    ledger = opened(folder)
    tree = a_tree(2, 400)
    for _ in range(10):
        for waiting in ledger.take(30):
            ledger.found(tree[waiting.dir])
        ledger.save()
    ledger.close()


def fail_all(folder: Path) -> None:
    with closing(opened(folder)) as ledger:
        while taken := ledger.take(100):
            for waiting in taken:
                ledger.found(Directory(waiting.dir, DirectoryState.FAILED))
        ledger.finish()


@pytest.mark.parametrize("damage", ["garbage", "cut", "header", "zeros"])
def test_a_damaged_ledger_is_told(folder: Path, damage: str) -> None:
    begun(folder)
    path = folder / "ledger.db"
    data = bytearray(path.read_bytes())
    assert len(data) > 20_000
    if damage == "garbage":
        data[:] = b"not a database" * 1000
    elif damage == "cut":
        del data[8192:]
    elif damage == "header":
        data[:16] = b"x" * 16
    else:
        data[100:] = bytes(len(data) - 100)
    path.write_bytes(data)
    with pytest.raises(OperatorError, match="the ledger of the listing is damaged") as caught:
        fail_all(folder)
    assert caught.value.place == str(path)
    assert caught.value.hint


def test_facts_that_make_no_sense_are_damage(folder: Path) -> None:
    begun(folder)
    with closing(sqlite3.connect(folder / "ledger.db")) as connection, connection:
        connection.execute("UPDATE facts SET value = '{}' WHERE name = 'plan'")
    with pytest.raises(OperatorError, match="damaged"):
        opened(folder)


def test_a_ledger_of_another_version_is_refused(folder: Path) -> None:
    begun(folder)
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Conflict, match="another version"):
        opened(folder)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_part_that_counts_and_is_not_there_is_damage(folder: Path, damage: str) -> None:
    begun(folder)
    part = sorted(folder.glob("entries/*.parquet"))[0]
    part.unlink() if damage == "gone" else os.truncate(part, 10)
    with pytest.raises(OperatorError, match=r"entries/000000.parquet is not there as it was written"):
        opened(folder)


def find_all(ledger: DiskLedger, tree: dict[str, Directory]) -> None:
    while taken := ledger.take(20):
        for waiting in taken:
            ledger.found(tree[waiting.dir])
        ledger.save()


@pytest.mark.real("tmpfs mount")
def test_a_full_disk_is_told_and_the_listing_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, tree = tmp_path / "small", a_tree(4, 3000)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "holdfast-test", str(folder)], check=True)
    try:
        ledger = opened(folder)
        with pytest.raises(OperatorError, match=r"no space left|full"):
            find_all(ledger, tree)
        with pytest.raises(BrokenInvariant):
            ledger.save()
        ledger.close()
        subprocess.run(["mount", "-o", "remount,size=50m", str(folder)], check=True)
        ledger = opened(folder)
        assert ledger.counts.directories > 100
        find_all(ledger, tree)
        ledger.finish()
        ledger.close()
        assert rows_of(folder) == rows_wanted(tree)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


# Saving while the listing goes on.


@pytest.mark.usefixtures("small")
def test_saving_in_a_thread_tears_nothing(folder: Path) -> None:
    tree = a_tree(11, 3000)
    ledger = opened(folder)
    source = random.Random(4)
    over = threading.Event()
    errors: list[BaseException] = []

    def save() -> None:
        try:
            while not over.is_set():
                ledger.save()
        except BaseException as error:  # noqa: BLE001 — told by the test.
            errors.append(error)

    thread = threading.Thread(target=save)
    thread.start()
    try:
        in_flight: list[WaitingDirectory] = []
        while ledger.waiting or in_flight:
            in_flight += ledger.take(source.randint(1, 9))
            source.shuffle(in_flight)
            while len(in_flight) > 5:
                find(ledger, in_flight.pop(), tree, source)
            if not ledger.waiting and in_flight:
                find(ledger, in_flight.pop(), tree, source)
    finally:
        over.set()
        thread.join()
    assert errors == []
    ledger.finish()
    ledger.close()
    assert rows_of(folder) == rows_wanted(tree)


# Reading.


def test_the_summary_says_how_it_went(folder: Path) -> None:
    tree = a_tree(8, 40)
    ledger = opened(folder)
    ledger.take(1)
    ledger.close()
    run_through(DiskLedger.open(folder, PLAN, clock=lambda: 99), tree)
    document = json.loads((folder / "listing.json").read_text())
    assert (document["site"], document["top"], document["doors"]) == ("bern", "/", ["posix /data"])
    assert (document["started_us"], document["ended_us"], document["resumed"]) == (7, 99, 1)
    assert document["parts"]["entries"][0]["path"] == "entries/000000.parquet"
    listing = Listing.open(folder)
    assert sorted(listing.directories()) == sorted(rows_wanted(tree)[DIRECTORIES])
    assert {path.parent.name for table in SCHEMAS for path in listing.parts(table)} == {
        "entries",
        "directories",
        "oddities",
    }
    assert sum(batch.num_rows for batch in listing.batches(ENTRIES, ["name"])) == listing.summary.counts.files


def test_what_is_no_complete_listing_is_not_read(folder: Path) -> None:
    with pytest.raises(BadInput, match="there is no listing"):
        Listing.open(folder)
    opened(folder).close()
    with pytest.raises(Conflict, match="not complete"):
        Listing.open(folder)


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}', '{"format": 1, "site": "x"}', "[1]"])
def test_a_damaged_summary_is_told(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "listing.json").write_text(text)
    with pytest.raises(OperatorError, match="damaged"):
        Listing.open(folder)


def test_parts_that_are_not_what_was_written_are_told(folder: Path) -> None:
    run_through(opened(folder), a_tree(8, 40))
    part = folder / "entries/000000.parquet"
    data = part.read_bytes()
    part.write_bytes(bytes(len(data)))
    with pytest.raises(OperatorError, match="cannot be read"):
        list(Listing.open(folder).batches(ENTRIES))
    part.write_bytes(data[:-1])
    with pytest.raises(OperatorError, match="another size"):
        Listing.open(folder)
    part.unlink()
    with pytest.raises(OperatorError, match="not there"):
        Listing.open(folder)
    oddities = folder / "oddities/000000.parquet"
    document = json.loads((folder / "listing.json").read_text())
    document["parts"]["entries"][0]["bytes"] = oddities.stat().st_size
    (folder / "listing.json").write_text(json.dumps(document))
    shutil.copy(oddities, part)
    with pytest.raises(OperatorError, match="not the file"):
        list(Listing.open(folder).batches(ENTRIES))


# Amounts.

_MILLION = """
import sys
from pathlib import Path
from holdfast.storage.driver import Entry, Kind, Stat
from holdfast.storage.listing.disk_ledger import DiskLedger, ListingPlan
from holdfast.storage.listing.tables import Directory, DirectoryState
folder, kind, amount = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ledger = DiskLedger.open(folder, ListingPlan("bern"))
stat = Stat(Kind.FILE if kind == "files" else Kind.DIRECTORY, 5, 10**18, "a-version-of-it", 10**18)
(top,) = ledger.take(1)
spool = ledger.spool(top)
for start in range(0, amount, 5000):
    entries = tuple(Entry(f"some-name-of-usual-length-{n:08}.root", stat) for n in range(start, start + 5000))
    piece = {"files": entries} if kind == "files" else {"directories": entries}
    spool.add(Directory("/", DirectoryState.LISTED, **piece))
spool.keep(Directory("/", DirectoryState.LISTED))
ledger.save()
number = 0
while taken := ledger.take(256):
    for waiting in taken:
        number += 1
        ledger.found(Directory(waiting.dir, DirectoryState.LISTED, mtime_ns=waiting.mtime_ns))
    if ledger.due:
        ledger.save()
assert number == (0 if kind == "files" else amount)
ledger.finish()
ledger.close()
# Not getrusage: what it says begins with the size of who started us.
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks the system of Linux for the memory of a process")
@pytest.mark.parametrize("kind", ["files", "directories"])
def test_a_million_in_one_directory_needs_little_memory(folder: Path, kind: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _MILLION, str(folder), kind, "1000000"], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 200
    summary = Listing.open(folder).summary
    assert (summary.counts.files, summary.counts.directories) in ((1_000_000, 1), (0, 1_000_001))
