"""Comparing a storage with what was expected before and after: each class by example, and against plain dicts.

Method: every example in all three ways from the digests to the rows that are compared exactly; random listings
in every form, with paths listed twice, unknown checksums and sizes, and different ways to name a file.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import listings
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listings import Entry

from holdfast.consistency.comparing import difference_table, duckdb_session, window_differences, windows
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.comparing.sieve import Method
from holdfast.consistency.comparing.window_differences import WindowClass, WindowComparison
from holdfast.consistency.comparing.window_query import Young
from holdfast.model.errors import BadInput
from support.soak import examples

LIMITS = EngineLimits(threads=2)
METHODS = {
    "buckets": Method(bad_buckets_max=1.0),
    "paths": Method(bad_buckets_max=-1.0, bad_paths_max=1.0),
    "everything": Method(bad_buckets_max=-1.0, bad_paths_max=-1.0),
}
SIDES = ("before", "after", "storage")
NOW_US = 1_700_000_000 * 1_000_000

methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())

Rows = list[dict[str, object]]
Known = Sequence[tuple[int | None, str | None]]
"""What a listing says of a path: size and adler32 of each of its rows."""


def run(
    files: Sequence[Path], folder: Path, method: Method | None = None, young: Young | None = None
) -> tuple[WindowComparison, Rows]:
    """Compare, check that totals and order are those of the table, and return both."""
    table = folder / "differences.parquet"
    before, after, storage = files
    found = windows.compare_windows(before, after, storage, table, limits=LIMITS, young=young, method=method)
    rows = pq.read_table(table).to_pylist()
    for cls, total in found.totals.items():
        of_class = [row for row in rows if row["class"] == cls.value]
        assert total.files == len(of_class)
        sizes = ([row[f"{side}_size"] for side in SIDES] for row in of_class)
        assert total.size == sum(next((size for size in each if size is not None), 0) for each in sizes)
    order = [str(cls) for cls in WindowClass]
    keys = [(order.index(row["class"]), row["path"].encode()) for row in rows]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert all((row["reason"] is not None) == (row["class"] == "in_flight") for row in rows)
    assert found.equal == (not rows)
    return found, rows


def write(folder: Path, *sides: Sequence[Entry]) -> list[Path]:
    """The three listings, in a form each that differ."""
    forms = (("tsv", False), ("parquet", True), ("ndjson" if sides[2] else "csv", False))
    return [
        listings.write(folder / side, entries, format, in_two=in_two, adler32=True)
        for side, entries, (format, in_two) in zip(SIDES, sides, forms, strict=True)
    ]


def classes(rows: Iterable[dict[str, object]]) -> dict[str, set[object]]:
    """Paths by class."""
    found: dict[str, set[object]] = defaultdict(set)
    for row in rows:
        found[str(row["class"])].add(row["path"])
    return dict(found)


def class_of(before: Known, after: Known, storage: Known) -> str | None:
    """The one class of a path whose listings are not all the same: what is meant, in plain Python."""

    def known(place: int, *sides: Known) -> list[int]:
        told = [row[place] for side in sides for row in side if row[place] is not None]
        return [int(value, 16) if isinstance(value, str) else value for value in told if value is not None]

    def bounds(values: list[int]) -> tuple[int, int] | None:
        return (min(values), max(values)) if values else None

    if before and after and not storage:
        return "missing"
    if not before and not after:
        return "orphan"
    if not before or not after:
        return "in_flight"
    for place in (0, 1):
        one, other = bounds(known(place, before)), bounds(known(place, after))
        if one and other and one != other:
            return "in_flight"
    if len(set(known(0, before, after, storage))) > 1:
        return "size_mismatch"
    sums = known(1, before, after), known(1, storage)
    return "checksum_mismatch" if all(sums) and len({*sums[0], *sums[1]}) > 1 else None


def oracle(sides: Sequence[Iterable[Entry]], told: Sequence[bool]) -> dict[str, set[object]]:
    """All classes of three listings; ``told`` says which of them has checksums."""
    there: list[dict[str, list[tuple[int | None, str | None]]]] = []
    for entries, has_sums in zip(sides, told, strict=True):
        side = defaultdict(list)
        for entry in entries:
            side[entry.path].append((entry.size, entry.adler32 if has_sums else None))
        there.append(side)
    found: dict[str, set[object]] = defaultdict(set)
    for path in set().union(*there):
        rows = [side.get(path, []) for side in there]
        sizes = [Counter(size for size, _ in each) for each in rows]
        sums = [Counter(int(adler32, 16) for _, adler32 in each if adler32) for each in rows]
        told = [each for each in sizes if set(each) != {None}]
        alike = all(len({frozenset(each.items()) for each in values if each}) < 2 for values in (told, sums))
        if alike and len({len(each) for each in rows}) == 1:
            continue
        cls = class_of(*rows)
        if cls:
            found[cls].add(path)
        for side, each in zip(SIDES, rows, strict=True):
            if len(each) > 1:
                found[f"duplicate_{side}"].add(path)
    return dict(found)


BEFORE = [Entry("/same", 1, "1"), Entry("/gone", 2), Entry("/size", 3, "3"), Entry("/sum", 4, "AB")]
STORAGE = [Entry("/same", 1, "00000001"), Entry("/dark", 5), Entry("/size", 30, "4"), Entry("/sum", 4, "ac")]


@methods
def test_each_class_by_example(tmp_path: Path, method: Method):
    before = [*BEFORE, Entry("/left", 6), Entry("/left-and-there", 6), Entry("/two", 7), Entry("/sums", 8, "1")]
    after = [*BEFORE, Entry("/came", 9), Entry("/came-and-there", 9), Entry("/two", 70), Entry("/sums", 8, "2")]
    there = [Entry("/left-and-there", 6), Entry("/came-and-there", 90), Entry("/two", 70), Entry("/sums", 80, "1")]
    found, rows = run(write(tmp_path, before, after, [*STORAGE, *there]), tmp_path, method)
    assert (found.before, found.after, found.storage) == (8, 8, 8)
    assert [tuple(row[name] for name in ("class", "path", "reason")) for row in rows] == [
        ("missing", "/gone", None),
        ("orphan", "/dark", None),
        ("size_mismatch", "/size", None),
        ("checksum_mismatch", "/sum", None),
        ("in_flight", "/came", "expected after only"),
        ("in_flight", "/came-and-there", "expected after only"),
        ("in_flight", "/left", "expected before only"),
        ("in_flight", "/left-and-there", "expected before only"),
        ("in_flight", "/sums", "before and after differ"),
        ("in_flight", "/two", "before and after differ"),
    ]
    by_path = {str(row["path"]): row for row in rows}
    shown = [f"{side}_{value}" for value in ("size", "adler32", "rows") for side in SIDES]
    assert [by_path["/sums"][name] for name in shown] == [8, 8, 80, "00000001", "00000002", "00000001", 1, 1, 1]
    assert [by_path["/dark"][name] for name in shown] == [None, None, 5, None, None, None, 0, 0, 1]
    assert {row["dir"] for row in rows} == {"/"}


@methods
def test_what_all_three_say_is_equal_and_an_empty_storage_lacks_what_both_expect(tmp_path: Path, method: Method):
    entries = [Entry(f"/d{row % 7}/f{row}", row, f"{row:x}") for row in range(300)]
    found, _ = run(write(tmp_path, entries, entries[::-1], entries), tmp_path, method)
    assert found.equal
    _, rows = run(write(tmp_path, entries[:200], entries[100:], []), tmp_path, method)
    assert classes(rows)["missing"] == {entry.path for entry in entries[100:200]}
    assert len(classes(rows)["in_flight"]) == 200
    _, rows = run(write(tmp_path, [], [], entries), tmp_path, method)
    assert classes(rows) == {"orphan": {entry.path for entry in entries}}
    assert run(write(tmp_path, [], [], []), tmp_path, method)[0].equal


@methods
@pytest.mark.parametrize(
    ("sides", "wanted"),
    [
        # Under XOR these would cancel.
        (("pp", "pp", "qq"), {"missing": "p", "orphan": "q", "before": "p", "after": "p", "storage": "q"}),
        (("p", "p", "pp"), {"storage": "p"}),
        (("pp", "p", "p"), {"before": "p"}),
        (("p", "pp", "p"), {"after": "p"}),
        (("pp", "", "pp"), {"in_flight": "p", "before": "p", "storage": "p"}),
        # What all have alike is equal, even twice.
        (("pp", "pp", "pp"), {}),
    ],
)
def test_a_path_listed_twice_is_reported_and_never_cancels(
    tmp_path: Path, sides: tuple[str, str, str], wanted: dict[str, str], method: Method
):
    others = [Entry(f"/other/{row}", 1) for row in range(300)]
    files = write(tmp_path, *([*(Entry(f"/{letter}", 1) for letter in side), *others] for side in sides))
    names = {cls if cls not in SIDES else f"duplicate_{cls}": letters for cls, letters in wanted.items()}
    assert classes(run(files, tmp_path, method)[1]) == {
        cls: {f"/{letter}" for letter in letters} for cls, letters in names.items()
    }


def test_before_and_after_differ_by_any_of_their_rows(tmp_path: Path):
    least, one, other = Entry("/p", 5, "5"), Entry("/p", 6, "5"), Entry("/p", 7, "5")
    for before, after in (([least, one], [least, other]), ([one, other], [least, other])):
        rows = run(write(tmp_path, before, after, before), tmp_path)[1]
        assert classes(rows)["in_flight"] == {"/p"}
        assert "size_mismatch" not in classes(rows)


@methods
@pytest.mark.parametrize("untold", SIDES)
def test_sizes_that_one_listing_does_not_tell_hide_none_of_the_others(tmp_path: Path, untold: str, method: Method):
    sizes = {"before": [1, 2, 3, 4], "after": [1, 2, 30, 4], "storage": [1, 20, 3, 4]}
    files = []
    for side in SIDES:
        told = pa.nulls(4, pa.int64()) if side == untold else pa.array(sizes[side], pa.int64())
        files.append(tmp_path / side)
        pq.write_table(pa.table({"path": ["/a", "/b", "/c", "/d"], "size": told}), files[-1])
    wanted = {
        # Without before, after stands for both; without storage, nobody knows.
        "before": {"size_mismatch": {"/b", "/c"}},
        "after": {"size_mismatch": {"/b"}},
        "storage": {"in_flight": {"/c"}},
    }
    assert classes(run(files, tmp_path, method)[1]) == wanted[untold]


def test_sizes_that_one_listing_does_not_tell_do_not_make_every_bucket_bad(tmp_path: Path):
    """Else every comparison with a list of paths would go the slow way."""
    rows = 2000
    paths, sizes = [f"/{row}" for row in range(rows)], pa.array(range(rows), pa.int64())
    for side in SIDES:
        told = pa.nulls(rows, pa.int64()) if side == "storage" else sizes
        pq.write_table(pa.table({"path": paths, "size": told}), tmp_path / side)
    stages: list[str] = []
    before, after, storage = (tmp_path / side for side in SIDES)
    table = tmp_path / "differences.parquet"
    found = windows.compare_windows(
        before, after, storage, table, limits=LIMITS, progress=lambda stage, part: stages.append(stage)
    )
    assert found.equal
    assert "Narrowing down" not in stages


def test_an_unknown_checksum_hides_no_mismatch_beside_it(tmp_path: Path):
    """All in one bucket, so that known and unknown ones share a digest."""
    expected = [Entry("/a", 1, "a"), Entry("/b", 1, None), Entry("/c", 1, "c"), Entry("/d", 1, "d")]
    there = [Entry("/a", 1, None), Entry("/b", 1, "a"), Entry("/c", 1, "c"), Entry("/d", 1, "e")]
    unknown = [replace(entry, adler32=None) for entry in expected]
    for method in METHODS.values():
        for sides in ((expected, expected, there), (unknown, expected, there), (expected, unknown, there)):
            rows = run(write(tmp_path, *sides), tmp_path, replace(method, bucket_bits=1))[1]
            assert classes(rows) == {"checksum_mismatch": {"/d"}}
        assert run(write(tmp_path, unknown, unknown, there), tmp_path, method)[0].equal


def timed(folder: Path, mtimes: pa.Array, **more: pa.Array) -> list[Path]:
    """An orphan for each mtime, and listings of before and after that expect none of them."""
    for side in SIDES[:2]:
        (folder / side).write_text("path\tsize\n")
    columns = {"path": [f"/{row}" for row in range(len(mtimes))], "size": [1] * len(mtimes), "mtime": mtimes}
    pq.write_table(pa.table({**columns, **more}), folder / "storage")
    return [folder / side for side in SIDES]


NOW_S = NOW_US // 1_000_000
YOUNG = Young(100, NOW_US)


@pytest.mark.parametrize(
    "mtimes",
    [
        pa.array([NOW_S - 99, NOW_S - 100, NOW_S + 5, None], pa.int64()),
        pa.array([NOW_S - 99.5, NOW_S - 100.5, NOW_S + 5, None], pa.float64()),
        pa.array([str(NOW_S - 99), f"{NOW_S - 101}.5", str(NOW_S), ""]),
        pa.array([datetime.fromtimestamp(NOW_S - ago, UTC) for ago in (99, 100, -5)] + [None], pa.timestamp("us")),
        pa.array(
            [datetime.fromtimestamp(NOW_S - ago, UTC) for ago in (99, 100, -5)] + [None], pa.timestamp("ns", "UTC")
        ),
    ],
    ids=["integers", "fractions", "text", "moments", "moments with a zone"],
)
def test_what_is_young_or_of_unknown_age_is_in_flight(tmp_path: Path, mtimes: pa.Array):
    files = timed(tmp_path, mtimes)
    rows = run(files, tmp_path, young=YOUNG)[1]
    assert [(row["class"], row["path"], row["reason"]) for row in rows] == [
        ("orphan", "/1", None),
        ("in_flight", "/0", "younger than 100 s"),
        ("in_flight", "/2", "younger than 100 s"),
        ("in_flight", "/3", "its age is not told"),
    ]
    assert classes(run(files, tmp_path)[1]) == {"orphan": {"/0", "/1", "/2", "/3"}}


def test_age_saves_what_is_wrong_and_neither_what_is_missing_nor_what_is_right(tmp_path: Path):
    expected = [Entry("/gone", 1), Entry("/right", 2, "2"), Entry("/size", 3), Entry("/sum", 4, "4")]
    files = write(tmp_path, expected, expected, [])
    lines = [
        f"/right\t2\t2\t{NOW_S}",
        f"/size\t30\t\t{NOW_S}",
        f"/sum\t4\t5\t{NOW_S}",
        f"/size-old\t1\t\t{NOW_S - 500}",
    ]
    files[2].write_text("\n".join(["path\tsize\tadler32\tmtime", *lines, ""]))
    rows = run(files, tmp_path, young=YOUNG)[1]
    assert classes(rows) == {"missing": {"/gone"}, "orphan": {"/size-old"}, "in_flight": {"/size", "/sum"}}


def test_of_a_path_listed_twice_the_later_time_counts(tmp_path: Path):
    files = timed(tmp_path, pa.array([NOW_S - 500, NOW_S], pa.int64()))
    table = pq.read_table(files[2])
    pq.write_table(table.set_column(0, "path", pa.array(["/p", "/p"])), files[2])
    assert classes(run(files, tmp_path, young=YOUNG)[1]) == {"in_flight": {"/p"}, "duplicate_storage": {"/p"}}


def test_ages_of_a_storage_that_tells_none_are_bad_input(tmp_path: Path):
    files = write(tmp_path, BEFORE, BEFORE, STORAGE[:0])
    with pytest.raises(BadInput, match=r"storage: has no column 'mtime'.*leave --ignore-age out"):
        run(files, tmp_path, young=YOUNG)
    files = timed(tmp_path, pa.array(["1", "yester\nday"]))
    with pytest.raises(BadInput, match=r"storage: has the mtime yester") as caught:
        run(files, tmp_path, young=YOUNG)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "differences.parquet").exists()
    assert classes(run(files, tmp_path)[1]) == {"orphan": {"/0", "/1"}}


@pytest.mark.parametrize("bad", SIDES)
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("/x\t-1\t", "size '-1'"),
        ("x\t1\t", "path 'x' is relative where the first one is absolute"),
        ("/x\t1\tzz", "adler32 'zz' is not"),
        ("/x\x01\t1\t", "control character U+0001"),
        ("/x\t1", "has 2 columns where the header has 3"),
    ],
)
def test_a_bad_row_of_any_listing_is_told_with_its_line(tmp_path: Path, bad: str, line: str, problem: str):
    files = [tmp_path / side for side in SIDES]
    for file in files:
        file.write_text("path\tsize\tadler32\n/a\t1\t1\n" + (f"{line}\n" if file.name == bad else ""))
    table = tmp_path / "differences.parquet"
    with pytest.raises(BadInput) as caught:
        windows.compare_windows(*files, table, limits=LIMITS)
    assert caught.value.place == f"{tmp_path / bad}, line 3"
    assert problem in str(caught.value)
    assert caught.value.hint
    assert not table.exists()


def test_absolute_paths_are_not_compared_with_relative_ones(tmp_path: Path):
    files = write(tmp_path, BEFORE, [], [Entry("a", 1)])
    with pytest.raises(BadInput, match=r"has relative paths, but .*before has absolute ones") as caught:
        run(files, tmp_path)
    assert caught.value.place == str(files[2])


NAMES = st.sampled_from(["a", "b", "c", "a b", '"', "%2f", "NULL", "0", "00", "1e1", "#", "\\", "'", ",", "ü"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
SUMS = st.one_of(st.none(), st.sampled_from(["0", "00000001", "1", "ab", "AB", "ffffffff"]))
ENTRIES = st.builds(Entry, PATHS, st.integers(0, 2) | st.just(2**63 - 1), SUMS)
FORMS = st.tuples(st.sampled_from(listings.FORMATS), st.sampled_from(listings.PACKINGS), st.booleans(), st.booleans())


@st.composite
def three_listings(draw: st.DrawFn) -> list[list[Entry]]:
    """Three listings that share much, differ in some, and repeat themselves."""
    common = draw(st.lists(ENTRIES, max_size=12))
    sides = []
    for _ in SIDES:
        kept = [entry for entry in common if draw(st.integers(0, 9)) > 0]
        again = draw(st.lists(st.sampled_from(common), max_size=2)) if common else []
        sides.append(draw(st.permutations([*kept, *again, *draw(st.lists(ENTRIES, max_size=3))])))
    return sides


def write_untold(file: Path, entries: Sequence[Entry], *, adler32: bool, places: set[int]) -> list[Entry]:
    """Write a listing as Parquet in which some rows have no size; returns the rows as they now are."""
    rows = [replace(entry, size=None if place in places else entry.size) for place, entry in enumerate(entries)]  # type: ignore[arg-type]
    listings.write(file, rows, "parquet", adler32=adler32)
    return rows


@settings(max_examples=examples(90), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sides=three_listings(),
    forms=st.tuples(FORMS, FORMS, FORMS),
    untold=st.dictionaries(st.integers(0, 2), st.sets(st.integers(0, 14)) | st.just(set(range(99)))),
    bits=st.sampled_from([1, 3, 8, 17, 18, 19, None]),
    method=st.sampled_from([*METHODS.values(), Method()]),
)
def test_comparing_agrees_with_plain_dicts(tmp_path: Path, sides, forms, untold, bits: int | None, method: Method):
    files, seen = [], []
    for place, (side, entries, form) in enumerate(zip(SIDES, sides, forms, strict=True)):
        format, packing, in_two, adler32 = form
        format = format if entries or format != "ndjson" else "csv"  # Without a row, NDJSON is an empty file.
        file = tmp_path / side
        if place in untold:
            seen.append(write_untold(file, entries, adler32=adler32, places=untold[place]))
        else:
            seen.append(entries)
            listings.write(file, entries, format, packing=packing, in_two=in_two, adler32=adler32)
        files.append(file)
    found, rows = run(files, tmp_path, replace(method, bucket_bits=bits))
    assert classes(rows) == oracle(seen, [form[3] for form in forms])
    assert (found.before, found.after, found.storage) == tuple(map(len, sides))


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sides=three_listings())
def test_swapping_before_and_after_changes_no_class(tmp_path: Path, sides: list[list[Entry]]):
    def said(rows: Rows) -> dict[str, set[object]]:
        return {cls: paths for cls, paths in classes(rows).items() if not cls.startswith("duplicate")}

    files = write(tmp_path, *sides)
    first = said(run(files, tmp_path)[1])
    assert said(run([files[1], files[0], files[2]], tmp_path)[1]) == first


def test_everything_different_within_little_memory(tmp_path: Path):
    """More than fits: the engine has to work on disk, and the table is in order all the same."""
    n_files = 100_000
    paths = [f"/store/{'x' * 100}/{row:08d}" for row in range(n_files)]
    for side, plus in zip(SIDES, (0, 0, 1), strict=True):
        sizes = list(range(plus, n_files + plus))
        pq.write_table(pa.table({"path": paths, "size": sizes}), tmp_path / side)
    limits = duckdb_session.engine_limits(threads=2, memory="80MB")
    table = tmp_path / "differences.parquet"
    before, after, storage = (tmp_path / side for side in SIDES)
    found = windows.compare_windows(before, after, storage, table, limits=limits)
    assert found.totals[WindowClass.SIZE_MISMATCH].files == n_files
    assert pq.read_table(table, columns=["path"])["path"].to_pylist() == paths


def test_class_files_have_the_columns_of_all_sides(tmp_path: Path):
    run(write(tmp_path, [*BEFORE, Entry("/left", 6, "6")], BEFORE, STORAGE), tmp_path)
    out = tmp_path / "out"
    with duckdb_session.work_folder(LIMITS) as work:
        form = window_differences.FORM
        difference_table.write_class_files(form, tmp_path / "differences.parquet", out, LIMITS, work)
    assert {file.name for file in out.iterdir()} == {f"{cls}.tsv" for cls in WindowClass}
    header, line = (out / "in_flight.tsv").read_text().splitlines()
    assert header.split("\t") == [
        *("path", "before_size", "after_size", "storage_size"),
        *("before_adler32", "after_adler32", "storage_adler32", "storage_mtime"),
        *("before_rows", "after_rows", "storage_rows", "reason"),
    ]
    assert line == "/left\t6\t\t\t00000006\t\t\t\t1\t0\t0\texpected before only"
