"""Lists beside a page: a line a finding, whatever is in its name."""

from __future__ import annotations

from pathlib import Path

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding, write_table
from holdfast.consistency.pages import lists
from holdfast.consistency.pages.model import ListShown
from holdfast.model.names import BlockKey, DatasetKey

BLOCK = BlockKey(DatasetKey("sky", "v1"), "0000")
FINDINGS = (
    Finding(Class.MISSING, "/a/x", lfn="/lfn/x", block=BLOCK, ordinal=3, expected_size=7),
    Finding(Class.ORPHAN, '/a/b"<\\t', "must stay: it\tis\nlocked", actual_size=0, mtime_ns=-5),
    Finding(Class.ORPHAN, "/a/\u202ecod", actual_size=9, mtime_ns=1),
    Finding(Class.UNLISTED, "/a/2\\t", "failed", n_files=12),
)


def written(folder: Path) -> tuple[ListShown, ...]:
    write_table(FINDINGS, folder / "findings.parquet")
    return lists.write_lists(folder / "findings.parquet", folder)


def lines(folder: Path, cls: Class) -> list[list[str]]:
    text = (folder / f"{cls.value}.tsv").read_bytes().decode()
    assert text.endswith("\n")
    return [line.split("\t") for line in text[:-1].split("\n")]


def test_each_class_has_a_list_with_all_its_findings(tmp_path: Path):
    found = written(tmp_path)
    assert [(each.cls, each.file, each.rows) for each in found] == [
        (Class.MISSING, "missing.tsv", 1),
        (Class.ORPHAN, "orphan.tsv", 2),
        (Class.UNLISTED, "unlisted.tsv", 1),
    ]
    assert all((tmp_path / each.file).stat().st_size == each.bytes for each in found)
    assert sorted(path.name for path in tmp_path.glob("*.tsv")) == ["missing.tsv", "orphan.tsv", "unlisted.tsv"]
    assert not list(tmp_path.glob("*.part"))


def test_columns(tmp_path: Path):
    written(tmp_path)
    assert lines(tmp_path, Class.MISSING) == [
        list(lists.COLUMNS),
        ["/a/x", "7", "", "", "1", "/lfn/x", "sky#v1::0000", ""],
    ]


def test_no_name_or_reason_breaks_a_line_and_no_two_look_alike(tmp_path: Path):
    written(tmp_path)
    assert lines(tmp_path, Class.ORPHAN)[1:] == [
        ['/a/b"<\\\\t', "", "0", "-5", "1", "", "", "must stay: it\\tis\\nlocked"],
        ["/a/\\u202ecod", "", "9", "1", "1", "", "", ""],
    ]


def test_places_that_were_not_seen_are_spelled_as_the_findings_have_them(tmp_path: Path):
    written(tmp_path)
    assert lines(tmp_path, Class.UNLISTED)[1:] == [["/a/2\\t", "", "", "", "12", "", "", "failed"]]


def test_a_list_that_is_there_is_kept_and_one_that_is_not_is_written(tmp_path: Path):
    found = written(tmp_path)
    before = (tmp_path / "orphan.tsv").read_bytes()
    (tmp_path / "orphan.tsv").unlink()
    inode = (tmp_path / "missing.tsv").stat().st_ino
    assert lists.write_lists(tmp_path / "findings.parquet", tmp_path) == found
    assert (tmp_path / "orphan.tsv").read_bytes() == before
    assert (tmp_path / "missing.tsv").stat().st_ino == inode


def test_nothing_found_makes_no_list(tmp_path: Path):
    write_table((), tmp_path / "findings.parquet")
    assert lists.write_lists(tmp_path / "findings.parquet", tmp_path) == ()
    assert not list(tmp_path.glob("*.tsv"))
