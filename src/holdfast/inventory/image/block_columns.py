"""BlockColumns: all blocks as arrays, by dataset and by number; never written.

A block's *number* is the image's own: given once, never again to another.
Positions are the places in the order of (dataset, name); they say nothing
outside of one set of columns.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.inventory.image.remembered import Remembered
from holdfast.inventory.image.texts import Texts
from holdfast.model.names import BlockKey, DatasetKey

Array = npt.NDArray[Any]

NOWHERE = 0xFFFF_FFFF
"""The position of a number that belongs to no block."""
DATASETS_REMEMBERED = 4096
"""For so many datasets the names of their blocks are kept as a dictionary, once they were asked for."""


class BlockRow(NamedTuple):
    """What the image keeps of a block."""

    number: int
    n_files: int
    size: int


class BlockColumns:
    """See the module's docstring."""

    __slots__ = (
        "_datasets",
        "_first",
        "_indexes",
        "_names",
        "_numbers",
        "_positions",
        "n_files",
        "remembered",
        "sizes",
    )

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._datasets = Texts(arrays["dataset_blob"], arrays["dataset_ends"])
        self._names = Texts(arrays["name_blob"], arrays["name_ends"])
        self._first, self._numbers, self._positions = arrays["first"], arrays["numbers"], arrays["positions"]
        self.n_files, self.sizes = arrays["n_files"], arrays["sizes"]
        """By number; 0 where there is no such block."""
        self.remembered = Remembered()
        """The last thing that somebody found out about these columns."""
        self._indexes: dict[DatasetKey, dict[str, int]] = {}

    @staticmethod
    def of(
        datasets: Iterable[DatasetKey],
        first: Iterable[int],
        names: Iterable[str],
        numbers: Iterable[int],
        n_files: Iterable[int],
        sizes: Iterable[int],
        n_numbers: int,
    ) -> BlockColumns:
        """Columns by position, in the order of dataset and name; ``first``: where each dataset begins, and the end."""
        by_position = np.array(list(numbers), dtype="<u4")
        positions = np.full(n_numbers, NOWHERE, dtype="<u4")
        positions[by_position] = np.arange(len(by_position), dtype="<u4")
        by_number = {"n_files": np.zeros(n_numbers, dtype="<i8"), "sizes": np.zeros(n_numbers, dtype="<i8")}
        by_number["n_files"][by_position] = list(n_files)
        by_number["sizes"][by_position] = list(sizes)
        texts, block_names = Texts.of(map(_text, datasets)), Texts.of(names)
        return BlockColumns(
            {
                **{f"dataset_{key}": array for key, array in texts.arrays().items()},
                **{f"name_{key}": array for key, array in block_names.arrays().items()},
                "first": np.array(list(first), dtype="<u4"),
                "numbers": by_position,
                "positions": positions,
                **by_number,
            }
        )

    def arrays(self) -> dict[str, Array]:
        """What the columns are made of, for a file; the constructor reads it back."""
        return {
            **{f"dataset_{key}": array for key, array in self._datasets.arrays().items()},
            **{f"name_{key}": array for key, array in self._names.arrays().items()},
            "first": self._first,
            "numbers": self._numbers,
            "positions": self._positions,
            "n_files": self.n_files,
            "sizes": self.sizes,
        }

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    @property
    def n_numbers(self) -> int:
        """How many numbers have been given."""
        return len(self._positions)

    def __len__(self) -> int:
        return len(self._numbers)

    def row(self, key: BlockKey) -> BlockRow | None:
        """One block."""
        number = self.index(key.dataset).get(key.block)
        return None if number is None else self.row_of(number)

    def row_of(self, number: int) -> BlockRow:
        """The row of a number that is in use."""
        return BlockRow(number, int(self.n_files[number]), int(self.sizes[number]))

    def key(self, number: int) -> BlockKey | None:
        """The block that has ``number``."""
        position = int(self._positions[number]) if number < len(self._positions) else NOWHERE
        if position == NOWHERE:
            return None
        dataset = bisect_right(self._first, position) - 1
        return BlockKey(_key(self._datasets[dataset]), self._names[position])

    def index(self, dataset: DatasetKey) -> Mapping[str, int]:
        """Names and numbers of the blocks of a dataset, in the order of the names; empty if it is not known."""
        known = self._indexes.get(dataset)
        if known is not None:
            return known
        place = self._datasets.find(_text(dataset))
        if place < 0:
            return {}
        span = range(int(self._first[place]), int(self._first[place + 1]))
        found = {self._names[position]: int(self._numbers[position]) for position in span}
        if len(self._indexes) >= DATASETS_REMEMBERED:
            self._indexes = {}
        self._indexes[dataset] = found
        return found

    def spread(self, values: Mapping[DatasetKey, int], by_number: Array) -> None:
        """Give each block, in ``by_number``, the value of its dataset; 0 where that has none."""
        of_dataset = np.array([values.get(_key(text), 0) for text in self._datasets], dtype=by_number.dtype)
        by_number[self._numbers] = np.repeat(of_dataset, np.diff(self._first))

    def dataset_columns(self) -> tuple[list[DatasetKey], list[int], list[str], list[int]]:
        """Everything by position: datasets, where each begins (and the end), names, numbers."""
        return list(map(_key, self._datasets)), self._first.tolist(), list(self._names), self._numbers.tolist()


def _text(key: DatasetKey) -> str:
    # No name has a control character, so this text sorts as the key does.
    return f"{key.name}\0{key.version}"


def _key(text: str) -> DatasetKey:
    name, _, version = text.partition("\0")
    return DatasetKey(name, version)
