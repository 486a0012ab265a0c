"""Layouts of dumps: columns, CSV, Parquet, inventories, listings of our own; damaged and unclear ones."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdfast.model.errors import BadInput, PeerError
from holdfast.storage.abilities import Taken
from holdfast.storage.driver import (
    NOT_TOLD,
    Digest,
    DirectoryListing,
    Entry,
    Kind,
    NotAllowed,
    Stat,
    Unnameable,
    Unsupported,
)
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.listing.tables import Directory, DirectoryState, Odd, Oddity
from storage.dumps import DAY_NS, NOON, PATHS, files, opened, parquet, read, refusal, written

BLANKS = "delimiter=blank&columns=path,size,..."

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
        ("nothing/with\nhere\n", "add layout=text to the door"),
        ("/a/b 5\n", f"add layout=text or {BLANKS} to the door"),
        ("/a/b 5 0a0b\n/a/c 6 1a0b\n", f"add layout=text or {BLANKS} to the door"),
        ("123 /x/1\n124 /x/2\n", f"add layout=text or {BLANKS} to the door"),
        ("-rw-r--r-- 1 u g 12 2026-11-01 10:00 /x/f1\n" * 2, f"add layout=text or {BLANKS} to the door"),
        ("a/b\nc/d\n", f"add layout=text if these are paths, prefix= if all begin alike, or {BLANKS} to the door"),
        ("a\tb\n", "add columns=path,size,... to the door, - for what is to be ignored"),
        ("name\tsize\nx\t1\n", "say which with columns="),
        ("path\tpath\n/x\t/y\n", "say which with columns=, - for the other"),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(tmp_path: Path, text: str, hint: str) -> None:
    assert refusal(written(tmp_path, "dump", text)).hint == hint


def test_a_page_of_the_web_is_no_dump(tmp_path: Path) -> None:
    for page in ("<html><body>404 /not found</body></html>\n", "<x>\ta\n/b\tc\n", "<x>,/a\n</x>,/b\n"):
        file = written(tmp_path, "dump", page)
        assert refusal(file).message.startswith("begins with '<'")
        assert "layout=text" in refusal(file).hint
    assert set(files(opened(written(tmp_path, "dump", "</x\n"), "layout=text"))) == {"/</x"}


def test_names_with_blanks_are_paths_where_lines_differ_or_have_no_numbers(tmp_path: Path) -> None:
    for text in ("/a/run 1\n/a/run 2 b\n", "/a/b c\n/a/d e\n"):
        assert set(files(opened(written(tmp_path, "dump", text)))) == set(text.splitlines())


LONG = "".join(f"{number:04d}" for number in range(100))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (f"/a/b\n{LONG}\n", "layout=text"),
        (f"/store/b\n{LONG}\n", "layout=text&prefix=/store"),
        (f"/a,5\n{LONG}\n", "layout=csv&columns=path,size"),
        (f"/a,5\n/b,{LONG}\n", "layout=csv&columns=path,size"),
        (f"/a,20000\n/b,{LONG}\n", "layout=csv&columns=path,mtime&times=days"),
        (f"{LONG},x\n1,2\n", "layout=csv&header=yes"),
    ],
)
def test_little_of_a_line_is_shown(tmp_path: Path, text: str, options: str) -> None:
    """What is read may be a file that nobody meant to show."""
    error = refusal(written(tmp_path, "dump", text), options)
    assert LONG[:30] in error.message
    assert LONG[:81] not in error.message


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


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mtime", pa.array([9_999_999_999_999])),
        ("mtime", pa.array([99_999_999_999])),
        ("mtime", pa.array([253_402_300_799], pa.timestamp("s"))),
        ("mtime_ns", pa.array([2**63], pa.uint64())),
        ("changed_ns", pa.array([2**63], pa.uint64())),
        ("size", pa.array([2**64 - 1], pa.uint64())),
        ("size", pa.array([[1]])),
        ("adler32", pa.array([[1]])),
        ("checksum", pa.array([{"a": 1}])),
        ("etag", pa.array([[1]])),
        ("state", pa.array([[1]])),
    ],
)
def test_values_of_no_sense_in_parquet_are_named_with_their_piece(tmp_path: Path, name: str, values: pa.Array) -> None:
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"path": ["/a"], name: values}), file)
    error = refusal(file)
    assert error.message.startswith("its values cannot be read: ")
    assert error.place == f"{file}, row 1 to 1"


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
        driver = opened(root, f"bucket={tmp_path}")
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
    assert list(files(opened(there, f"prefix=data&bucket={tmp_path}"))) == ["/a"]


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
    assert files(opened(there, f"bucket={tmp_path}")) == {"/a%20b": Stat(Kind.FILE, 5, NOON * 10**9, "e1")}


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
    at = f"bucket={tmp_path / 'a'}"
    data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "its MD5 is not the one in the manifest" in _either(refusal(there, at), "damaged")
    data.write_bytes(whole + b"x")
    assert "where the manifest says" in refusal(there, at).message
    data.unlink()
    assert "is not there" in refusal(there, at).message
    (there / "manifest.checksum").write_text("0" * 32)
    assert "does not agree with manifest.checksum" in refusal(there, at).message
    assert "no JSON" in refusal(written(tmp_path / "b", "manifest.json", "{")).message
    assert "names no files" in refusal(written(tmp_path / "c", "manifest.json", "{}")).message
    orc = inventory(tmp_path / "d", b"ORC", form="ORC", schema="struct<bucket:string,key:string>")
    assert refusal(orc, f"bucket={tmp_path / 'd'}").message == "the inventory is in ORC"
    out = written(tmp_path / "e", "manifest.json", json.dumps({"files": [{"key": "../a/inventory"}]}))
    assert "is not there" in refusal(out).message


@pytest.mark.parametrize("size", ["12", 12, None])
def test_a_manifest_may_write_sizes_as_text(tmp_path: Path, size: object) -> None:
    folder = small_inventory(tmp_path, "data/x.csv", size)
    written(folder, "data/x.csv", '"b","k","5"\n')
    assert set(files(opened(folder))) == {"/k"}


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ("999", "has 12 bytes where the manifest says 999"),
        (13, "has 12 bytes where the manifest says 13"),
        ("many", "the size 'many' is no whole number of bytes"),
        ("-1", "the size '-1' is no whole number of bytes"),
        (True, "the size 'True' is no whole number of bytes"),
        (12.0, "the size '12.0' is no whole number of bytes"),
        ([], "the size '[]' is no whole number of bytes"),
    ],
)
def test_a_size_of_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, size: object, problem: str) -> None:
    folder = small_inventory(tmp_path, "data/x.csv", size)
    written(folder, "data/x.csv", '"b","k","5"\n')
    assert refusal(folder).message == problem


def small_inventory(folder: Path, key: str, size: object = None) -> Path:
    files = [{"key": key} | ({} if size is None else {"size": size})]
    manifest = {"sourceBucket": "b", "fileFormat": "CSV", "fileSchema": "Bucket, Key, Size", "files": files}
    return written(folder / "inventory", "manifest.json", json.dumps(manifest)).parent


SECRET = '"b","secret","5"\n'


@pytest.mark.parametrize(
    "key", ["secret.csv", "outside/secret.csv", "../outside/secret.csv", "x/../../outside/secret.csv"]
)
def test_a_manifest_names_nothing_outside_of_its_folder(tmp_path: Path, key: str) -> None:
    written(tmp_path / "outside", "secret.csv", SECRET)
    written(tmp_path, "secret.csv", SECRET)
    folder = small_inventory(tmp_path, key)
    assert refusal(folder).message == f"{key!r} is not there"
    absolute = small_inventory(tmp_path, str(tmp_path / "outside" / "secret.csv"))
    assert refusal(absolute).message.endswith("is not there")


@pytest.mark.parametrize("link", ["x.csv", "data"])
def test_a_manifest_leads_nowhere_by_links(tmp_path: Path, link: str) -> None:
    outside = written(tmp_path / "outside", "x.csv", SECRET)
    folder = small_inventory(tmp_path, "x.csv")
    (folder / link).symlink_to(outside if link == "x.csv" else outside.parent)
    assert refusal(folder).message == f"'x.csv' leads out of {folder}"
    # What was put there on purpose may be said.
    (folder / link).unlink()
    assert set(files(opened(folder, f"bucket={outside.parent}"))) == {"/secret"}


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    folder = small_inventory(tmp_path, "x.csv")
    (folder / "x.csv").symlink_to(written(folder, "real/y.csv", SECRET))
    (tmp_path / "current").symlink_to(folder)
    assert set(files(opened(tmp_path / "current"))) == {"/secret"}


def test_a_manifest_that_nests_without_end_is_no_json(tmp_path: Path) -> None:
    deep = written(tmp_path, "manifest.json", '{"files": [{"key": "x"}], "a": ' + "[" * 200_000 + "}")
    assert refusal(deep).message.startswith("is no JSON")
    written(tmp_path / "own", "listing.json", "[" * 200_000)
    assert refusal(tmp_path / "own").message


def _either(error: BadInput, other: str) -> str:
    return error.message if other not in error.message else "its MD5 is not the one in the manifest"


# ---- our own listings ----------------------------------------------------------------


def own_listing(folder: Path) -> Path:
    ledger = DiskLedger.open(folder, ListingPlan("bern"), clock=lambda: NOON * 10**6)
    stat = Stat(Kind.FILE, 5, 17, "v1", 19)
    there = Stat(Kind.DIRECTORY, 0, 0)
    odd = (Oddity(b"link", Odd.OTHER, "neither"), Oddity(b"\xff", Odd.UNNAMEABLE, "bytes"))
    for directory in (
        Directory("/", DirectoryState.LISTED, directories=(Entry("a", there), Entry("b", there), Entry("c", there))),
        Directory(
            "/a",
            DirectoryState.LISTED,
            files=(Entry("file", stat),),
            directories=(Entry("empty", there),),
            oddities=odd,
        ),
        Directory("/a/empty", DirectoryState.LISTED),
        Directory("/b", DirectoryState.FAILED, "permission denied"),
        Directory("/c", DirectoryState.DOUBTED, "much shorter", files=(Entry("x", stat),)),
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
