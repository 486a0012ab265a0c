"""Sightings: rows that go on, break, hide, begin anew and fade, run by run, against a dictionary that does the same.

Method: each run has a folder with findings and sightings as a check leaves them; nothing stands in for the tables.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.consistency import findings
from holdfast.consistency.classes import KEPT, UNSEEN, Class
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.confirmation import Confirmation
from holdfast.consistency.findings import Finding
from holdfast.consistency.gates import ACTED
from holdfast.consistency.history.sightings import (
    SIGHTINGS,
    Sighting,
    confirmed,
    confirmed_counts,
    previous_sightings,
    sightings,
    write_sightings,
)
from holdfast.consistency.report import FINDINGS
from holdfast.model import names
from holdfast.model.clock import SECOND_US
from holdfast.model.errors import OperatorError
from support import soak

LIMITS = EngineLimits(threads=1)
DAY_US = 86_400 * SECOND_US
HISTORY_US = 3 * DAY_US
PATHS = ("/x", "/y", "/a/x", "/a/y", "/a/b/x", "/a/bé", "/ab/x", "/a b/x", "/a/b/c/d/z")
PLACES = ("/", "/a", "/a/b", "/ab", "/a b", "/a/x", "/a/b/c")


class Runs:
    """Runs of one site, a day apart."""

    def __init__(self, site_folder: Path) -> None:
        self.site_folder = site_folder
        self.n_runs = 0
        self.days_ahead = 0
        self.lasted_us = 0
        self.door = "the usual way"

    @property
    def folder(self) -> Path:
        """That of the last run."""
        return self.site_folder / self.name

    @property
    def name(self) -> str:
        return f"run{self.n_runs}"

    @property
    def at_us(self) -> int:
        return (self.n_runs + self.days_ahead) * DAY_US

    def see(self, *found: Finding, history_us: int = HISTORY_US, files: int = 10) -> list[Sighting]:
        """One more run."""
        self.n_runs += 1
        self.folder.mkdir()
        findings.write_table(found, self.folder / FINDINGS)
        return self.write(history_us=history_us, files=files)

    def write(self, *, history_us: int = HISTORY_US, limits: EngineLimits = LIMITS, files: int = 10) -> list[Sighting]:
        write_sightings(
            self.folder,
            previous_sightings(self.site_folder, self.name),
            run=self.name,
            at_us=self.at_us,
            began_us=self.at_us - self.lasted_us,
            files=files,
            door=self.door,
            shrunk_fraction_max=0.5,
            limits=limits,
            history_us=history_us,
        )
        return list(sightings(self.folder))


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def missing(path: str, size: int = 1) -> Finding:
    return Finding(Class.MISSING, path, expected_size=size)


def orphan(path: str, size: int = 1, mtime_ns: int | None = 5) -> Finding:
    return Finding(Class.ORPHAN, path, actual_size=size, mtime_ns=mtime_ns)


def unlisted(path: str) -> Finding:
    return Finding(Class.UNLISTED, path, "failed")


def one(found: Iterable[Sighting]) -> Sighting:
    (only,) = found
    return only


# ---- against a dictionary -----------------------------------------------------------


def carried_on(
    before: Mapping[tuple[str, str], Sighting], found: list[Finding], runs: Runs, *, was_hidden: bool
) -> dict:
    """The same as ``write_sightings``, a row at a time; ``was_hidden``: the run before may not have seen all."""
    hiding = {each.path for each in found if each.cls in UNSEEN}
    hiding_itself = {each.path for each in found if each.cls in (Class.AWAITED, Class.IGNORED)}
    after = dict(before)
    for each in found:
        if each.cls in KEPT:
            size = each.expected_size if each.actual_size is None else each.actual_size
            new = Sighting(
                each.cls, each.path, size, each.mtime_ns, runs.at_us, runs.name, runs.at_us, runs.name, 1, True
            )
            old = before.get((each.cls, each.path))
            is_same = old is not None and (old.size, old.mtime_ns) == (new.size, new.mtime_ns)
            if is_same and old.is_current and not (was_hidden and each.cls is Class.MISSING):
                new = replace(new, first_us=old.first_us, first_run=old.first_run, n_runs=old.n_runs + 1)
            after[each.cls, each.path] = new
    for key, row in after.items():
        if row.is_current and row.last_run != runs.name:
            path, is_hidden = row.path, row.path in hiding_itself
            while not (is_hidden := is_hidden or path in hiding) and path != "/":
                path = names.split(path)[0]
            after[key] = replace(row, is_current=is_hidden and not (was_hidden and row.cls is Class.MISSING))
    return {key: row for key, row in after.items() if row.is_current or row.last_us >= runs.at_us - HISTORY_US}


def in_order(rows: Iterable[Sighting]) -> list[Sighting]:
    return sorted(rows, key=lambda row: (row.cls.value, *(each.encode() for each in names.split(row.path))))


def finding(cls: Class, path: str, size: int, mtime_ns: int | None) -> Finding:
    if cls is Class.EMPTY_DIRECTORY:
        return Finding(cls, path, mtime_ns=mtime_ns, n_files=0)
    expected = None if cls is Class.ORPHAN else 7
    actual = None if cls in (Class.MISSING, Class.AWAITED) else size
    return Finding(cls, path, expected_size=expected, actual_size=actual, mtime_ns=None if actual is None else mtime_ns)


FOUND = st.dictionaries(
    st.sampled_from(PATHS),
    st.tuples(
        st.sampled_from([*ACTED, Class.ORPHAN, Class.ORPHAN, Class.AWAITED, Class.IGNORED]),
        st.sampled_from([7, 7, 8]),
        st.sampled_from([1, 1, 2, None]),
    ),
)
HIDDEN = st.dictionaries(st.sampled_from(PLACES), st.sampled_from(UNSEEN), max_size=1)
N_FILES = st.sampled_from([10, 10, 10, 6, 4, 0])
"""How many files the site shows; 4 are less than half of 10, 6 are not."""
HISTORY = st.lists(st.tuples(FOUND, HIDDEN, N_FILES), min_size=2, max_size=6)


@settings(max_examples=soak.examples(60))
@given(HISTORY, st.builds(Confirmation, st.integers(1, 3), st.sampled_from([0, 86_400, 86_401, 2 * 86_400])))
def test_sightings_are_those_of_a_dictionary(history, needed: Confirmation) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder))
        expected: dict = {}
        n_before = 0
        for found_by_path, hidden, n_files in history:
            found = [finding(cls, path, *what) for path, (cls, *what) in found_by_path.items()]
            found += [Finding(cls, path, "why") for path, cls in hidden.items()]
            written = runs.see(*found, files=n_files)
            expected = carried_on(expected, found, runs, was_hidden=n_before < n_files / 2)
            n_before = n_files
            assert written == in_order(expected.values())
        now_us = runs.at_us
        sure = {key for key, row in expected.items() if row.is_confirmed(needed, now_us=now_us)}
        for cls in ACTED:
            told = [each.path for each in confirmed(runs.folder, cls, needed, now_us=now_us, limits=LIMITS)]
            assert told == [each.path for each in found if each.cls is cls and (cls, each.path) in sure]
        seen = {(each.cls, each.path) for each in found}
        counted = confirmed_counts(runs.folder, dict.fromkeys(ACTED, needed), now_us=now_us, limits=LIMITS)
        assert counted == {cls: len([key for key in sure & seen if key[0] is cls]) for cls in ACTED}


# ---- one by one ---------------------------------------------------------------------


def test_what_is_seen_again_goes_on(runs: Runs) -> None:
    runs.see(missing("/a/x"))
    runs.see(missing("/a/x"))
    row = one(runs.see(missing("/a/x")))
    assert (row.first_us, row.first_run, row.last_us, row.last_run) == (DAY_US, "run1", 3 * DAY_US, "run3")
    assert (row.n_runs, row.is_current, row.size) == (3, True, 1)


def test_a_run_without_it_breaks_the_row(runs: Runs) -> None:
    runs.see(orphan("/a/x"))
    gone = one(runs.see())
    assert (gone.is_current, gone.last_run, gone.n_runs) == (False, "run1", 1)
    again = one(runs.see(orphan("/a/x")))
    assert (again.is_current, again.first_run, again.n_runs) == (True, "run3", 1)


@pytest.mark.parametrize("changed", [orphan("/x", size=2), orphan("/x", mtime_ns=6), orphan("/x", mtime_ns=None)])
def test_an_orphan_that_has_changed_begins_anew(runs: Runs, changed: Finding) -> None:
    runs.see(orphan("/x"))
    row = one(runs.see(changed))
    assert (row.first_run, row.n_runs, row.size, row.mtime_ns) == ("run2", 1, changed.actual_size, changed.mtime_ns)


def test_an_orphan_that_was_moved_back_since_begins_anew(runs: Runs) -> None:
    there = replace(orphan("/x"), changed_ns=DAY_US * 1000)
    runs.see(there)
    assert one(runs.see(there)).n_runs == 2
    back = one(runs.see(replace(there, changed_ns=DAY_US * 2500)))
    assert (back.is_current, back.first_run, back.n_runs) == (True, "run3", 1)


def test_an_orphan_that_was_moved_back_while_the_last_run_went_on_begins_anew(runs: Runs) -> None:
    """It may have been listed before that, and judged after it."""
    runs.lasted_us = DAY_US // 2
    there = replace(orphan("/x"), changed_ns=DAY_US * 250)
    runs.see(there)
    assert one(runs.see(there)).n_runs == 2
    back = one(runs.see(replace(there, changed_ns=DAY_US * 1750)))
    assert (back.is_current, back.first_run, back.n_runs) == (True, "run3", 1)


def test_an_orphan_that_was_moved_back_while_the_run_that_saw_it_last_went_on_begins_anew(runs: Runs) -> None:
    """That run was interrupted and went on the next day; of those since nobody knows if it was there."""
    there = replace(orphan("/x"), changed_ns=DAY_US * 250)
    runs.see(there)
    runs.lasted_us = DAY_US // 2
    assert one(runs.see(there)).n_runs == 2
    runs.lasted_us = 0
    runs.see(unlisted("/"))
    runs.see(unlisted("/"))
    back = one(runs.see(replace(there, changed_ns=DAY_US * 1750)))
    assert (back.is_current, back.first_run, back.n_runs) == (True, "run5", 1)


def test_an_orphan_that_nobody_touched_goes_on_through_runs_that_could_not_see_it(runs: Runs) -> None:
    runs.lasted_us = DAY_US // 2
    there = replace(orphan("/x"), changed_ns=DAY_US * 250)
    runs.see(there)
    runs.see(unlisted("/"))
    assert one(runs.see(there)).n_runs == 2


def test_a_table_that_does_not_say_when_its_runs_began_confirms_no_orphan(runs: Runs) -> None:
    there = replace(orphan("/x"), changed_ns=DAY_US * 500)
    runs.see(there, missing("/y"))
    table = pq.read_table(runs.folder / SIGHTINGS)
    pq.write_table(table.drop_columns(["seen_from_us"]), runs.folder / SIGHTINGS)
    missed, kept = runs.see(there, missing("/y"))
    assert (missed.path, missed.n_runs) == ("/y", 2)
    assert (kept.path, kept.n_runs) == ("/x", 1)


def test_an_orphan_that_was_moved_back_after_a_run_whose_clock_was_ahead_begins_anew(runs: Runs) -> None:
    there = replace(orphan("/x"), changed_ns=DAY_US * 250)
    runs.see(there)
    runs.days_ahead = 100
    runs.see(there)
    runs.days_ahead = 0
    back = one(runs.see(replace(there, changed_ns=DAY_US * 2500)))
    assert (back.first_run, back.n_runs) == ("run3", 1)


def test_an_orphan_that_was_moved_back_while_a_clock_that_was_ahead_was_put_right_begins_anew(runs: Runs) -> None:
    """Nobody knows when that run began, also later than it said."""
    there = replace(orphan("/x"), changed_ns=DAY_US * 250)
    runs.see(there)
    runs.lasted_us = -2 * DAY_US
    runs.see(there)
    runs.lasted_us, runs.days_ahead = 0, 2
    back = one(runs.see(replace(there, changed_ns=DAY_US * 1500)))
    assert (back.first_run, back.n_runs) == ("run3", 1)


def test_an_orphan_that_nobody_touched_goes_on_once_the_clock_is_right_again(runs: Runs) -> None:
    there = replace(orphan("/x"), changed_ns=DAY_US * 250)
    runs.see(there)
    runs.days_ahead = 100
    runs.see(there)
    runs.days_ahead = 0
    assert [one(runs.see(there)).n_runs for _ in range(3)] == [1, 2, 3]


def test_that_a_wrong_file_was_asked_for_its_checksum_confirms_it_nevertheless(runs: Runs) -> None:
    wrong = Finding(Class.CHECKSUM_MISMATCH, "/x", expected_size=3, actual_size=3, mtime_ns=1)
    runs.see(replace(wrong, changed_ns=DAY_US * 500))
    assert one(runs.see(replace(wrong, changed_ns=DAY_US * 1500))).n_runs == 2


def test_after_a_run_whose_clock_was_ahead_breaks_are_seen(runs: Runs) -> None:
    runs.see(orphan("/x"))
    runs.days_ahead = 400
    runs.see(orphan("/x"), orphan("/y"))
    runs.days_ahead = 0
    gone, y = runs.see(orphan("/y"))
    assert (gone.path, gone.is_current, gone.n_runs) == ("/x", False, 2)
    assert (y.first_run, y.first_us, y.n_runs) == ("run3", 3 * DAY_US, 1)
    again, _ = runs.see(orphan("/x"), orphan("/y"))
    assert (again.first_run, again.n_runs) == ("run4", 1)


def test_a_corrupt_file_that_is_corrupt_in_another_way_begins_anew(runs: Runs) -> None:
    wrong = Finding(Class.SIZE_MISMATCH, "/x", expected_size=9, actual_size=3, mtime_ns=1)
    runs.see(wrong)
    assert one(runs.see(wrong)).n_runs == 2
    assert one(runs.see(replace(wrong, actual_size=4))).n_runs == 1


@pytest.mark.parametrize("place", ["/", "/a", "/a/b", "/a/b/x"])
@pytest.mark.parametrize("cls", UNSEEN)
def test_a_place_that_was_not_seen_neither_confirms_nor_breaks(runs: Runs, place: str, cls: Class) -> None:
    runs.see(orphan("/a/b/x"))
    hidden = one(runs.see(Finding(cls, place, "failed")))
    assert (hidden.is_current, hidden.last_run, hidden.n_runs) == (True, "run1", 1)
    assert one(runs.see(orphan("/a/b/x"))).n_runs == 2


@pytest.mark.parametrize("place", ["/a/b/x/y", "/a/bb", "/a/b/", "/b"])
def test_another_place_that_was_not_seen_does_not_hide_it(runs: Runs, place: str) -> None:
    runs.see(orphan("/a/b/x"))
    assert not one(runs.see(unlisted(place))).is_current


@pytest.mark.parametrize("cls", [Class.AWAITED, Class.IGNORED])
def test_a_path_that_is_awaited_or_ignored_is_neither_confirmed_nor_broken(runs: Runs, cls: Class) -> None:
    runs.see(missing("/a/x"), missing("/a/y"))
    x, y = runs.see(Finding(cls, "/a/x", "young"))
    assert (x.is_current, y.is_current) == (True, False)


@pytest.mark.parametrize(("shown", "n_runs"), [((10, 0, 10), [1, 2, 1]), ((10, 0, 0), [1, 2, 3]), ((4, 10), [1, 1])])
def test_what_was_missing_while_little_was_shown_begins_anew(
    runs: Runs, shown: tuple[int, ...], n_runs: list[int]
) -> None:
    assert [one(runs.see(missing("/a/x"), files=files)).n_runs for files in shown] == n_runs


def test_what_was_missing_while_most_was_shown_goes_on(runs: Runs) -> None:
    for files in (5, 10, 6, 3):
        runs.see(missing("/a/x"), orphan("/a/y"), files=files)
    assert [each.n_runs for each in sightings(runs.folder)] == [4, 4]


def test_orphans_go_on_after_a_run_that_showed_little(runs: Runs) -> None:
    runs.see(orphan("/a/x"), files=1)
    assert one(runs.see(orphan("/a/x"), files=10)).n_runs == 2


def test_what_is_in_another_class_now_is_former_in_the_first(runs: Runs) -> None:
    runs.see(orphan("/x"))
    old, new = runs.see(Finding(Class.SIZE_MISMATCH, "/x", expected_size=2, actual_size=1, mtime_ns=5))
    assert (old.cls, old.is_current, old.last_run) == (Class.ORPHAN, False, "run1")
    assert (new.cls, new.is_current, new.first_run) == (Class.SIZE_MISMATCH, True, "run2")


def test_what_was_is_forgotten_in_the_end(runs: Runs) -> None:
    runs.see(missing("/x"), history_us=DAY_US)
    assert runs.see(history_us=DAY_US)
    assert not runs.see(history_us=DAY_US)


def test_what_a_run_that_showed_nothing_missed_is_not_confirmed_through_one_that_could_not_see_it(runs: Runs) -> None:
    runs.see(missing("/a/x"), files=0)
    (between,) = runs.see(unlisted("/a"))
    assert not between.is_current
    assert one(runs.see(missing("/a/x"))).n_runs == 1
    # An orphan was seen there, whatever else was not.
    runs.see(orphan("/a/y"), files=0)
    runs.see(unlisted("/a"))
    assert [row.n_runs for row in runs.see(orphan("/a/y")) if row.cls is Class.ORPHAN] == [2]


def test_what_is_hidden_all_the_time_is_not_forgotten(runs: Runs) -> None:
    runs.see(missing("/x"), history_us=0)
    for _ in range(3):
        assert runs.see(unlisted("/"), history_us=0)[0].is_current


def test_written_again_it_is_the_same_to_the_byte(runs: Runs) -> None:
    runs.see(*(orphan(path) for path in PATHS))
    runs.see(*(orphan(path) for path in PATHS[2:]), unlisted("/a"))
    first = (runs.folder / SIGHTINGS).read_bytes()
    runs.write()
    assert (runs.folder / SIGHTINGS).read_bytes() == first
    assert sorted(path.name for path in runs.folder.iterdir()) == [FINDINGS, SIGHTINGS]


def test_names_that_sql_could_stumble_over_are_kept(runs: Runs) -> None:
    odd = ("/it's/100%_;--", '/"quoted"/$1', "/über/ß\u2003", "/a\\b/c")
    runs.see(*(orphan(path) for path in odd))
    assert {row.path: row.n_runs for row in runs.see(*(orphan(path) for path in odd))} == dict.fromkeys(odd, 2)


def test_a_duplicate_finding_is_one_sighting(runs: Runs) -> None:
    runs.see(orphan("/x"), orphan("/x"))
    assert one(runs.see(orphan("/x"), orphan("/x"))).n_runs == 2


def test_many_rows_fit_into_little_memory(runs: Runs) -> None:
    limits = EngineLimits(threads=1, memory_bytes=60_000_000)
    count = 60_000
    runs.see(*(orphan(f"/data/of/site/{number % 97:04}/file-{number:09}.root") for number in range(count)))
    runs.n_runs += 1
    runs.folder.mkdir()
    (runs.folder / FINDINGS).hardlink_to(runs.site_folder / "run1" / FINDINGS)
    found = runs.write(limits=limits)
    assert len(found) == count
    assert {row.n_runs for row in found} == {2}


# ---- which table is that of the run before ---------------------------------------------


def test_the_latest_table_is_taken_whatever_the_folders_are_called(runs: Runs) -> None:
    for _ in range(11):  # "run10" stands before "run9" in any list.
        runs.see(missing("/x"))
    assert one(sightings(runs.folder)).n_runs == 11


def test_unfinished_runs_and_other_folders_are_not_looked_at(runs: Runs) -> None:
    runs.see(missing("/x"))
    for name in ("run2.part", ".trash"):
        (runs.site_folder / name).mkdir()
        (runs.site_folder / name / SIGHTINGS).write_bytes(b"")
    (runs.site_folder / "notes").mkdir()
    assert previous_sightings(runs.site_folder, "run9") == runs.folder / SIGHTINGS
    assert previous_sightings(runs.site_folder, "run1") is None


def test_if_the_latest_table_cannot_be_read_confirmations_begin_anew(runs: Runs) -> None:
    runs.see(missing("/x"))
    runs.see(missing("/x"))
    (runs.folder / SIGHTINGS).write_bytes(b"broken")
    assert previous_sightings(runs.site_folder, "run3") is None
    assert one(runs.see(missing("/x"))).n_runs == 1


def test_a_table_that_is_damaged_inside_is_told_of(runs: Runs) -> None:
    runs.see(*(missing(f"/x{number}") for number in range(100)))
    table = runs.folder / SIGHTINGS
    data = table.read_bytes()
    table.write_bytes(data[:300] + bytes(300) + data[600:])
    with pytest.raises(OperatorError, match="begin anew"):
        runs.see(missing("/x1"))
    with pytest.raises(OperatorError, match="begin anew"):
        list(sightings(table.parent))


def test_the_table_says_when_it_was_made(runs: Runs) -> None:
    runs.see(missing("/x"))
    noted = pq.read_metadata(runs.folder / SIGHTINGS).metadata
    assert noted[b"holdfast.at_us"] == str(DAY_US).encode()


# ---- reading ------------------------------------------------------------------------


@pytest.fixture
def seen(runs: Runs) -> Path:
    runs.see(orphan("/a/b/x"), orphan("/gone"), missing("/a/bb"))
    runs.see(orphan("/a/b/x"), missing("/a/bb"), missing("/a/b"))
    return runs.folder


@pytest.mark.parametrize(
    ("chosen", "paths"),
    [
        ({}, ["/gone", "/a/b", "/a/bb", "/a/b/x"]),
        ({"cls": Class.MISSING}, ["/a/b", "/a/bb"]),
        ({"current": False}, ["/gone"]),
        ({"current": True, "cls": Class.ORPHAN}, ["/a/b/x"]),
        ({"path_below": "/a/b"}, ["/a/b", "/a/b/x"]),
        ({"path_below": "/"}, ["/gone", "/a/b", "/a/bb", "/a/b/x"]),
        ({"path_below": "/none"}, []),
    ],
)
def test_sightings_are_chosen_by_class_time_and_place(seen: Path, chosen: dict, paths: list[str]) -> None:
    assert sorted(row.path for row in sightings(seen, **chosen)) == sorted(paths)


def test_without_a_table_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="check the site again"):
        list(sightings(tmp_path))


def test_confirmed_is_what_was_seen_often_and_long_enough(runs: Runs) -> None:
    runs.see(orphan("/old"))
    runs.see(orphan("/old"), orphan("/new"))
    now_us = runs.at_us

    def paths(needed: Confirmation, at_us: int = now_us) -> list[str]:
        return [each.path for each in confirmed(runs.folder, Class.ORPHAN, needed, now_us=at_us, limits=LIMITS)]

    assert paths(Confirmation(1, 0)) == ["/old", "/new"]
    assert paths(Confirmation(2, 0)) == ["/old"]
    assert paths(Confirmation(3, 0)) == []
    assert paths(Confirmation(1, 86_400)) == ["/old"]
    assert paths(Confirmation(1, 86_401)) == []
    assert paths(Confirmation(1, 0), at_us=DAY_US) == ["/old"]


def test_what_was_hidden_in_the_last_run_is_not_confirmed_by_it(runs: Runs) -> None:
    runs.see(orphan("/a/x"))
    runs.see(orphan("/a/x"))
    runs.see(unlisted("/a"))
    needed = Confirmation(1, 0)
    assert list(confirmed(runs.folder, Class.ORPHAN, needed, now_us=runs.at_us, limits=LIMITS)) == []
    counts = confirmed_counts(runs.folder, {Class.ORPHAN: needed}, now_us=runs.at_us, limits=LIMITS)
    assert counts == {Class.ORPHAN: 0}


def test_what_was_seen_through_another_door_is_not_carried_on(runs: Runs) -> None:
    runs.see(missing("/x"))
    (seen,) = runs.see(missing("/x"))
    assert seen.n_runs == 2
    runs.door = "another way"
    (seen,) = runs.see(missing("/x"))
    assert (seen.n_runs, seen.first_us) == (1, runs.at_us)
    (seen,) = runs.see(missing("/x"))
    assert seen.n_runs == 2
