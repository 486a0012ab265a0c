"""Cutting files into blocks: whole, in order, within limits, always the same. Properties over any rows."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory import journal
from holdfast.model import names, record_checks
from holdfast.model.changes import BYTES_MAX, ChangeSet, RegisterFiles
from holdfast.model.names import BlockKey
from holdfast.model.records import FileColumns
from holdfast.replication import plan
from holdfast.replication.plan import ReadFile

KEY = names.dataset_key("set#1")

_NAME = st.text(
    st.characters(codec="utf-8", exclude_characters="/", exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=20
)
_NAMES = _NAME.filter(lambda text: text not in (".", ".."))


def _row(dir: str, name: str, size: int = 1, read_us: int = 7) -> ReadFile:
    return ReadFile(dir, name, size, "00000001", "ab" * 32, read_us)


_ROWS = st.lists(
    st.builds(_row, _NAMES.map(lambda text: f"/{text}"), _NAMES, st.integers(0, 10**12), st.integers(0, 10**15)),
    max_size=60,
    unique_by=lambda row: row.lfn,
).map(lambda rows: sorted(rows, key=lambda row: (row.dir.encode(), row.name.encode())))


def _cut(rows: Iterable[ReadFile], **limits: int) -> list[plan.PlannedBlock]:
    return list(plan.blocks(rows, "sha256", **limits))


@given(_ROWS, st.integers(1, 20), st.integers(200, 2000))
def test_every_row_is_in_one_block_in_order_and_within_the_limits(
    rows: list[ReadFile], files_max: int, bytes_max: int
) -> None:
    blocks = _cut(rows, files_max=files_max, bytes_max=bytes_max)
    assert [lfn for block in blocks for lfn in block.files.lfns()] == [row.lfn for row in rows]
    assert [size for block in blocks for size in block.files.sizes] == [row.size for row in rows]
    assert all(1 <= len(block.files) <= files_max for block in blocks)
    assert sum(block.size for block in blocks) == sum(row.size for row in rows)
    assert [block.name for block in blocks] == [f"{number:04d}" for number in range(len(blocks))]


@given(_ROWS, st.integers(1, 20))
def test_blocks_can_be_registered_and_tell_the_oldest_reading(rows: list[ReadFile], files_max: int) -> None:
    start = 0
    for block in _cut(rows, files_max=files_max):
        record_checks.check_files(block.files)
        part = rows[start : start + len(block.files)]
        assert block.verified_us == min(row.read_us for row in part)
        start += len(block.files)


@given(_ROWS, st.integers(1, 20), st.data())
def test_a_plan_does_not_depend_on_what_comes_after(rows: list[ReadFile], files_max: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    whole, part = _cut(rows, files_max=files_max), _cut(rows[:cut], files_max=files_max)
    assert part[: max(len(part) - 1, 0)] == whole[: max(len(part) - 1, 0)]
    assert _cut(iter(rows), files_max=files_max) == whole


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\U0001f600", '"', "\\"])
def test_a_block_of_the_longest_names_fits_into_a_change_set(letter: str) -> None:
    width = len(letter.encode())
    dirs = [f"/{number:05d}" + 2 * ("/" + letter * (240 // width)) for number in range(15_000)]
    blocks = _cut([_row(dir, letter * (250 // width)) for dir in dirs])
    assert len(blocks) > 1
    for block in blocks:
        change = RegisterFiles(BlockKey(KEY, block.name), 0, block.files, "SITE", verified_us=block.verified_us)
        assert len(journal.encode(ChangeSet((change,), "actor", "cause"))) <= BYTES_MAX


def test_a_block_holds_ten_thousand_files_at_most() -> None:
    blocks = _cut([_row("/data", f"{number:05d}") for number in range(20_001)])
    assert [len(block.files) for block in blocks] == [10_000, 10_000, 1]


def test_no_rows_are_no_blocks() -> None:
    assert _cut([]) == []


def test_files_are_the_same_however_their_columns_are_kept() -> None:
    one = FileColumns(("/a", "/b"), (0, 1), ("x", "y"), (1, 2), {"adler32": ("00000001", "00000002")})
    other = FileColumns(
        ("/b", "/a"), (1, 0), ("x", "y"), (1, 2), {"adler32": ("00000001", "00000002"), "md5": (None, None)}
    )
    assert plan.same_files(one, other)


@pytest.mark.parametrize(
    "other",
    [
        FileColumns(("/a",), (0,), ("x",), (1,), {"adler32": ("00000001",)}),
        FileColumns(("/a",), (0, 0), ("x", "z"), (1, 2), {"adler32": ("00000001", "00000002")}),
        FileColumns(("/a", "/c"), (0, 1), ("x", "y"), (1, 2), {"adler32": ("00000001", "00000002")}),
        FileColumns(("/a",), (0, 0), ("x", "y"), (1, 3), {"adler32": ("00000001", "00000002")}),
        FileColumns(("/a",), (0, 0), ("x", "y"), (1, 2), {"adler32": ("00000001", "00000003")}),
        FileColumns(("/a",), (0, 0), ("x", "y"), (1, 2), {}),
    ],
    ids=["fewer", "name", "directory", "size", "digest", "no digest"],
)
def test_any_difference_makes_files_different(other: FileColumns) -> None:
    one = FileColumns(("/a",), (0, 0), ("x", "y"), (1, 2), {"adler32": ("00000001", "00000002")})
    assert not plan.same_files(one, other)
    assert not plan.same_files(other, one)
