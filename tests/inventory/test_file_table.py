"""Goal: the table of files in memory answers as a plain dictionary would, whatever was done to it.

Method: random appends, removals and merges beside dictionaries (hypothesis),
with pieces so small that every kind of merge happens, and with a hash that
collides; then single rules by example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.inventory.image.arrays import offsets_of
from holdfast.inventory.image.file_rows import FileRows
from holdfast.inventory.image.file_table import FileTable, FileTableSizes
from holdfast.inventory.image.part import Part
from holdfast.model.errors import BrokenInvariant
from holdfast.model.records import FileColumns
from holdfast.testing import strategies
from support.soak import examples

SIZES = st.builds(
    FileTableSizes,
    chunk=st.sampled_from([4, 30, 1 << 18]),
    partition=st.sampled_from([3, 40, 1 << 18]),
    fold_at_once=st.sampled_from([1, 16, 1 << 10]),
    merge_from=st.sampled_from([2, 20, 1 << 16]),
)
HASHES: list[Callable[[bytes], int]] = [xxhash.xxh3_64_intdigest, lambda lfn: len(lfn) % 3, lambda lfn: (1 << 64) - 1]
DIRS = ["/", "/a", "/store/mc/run7/é", "/" + "/".join(["d" * 200] * 3), "/store/mc/run7"]
ADLER32 = st.one_of(st.none(), st.integers(0, (1 << 32) - 1).map("{:08x}".format))


def uuid_name(number: int, suffix: str = ".root") -> str:
    text = xxhash.xxh3_128_hexdigest(str(number).encode())
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}{suffix}"


def names() -> st.SearchStrategy[str]:
    numbers = st.integers(0, 200)
    return st.one_of(
        numbers.map(uuid_name),
        numbers.map(uuid_name),
        numbers.map(lambda number: uuid_name(number).upper()),
        numbers.map(lambda number: "raw_" + uuid_name(number, "")),
        numbers.map(str),
        st.sampled_from(["x" * 255, "é" * 127, "a", "\U0001f4be", uuid_name(1).replace("-", "_")]),
        strategies.components(),
    )


def files() -> st.SearchStrategy[list[tuple[str, str, int, str | None]]]:
    rows = st.tuples(st.sampled_from(DIRS), names(), st.integers(0, 1 << 62), ADLER32)
    return st.lists(rows, min_size=1, max_size=12, unique_by=lambda row: row[:2])


def columns(rows: Sequence[tuple[str, str, int, str | None]]) -> FileColumns:
    dirs = tuple(dict.fromkeys(row[0] for row in rows))
    known = tuple(row[3] for row in rows)
    return FileColumns(
        dirs=dirs,
        dir_index=tuple(dirs.index(row[0]) for row in rows),
        names=tuple(row[1] for row in rows),
        sizes=tuple(row[2] for row in rows),
        checksums={"adler32": known} if any(known) else {},
    )


def many(count: int, dir: str = "/d", first: int = 0) -> FileColumns:
    return columns([(dir, uuid_name(first + number), number, f"{number:08x}") for number in range(count)])


class Oracle:
    """What a table should say: a list of rows for each block."""

    def __init__(self) -> None:
        self.blocks: dict[int, list[tuple[str, str, int, str | None]]] = {}

    def lfns(self) -> dict[str, tuple[int, int]]:
        return {
            (f"/{row[1]}" if row[0] == "/" else f"{row[0]}/{row[1]}"): (block, ordinal)
            for block, rows in self.blocks.items()
            for ordinal, row in enumerate(rows)
        }

    def copy(self) -> Oracle:
        other = Oracle()
        other.blocks = {block: list(rows) for block, rows in self.blocks.items()}
        return other


def assert_same(table: FileTable, oracle: Oracle) -> None:
    places = oracle.lfns()
    asked = [*places, "/nothing", "", "no/slash", "/a", "/\udcff", "/a\n", *list(places)[:3], "/" + "x" * 1023]
    for lfn in asked:
        assert table.find(lfn) == places.get(lfn)
    blocks, ordinals = table.find_all(asked)
    assert [*zip(blocks.tolist(), ordinals.tolist(), strict=True)] == [places.get(lfn, (-1, -1)) for lfn in asked]
    sizes, checksums = table.records(table.located(asked).rows)
    for lfn, size, checksum in zip(asked, sizes.tolist(), checksums, strict=True):
        block, ordinal = places.get(lfn, (-1, -1))
        expected = oracle.blocks[block][ordinal][2:] if block >= 0 else (-1, None)
        assert (size, checksum) == expected
    for block, rows in oracle.blocks.items():
        assert table.files_of(block) == columns(rows)
        assert table.sizes_of(block).tolist() == [row[2] for row in rows]
    assert table.n_files == len(places)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data(), sizes=SIZES, hash=st.sampled_from(HASHES))
def test_a_table_answers_like_a_dictionary_and_older_ones_stay_as_they_were(
    data: st.DataObject, sizes: FileTableSizes, hash: Callable[[bytes], int]
) -> None:
    table, oracle = FileTable.empty(hash, sizes), Oracle()
    kept: list[tuple[FileTable, Oracle]] = []
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["append", "append", "append", "remove", "merge", "merge", "keep", "parts"]))
        block = data.draw(st.sampled_from([0, 1, 7, 0xFFFFFFF0]))
        if action == "append":
            taken = {row[:2] for rows in oracle.blocks.values() for row in rows}
            rows = [row for row in data.draw(files()) if row[:2] not in taken]
            if rows:
                before = oracle.blocks.setdefault(block, [])
                table = table.appended(block, len(before), columns(rows))
                before.extend(rows)
        elif action == "remove":
            table = table.without_block(block)
            oracle.blocks.pop(block, None)
        elif action == "merge":
            table = table.merge_step() or table
        elif action == "keep":
            kept.append((table, oracle.copy()))
        else:
            table = FileTable.from_parts(table.parts(), hash)
    kept.append((table, oracle))
    kept.append((table.merged(), oracle))
    for old, expected in kept:
        assert_same(old, expected)
    assert table.merged().merged().merge_work() is None


def test_many_blocks_come_in_at_once() -> None:
    one = FileTable.empty()
    blocks = [many(count, f"/d{number % 3}", 1000 * number) for number, count in enumerate([3, 1, 700, 20])]
    for number, files_of_block in enumerate(blocks):
        one = one.appended(number, 0, files_of_block)
    every = [(name, block, row) for block in blocks for row, name in enumerate(block.names)]
    text = "".join(name for name, _, _ in every).encode()
    rows = FileRows(
        blocks=np.array([*range(200, 400), *range(4)], "<u4"),
        first_ordinals=np.zeros(204, "<u4"),
        counts=np.array([0] * 200 + [len(block) for block in blocks]),
        dirs=["/d0", "/d1", "/d2", "/unused"],
        dir_index=np.repeat(np.array([0, 1, 2, 0], "<u4"), [len(block) for block in blocks]),
        names=np.frombuffer(text, "<u1"),
        name_offsets=offsets_of(np.array([len(name) for name, _, _ in every])),
        sizes=np.array([size for block in blocks for size in block.sizes], "<i8"),
        adler32=np.array([size for block in blocks for size in block.sizes], "<u4"),
    )
    for sizes in (FileTableSizes(), FileTableSizes(chunk=100)):
        table = FileTable.empty(sizes=sizes).appended_rows(rows)
        for each in (table, table.merged()):
            assert [each.files_of(number) for number in range(4)] == blocks
            lfns = [lfn for block in blocks for lfn in block.lfns()]
            assert all(np.array_equal(a, b) for a, b in zip(each.find_all(lfns), one.find_all(lfns), strict=True))


def test_a_block_that_grows_by_single_files_is_in_one_segment_after_merging() -> None:
    table = FileTable.empty(sizes=FileTableSizes(merge_from=64))
    for number in range(400):
        for block in range(3):
            table = table.appended(block, number, many(1, f"/d{block}", 1000 * block + number))
    merged = table.merged()
    assert sum(len(chunk.segments) for chunk in merged.every_chunk) <= 3 * len(merged.every_chunk)
    assert len(table.deltas) < 30
    assert merged.files_of(1) == columns([("/d1", uuid_name(1000 + number), 0, "00000000") for number in range(400)])


def test_removed_files_leave_memory() -> None:
    table = FileTable.empty(sizes=FileTableSizes(chunk=5000, partition=2000, merge_from=1000))
    for block in range(40):
        table = table.appended(block, 0, many(500, f"/d{block}", 1000 * block))
    full = table.merged()
    few = full.without_blocks(range(36))
    assert few.nbytes == full.nbytes
    assert few.merged().nbytes < full.nbytes / 8
    assert few.merged().files_of(38) == full.files_of(38)
    assert full.without_blocks(range(40)).merged().nbytes < 20_000


def test_uuid_names_of_a_hundred_files_a_directory_take_few_bytes() -> None:
    table = FileTable.empty()
    for block in range(200):
        table = table.appended(block, 0, many(100, f"/store/{block:08}/".ljust(99, "x"), 100 * block))
    assert table.merged().nbytes / table.n_files < 50


def test_work_that_ran_meanwhile_fits_a_table_with_later_files() -> None:
    table = FileTable.empty(sizes=FileTableSizes(fold_at_once=1, merge_from=50, chunk=60))
    for block in range(10):
        table = table.appended(block, 0, many(20, f"/d{block}", 100 * block))
    steps = 0
    while steps < 200 and (work := table.merge_work()) is not None:
        steps += 1
        later = table.appended(100 + steps, 0, many(1, "/later", steps)) if steps < 10 else table
        later = later.without_block(steps) if steps == 5 else later
        table = work.run().applied(later) or later
    assert table.merge_work() is None
    assert [len(table.files_of(block)) for block in range(10)] == [0 if block == 5 else 20 for block in range(10)]
    assert [table.find(f"/later/{uuid_name(step)}") for step in range(1, 10)] == [(100 + n, 0) for n in range(1, 10)]


def test_work_whose_ingredients_changed_is_dropped() -> None:
    table = FileTable.empty(sizes=FileTableSizes(fold_at_once=1)).appended(1, 0, many(5)).appended(2, 0, many(5, "/e"))
    work = table.merge_work()
    assert work is not None
    assert work.run().applied(table.without_block(1)) is None


def test_parts_are_equal_where_operations_were_and_named_by_content() -> None:
    def made() -> FileTable:
        table = FileTable.empty(sizes=FileTableSizes(merge_from=30))
        for block in range(6):
            table = table.appended(block, 0, many(20, f"/d{block}", 100 * block))
        return table.merged().without_block(3).appended(9, 0, many(3))

    first, second = made().parts(), made().parts()
    assert [part.name for part in first] == [part.name for part in second]
    more = made().appended(10, 0, many(1, "/one")).parts()
    before = {part.name for part in first}
    assert sum(array.nbytes for part in more if part.name not in before for array in part.arrays.values()) < 4000


def test_a_table_is_mapped_from_files_without_copies(tmp_path: Path) -> None:
    table = FileTable.empty(sizes=FileTableSizes(merge_from=30, chunk=64, partition=50))
    for block in range(9):
        table = table.appended(block, 0, many(40, f"/d{block}", 100 * block))
    table = table.merged().without_block(4).appended(4, 0, columns([("/", "plain é", 5, None)]))
    mapped = []
    for part in table.parts():
        arrays = {}
        for name, array in part.arrays.items():
            path = tmp_path / f"{part.name}.{name}.npy"
            np.save(path, array)
            arrays[name] = np.load(path, mmap_mode="r") if len(array) else array
        mapped.append(Part(part.name, arrays, part.meta))
    other = FileTable.from_parts(mapped)
    assert [part.name for part in other.parts()] == [part.name for part in mapped]
    assert all(np.shares_memory(chunk.sizes, chunk.sizes.base) for chunk in other.every_chunk)
    lfns = [lfn for block in range(9) for lfn in table.files_of(block).lfns()]
    assert np.array_equal(other.find_all(lfns), table.find_all(lfns))
    assert other.merged().files_of(7) == table.files_of(7)
    with pytest.raises(ValueError, match="read-only"):
        other.every_chunk[0].sizes[0] = 1


def test_rows_beyond_what_an_index_can_number_are_refused() -> None:
    table = replace(FileTable.empty(), next_row=0xFFFFFFFE)
    with pytest.raises(BrokenInvariant, match="numbered all rows"):
        table.appended(0, 0, many(2))


def test_a_hit_of_the_hash_is_nothing_without_the_same_bytes() -> None:
    lfns = [lfn for number in range(40) for lfn in many(1, f"/d{number % 4}", number).lfns()]
    table = FileTable.empty(lambda lfn: 7)
    for number in range(40):
        table = table.appended(number, 0, many(1, f"/d{number % 4}", number))
    other = [lfn.replace("/d", "/e") for lfn in lfns] + [f"{lfn[:-1]}x" for lfn in lfns]
    for each in (table, table.merged()):
        assert each.find_all(lfns)[0].tolist() == list(range(40))
        assert set(each.find_all(other)[0].tolist()) == {-1}
        assert not any(map(each.find, other))


def test_readers_see_one_state_while_files_come_in() -> None:
    table = FileTable.empty(sizes=FileTableSizes(merge_from=40, chunk=100)).appended(0, 0, many(300))
    lfns = list(many(300).lfns())

    def read(held: FileTable) -> bool:
        blocks, ordinals = held.find_all(lfns)
        return bool((blocks == 0).all()) and ordinals.tolist() == list(range(300)) and len(held.files_of(0)) == 300

    with ThreadPoolExecutor(3) as pool:
        answers = []
        for number in range(60):
            answers.append(pool.submit(read, table))
            table = table.appended(number + 1, 0, many(7, f"/e{number}", 1000 + 10 * number))
            table = table.merge_step() or table
        assert all(answer.result() for answer in answers)
