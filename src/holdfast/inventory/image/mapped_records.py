"""Records as columns: sorted keys and JSON bodies, for tables of few rows that other processes map.

A record is decoded when it is asked for, and then remembered; opening costs
nothing per record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy.typing as npt

from holdfast.inventory.image.texts import Texts

K = TypeVar("K")
V = TypeVar("V")
Array = npt.NDArray[Any]


def encoded(rows: Mapping[str, str]) -> dict[str, Array]:
    """Bodies by keys, as the arrays that MappedRecords reads."""
    found = sorted(rows.items())
    columns = {"key": Texts.of(key for key, _ in found), "body": Texts.of(body for _, body in found)}
    return {f"{name}_{part}": array for name, texts in columns.items() for part, array in texts.arrays().items()}


class MappedRecords(Mapping[K, V]):
    """Records by key over arrays. ``to_text`` and ``from_text`` are for keys, ``decode`` for bodies."""

    __slots__ = ("_bodies", "_decode", "_from_text", "_keys", "_known", "_to_text")

    def __init__(
        self,
        arrays: Mapping[str, Array],
        *,
        to_text: Callable[[K], str],
        from_text: Callable[[str], K],
        decode: Callable[[str], V],
    ) -> None:
        self._keys = Texts(arrays["key_blob"], arrays["key_ends"])
        self._bodies = Texts(arrays["body_blob"], arrays["body_ends"])
        self._to_text, self._from_text, self._decode = to_text, from_text, decode
        self._known: dict[int, V] = {}

    def __getitem__(self, key: K) -> V:
        place = self._keys.find(self._to_text(key))
        if place < 0:
            raise KeyError(key)
        if place not in self._known:
            self._known[place] = self._decode(self._bodies[place])
        return self._known[place]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[K]:
        return map(self._from_text, self._keys)
