"""Comparing two listings: every class by example, and against a plain dict over random listings in every form."""

from __future__ import annotations

import random
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import listings
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listings import Entry

from holdfast.consistency.comparing import compare, difference_table, differences, duckdb_session, listing_file
from holdfast.consistency.comparing.compare import Carried
from holdfast.consistency.comparing.differences import Comparison, Difference, DifferenceClass
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.comparing.sieve import Method
from holdfast.model.errors import OperatorError
from support.soak import examples

LIMITS = EngineLimits(threads=2)
METHODS = {
    "buckets": Method(bad_buckets_max=1.0),
    "paths": Method(bad_buckets_max=-1.0, bad_paths_max=1.0),
    "everything": Method(bad_buckets_max=-1.0, bad_paths_max=-1.0),
}
"""The three ways from the first pass to the rows that are compared exactly, each forced."""

Found = dict[DifferenceClass, dict[str, tuple[object, ...]]]


def run(
    expected: Path, actual: Path, folder: Path, method: Method | None = None
) -> tuple[Comparison, list[Difference]]:
    """Compare, check that the totals are those of the table, and return both."""
    table = folder / "differences.parquet"
    with duckdb_session.work_folder(LIMITS) as work, duckdb_session.session(LIMITS, work) as connection:
        opened = [
            listing_file.open_listing(source, work / role, connection)
            for source, role in ((expected, "expected"), (actual, "actual"))
        ]
        found = compare.compare(opened[0], opened[1], table, connection, limits=LIMITS, method=method)
    rows = list(differences.read(table))
    for cls, total in found.totals.items():
        of_class = [row for row in rows if row.cls is cls]
        assert total.files == len(of_class)
        sizes = [row.actual_size if row.expected_size is None else row.expected_size for row in of_class]
        assert total.size == sum(size or 0 for size in sizes)
    order = list(DifferenceClass)
    assert [(order.index(row.cls), row.path.encode()) for row in rows] == sorted(
        (order.index(row.cls), row.path.encode()) for row in rows
    )
    assert found.equal == (not rows)
    return found, rows


def classes(rows: Iterable[Difference]) -> dict[str, set[str]]:
    """Paths by class."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        assert row.path not in found[row.cls], "a path is in a class once"
        found[row.cls].add(row.path)
    return dict(found)


def oracle(expected: Iterable[Entry], actual: Iterable[Entry], *, checksums: bool) -> dict[str, set[str]]:
    """The same in plain Python: what is meant, without a thought of speed."""
    sides: tuple[dict[str, list[Entry]], dict[str, list[Entry]]] = (defaultdict(list), defaultdict(list))
    for side, entries in zip(sides, (expected, actual), strict=True):
        for entry in entries:
            side[entry.path].append(entry)
    found: dict[str, set[str]] = defaultdict(set)
    for path in sides[0].keys() | sides[1].keys():
        there = [side.get(path, []) for side in sides]
        sizes = [Counter(entry.size for entry in entries) for entries in there]
        known = [Counter(int(entry.adler32, 16) for entry in entries if entry.adler32) for entries in there]
        if sizes[0] == sizes[1] and (not checksums or not known[0] or not known[1] or known[0] == known[1]):
            continue
        if not there[1]:
            found["missing"].add(path)
        elif not there[0]:
            found["orphan"].add(path)
        elif len({entry.size for entries in there for entry in entries}) > 1:
            found["size_mismatch"].add(path)
        elif checksums and known[0] and known[1] and len(known[0].keys() | known[1].keys()) > 1:
            found["checksum_mismatch"].add(path)
        for entries, name in zip(there, ("duplicate_expected", "duplicate_actual"), strict=True):
            if len(entries) > 1:
                found[name].add(path)
    return dict(found)


def compare_entries(
    expected: list[Entry], actual: list[Entry], folder: Path, *, adler32: bool = False, method: Method | None = None
) -> list[Difference]:
    first = listings.write(folder / "expected", expected, "tsv", adler32=adler32)
    second = listings.write(folder / "actual", actual, "parquet", adler32=adler32)
    return run(first, second, folder, method)[1]


def test_each_class_by_example(tmp_path: Path):
    expected = [Entry("/same", 1, "1"), Entry("/gone", 2), Entry("/size", 3, "3"), Entry("/sum", 4, "AB")]
    actual = [Entry("/same", 1, "00000001"), Entry("/dark", 5), Entry("/size", 30, "4"), Entry("/sum", 4, "ac")]
    assert compare_entries(expected, actual, tmp_path, adler32=True) == [
        Difference(DifferenceClass.MISSING, "/gone", 2, None, None, None, 1, 0),
        Difference(DifferenceClass.ORPHAN, "/dark", None, 5, None, None, 0, 1),
        Difference(DifferenceClass.SIZE_MISMATCH, "/size", 3, 30, "00000003", "00000004", 1, 1),
        Difference(DifferenceClass.CHECKSUM_MISMATCH, "/sum", 4, 4, "000000ab", "000000ac", 1, 1),
    ]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_size_that_the_storage_did_not_tell_is_no_mismatch(tmp_path: Path, method: Method):
    expected = [Entry("/d/same", 1, "1"), Entry("/d/gone", 2), Entry("/d/sum", 3, "3"), Entry("/d/size", 4)]
    paths, sums = ["/d/same", "/d/sum", "/d/dark", "/d/size"], ["1", "4", None, None]
    table = pa.table({"path": paths, "size": pa.array([None, None, None, 5], pa.int64()), "adler32": sums})
    pq.write_table(table, tmp_path / "actual.parquet")
    first = listings.write(tmp_path / "expected", expected, "tsv", adler32=True)
    assert run(first, tmp_path / "actual.parquet", tmp_path, method)[1] == [
        Difference(DifferenceClass.MISSING, "/d/gone", 2, None, None, None, 1, 0),
        Difference(DifferenceClass.ORPHAN, "/d/dark", None, None, None, None, 0, 1),
        Difference(DifferenceClass.SIZE_MISMATCH, "/d/size", 4, 5, None, None, 1, 1),
        Difference(DifferenceClass.CHECKSUM_MISMATCH, "/d/sum", 3, None, "00000003", "00000004", 1, 1),
    ]
    nothing_told = [Entry(f"/e/{number}", number) for number in range(50)]
    first = listings.write(tmp_path / "told", nothing_told, "parquet")
    table = pa.table({"path": [entry.path for entry in nothing_told], "size": pa.nulls(50, pa.int64())})
    pq.write_table(table, tmp_path / "untold.parquet")
    assert run(first, tmp_path / "untold.parquet", tmp_path, method)[1] == []
    assert run(tmp_path / "untold.parquet", tmp_path / "untold.parquet", tmp_path, method)[1] == []


@pytest.mark.parametrize("bits", [1, 8])
def test_untold_sizes_are_like_any_others_whatever_lies_in_the_same_bucket(tmp_path: Path, bits: int):
    expected = [Entry("/twice", 1), Entry("/twice", 2), Entry("/other", 3)]
    first = listings.write(tmp_path / "expected", expected, "tsv")
    for others in (["/other"], ["/dark"]):
        paths = ["/twice", "/twice", *others]
        pq.write_table(pa.table({"path": paths, "size": pa.nulls(3, pa.int64())}), tmp_path / "untold")
        found = classes(run(first, tmp_path / "untold", tmp_path, Method(bucket_bits=bits, bad_buckets_max=1.0))[1])
        assert found == ({} if others == ["/other"] else {"missing": {"/other"}, "orphan": {"/dark"}})


def test_equal_listings_have_no_difference_in_any_order_or_form(tmp_path: Path):
    entries = [Entry(f"/d{row % 7}/f{row}", row, f"{row:x}") for row in range(1000)]
    first = listings.write(tmp_path / "first", entries, "csv", packing="zstd", adler32=True)
    second = listings.write(tmp_path / "second", reversed(entries), "ndjson", in_two=True, adler32=True)
    found, rows = run(first, second, tmp_path)
    assert found.equal
    assert not rows
    assert (found.expected, found.actual) == (1000, 1000)


def test_an_empty_listing_lacks_everything(tmp_path: Path):
    rows = compare_entries([Entry("/a", 1), Entry("/b", 2)], [], tmp_path)
    assert classes(rows) == {"missing": {"/a", "/b"}}
    rows = compare_entries([], [Entry("/a", 1)], tmp_path)
    assert classes(rows) == {"orphan": {"/a"}}
    assert compare_entries([], [], tmp_path) == []


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize(
    ("expected", "actual", "wanted"),
    [
        # Under XOR both of these cancel: same count, same digest of nothing.
        ("pp", "qq", {"missing": "p", "orphan": "q", "duplicate_expected": "p", "duplicate_actual": "q"}),
        ("ppr", "rqq", {"missing": "p", "orphan": "q", "duplicate_expected": "p", "duplicate_actual": "q"}),
        ("pp", "p", {"duplicate_expected": "p"}),
        ("p", "pp", {"duplicate_actual": "p"}),
        ("pq", "pqq", {"duplicate_actual": "q"}),
        # What both have alike is equal, even twice.
        ("pp", "pp", {}),
        ("ppp", "pp", {"duplicate_expected": "p", "duplicate_actual": "p"}),
    ],
)
def test_a_path_listed_twice_is_reported_and_never_cancels(
    tmp_path: Path, expected: str, actual: str, wanted: dict[str, str], method: Method
):
    others = [Entry(f"/other/{row}", 1) for row in range(500)]
    sides = [[*(Entry(f"/{letter}", 1) for letter in side), *others] for side in (expected, actual)]
    rows = compare_entries(*sides, tmp_path, method=method)
    assert classes(rows) == {cls: {f"/{letter}" for letter in letters} for cls, letters in wanted.items()}


def test_a_path_listed_with_two_sizes_is_a_size_mismatch_that_shows_two_that_differ(tmp_path: Path):
    twice = [Entry("/p", 1), Entry("/p", 2)]
    for expected, actual, shown in (
        (twice, [Entry("/p", 1)], (2, 1)),
        (twice, [Entry("/p", 2)], (1, 2)),
        ([Entry("/p", 2)], twice, (2, 1)),
        (twice, [Entry("/p", 2), Entry("/p", 2)], (1, 2)),
    ):
        rows = compare_entries(expected, actual, tmp_path)
        assert [(row.expected_size, row.actual_size) for row in rows if row.cls == "size_mismatch"] == [shown]


def test_an_unknown_checksum_is_never_a_mismatch(tmp_path: Path):
    known = [Entry(f"/{row}", 1, "a") for row in range(100)]
    unknown = [Entry(f"/{row}", 1, None) for row in range(100)]
    assert compare_entries(known, unknown, tmp_path, adler32=True) == []
    assert compare_entries(unknown, known, tmp_path, adler32=True) == []
    without = listings.write(tmp_path / "without", known, "tsv")
    with_sums = listings.write(tmp_path / "with", known, "tsv", adler32=True)
    assert run(without, with_sums, tmp_path)[0].equal


def test_an_unknown_checksum_hides_no_mismatch_beside_it(tmp_path: Path):
    """All in one bucket, so that known and unknown ones share a digest."""
    expected = [Entry("/a", 1, "a"), Entry("/b", 1, None), Entry("/c", 1, "c"), Entry("/d", 1, "d")]
    actual = [Entry("/a", 1, None), Entry("/b", 1, "a"), Entry("/c", 1, "c"), Entry("/d", 1, "e")]
    for method in METHODS.values():
        method = replace(method, bucket_bits=1)
        rows = compare_entries(expected, actual, tmp_path, adler32=True, method=method)
        assert classes(rows) == {"checksum_mismatch": {"/d"}}


def test_unknown_checksums_of_one_side_do_not_make_every_bucket_bad(tmp_path: Path):
    """Else every comparison with a storage that knows no checksums would go the slow way."""
    expected = [Entry(f"/{row}", 1, f"{row:x}") for row in range(2000)]
    actual = [Entry(f"/{row}", 1, None) for row in range(1999)]
    first = listings.write(tmp_path / "expected", expected, "tsv", adler32=True)
    second = listings.write(tmp_path / "actual", actual, "tsv", adler32=True)
    with duckdb_session.work_folder(LIMITS) as work, duckdb_session.session(LIMITS, work) as connection:
        opened = [listing_file.open_listing(file, work / file.name, connection) for file in (first, second)]
        found = compare.compare(opened[0], opened[1], tmp_path / "differences.parquet", connection, limits=LIMITS)
        bad = connection.execute("SELECT count(*) FROM bad_buckets").fetchone()
    assert bad == (1,)
    assert found.totals[DifferenceClass.MISSING].files == 1


ODD = st.text(
    st.characters(
        min_codepoint=33, max_codepoint=0x1F600, exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="/"
    ),
    min_size=1,
    max_size=4,
)
NAMES = st.one_of(
    st.sampled_from(["a", "b", "c", "a b", '"', "%2f", "NULL", "0", "00", "1e1", "#", "\\", "'", ","]), ODD
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
SUMS = st.one_of(st.none(), st.sampled_from(["0", "00000001", "1", "ab", "AB", "ffffffff"]))
ENTRIES = st.builds(Entry, PATHS, st.integers(0, 2) | st.just(2**63 - 1), SUMS)


@st.composite
def two_listings(draw: st.DrawFn) -> tuple[list[Entry], list[Entry]]:
    """Two listings that share much, differ in some, and repeat themselves."""
    common = draw(st.lists(ENTRIES, max_size=12))
    sides = []
    for _ in range(2):
        kept = [entry for entry in common if draw(st.integers(0, 9)) > 0]
        again = draw(st.lists(st.sampled_from(common), max_size=2)) if common else []
        side = kept + again + draw(st.lists(ENTRIES, max_size=3))
        sides.append(draw(st.permutations(side)))
    return sides[0], sides[1]


FORMS = st.tuples(st.sampled_from(listings.FORMATS), st.sampled_from(listings.PACKINGS), st.booleans(), st.booleans())


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sides=two_listings(),
    forms=st.tuples(FORMS, FORMS),
    bits=st.sampled_from([1, 3, 8, 17, 18, 19, None]),
    method=st.sampled_from([*METHODS.values(), Method()]),
)
def test_comparing_agrees_with_a_plain_dict(tmp_path: Path, sides, forms, bits: int | None, method: Method):
    files = []
    for side, entries, (form, packing, in_two, adler32) in zip(("expected", "actual"), sides, forms, strict=True):
        format = form if entries or form != "ndjson" else "csv"  # Without a row, NDJSON is an empty file.
        files.append(listings.write(tmp_path / side, entries, format, packing=packing, in_two=in_two, adler32=adler32))
    found, rows = run(*files, tmp_path, replace(method, bucket_bits=bits))
    assert classes(rows) == oracle(*sides, checksums=forms[0][3] and forms[1][3])
    assert (found.expected, found.actual) == tuple(map(len, sides))


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(ENTRIES, max_size=20), form=FORMS, method=st.sampled_from(list(METHODS.values())))
def test_a_listing_compared_with_itself_is_equal(tmp_path: Path, entries: list[Entry], form, method: Method):
    format, packing, in_two, adler32 = form
    format = format if entries or format != "ndjson" else "csv"
    file = listings.write(tmp_path / "listing", entries, format, packing=packing, in_two=in_two, adler32=adler32)
    assert run(file, file, tmp_path, method)[0].equal


def many(rows: int, seed: int) -> tuple[list[Entry], list[Entry], dict[str, set[str]]]:
    """Listings with a few planted differences of each kind."""
    chance = random.Random(seed)
    expected = [Entry(f"/d{row // 100}/f{chance.getrandbits(64):x}", row, f"{row:08x}") for row in range(rows)]
    actual = {entry.path: entry for entry in expected}
    chosen = chance.sample(expected, 30)
    for entry in chosen[:10]:
        del actual[entry.path]
    for entry in chosen[10:20]:
        actual[entry.path] = Entry(entry.path, entry.size + 1, entry.adler32)
    for entry in chosen[20:]:
        actual[entry.path] = Entry(entry.path, entry.size, "fffffff0")
    listed = list(actual.values()) + [Entry(f"/dark/{row}", row) for row in range(10)]
    chance.shuffle(listed)
    return expected, listed, oracle(expected, listed, checksums=True)


@pytest.mark.parametrize("in_two", [(False, False), (True, True), (True, False)])
def test_few_differences_among_many_files(tmp_path: Path, in_two: tuple[bool, bool]):
    expected, actual, wanted = many(30_000, seed=1)
    first = listings.write(tmp_path / "expected", expected, "parquet", in_two=in_two[0], adler32=True)
    second = listings.write(tmp_path / "actual", actual, "parquet", in_two=in_two[1], adler32=True)
    assert classes(run(first, second, tmp_path)[1]) == wanted
    for method in METHODS.values():
        assert classes(run(first, second, tmp_path, method)[1]) == wanted


def test_everything_different_within_little_memory(tmp_path: Path):
    """More than fits: the engine has to work on disk, and the table is in order all the same."""
    n_files = 200_000
    paths = [f"/store/{'x' * 100}/{row:08d}" for row in range(n_files)]
    columns = {"path": paths, "size": list(range(n_files))}
    pq.write_table(pa.table(columns), tmp_path / "expected")
    pq.write_table(pa.table({**columns, "size": list(range(1, n_files + 1))}), tmp_path / "actual")
    limits = duckdb_session.engine_limits(threads=2, memory="80MB")
    table = tmp_path / "differences.parquet"
    found = compare.compare_files(tmp_path / "expected", tmp_path / "actual", table, limits=limits)
    assert found.totals[DifferenceClass.SIZE_MISMATCH].files == n_files
    assert pq.read_table(table, columns=["path"])["path"].to_pylist() == paths


def test_the_table_serves_a_check(tmp_path: Path):
    """What a check needs: directory, name, the site's mtime, and columns of its own carried through."""
    expected = {"dir": ["/d", "/d"], "name": ["a", "b"], "size": [1, 2], "lfn": ["/x/a", "/x/b"], "ordinal": [7, 8]}
    actual = {"dir": ["/d", "/"], "name": ["b", "c"], "size": [3, 4], "mtime": [10, 20], "version": ["v", "w"]}
    pq.write_table(pa.table(expected), tmp_path / "expected")
    pq.write_table(pa.table(actual), tmp_path / "actual")
    table = tmp_path / "differences.parquet"
    carried = Carried(expected=("lfn", "ordinal"), actual=("version",))
    stages = []
    compare.compare_files(
        tmp_path / "expected",
        tmp_path / "actual",
        table,
        limits=LIMITS,
        carried=carried,
        progress=lambda stage, part: stages.append(stage),
    )
    nothing = {"expected_adler32": None, "actual_adler32": None}
    assert [row for batch in differences.batches(table) for row in batch.to_pylist()] == [
        {"class": "missing", "path": "/d/a", "dir": "/d", "name": "a", "expected_size": 1, "actual_size": None}
        | nothing
        | {"expected_lfn": "/x/a", "expected_ordinal": 7, "actual_mtime": None, "actual_version": None}
        | {"expected_rows": 1, "actual_rows": 0},
        {"class": "orphan", "path": "/c", "dir": "/", "name": "c", "expected_size": None, "actual_size": 4}
        | nothing
        | {"expected_lfn": None, "expected_ordinal": None, "actual_mtime": 20, "actual_version": "w"}
        | {"expected_rows": 0, "actual_rows": 1},
        {"class": "size_mismatch", "path": "/d/b", "dir": "/d", "name": "b", "expected_size": 2, "actual_size": 3}
        | nothing
        | {"expected_lfn": "/x/b", "expected_ordinal": 8, "actual_mtime": 10, "actual_version": "v"}
        | {"expected_rows": 1, "actual_rows": 1},
    ]
    assert [row.path for row in differences.read(table, DifferenceClass.ORPHAN)] == ["/c"]
    assert list(dict.fromkeys(stages)) == ["Opening", "Reading", "Narrowing down", "Comparing"]


def test_directory_and_name_of_odd_paths(tmp_path: Path):
    paths = ["/a", "/d/a", "//a", "/d//a", "/d/"]
    rows = [Entry(path, 1) for path in paths]
    compare_entries(rows, [], tmp_path)
    table = pq.read_table(tmp_path / "differences.parquet", columns=["path", "dir", "name"]).to_pylist()
    assert {row["path"]: (row["dir"], row["name"]) for row in table} == {
        "/a": ("/", "a"),
        "/d/a": ("/d", "a"),
        "//a": ("/", "a"),
        "/d//a": ("/d/", "a"),
        "/d/": ("/d", ""),
    }
    compare_entries([Entry("a", 1), Entry("d/a", 1)], [], tmp_path)
    table = pq.read_table(tmp_path / "differences.parquet", columns=["dir", "name"]).to_pylist()
    assert table == [{"dir": "", "name": "a"}, {"dir": "d", "name": "a"}]


# Class files.


def test_class_files_bring_odd_names_through_and_leave_nothing_stale(tmp_path: Path):
    odd = ['/"quoted"', "/back\\slash\\t", "/it's", " /blank".strip() + " ", "/NULL", "/ü,;|#", "/007"]
    compare_entries([Entry(path, 1, "a") for path in odd], [Entry("/dark", 5)], tmp_path, adler32=True)
    out = tmp_path / "new" / "out"
    with duckdb_session.work_folder(LIMITS) as work:
        written = difference_table.write_class_files(
            differences.FORM, tmp_path / "differences.parquet", out, LIMITS, work
        )
        assert {file.name for file in out.iterdir()} == {f"{cls}.tsv" for cls in DifferenceClass}
        lines = written[DifferenceClass.MISSING].read_text().split("\n")
        header = "path expected_size actual_size expected_adler32 actual_adler32 actual_mtime expected_rows actual_rows"
        assert lines[0].split("\t") == header.split()
        assert lines[1:] == [*(f"{path}\t1\t\t0000000a\t\t\t1\t0" for path in sorted(odd)), ""]
        assert written[DifferenceClass.ORPHAN].read_text().split("\n")[1:] == ["/dark\t\t5\t\t\t\t0\t1", ""]
        compare_entries([], [], tmp_path)
        difference_table.write_class_files(differences.FORM, tmp_path / "differences.parquet", out, LIMITS, work)
    assert {file.name for file in out.iterdir()} == {f"{cls}.tsv" for cls in DifferenceClass}
    assert all(file.read_text().count("\n") == 1 for file in out.iterdir())


def test_a_line_end_in_a_modification_time_does_not_end_the_line(tmp_path: Path):
    pq.write_table(pa.table({"path": ["/a"], "size": [1], "mtime": ["1\n2\t3"]}), tmp_path / "actual")
    (tmp_path / "expected").write_text("path\tsize\n")
    table = tmp_path / "differences.parquet"
    compare.compare_files(tmp_path / "expected", tmp_path / "actual", table, limits=LIMITS)
    with duckdb_session.work_folder(LIMITS) as work:
        written = difference_table.write_class_files(differences.FORM, table, tmp_path / "out", LIMITS, work)
    assert written[DifferenceClass.ORPHAN].read_text().split("\n")[1] == "/a\t\t1\t\t\t1 2 3\t0\t1"


def test_class_files_that_cannot_be_written_are_the_operators_business(tmp_path: Path):
    compare_entries([Entry("/a", 1)], [], tmp_path)
    with duckdb_session.work_folder(LIMITS) as work:
        for place in (Path("/dev/null/out"), Path("/proc/self/out")):
            with pytest.raises(OperatorError, match="class files cannot be written"):
                difference_table.write_class_files(
                    differences.FORM, tmp_path / "differences.parquet", place, LIMITS, work
                )


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "holdfast-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.real("tmpfs mount")
def test_a_full_disk_is_the_operators_business(tmp_path: Path, small: Path):
    chance = random.Random(3)
    entries = [Entry(f"/store/{chance.randbytes(60).hex()}/{row}", row) for row in range(150_000)]
    expected = listings.write(tmp_path / "expected", entries, "parquet")
    packed = listings.write(tmp_path / "packed", entries, "tsv", packing="gzip")
    actual = listings.write(tmp_path / "actual", [], "tsv")
    table = tmp_path / "differences.parquet"
    into_small = duckdb_session.engine_limits(threads=2, memory="60MB", temp_dir=small)
    with pytest.raises(OperatorError, match=r"cannot unpack .*No space left on device .*--temp-dir"):
        compare.compare_files(packed, actual, table, limits=into_small)
    with pytest.raises(OperatorError, match="disk for temporary files is full"):
        compare.compare_files(expected, actual, table, limits=into_small)
    with pytest.raises(OperatorError, match="differences cannot be written: No space left"):
        compare.compare_files(expected, actual, small / "differences.parquet", limits=LIMITS)
    assert not list(small.iterdir())
    compare.compare_files(expected, actual, table, limits=LIMITS)
    with duckdb_session.work_folder(LIMITS) as work, pytest.raises(OperatorError, match="No space left"):
        difference_table.write_class_files(differences.FORM, table, small / "out", LIMITS, work)
    assert not list((small / "out").iterdir())
