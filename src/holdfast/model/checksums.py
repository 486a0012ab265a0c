"""Checksums of files and what two of them say about each other.

A set of checksums maps an algorithm to lower-case hexadecimal text of the
algorithm's full length. Comparing two sets has four outcomes, because "no
algorithm in common" and "nothing known" are neither equal nor different.

Rules
  * A digest is validated before it is used: known algorithm, hexadecimal,
    right length. Storages answer with empty strings and words like "Error".
  * adler32 and crc32c are compared as numbers of eight digits, zero-padded;
    shorter text from a peer is padded, never longer text cut.
  * One disagreeing algorithm makes two sets different, whatever the others say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from holdfast.model.errors import BadInput

Checksums = Mapping[str, str]

DIGITS: dict[str, int] = {"adler32": 8, "crc32c": 8, "md5": 32, "sha256": 64, "blake3": 64}
"""Known algorithms and the number of hexadecimal digits of each."""

CRYPTOGRAPHIC = frozenset({"sha256", "blake3"})
"""Algorithms strong enough to prove that two files are the same."""

_SHORT = frozenset({"adler32", "crc32c"})
_HEX = re.compile(r"[0-9a-f]+\Z")


class ChecksumComparison(StrEnum):
    """What two sets of checksums say about each other."""

    EQUAL = "equal"
    DIFFERENT = "different"
    INCOMPARABLE = "incomparable"
    """Both sides know something, but no algorithm in common."""
    UNKNOWN = "unknown"
    """At least one side knows nothing."""


def normalise(algorithm: str, digest: str) -> str:
    """The digest in our form; BadInput if it cannot be one of ``algorithm``."""
    digits = DIGITS.get(algorithm)
    if digits is None:
        raise BadInput(f"unknown checksum algorithm {algorithm!r}", hint=f"known are {', '.join(DIGITS)}")
    text = digest.strip().lower()
    if algorithm in _SHORT and 0 < len(text) < digits:
        text = text.zfill(digits)
    if len(text) != digits or not _HEX.match(text):
        raise BadInput(f"{digest[:80]!r} is not a digest of {algorithm}", hint=f"{digits} hexadecimal digits")
    return text


def all_normal(algorithm: str, digests: Sequence[str | None]) -> bool:
    """Whether every digest that is known is in our form; of no known algorithm none is."""
    known = [digest for digest in digests if digest is not None]
    digits = DIGITS.get(algorithm, 0)
    if not known or set(map(len, known)) != {digits}:
        return not known and digits > 0
    together = "".join(known)
    try:
        # Blanks are skipped in there, and capitals taken.
        return 2 * len(bytes.fromhex(together)) == len(together) and together == together.lower()
    except ValueError:
        return False


def normalise_all(checksums: Checksums) -> dict[str, str]:
    """Every digest of a set in our form; BadInput names the first bad one."""
    return {algorithm: normalise(algorithm, digest) for algorithm, digest in checksums.items()}


def compare(first: Checksums, second: Checksums) -> ChecksumComparison:
    """What two sets of normalised checksums say about each other."""
    if not first or not second:
        return ChecksumComparison.UNKNOWN
    shared = first.keys() & second.keys()
    if not shared:
        return ChecksumComparison.INCOMPARABLE
    if all(first[algorithm] == second[algorithm] for algorithm in shared):
        return ChecksumComparison.EQUAL
    return ChecksumComparison.DIFFERENT
