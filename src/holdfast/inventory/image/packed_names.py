"""PackedNames: the names of a chunk's files, as bytes; names made of a UUID take 16 of them.

A name of the form ``PREFIX xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx SUFFIX``, with
lower-case hex digits, is kept as the 16 bytes of its UUID and the number of
its pattern, prefix and suffix. Which patterns there are is seen in the names.
Every other name is kept as it is.

Rules
  * What comes out is byte for byte what went in.
  * Names of one pattern cost 16 bytes each and nothing else; names without a
    pattern their bytes and four; where both are mixed, each costs a byte more.
  * Equal names in equal order are packed equally.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from holdfast.inventory.image import arrays
from holdfast.inventory.image.arrays import U32, Bools, Bytes, Numbers

UUID_BYTES = 16
UUID_DIGITS = 36
PATTERNS_MAX = 32
"""So many patterns at most in one chunk; further names are kept as they are."""
SAMPLE_ROWS = 256
"""In so many names patterns are looked for."""
BATCH_ROWS = 1 << 14

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DASHES = (8, 13, 18, 23)
_DIGITS = np.array([place for place in range(UUID_DIGITS) if place not in _DASHES])
_RUNS = ((0, 0, "<u8"), (9, 8, "<u4"), (14, 12, "<u4"), (19, 16, "<u4"), (24, 20, "<u4"), (28, 24, "<u8"))
"""Where digits stand in the text and among the 32 digits, and how many there are."""
_TEMPLATE = b"00000000-0000-0000-0000-000000000000"
_NO_DIGIT = 255
_VALUE = np.full(256, _NO_DIGIT, "<u1")
_VALUE[np.frombuffer(b"0123456789abcdef", "<u1")] = np.arange(16)
_TWO_DIGITS = np.frombuffer("".join(f"{number:02x}" for number in range(256)).encode(), "<u2")

Pattern = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class PackedNames:
    """Names in order.

    ``kinds[i]`` is 0 for a name that is kept as it is, k for one of pattern
    k - 1. No ``kinds``: all names are of one kind; no ``offsets`` either: all
    are of the one pattern there is.
    """

    patterns: tuple[Pattern, ...]
    kinds: Bytes | None
    offsets: U32 | None
    blob: Bytes
    _kinds: memoryview | None = field(init=False, repr=False)
    _offsets: memoryview | None = field(init=False, repr=False)
    _blob: memoryview = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kinds", None if self.kinds is None else self.kinds.data)
        object.__setattr__(self, "_offsets", None if self.offsets is None else self.offsets.data)
        object.__setattr__(self, "_blob", self.blob.data)

    @classmethod
    def of(cls, blob: Bytes, offsets: Numbers) -> PackedNames:
        """The names of a blob."""
        patterns = _patterns(blob, offsets)
        kinds = np.zeros(len(offsets) - 1, "<u1")
        packed: list[tuple[Numbers, Bytes]] = []
        for number, pattern in enumerate(patterns, 1):
            rows, uuids = _matching(blob, offsets, np.flatnonzero(kinds == 0), pattern)
            kinds[rows] = number
            packed.append((rows, uuids))
        if len(packed) == 1 and len(packed[0][0]) == len(kinds):
            return cls(patterns, None, None, packed[0][1].reshape(-1))
        if not patterns or not kinds.any():
            return cls((), None, offsets.astype("<u4"), blob)
        return _mixed(blob, offsets, patterns, kinds, packed)

    @classmethod
    def joined(cls, parts: Sequence[PackedNames]) -> PackedNames:
        """The names of all ``parts``, one after the other."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        if all(part.is_uniform and part.patterns == first.patterns for part in parts):
            return cls(first.patterns, None, None, np.concatenate([part.blob for part in parts]))
        plain = [part.unpacked() for part in parts]
        lengths = np.concatenate([np.diff(offsets) for _, offsets in plain])
        return cls.of(np.concatenate([blob for blob, _ in plain]), arrays.offsets_of(lengths))

    def __len__(self) -> int:
        return len(self.blob) // UUID_BYTES if self.offsets is None else len(self.offsets) - 1

    @property
    def is_uniform(self) -> bool:
        """Whether all names are of one pattern."""
        return self.offsets is None

    def columns(self) -> dict[str, Bytes | U32]:
        """The arrays that there are, by name."""
        found: dict[str, Bytes | U32 | None] = {"kinds": self.kinds, "offsets": self.offsets, "blob": self.blob}
        return {name: array for name, array in found.items() if array is not None}

    def name(self, slot: int) -> bytes:
        """One name."""
        if self._offsets is None:
            return self._text(0, slot * UUID_BYTES)
        first = self._offsets[slot]
        if self._kinds is not None and self._kinds[slot]:
            return self._text(self._kinds[slot] - 1, first)
        return bytes(self._blob[first : self._offsets[slot + 1]])

    def _text(self, pattern: int, first: int) -> bytes:
        prefix, suffix = self.patterns[pattern]
        digits = self._blob[first : first + UUID_BYTES].hex()
        text = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        return prefix + text.encode() + suffix

    def taken(self, slots: Numbers) -> PackedNames:
        """The names at ``slots``, in that order, packed as they are here."""
        if self.offsets is None:
            blob = self.blob.view(f"V{UUID_BYTES}")[slots].view("<u1")
            return PackedNames(self.patterns, None, None, blob)
        starts = self.offsets[slots].astype("<i8")
        blob, offsets = arrays.gathered(self.blob, starts, self.offsets[slots + 1] - starts)
        kinds = None if self.kinds is None else self.kinds[slots]
        return PackedNames(self.patterns, kinds, offsets.astype("<u4"), blob)

    def unpacked(self) -> tuple[Bytes, Numbers]:
        """All names as they are, as a blob and its offsets."""
        if self.offsets is None:
            text = formatted(self.blob.reshape(-1, UUID_BYTES), self.patterns[0])
            return text.reshape(-1), np.arange(len(text) + 1, dtype="<i8") * text.shape[1]
        if self.kinds is None:
            return self.blob, self.offsets
        return _unmixed(self.blob, self.offsets, self.patterns, self.kinds)

    def texts(self) -> list[str]:
        """All names as strings."""
        return arrays.texts(*self.unpacked())

    def are(self, slots: Numbers, texts: Bytes, starts: Numbers) -> Bools:
        """Which names are those that begin at ``starts`` among ``texts``, if they are as long."""
        mine = self.taken(slots)
        text, offsets = mine.unpacked()
        if self.offsets is None:
            width = pattern_bytes(self.patterns[0])
            theirs = arrays.items(texts, width)[starts].view("<u1").reshape(-1, width)
            same: Bools = text.reshape(-1, width) == theirs
            right: Bools = np.ones(len(same), "?") if bool(same.all()) else np.all(same, axis=1)
            return right
        padded = np.concatenate([text, np.zeros(arrays.PAD_BYTES, "<u1")])
        return arrays.equal(padded, offsets[:-1], texts, starts, np.diff(offsets).astype("<i8"))

    def lengths(self, slots: Numbers) -> Numbers:
        """How many bytes each name has."""
        sizes = np.array([0, *(pattern_bytes(pattern) for pattern in self.patterns)], "<i8")
        if self.offsets is None:
            return np.full(len(slots), sizes[1])
        plain: Numbers = self.offsets[slots + 1].astype("<i8") - self.offsets[slots]
        if self.kinds is None:
            return plain
        kinds = self.kinds[slots]
        return np.where(kinds == 0, plain, sizes[kinds])


def pattern_bytes(pattern: Pattern) -> int:
    """How long the names of a pattern are."""
    return len(pattern[0]) + UUID_DIGITS + len(pattern[1])


def formatted(uuids: Bytes, pattern: Pattern) -> Bytes:
    """The names of UUIDs (rows of 16 bytes), a row each."""
    prefix, suffix = pattern
    width = pattern_bytes(pattern)
    data = bytearray((prefix + _TEMPLATE + suffix) * len(uuids))
    for start in range(0, len(uuids), BATCH_ROWS):
        batch = uuids[start : start + BATCH_ROWS]
        digits = _TWO_DIGITS.take(batch)
        for place, digit, dtype in _RUNS:
            # One number at a time: much faster than rows of bytes.
            at = start * width + len(prefix) + place
            column = np.ndarray((len(batch),), dtype, buffer=data, offset=at, strides=(width,))
            column[:] = digits.view(dtype)[:, digit // column.itemsize]
    return np.frombuffer(data, "<u1").reshape(-1, width)


def _patterns(blob: Bytes, offsets: Numbers) -> tuple[Pattern, ...]:
    """The patterns of a sample of names, the most frequent first."""
    n_rows = len(offsets) - 1
    rows = range(n_rows) if n_rows <= SAMPLE_ROWS else range(0, n_rows, n_rows // SAMPLE_ROWS)
    counts: Counter[Pattern] = Counter()
    for row in rows:
        name = blob[int(offsets[row]) : int(offsets[row + 1])].tobytes()
        found = _UUID.search(name)
        if found is not None:
            counts[name[: found.start()], name[found.end() :]] += 1
    return tuple(pattern for pattern, _ in counts.most_common(PATTERNS_MAX))


def _matching(blob: Bytes, offsets: Numbers, rows: Numbers, pattern: Pattern) -> tuple[Numbers, Bytes]:
    """Which of ``rows`` are of a pattern, and their UUIDs."""
    width = pattern_bytes(pattern)
    rows = rows[offsets[rows + 1].astype("<i8") - offsets[rows] == width]
    found: list[Bytes] = []
    fits: list[Bools] = []
    view = arrays.windows(blob, width)
    for first in range(0, len(rows), BATCH_ROWS):
        text = view[offsets[rows[first : first + BATCH_ROWS]]]
        fit, uuids = _parsed(text, pattern)
        fits.append(fit)
        found.append(uuids[fit])
    if not found:
        return rows, np.empty((0, UUID_BYTES), "<u1")
    return rows[np.concatenate(fits)], np.concatenate(found)


def _parsed(text: Bytes, pattern: Pattern) -> tuple[Bools, Bytes]:
    prefix, suffix = (arrays.as_bytes(part) for part in pattern)
    first = len(prefix)
    last = first + UUID_DIGITS
    digits = _VALUE[text[:, first:last][:, _DIGITS]]
    fit: Bools = digits.max(axis=1, initial=0) != _NO_DIGIT
    for dash in _DASHES:
        fit &= text[:, first + dash] == ord("-")
    fit &= (text[:, :first] == prefix).all(axis=1) & (text[:, last:] == suffix).all(axis=1)
    return fit, digits[:, 0::2] << 4 | digits[:, 1::2]


def _mixed(
    blob: Bytes, offsets: Numbers, patterns: tuple[Pattern, ...], kinds: Bytes, packed: list[tuple[Numbers, Bytes]]
) -> PackedNames:
    """Names of several kinds in one blob."""
    plain = np.flatnonzero(kinds == 0)
    lengths = np.full(len(kinds), UUID_BYTES, "<i8")
    lengths[plain] = offsets[plain + 1].astype("<i8") - offsets[plain]
    ends = arrays.offsets_of(lengths)
    out = np.empty(int(ends[-1]), "<u1")
    for rows, uuids in packed:
        _place(out, ends[rows], uuids)
    text, places = arrays.gathered(blob, offsets[plain].astype("<i8"), lengths[plain])
    _scatter(out, ends[plain], text, places)
    return PackedNames(patterns, kinds, ends.astype("<u4"), out)


def _unmixed(blob: Bytes, offsets: U32, patterns: tuple[Pattern, ...], kinds: Bytes) -> tuple[Bytes, Numbers]:
    sizes = np.array([0, *(pattern_bytes(pattern) for pattern in patterns)], "<i8")
    plain = np.flatnonzero(kinds == 0)
    lengths = sizes[kinds]
    lengths[plain] = offsets[plain + 1].astype("<i8") - offsets[plain]
    ends = arrays.offsets_of(lengths)
    out = np.empty(int(ends[-1]), "<u1")
    uuids = arrays.windows(blob, UUID_BYTES)
    for number, pattern in enumerate(patterns, 1):
        rows = np.flatnonzero(kinds == number)
        _place(out, ends[rows], formatted(uuids[offsets[rows]], pattern))
    text, places = arrays.gathered(blob, offsets[plain].astype("<i8"), lengths[plain])
    _scatter(out, ends[plain], text, places)
    return out, ends


def _place(out: Bytes, starts: Numbers, rows: Bytes) -> None:
    """Write rows of one width to where they begin."""
    if len(rows):
        width = rows.shape[1]
        view = np.lib.stride_tricks.as_strided(out, (len(out) - width + 1, width), (1, 1))
        view[starts] = rows


def _scatter(out: Bytes, starts: Numbers, blob: Bytes, offsets: Numbers) -> None:
    """Write texts to where they begin."""
    for first in range(0, len(starts), arrays.GATHER_ROWS):
        last = min(first + arrays.GATHER_ROWS, len(starts))
        places = arrays.spread(starts[first:last], np.diff(offsets[first : last + 1]))
        out[places] = blob[int(offsets[first]) : int(offsets[last])]
