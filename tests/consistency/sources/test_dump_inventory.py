"""Dumps of other catalogues as inventories: what each kind of dump says should be there, and what is refused.

Method: small files as Rucio, DIRAC, CMS and people write them; the tables are read again.
"""

from __future__ import annotations

import json
from pathlib import Path
from zlib import adler32

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from consistency.sources.catalogues import BERN, WITH_RULES, dump, expected_in, known_in, put
from holdfast.consistency.sources.inventory import Inventory, Written
from holdfast.model.errors import BadInput, OperatorError
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.records import Door, Site

RUCIO = (
    "BERN\tmc16\tf.1\t11e60398\t10\t2026-10-01 10:00:00\t/rucio/mc16/aa/f.1\t2026-10-02 10:00:00\tA\n"
    "BERN\tmc16\tf.2\tmd:900150983cd24fb0d6963f7d28e17f72\t20\t2026-10-01 10:00:00\t/rucio/mc16/bb/f.2\t\tA\n"
    "BERN\tmc16\tf.3\t11e60398\t30\t2026-10-01 10:00:00\t/rucio/mc16/cc/f.3\t\tC\n"
)
DIRAC = "BERN-disk|/lhcb/data/1.dst|3da0195|123\r\nBERN-disk|/lhcb/data/2.dst||7\r\n"


def test_replicas_of_rucio_that_are_available_are_expected_and_the_others_known(tmp_path: Path) -> None:
    file = put(tmp_path / "BERN_2026-11-21.tsv.gz", RUCIO.replace("\t11e60398", "\tad:11e60398"))
    inventory = dump(f"{file}?layout=rucio&prefix=/rucio")
    written = inventory.write(BERN, tmp_path / "t.parquet")
    assert isinstance(inventory, Inventory)
    assert expected_in(tmp_path / "t.parquet") == {
        "/mc16/aa/f.1": (10, "11e60398", None),
        "/mc16/bb/f.2": (20, None, None),
    }
    assert known_in(tmp_path / "t.parquet") == ["/mc16/cc/f.3"]
    assert (written.files, written.size, written.known, written.without_path) == (2, 30, 1, 0)
    assert written.taken is not None
    assert (written.taken.earliest_ns, written.taken.source) == (1_795_219_200_000_000_000, "name")


def test_other_states_may_count_too(tmp_path: Path) -> None:
    file = put(tmp_path / "replicas", RUCIO.replace("\t11e60398", "\tad:11e60398"))
    written = dump(f"{file}?layout=rucio&states=A,C").write(BERN, tmp_path / "t.parquet")
    assert (written.files, written.known) == (3, 0)


@pytest.mark.parametrize("text", [DIRAC, DIRAC.replace("BERN-disk|", "")])
def test_storage_elements_of_dirac(tmp_path: Path, text: str) -> None:
    """Both forms: old dumps did not name the element. Their checksums lack leading zeros."""
    file = put(tmp_path / "bern.dump", text)
    dump(f"{file}?layout=dirac").write(BERN, tmp_path / "t.parquet")
    assert expected_in(tmp_path / "t.parquet") == {
        "/lhcb/data/1.dst": (123, "03da0195", None),
        "/lhcb/data/2.dst": (7, None, None),
    }


def test_names_with_the_dividing_character_are_quoted_by_dirac(tmp_path: Path) -> None:
    file = put(tmp_path / "bern.dump", 'B|"/a|b"|0|1\r\n')
    dump(f"{file}?layout=dirac").write(BERN, tmp_path / "t.parquet")
    assert expected_in(tmp_path / "t.parquet") == {"/a|b": (1, None, None)}


def test_a_dump_of_dirac_has_so_many_columns(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has 2 columns where a dump of DIRAC has 3 or 4"):
        dump(f"{put(tmp_path / 'bern.dump', '/a|1')}?layout=dirac").write(BERN, tmp_path / "t.parquet")


def test_lfns_of_dirac_go_through_the_rules_of_the_site(tmp_path: Path) -> None:
    """By prefix, per directory; the catalogue's own name stays beside the path."""
    file = put(
        tmp_path / "bern.dump", "B|/store/a/1|0|1\r\nB|/store/2|0|2\r\nB|/elsewhere/3|0|3\r\nB|/storeroom/4|0|4\r\n"
    )
    written = dump(f"{file}?layout=dirac").write(WITH_RULES, tmp_path / "t.parquet")
    assert expected_in(tmp_path / "t.parquet") == {
        "/pnfs/bern/a/1": (1, None, "/store/a/1"),
        "/pnfs/bern/2": (2, None, "/store/2"),
    }
    assert (written.files, written.without_path) == (2, 2)
    assert written.without_path_shown == ("/elsewhere/3", "/storeroom/4")


def test_rules_that_look_at_names_are_applied_to_each(tmp_path: Path) -> None:
    rules = PfnRules(chains=((RewriteStep("/store/(.*)/(.)([^/]*)", "/{1}/{0}/{1}{2}"),),))
    site = Site("BERN", (Door("memory", "/bern", rules),))
    file = put(tmp_path / "list", "path\tsize\n/store/a/xyz\t1\n/other\t2\n")
    written = dump(file, are_lfns=True).write(site, tmp_path / "t.parquet")
    assert expected_in(tmp_path / "t.parquet") == {"/x/a/xyz": (1, None, "/store/a/xyz")}
    assert written.without_path_shown == ("/other",)


@pytest.mark.parametrize(
    ("header", "are_lfns", "path"),
    [
        ("lfn", None, "/pnfs/bern/a"),
        ("path", None, "/store/a"),
        ("path", True, "/pnfs/bern/a"),
        ("LFN", False, "/store/a"),
    ],
)
def test_the_name_of_the_column_or_a_word_says_what_names_are(
    tmp_path: Path, header: str, are_lfns: bool | None, path: str
) -> None:
    file = put(tmp_path / "list", f"{header}\tsize\n/store/a\t1\n")
    dump(file, are_lfns=are_lfns).write(WITH_RULES, tmp_path / "t.parquet")
    assert list(expected_in(tmp_path / "t.parquet")) == [path]


def test_partitions_of_cms(tmp_path: Path) -> None:
    paths = [f"/store/mc/{number}.root" for number in range(40)]
    for part in range(3):
        own = [path for path in paths if adler32(path.encode()) % 3 == part]
        put(tmp_path / f"T2_CH_BERN_A.{part:05}.gz", "".join(f"{path}\n" for path in own))
    inventory = dump(f"{tmp_path / 'T2_CH_BERN_A'}?layout=cms")
    written = inventory.write(WITH_RULES, tmp_path / "t.parquet")
    assert sorted(expected_in(tmp_path / "t.parquet")) == sorted(path.replace("/store", "/pnfs/bern") for path in paths)
    assert (written.files, written.size) == (40, 0)
    (tmp_path / "T2_CH_BERN_A.00001.gz").unlink()
    with pytest.raises(BadInput, match="part 00001 is not there"):
        inventory.write(WITH_RULES, tmp_path / "t.parquet")


def test_states_may_be_dumped_apart(tmp_path: Path) -> None:
    """As CMS does: what is available in one list, what else is known of the site in another one."""
    put(tmp_path / "available_20261121.00000", "/store/a\n/store/b\n")
    put(tmp_path / "others_20261120.00000.gz", "/store/c\n")
    inventory = dump(f"{tmp_path}/available_20261121?layout=cms&known={tmp_path}/others_20261120")
    written = inventory.write(WITH_RULES, tmp_path / "t.parquet")
    assert sorted(expected_in(tmp_path / "t.parquet")) == ["/pnfs/bern/a", "/pnfs/bern/b"]
    assert known_in(tmp_path / "t.parquet") == ["/pnfs/bern/c"]
    assert (written.files, written.known) == (2, 1)
    assert written.taken is not None
    assert written.taken.latest_ns - written.taken.earliest_ns == 2 * 86_400 * 10**9
    assert {path.suffix for path in tmp_path.iterdir()} == {".00000", ".gz", ".parquet"}
    assert len(list(tmp_path.glob("*.parquet"))) == 2


def test_states_may_be_dumped_apart_by_any_catalogue(tmp_path: Path) -> None:
    put(tmp_path / "a", "B|/a|0|1\r\n")
    put(tmp_path / "d", "B|/d|0|1\r\n")
    dump(f"{tmp_path}/a?layout=dirac&known={tmp_path}/d").write(BERN, tmp_path / "t.parquet")
    assert (list(expected_in(tmp_path / "t.parquet")), known_in(tmp_path / "t.parquet")) == (["/a"], ["/d"])
    put(tmp_path / "d", "")
    dump(f"{tmp_path}/a?layout=dirac&known={tmp_path}/d").write(BERN, tmp_path / "t.parquet")
    assert known_in(tmp_path / "t.parquet") == []


def test_a_second_dump_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    put(tmp_path / "a", "/a\n")
    with pytest.raises(OperatorError, match="cannot be opened") as caught:
        dump(f"{tmp_path}/a?known={tmp_path}/none").write(BERN, tmp_path / "t.parquet")
    assert caught.value.place == str(tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def of_columns(folder: Path) -> dict[str, Path]:
    """The same two files in all forms that people write lists in."""
    rows = [("/a/1", 1, "0000000a"), ("/a/2", 2, None)]
    lines = [f"{path}{{0}}{size}{{0}}{checksum or ''}\n" for path, size, checksum in rows]
    text = "".join(["path{0}size{0}adler32\n", *lines])
    objects = [{"size": size, "path": path, "adler32": checksum} for path, size, checksum in rows]
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(("path", "size", "adler32"))})
    pq.write_table(table, folder / "list.parquet")
    split = pa.table({"dir": ["/a", "/a"], "name": ["1", "2"], "size": [1, 2], "adler32": ["0000000a", None]})
    pq.write_table(split, folder / "split.parquet")
    return {
        "tsv": put(folder / "list.tsv", text.format("\t")),
        "tsv.gz": put(folder / "list.tsv.gz", text.format("\t")),
        "csv": put(folder / "list.csv", text.format(",")),
        "ndjson": put(folder / "list.ndjson", "".join(json.dumps(each) + "\n" for each in objects)),
        "ndjson.gz": put(folder / "list.ndjson.gz", "".join(json.dumps(each) + "\n" for each in objects)),
        "parquet": folder / "list.parquet",
        "split": folder / "split.parquet",
    }


@pytest.mark.parametrize("form", ["tsv", "tsv.gz", "csv", "ndjson", "ndjson.gz", "parquet", "split"])
def test_lists_in_every_form(tmp_path: Path, form: str) -> None:
    written = dump(of_columns(tmp_path)[form]).write(BERN, tmp_path / "t.parquet")
    assert expected_in(tmp_path / "t.parquet") == {"/a/1": (1, "0000000a", None), "/a/2": (2, None, None)}
    assert written == Written(2, 3, taken=written.taken)
    assert written.taken is not None
    assert written.taken.source == "file time"


def test_a_list_of_paths_tells_no_sizes(tmp_path: Path) -> None:
    dump(put(tmp_path / "dump_20261121", "/a/1\n/a/2\n")).write(BERN, tmp_path / "t.parquet")
    assert expected_in(tmp_path / "t.parquet") == {"/a/1": (None, None, None), "/a/2": (None, None, None)}


def test_a_name_that_cannot_be_ours_is_counted_and_shown(tmp_path: Path) -> None:
    written = dump(put(tmp_path / "dump", "/a/1\n/a/../2\n/b//3\n/c\x07d\n")).write(BERN, tmp_path / "t.parquet")
    assert list(expected_in(tmp_path / "t.parquet")) == ["/a/1"]
    assert written.without_path == 3
    assert "/c\\x07d" in written.without_path_shown


def test_a_relative_path_is_one_of_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "dump", "/a/1\n")
    monkeypatch.chdir(tmp_path)
    assert dump("dump?taken=2026-11-21").write(BERN, tmp_path / "t.parquet").files == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [("bad.ndjson", '{"path": "/a", "size": 1}\n{"path": "/b", "size": -1}\n'), ("bad.tsv", "path\tsize\n/a\tx\n")],
)
def test_what_is_wrong_with_a_row_is_told_with_its_line(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(BadInput, match="no whole number") as caught:
        dump(put(tmp_path / name, text)).write(BERN, tmp_path / "t.parquet")
    assert caught.value.place == f"{tmp_path / name}, line 2"


def test_ndjson_that_breaks_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="line 2"):
        dump(put(tmp_path / "l.ndjson", '{"path": "/a", "size": 1}\n{"path": "/b", "si')).write(
            BERN, tmp_path / "t.parquet"
        )


def test_a_dump_without_a_file_that_should_be_there_is_refused_unless_that_is_right(tmp_path: Path) -> None:
    file = put(tmp_path / "replicas", RUCIO.splitlines(keepends=True)[2])
    with pytest.raises(BadInput, match="not a single file in the dump that should be there"):
        dump(f"{file}?layout=rucio").write(BERN, tmp_path / "t.parquet")
    written = dump(f"{file}?layout=rucio&empty=allowed").write(BERN, tmp_path / "t.parquet")
    assert (written.files, written.known) == (0, 1)


def test_a_dump_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="the dump cannot be opened") as caught:
        dump(tmp_path / "none").write(BERN, tmp_path / "t.parquet")
    assert caught.value.place == str(tmp_path / "none")


def test_dumps_are_told_apart_by_their_files_and_how_they_are_read(tmp_path: Path) -> None:
    labels = {
        dump(root, are_lfns=are_lfns).label for root in ("/a", "/a?layout=text", "/b") for are_lfns in (None, True)
    }
    assert len(labels) == 6
    assert dump(f"{tmp_path}/a?layout=rucio").label == f"dump {tmp_path}/a?layout=rucio"
