"""Listing files: every form is read exactly, every bad one refused in one line that says where and what to do."""

from __future__ import annotations

import gzip
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import listings
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from listings import Entry

from holdfast.consistency.comparing import compare, differences, duckdb_session, listing_staging
from holdfast.consistency.comparing.differences import DifferenceClass
from holdfast.consistency.comparing.listing_file import Format, Layout, open_listing
from holdfast.model.errors import BadInput, OperatorError

LIMITS = duckdb_session.EngineLimits(threads=2)

ODD_NAMES = (
    "/a b/c d",
    '/quoted/"x"',
    "/quoted/'x'",
    '/half/quo"te',
    "/per%20cent/100%",
    "/back\\slash\\n",
    "/utf8/Grüße-日本-😀",
    "/utf8/combining-e\u0301",
    "/numbers/0012",
    "/numbers/1e5",
    "/NULL",
    "/null",
    "/#comment",
    "/comma,semicolon;pipe|",
    "/{json}/[x]",
    "/double//slash",
    "/dots/./../x",
    "/ leading and trailing ",
    "/\u00a0nbsp",
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb_session.duckdb.DuckDBPyConnection]:
    with duckdb_session.session(LIMITS, tmp_path) as opened:
        yield opened


def read_back(listing: Path, tmp_path: Path) -> dict[str, int | None]:
    """Every path and size of a listing, as the engine reads them: all of it is missing from an empty one."""
    empty = tmp_path / "empty.tsv"
    empty.write_text("path\tsize\n")
    table = tmp_path / "differences.parquet"
    found = compare.compare_files(listing, empty, table, limits=LIMITS)
    assert found.actual == 0
    assert found.expected == found.totals[DifferenceClass.MISSING].files
    return {row.path: row.expected_size for row in differences.read(table)}


def refusal(listing: Path, tmp_path: Path) -> str:
    """The line in which a listing is refused as ACTUAL, without its name; nothing is written."""
    good = tmp_path / "good.tsv"
    good.write_text("path\tsize\n")
    table = tmp_path / "differences.parquet"
    with pytest.raises(BadInput) as caught:
        compare.compare_files(good, listing, table, limits=LIMITS)
    assert not table.exists()
    assert "\n" not in str(caught.value)
    assert caught.value.place.startswith(str(listing))
    assert caught.value.hint
    return str(caught.value).removeprefix(str(listing))


FORMS = list(itertools.product(listings.FORMATS, listings.PACKINGS, (False, True)))


@pytest.mark.parametrize(("format", "packing", "in_two"), FORMS)
def test_every_form_brings_names_and_sizes_back_exactly(tmp_path: Path, format: str, packing: str, in_two: bool):
    # A directory cannot end in "/", so a path with "//" does not fit into two columns.
    fitting = [path for path in ODD_NAMES if not (in_two and "//" in path)]
    entries = [Entry(path, size) for size, path in enumerate(fitting)] + [Entry("/large", 2**63 - 1)]
    # No suffix: what a file is, is told by its content.
    file = listings.write(tmp_path / "listing", entries, format, packing=packing, in_two=in_two)
    assert read_back(file, tmp_path) == {entry.path: entry.size for entry in entries}


@pytest.mark.parametrize("format", listings.FORMATS)
@pytest.mark.parametrize("in_two", [False, True])
def test_relative_paths_are_taken_as_they_are(tmp_path: Path, format: str, in_two: bool):
    entries = [Entry("a", 1), Entry("b/c", 2), Entry("NULL", 3), Entry("007", 4), Entry(" x", 5), Entry("#x", 6)]
    file = listings.write(tmp_path / "listing", entries, format, in_two=in_two)
    assert read_back(file, tmp_path) == {entry.path: entry.size for entry in entries}


def test_format_layout_and_columns_are_found_from_the_content(tmp_path: Path, connection):
    for format, in_two in itertools.product(listings.FORMATS, (False, True)):
        source = listings.write(tmp_path / "x.csv", [Entry("/a", 1)], format, in_two=in_two)
        data = tmp_path / f"{format}-{in_two}"
        listing = open_listing(source, data, connection)
        assert listing.format is Format(format)
        assert listing.layout is (Layout.SPLIT if in_two else Layout.PATH)
        assert listing.absolute is True


def test_extra_columns_are_ignored_in_any_order(tmp_path: Path):
    file = tmp_path / "listing.tsv"
    file.write_text('owner\tsize\tname\tpath\tx"y\nme\t5\tn\t/a\t"\n\t6\t\t/b\t\n')
    assert read_back(file, tmp_path) == {"/a": 5, "/b": 6}
    nested = tmp_path / "nested.parquet"
    pq.write_table(pa.table({"meta": [{"path": "no", "size": "no"}], "path": ["/a"], "size": [5]}), nested)
    assert read_back(nested, tmp_path) == {"/a": 5}
    objects = tmp_path / "objects.json"
    objects.write_text('{"x": [1], "size": "7", "path": "/a"}\n\n{"path": "/b", "size": 8, "owner": {"id": 3}}\n')
    assert read_back(objects, tmp_path) == {"/a": 7, "/b": 8}


@pytest.mark.parametrize("text", ["path\tsize\n", "path\tsize", "path,size\n", "path,size", "\ufeffpath\tsize\r\n"])
def test_a_header_without_rows_is_a_listing_of_nothing(tmp_path: Path, text: str):
    file = tmp_path / "listing"
    file.write_text(text, newline="")
    assert read_back(file, tmp_path) == {}
    pq.write_table(pa.table({"path": pa.array([], pa.string()), "size": pa.array([], pa.int64())}), file)
    assert read_back(file, tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    [
        "path\tsize\r\n/a\t1\r\n/b\t2\r\n",
        "\ufeffpath\tsize\n/a\t1\n/b\t2",
        "path,size\r\n/a,1\r\n/b,02\r\n",
        'size,"path"\n"1","/a"\n2,/b\n',
    ],
)
def test_line_ends_byte_order_marks_and_quotes_of_the_trade(tmp_path: Path, text: str):
    file = tmp_path / "listing"
    file.write_bytes(text.encode())
    assert read_back(file, tmp_path) == {"/a": 1, "/b": 2}


def test_csv_quotes_as_rfc_4180(tmp_path: Path):
    file = tmp_path / "listing"
    file.write_text('path,size,note\n"/a,""b""",1,"two\nlines"\n')
    assert read_back(file, tmp_path) == {'/a,"b"': 1}


@pytest.mark.parametrize("type", [pa.int32(), pa.uint64(), pa.int8(), pa.uint16()])
def test_parquet_sizes_may_be_any_integer(tmp_path: Path, type: pa.DataType):
    file = tmp_path / "listing"
    pq.write_table(pa.table({"path": ["/a"], "size": pa.array([100], type)}), file)
    assert read_back(file, tmp_path) == {"/a": 100}


def test_a_dictionary_column_is_text(tmp_path: Path):
    file = tmp_path / "listing"
    pq.write_table(
        pa.table({"dir": pa.array(["/d", "/d"]).dictionary_encode(), "name": ["a", "b"], "size": [1, 2]}), file
    )
    assert read_back(file, tmp_path) == {"/d/a": 1, "/d/b": 2}


@pytest.mark.parametrize("name", ["a*b.tsv", "a[1].tsv", "it's.tsv", "k=v.parquet", "%7e {a,b}?.tsv"])
def test_a_files_own_name_is_no_pattern(tmp_path: Path, name: str):
    folder = tmp_path / "day=1"
    folder.mkdir()
    (folder / "a1b.tsv").write_text("path\tsize\n/wrong\t1\n")
    file = folder / name
    file.write_text("path\tsize\n/right\t1\n")
    assert read_back(file, tmp_path) == {"/right": 1}


def test_several_packed_parts_in_one_file_are_all_read(tmp_path: Path):
    for packing in ("gzip", "zstd"):
        file = tmp_path / packing
        file.write_bytes(listings.pack(b"path\tsize\n/a\t1\n", packing) + listings.pack(b"/b\t2\n", packing))
        assert read_back(file, tmp_path) == {"/a": 1, "/b": 2}


# What follows is refused.


BAD_SIZES = (
    "",
    " ",
    "-1",
    "+1",
    "1.0",
    "1e3",
    "0x10",
    "1_000",
    "1,000",
    "ten",
    "NULL",
    "NaN",
    " 5",
    "5 ",
    "9223372036854775808",
    "1" * 40,
    "\u0661",
)
TEXT_CASES = [
    ("empty", b"", ": is empty"),
    ("no header", b"/a\t1\n/b\t2\n", "no column 'path'; found '/a', '1'"),
    ("no size", b"path\tbytes\n/a\t1\n", "no column 'size'; found 'path', 'bytes'"),
    ("no path", b"dir,size\n/a,1\n", "no column 'path'"),
    ("one column", b"path\n/a\n", "no column 'size'"),
    ("upper case", b"Path\tSize\n/a\t1\n", "no column 'path'; found 'Path'"),
    ("column twice", b"path\tsize\tpath\n/a\t1\t/b\n", "column 'path' twice"),
    ("column twice in two cases", b"path\tsize\tSIZE\n/a\t1\t1\n", "column 'size' twice"),
    ("path and dir", b"path\tdir\tname\tsize\n/a\t/\ta\t1\n", "both path and dir with name"),
    ("too few", b"path\tsize\n/a\t1\n/b\n", ", line 3: has 1 columns where the header has 2"),
    ("too many", b"path\tsize\n/a\t1\tx\n", ", line 2: has 3 columns"),
    ("empty path", b"path\tsize\n/a\t1\n\t1\n", ", line 3: path is empty"),
    ("empty path in csv", b'path,size\n/a,1\n"",1\n', ", line 3: path is empty"),
    ("empty name", b"dir\tname\tsize\n/a\t\t1\n", ", line 2: name is empty"),
    ("slash in name", b"dir\tname\tsize\n/a\tb/c\t1\n", ", line 2: name 'b/c' has a '/'"),
    ("slash after dir", b"dir\tname\tsize\n/a/\tb\t1\n", ", line 2: dir '/a/' ends in '/'"),
    ("relative after absolute", b"path\tsize\n/a\t1\nb\t1\n", ", line 3: path 'b' is relative where"),
    ("absolute after relative dir", b"dir\tname\tsize\na\tb\t1\n/a\tb\t1\n", ", line 3: dir+name '/a' is absolute"),
    ("size in csv", b"path,size\n/a,1\n/b,x\n", ", line 3: size 'x' is not a whole number"),
    (
        "control character",
        b"path\tsize\n/a\t1\n/b\x01c\t1\n",
        ", line 3: path '/b\\x01c' has the control character U+0001",
    ),
    ("delete", b"path\tsize\n/b\x7fc\t1\n", "U+007F"),
    ("nul", b"path\tsize\n/a\t1\n/b\0c\t1\n", ", line 3: path '/b\\x00c' has the control character U+0000"),
    ("C1", "path\tsize\n/b\x85c\t1\n".encode(), "U+0085"),
    ("line separator", "path\tsize\n/b\u2028c\t1\n".encode(), "U+2028"),
    ("carriage return", b"path\tsize\n/a\rb\t1\n", "U+000D"),
    ("mixed line ends", b"path\tsize\n/a\t1\n/b\t2\r\n", ", line 3: size '2\\r'"),
    ("newline in csv", b'path,size\n/a,1\n"/b\nc",1\n', "path '/b\\nc' has the control character U+000A"),
    ("not UTF-8", b"path\tsize\n/a\t1\n/b\xff\t1\n", ", line 3: is not UTF-8"),
    ("not UTF-8 in csv", b"path,size\n/a,1\n/b\xff,1\n", ", line 3: "),
    ("UTF-16", "path\tsize\n/a\t1\n".encode("utf-16"), "is no listing"),
    ("binary", b"\x93\x1e\x07" + b"\0\xff" * 600, "is no listing"),
    ("open quote", b'path,size\n"/a,1\n/b,2\n', "line "),
    ("adler32", b"path\tsize\tadler32\n/a\t1\t0a\n/b\t1\txyz\n", ", line 3: adler32 'xyz' is not"),
    ("long adler32", b"path\tsize\tadler32\n/a\t1\t123456789\n", "adler32 '123456789' is not"),
    ("adler32 with underscore", b"path\tsize\tadler32\n/a\t1\t1_0\n", "adler32 '1_0' is not"),
    ("json array", b'[{"path": "/a", "size": 1}]', "is a JSON array"),
    ("json cut", b'{"path": "/a", "size": 1}\n{"path": "/b", "si', ", line 2: is not a JSON object"),
    ("json of one line", b'{"path": "/a", "size": 1} {"path": "/b", "size": 1}\n', ", line 1: "),
    ("json, lacking size", b'{"path": "/a", "size": 1}\n{"path": "/b"}\n', ", line 2: size is empty"),
    ("json, lacking size at first", b'{"path": "/a"}\n', ", line 1: has no column 'size'"),
    ("json, lacking path", b'{"path": "/a", "size": 1}\n{"size": 1}\n', ", line 2: path is empty or not a text"),
    ("json, number for path", b'{"path": "/a", "size": 1}\n{"path": 5, "size": 1}\n', "path is empty or not a text"),
    ("json, null", b'{"path": "/a", "size": 1}\n{"path": "/b", "size": null}\n', "size is empty"),
    ("json, fraction", b'{"path": "/a", "size": 1.5}\n', ", line 1: size '1.5'"),
    ("json, exponent", b'{"path": "/a", "size": 1e3}\n', ", line 1: size '1000.0'"),
    ("json, true", b'{"path": "/a", "size": true}\n', ", line 1: size 'true'"),
    (
        "json, newline",
        b'{"path": "/a", "size": 1}\n{"path": "/b\\nc", "size": 1}\n',
        "line 2: path '/b\\nc' has the control",
    ),
    ("json, nul", b'{"path": "/b\\u0000c", "size": 1}\n', "U+0000"),
    ("json, surrogate", b'{"path": "/a", "size": 1}\n{"path": "/b\\ud800", "size": 1}\n', "lone surrogate"),
    (
        "json, key twice",
        b'{"path": "/a", "size": 1}\n{"path": "/b", "path": "/c", "size": 1}\n',
        "a key is there twice",
    ),
    ("json, list in a line", b'{"path": "/a", "size": 1}\n[1]\n', ", line 2: is not a JSON object"),
    ("json, mark", b'\xef\xbb\xbf{"path": "/a", "size": 1}\n', "byte order mark"),
    ("json, not UTF-8", b'{"path": "/a", "size": 1}\n{"path": "/b\xff", "size": 1}\n', ", line 2: is not UTF-8"),
    *(
        (f"size {text!r}", f"path\tsize\n/a\t1\n/b\t{text}\n".encode(), f", line 3: size {'' if text else 'is empty'}")
        for text in BAD_SIZES
    ),
]
"""Bad text files: a name, the bytes, and words of the refusal."""


@pytest.mark.parametrize(("data", "words"), [case[1:] for case in TEXT_CASES], ids=[case[0] for case in TEXT_CASES])
def test_a_bad_text_listing_is_refused(tmp_path: Path, data: bytes, words: str):
    file = tmp_path / "bad"
    file.write_bytes(data)
    assert words in refusal(file, tmp_path)


def test_a_bad_listing_is_refused_on_the_expected_side_too(tmp_path: Path):
    bad, good = tmp_path / "bad", tmp_path / "good"
    good.write_text("path\tsize\n/a\t1\n")
    for data in (b"path\tsize\n/a\t-1\n", b'{"path": "/a"', b"\x1f\x8b\x08", b"PAR1"):
        bad.write_bytes(data)
        with pytest.raises(BadInput, match="bad"):
            compare.compare_files(bad, good, tmp_path / "differences.parquet", limits=LIMITS)


def test_a_bad_row_is_found_wherever_it_is(tmp_path: Path):
    """Also far behind what the engine looks at first, packed or not."""
    good = b"".join(b"/d/f%07d\t%d\n" % (row, row) for row in range(150_000))
    for packing in listings.PACKINGS:
        file = tmp_path / packing
        file.write_bytes(listings.pack(b"path\tsize\n" + good + b"/last\t5x\n", packing))
        assert ", line 150002: size '5x'" in refusal(file, tmp_path)


def parquet_cases() -> Iterator[tuple[str, dict[str, object], str]]:
    """Bad Parquet files: a name, the columns, and words of the refusal."""
    yield "no size", {"path": ["/a"]}, ": has no column 'size'; found 'path'"
    yield "no columns", {"x": [1]}, ": has no column 'path'"
    yield "both", {"path": ["/a"], "dir": ["/"], "name": ["a"], "size": [1]}, ": has both path and dir"
    yield "column twice", {"path": ["/a"], "size": [1], "Size": [1]}, "column 'size' twice"
    yield "text for size", {"path": ["/a"], "size": ["1"]}, ": column 'size' is of type VARCHAR"
    yield "float for size", {"path": ["/a"], "size": [1.0]}, ": column 'size' is of type DOUBLE"
    yield "number for path", {"path": [1], "size": [1]}, ": column 'path' is of type BIGINT"
    yield "bytes for path", {"path": [b"/a"], "size": [1]}, ": column 'path' is of type BLOB"
    yield "number for adler32", {"path": ["/a"], "size": [1], "adler32": [5]}, ": column 'adler32' is of type"
    yield "null path", {"path": ["/a", None], "size": [1, 1]}, ", row 2: path is empty"
    yield "null size, null path", {"path": ["/a", None], "size": [1, None]}, ", row 2: path is empty"
    yield "negative size", {"path": ["/a", "/b"], "size": [1, -5]}, ", row 2: size '-5'"
    yield "huge size", {"path": ["/a"], "size": pa.array([2**63], pa.uint64())}, ", row 1: size '9223372036854775808'"
    yield (
        "newline",
        {"path": ["/a", "/b\nc"], "size": [1, 1]},
        ", row 2: path '/b\\nc' has the control character U+000A",
    )
    yield (
        "tab in dir",
        {"dir": ["/a\tb"], "name": ["c"], "size": [1]},
        ", row 1: dir '/a\\tb' has the control character",
    )
    yield "escape", {"path": ["/a", "/b\x1b[2J"], "size": [1, 1]}, "U+001B"
    yield "delete", {"path": ["/b\x7f"], "size": [1]}, "U+007F"
    yield "C1 in name", {"dir": ["/a"], "name": ["\x9b"], "size": [1]}, "U+009B"
    yield "line separator", {"path": ["/b\u2029"], "size": [1]}, "U+2029"
    yield "empty path", {"path": ["/a", ""], "size": [1, 1]}, ", row 2: path is empty"
    yield (
        "mixed",
        {"path": ["a", "/b"], "size": [1, 1]},
        ", row 2: path '/b' is absolute where the first one is relative",
    )
    yield "adler32", {"path": ["/a"], "size": [1], "adler32": ["zz"]}, ", row 1: adler32 'zz'"


PARQUET_CASES = list(parquet_cases())


@pytest.mark.parametrize(
    ("columns", "words"), [case[1:] for case in PARQUET_CASES], ids=[case[0] for case in PARQUET_CASES]
)
def test_a_bad_parquet_listing_is_refused(tmp_path: Path, columns: dict[str, object], words: str):
    file = tmp_path / "bad"
    pq.write_table(pa.table(columns), file)
    assert words in refusal(file, tmp_path)


def test_what_breaks_lines_is_refused_even_where_both_listings_have_it(tmp_path: Path):
    file = tmp_path / "bad"
    for column in ("path", "name"):
        for character in "\0\t\n\r":
            text = f"{'/' if column == 'path' else ''}a{character}b"
            named = {"path": [text]} if column == "path" else {"dir": ["/"], "name": [text]}
            pq.write_table(pa.table({**named, "size": [1]}), file)
            with pytest.raises(BadInput, match=f"{column} .* has the control character"):
                compare.compare_files(file, file, tmp_path / "differences.parquet", limits=LIMITS)


def test_other_control_characters_are_refused_where_they_would_be_reported(tmp_path: Path):
    """Nothing is said of paths that agree, so nobody looks at them."""
    odd, more = tmp_path / "odd", tmp_path / "more"
    pq.write_table(pa.table({"path": ["/a\x1b[2J", "/b"], "size": [1, 1]}), odd)
    pq.write_table(pa.table({"path": ["/a\x1b[2J", "/b"], "size": [1, 2]}), more)
    found = compare.compare_files(odd, more, tmp_path / "differences.parquet", limits=LIMITS)
    assert found.totals[DifferenceClass.SIZE_MISMATCH].files == 1
    more.write_text("path\tsize\n/b\t1\n")
    for pair in ((odd, more), (more, odd)):
        with pytest.raises(BadInput, match=r"odd, row 1: path '/a\\x1b\[2J' has the control character U\+001B"):
            compare.compare_files(*pair, tmp_path / "differences.parquet", limits=LIMITS)


def test_absolute_against_relative_is_refused(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("path\tsize\n/a\t1\n")
    second.write_text("path\tsize\na\t1\n")
    with pytest.raises(BadInput, match=r"second: has relative paths, but .*first has absolute ones"):
        compare.compare_files(first, second, tmp_path / "differences.parquet", limits=LIMITS)


def test_what_is_not_a_file_is_refused(tmp_path: Path):
    assert "does not exist" in refusal(tmp_path / "nowhere", tmp_path)
    assert "is a folder" in refusal(tmp_path, tmp_path)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "is not a regular file" in refusal(fifo, tmp_path)


def test_a_file_that_may_not_be_read_is_refused(unprivileged):
    file = unprivileged.folder / "listing"
    file.write_text("path\tsize\n")
    file.chmod(0)
    with unprivileged.acting(), pytest.raises(BadInput, match="cannot be read: Permission denied"):
        listing_staging.stage(file, unprivileged.folder / "staged")


# Damage: a truncated or altered file is never taken for a shorter or other one.


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_truncated_packed_file_is_refused_wherever_it_is_cut(tmp_path: Path, packing: str):
    whole = listings.pack(b"path\tsize\n" + b"".join(b"/d/%d\t%d\n" % (row, row) for row in range(200)), packing)
    file = tmp_path / "cut"
    assert len(whole) > 200
    for end in range(4, len(whole)):
        file.write_bytes(whole[:end])
        with pytest.raises(BadInput, match="the file is truncated"):
            listing_staging.stage(file, tmp_path / "staged")
    assert "truncated" in refusal(file, tmp_path)


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_cut_at_a_line_end_of_the_content_is_refused_too(tmp_path: Path, packing: str):
    """What is left unpacks to whole lines: only the missing end of the stream tells."""
    first = listings.pack(b"path\tsize\n/a\t1\n" * 1, packing)
    second = listings.pack(b"/b\t2\n" * 1000, packing)
    file = tmp_path / "cut"
    file.write_bytes(first + second[:-6])
    assert "truncated" in refusal(file, tmp_path)


def test_a_flipped_bit_in_a_gzip_file_is_refused(tmp_path: Path):
    data = bytearray(gzip.compress(b"path\tsize\n" + b"".join(b"/d/%d\t%d\n" % (row, row) for row in range(500)), 0))
    data[len(data) // 2] ^= 1
    file = tmp_path / "flipped"
    file.write_bytes(data)
    assert "damaged" in refusal(file, tmp_path)


def test_a_packed_file_of_nothing_is_empty(tmp_path: Path):
    file = tmp_path / "nothing"
    file.write_bytes(gzip.compress(b""))
    assert "is empty once unpacked" in refusal(file, tmp_path)


def test_a_truncated_parquet_file_is_refused_wherever_it_is_cut(tmp_path: Path, connection):
    columns = {"path": [f"/d/{row}" for row in range(500)], "size": list(range(500))}
    whole = tmp_path / "whole"
    pq.write_table(pa.table(columns), whole)
    data = whole.read_bytes()
    file = tmp_path / "cut"
    for end in [*range(4, 12), *range(12, len(data) - 9, 211), *range(len(data) - 9, len(data))]:
        file.write_bytes(data[:end])
        staged = tmp_path / f"staged-{end}"
        with pytest.raises(BadInput, match="cut: is not a whole Parquet file"):
            open_listing(file, staged, connection)
    assert "is not a whole Parquet file" in refusal(file, tmp_path)


def test_a_parquet_file_with_damaged_pages_is_refused(tmp_path: Path):
    file = tmp_path / "damaged"
    columns = {"path": [f"/d/{row}" for row in range(5000)], "size": list(range(5000))}
    pq.write_table(pa.table(columns), file, compression="zstd")
    data = bytearray(file.read_bytes())
    data[200:2000] = bytes(1800)
    file.write_bytes(data)
    assert "ZSTD" in refusal(file, tmp_path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, connection):
    file = tmp_path / "listing"
    file.write_text("path\tsize\n/a\t1\n")
    listing = open_listing(file, tmp_path / "staged", connection)
    file.write_text("path\tsize\n/a\t1\n/b\t1\n")
    with pytest.raises(BadInput, match="changed while it was read"):
        compare.compare(listing, listing, tmp_path / "differences.parquet", connection, limits=LIMITS)
    assert not (tmp_path / "differences.parquet").exists()


# Limits and the work folder.


def test_amounts_of_memory(tmp_path: Path):
    assert duckdb_session.parse_amount("300MB") == 300_000_000
    assert duckdb_session.parse_amount(" 1 GiB ") == 2**30
    for text in ("", "much", "-5MB", "1.5GB", "10PB", "5MB", "0"):
        with pytest.raises(BadInput, match="memory"):
            duckdb_session.parse_amount(text)
    with pytest.raises(BadInput, match="threads"):
        duckdb_session.engine_limits(threads=0)
    with pytest.raises(BadInput, match="not a folder"):
        duckdb_session.engine_limits(temp_dir=tmp_path / "nowhere")


def test_the_work_folder_is_gone_afterwards(tmp_path: Path):
    temp = tmp_path / "temp"
    temp.mkdir()
    limits = duckdb_session.engine_limits(threads=2, temp_dir=temp)
    good = listings.write(tmp_path / "good", [Entry("/a", 1)], "tsv", packing="gzip")
    compare.compare_files(good, good, tmp_path / "differences.parquet", limits=limits)
    assert not list(temp.iterdir())
    bad = tmp_path / "bad"
    bad.write_text("path\tsize\n/a\tx\n")
    with pytest.raises(BadInput):
        compare.compare_files(good, bad, tmp_path / "differences.parquet", limits=limits)
    assert not list(temp.iterdir())


def test_too_little_memory_is_the_operators_business(tmp_path: Path):
    paths = [f"/d/{row:0200d}" for row in range(400_000)]
    for name, size in (("a", 1), ("b", 2)):
        pq.write_table(pa.table({"path": paths, "size": [size] * len(paths)}), tmp_path / name)
    limits = duckdb_session.EngineLimits(threads=1, memory_bytes=25_000_000)
    with pytest.raises(OperatorError, match="memory-limit") as caught:
        compare.compare_files(tmp_path / "a", tmp_path / "b", tmp_path / "differences.parquet", limits=limits)
    assert caught.value.exit_code == 2
    assert not [file for file in tmp_path.iterdir() if "differences" in file.name]
