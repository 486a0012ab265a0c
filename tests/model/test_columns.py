"""Columns are checked as their rows are: the quick look at all of them never says other than one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import checksums, names
from holdfast.model.errors import BadInput, InvalidName
from holdfast.model.names import LFN_BYTES_MAX
from holdfast.model.records import FileColumns
from holdfast.testing import strategies as ours

SPELLINGS = ["0000001f", "0000001F", "1f", " 000001f", "0000 01f", "0000001g", "\u0660" * 8, "", "0" * 9]


def _is_name(text: str) -> bool:
    try:
        names.file_name(text)
    except InvalidName:
        return False
    return True


@given(st.lists(st.one_of(ours.components(), ours.bad_components(), ours.hostile_text()), min_size=1, max_size=5))
def test_names_together_are_names_one_by_one(texts: list[str]) -> None:
    if all(map(_is_name, texts)):
        names.check_files(("/",), (0,) * len(texts), texts)
    else:
        with pytest.raises(InvalidName):
            names.check_files(("/",), (0,) * len(texts), texts)


@pytest.mark.parametrize("length", [LFN_BYTES_MAX - 3, LFN_BYTES_MAX - 2, LFN_BYTES_MAX - 1])
def test_an_lfn_that_is_too_long_is_found_among_others(length: int) -> None:
    directory = "/a" * (length // 2) + ("b" if length % 2 else "")
    if length + 2 <= LFN_BYTES_MAX:
        names.check_files(("/", directory), (0, 1), ("xy", "z"))
    else:
        with pytest.raises(InvalidName, match="longer"):
            names.check_files(("/", directory), (0, 1), ("xy", "z"))


@given(st.lists(st.one_of(st.none(), st.sampled_from(SPELLINGS), ours.digests("crc32c")), max_size=4))
def test_digests_together_are_normal_one_by_one(column: list[str | None]) -> None:
    def is_normal(digest: str | None) -> bool:
        try:
            return digest is None or checksums.normalise("crc32c", digest) == digest
        except BadInput:
            return False

    assert checksums.all_normal("crc32c", column) == all(map(is_normal, column))


def test_no_digest_is_normal_of_what_is_no_algorithm() -> None:
    assert not checksums.all_normal("md6", ["0"])
    assert not checksums.all_normal("md6", [None])


@given(ours.file_columns(min_size=3))
def test_chosen_rows_say_what_they_said(files: FileColumns) -> None:
    rows = [len(files) - 1, 0, 1]
    some = files.chosen(rows)
    assert [some.lfn(place) for place in range(3)] == [files.lfn(row) for row in rows]
    assert [some.checksums_of(place) for place in range(3)] == [files.checksums_of(row) for row in rows]
    assert some.sizes == tuple(files.sizes[row] for row in rows)
    assert set(some.dir_index) == set(range(len(some.dirs)))
    assert len(files.chosen([])) == 0


@given(ours.file_columns(min_size=2))
def test_renamed_rows_have_other_names_alone(files: FileColumns) -> None:
    after = files.renamed([1], [("/new", "name")])
    assert [after.lfn(row) for row in range(len(files))] == [
        "/new/name" if row == 1 else files.lfn(row) for row in range(len(files))
    ]
    assert (after.sizes, after.checksums) == (files.sizes, files.checksums)
    assert set(after.dir_index) == set(range(len(after.dirs)))
