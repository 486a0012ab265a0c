"""Goal: names come out of their packed form exactly as they went in, at the stated cost.

Method: names of every kind, mixed at random (hypothesis), and the sizes of plain cases.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory.image.arrays import blob_of
from holdfast.inventory.image.packed_names import PATTERNS_MAX, PackedNames
from holdfast.testing import strategies

UUIDS = st.uuids().map(str)
NAMES = st.one_of(
    UUIDS.map("{}.root".format),
    UUIDS.map("{}.root".format),
    UUIDS.map("é{}".format),
    UUIDS.map(str.upper),
    UUIDS.map(lambda text: text[:-1] + "g"),
    UUIDS.map(lambda text: text.replace("-", "_", 1)),
    st.builds("{}{}".format, UUIDS, UUIDS),
    strategies.components(),
)


def packed(names: list[str]) -> PackedNames:
    return PackedNames.of(*blob_of(names))


@given(st.lists(NAMES, max_size=30), st.data())
def test_names_come_out_as_they_went_in(names: list[str], data: st.DataObject) -> None:
    column = packed(names)
    assert len(column) == len(names)
    assert column.texts() == names
    assert [column.name(slot).decode() for slot in range(len(names))] == names
    assert column.lengths(np.arange(len(names))).tolist() == [len(name.encode()) for name in names]
    if names:
        slots = data.draw(st.lists(st.integers(0, len(names) - 1), min_size=1, max_size=20))
        assert column.taken(np.array(slots)).texts() == [names[slot] for slot in slots]
        assert PackedNames.joined([column, column.taken(np.array(slots))]).texts() == [
            *names,
            *(names[slot] for slot in slots),
        ]


def uuids(count: int) -> list[str]:
    return [f"{number:08x}-0123-4567-89ab-0123456789ab" for number in range(count)]


def nbytes(column: PackedNames) -> int:
    return sum(array.nbytes for array in column.columns().values())


def test_names_of_one_pattern_take_sixteen_bytes() -> None:
    assert nbytes(packed([f"raw_{text}.root" for text in uuids(1000)])) == 16_000


def test_other_names_take_their_bytes_and_four() -> None:
    names = [f"file{number:06}.root" for number in range(1000)]
    assert nbytes(packed(names)) == 1000 * (len(names[0]) + 4) + 4


def test_mixed_names_take_a_byte_more() -> None:
    column = packed([f"{text}.root" for text in uuids(999)] + ["x" * 100])
    assert nbytes(column) == 999 * 16 + 100 + 1000 * 5 + 4


def test_more_patterns_than_are_kept_are_no_harm() -> None:
    names = [f"{number}_{text}" for number, text in enumerate(uuids(3 * PATTERNS_MAX))]
    column = packed(names)
    assert len(column.patterns) == PATTERNS_MAX
    assert column.texts() == names


def test_a_pattern_that_no_sample_shows_is_kept_as_it_is() -> None:
    names = [f"file{number}" for number in range(100_000)]
    names[1] = uuids(1)[0]
    assert packed(names).texts() == names
