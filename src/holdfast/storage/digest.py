"""Hasher: several checksums of one stream of bytes, taken in one pass.

Whoever moves or reads bytes feeds them here once, whatever the number of
algorithms. Large pieces are hashed without holding Python's global lock, so
threads hash side by side; pieces of ``BUFFER_BYTES`` are a good size.

Rules
  * The digests have the form of ``holdfast.model.checksums``: lower case, full
    length.
  * An unknown algorithm is refused with BadInput before the first byte.
  * ``hexdigests`` may be asked at any time and changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import crc32c
from blake3 import blake3
from zlib_ng import zlib_ng

from holdfast.model import checksums
from holdfast.model.errors import BadInput

BUFFER_BYTES = 1 << 20
"""How much to read and hash at a time: large enough that Python costs nothing beside the hashing."""

Bytes = bytes | bytearray | memoryview


class _Running(Protocol):
    """One algorithm on its way, as hashlib has it."""

    def update(self, data: Bytes, /) -> object: ...

    def hexdigest(self) -> str: ...


class _Rolling:
    """A 32-bit checksum that is carried along as a number."""

    __slots__ = ("_function", "_value")

    def __init__(self, function: Callable[[Bytes, int], int], start: int) -> None:
        self._function = function
        self._value = start

    def update(self, data: Bytes, /) -> None:
        self._value = self._function(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


_START: dict[str, Callable[[], _Running]] = {
    "adler32": lambda: _Rolling(zlib_ng.adler32, 1),
    "crc32c": lambda: _Rolling(crc32c.crc32c, 0),
    # The field still compares md5; it proves nothing against an attacker and is not asked to.
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "blake3": blake3,
}

ALGORITHMS = frozenset(_START)
"""The algorithms that can be computed here: all that ``holdfast.model.checksums`` knows."""


class Hasher:
    """Running checksums of one stream."""

    __slots__ = ("_running", "_size")

    def __init__(self, algorithms: Sequence[str]) -> None:
        for algorithm in algorithms:
            if algorithm not in _START:
                raise BadInput(f"unknown checksum algorithm {algorithm!r}", hint=f"known are {', '.join(_START)}")
        self._running = {algorithm: _START[algorithm]() for algorithm in algorithms}
        self._size = 0

    @property
    def size(self) -> int:
        """How many bytes have been seen."""
        return self._size

    def update(self, data: Bytes) -> None:
        """Take the next bytes of the stream."""
        self._size += len(data)
        for running in self._running.values():
            running.update(data)

    def hexdigests(self) -> dict[str, str]:
        """The checksums of everything seen so far."""
        return {name: checksums.normalise(name, running.hexdigest()) for name, running in self._running.items()}


def digests_of(data: Bytes, algorithms: Sequence[str]) -> dict[str, str]:
    """The checksums of bytes that are at hand as a whole."""
    hasher = Hasher(algorithms)
    hasher.update(data)
    return hasher.hexdigests()
