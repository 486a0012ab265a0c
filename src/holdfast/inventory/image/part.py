"""Part: an immutable piece of the image to be kept in one file, under a name made of its content.

Rules
  * Equal content has the same name, in every process; so a file that is there
    need not be written.
  * The name is made once; a part that was read from a file keeps the name it had.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xxhash

from holdfast.inventory.image.arrays import Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Arrays and what JSON can say beside them."""

    name: str
    arrays: Mapping[str, Numbers]
    meta: Mapping[str, Any]


class PartName:
    """The name of a piece's part, made when it is first asked for. Pieces that share their columns share it."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def part(self, kind: str, arrays: Mapping[str, Numbers], meta: Mapping[str, Any]) -> Part:
        """The part of a piece with this content."""
        if not self._text:
            # Two threads that meet here write the same.
            self._text = f"{kind}-{_digest(arrays, meta)}"
        return Part(self._text, arrays, meta)


def _digest(arrays: Mapping[str, Numbers], meta: Mapping[str, Any]) -> str:
    digest = xxhash.xxh3_128()
    shapes = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    digest.update(json.dumps([shapes, meta], sort_keys=True).encode())
    for array in arrays.values():
        digest.update(array.data.cast("B") if len(array) else b"")
    return digest.hexdigest()
