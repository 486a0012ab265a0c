"""Pieces: what has come of a directory that is too large for one answer.

Names are remembered as 64-bit digests, sixteen bytes for each, so that one that
comes again in a later piece is known.

Rules
  * No name is handed on twice: again for the same thing it is merged (with the
    first stat, which has been handed on already), again for another it is a
    contradiction and an oddity, as in ``answer``.
  * ``seen`` is equal for equal sets of names, whatever the order of pieces.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from holdfast.storage.driver import DirectoryListing, Entry, Kind
from holdfast.storage.listing.answer import TWICE, DirectoryAnswer, bytes_in, sort_out
from holdfast.storage.listing.tables import Directory, Odd, Oddity

Digests = npt.NDArray[np.uint64]

_MASK = 2**64 - 1


class Known:
    """A growing set of 64-bit numbers, in sorted arrays each at least twice as long as the next."""

    def __init__(self) -> None:
        self._levels: list[Digests] = []

    def has(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Which of them are in the set."""
        found = np.zeros(len(digests), dtype=np.bool_)
        for level in self._levels:
            places = np.minimum(np.searchsorted(level, digests), len(level) - 1)
            found |= level[places] == digests
        return found

    def add(self, digests: Digests) -> None:
        """Take more."""
        if not len(digests):
            return
        merged = np.sort(digests)
        while self._levels and len(self._levels[-1]) < 2 * len(merged):
            merged = np.sort(np.concatenate([self._levels.pop(), merged]))
        self._levels.append(merged)


class Pieces:
    """The pieces of one directory, as they come."""

    def __init__(self, path: str, mtime_ns: int | None) -> None:
        self._path = path
        self._mtime_ns = mtime_ns
        self._names = Known()
        self._things = Known()
        self._sum = 0
        self.names = self.files = self.bytes = self.oddities = 0
        self.merged = self.contradictions = 0
        self.doubt = ""

    @property
    def seen(self) -> tuple[int, int]:
        """Stands for the set of names."""
        return self.names, self._sum

    def take(self, piece: DirectoryListing) -> Directory:
        """The next piece without what had come before."""
        self.doubt = self.doubt or piece.doubt
        answer = self._without_known(sort_out(self._path, piece, self._mtime_ns))
        directory = answer.directory
        self.merged += answer.merged
        self.contradictions += answer.contradictions
        self.files += len(directory.files)
        self.bytes += bytes_in(directory)
        self.oddities += len(directory.oddities)
        return directory

    def _without_known(self, answer: DirectoryAnswer) -> DirectoryAnswer:
        directory, merged, contradictions, _ = answer
        entries = (*directory.files, *directory.directories)
        digests = _digests([entry.name.encode() for entry in entries])
        things = _digests([_thing(entry) for entry in entries])
        known = self._names.has(digests)
        if known.any():
            differs = known & ~self._things.has(things)
            again = {entry.name for entry, is_known in zip(entries, known, strict=True) if is_known}
            others = [entry.name.encode() for entry, other in zip(entries, differs, strict=True) if other]
            merged, contradictions = merged + len(again) - len(others), contradictions + len(others)
            directory = replace(
                directory,
                files=tuple(entry for entry in directory.files if entry.name not in again),
                directories=tuple(entry for entry in directory.directories if entry.name not in again),
                oddities=(*directory.oddities, *(Oddity(raw, Odd.REFUSED, TWICE) for raw in others)),
            )
        self._things.add(things)
        self._note(digests[~known])
        if directory.oddities:
            directory = replace(directory, oddities=tuple(filter(self._is_new, directory.oddities)))
        return DirectoryAnswer(directory, merged, contradictions)

    def _is_new(self, oddity: Oddity) -> bool:
        digest = _digests([oddity.raw])
        if not self._names.has(digest)[0]:
            self._note(digest)
            return True
        # What tells of a name that is known already, is not that name once more.
        return oddity.reason == TWICE

    def _note(self, digests: Digests) -> None:
        self._names.add(digests)
        self.names += len(digests)
        self._sum = (self._sum + int(digests.sum(dtype=np.uint64))) & _MASK


def seen_whole(raws: Collection[bytes]) -> tuple[int, int]:
    """What ``Pieces.seen`` would be, had these names, each once, come in pieces."""
    return len(raws), sum(map(xxh3_64_intdigest, raws)) & _MASK


def _thing(entry: Entry) -> bytes:
    kind, size = entry.stat.kind, entry.stat.size
    return entry.name.encode() + b"/" + (str(size).encode() if kind is Kind.FILE else kind.encode())


def _digests(raws: list[bytes]) -> Digests:
    return np.fromiter(map(xxh3_64_intdigest, raws), dtype=np.uint64, count=len(raws))
