"""Told: digests that somebody else said, made ours or refused.

Storages, catalogues and listings tell checksums in many spellings, and tell
words where none is known. Here every spelling that was met becomes the one of
``holdfast.model.checksums``, or a Refusal with its reason.

    from_digest_header    Digest: adler32=0a1b2c3d, md5=<base64>    (RFC 3230)
                          Repr-Digest: sha-256=:<base64>:           (RFC 9530)
    from_words            adler32 0a1b2c3d                          (XRootD query, xrdfs)
    from_hex              a bare value: gfal-sum, an attribute, a column of its own
    from_base64           x-amz-checksum-crc32c and its like
    from_column           ad:0a1b2c3d  adler32:0a1b2c3d,md5:...     (columns of dumps)

Rules
  * Nothing is raised, whatever the text: what is not a digest is a Refusal.
  * What is returned has the form of ``holdfast.model.checksums``: a known
    algorithm, lower case, full length.
  * An adler32 of zero is refused: it is what storages say that know none.
  * A digest of digests (``...-5``: an upload in parts) is refused: it is not
    that of the bytes.
  * An algorithm said twice with different values is known in neither.
  * A refusal shows at most 80 characters of the text, all printable.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.model import checksums
from holdfast.model.checksums import Checksums
from holdfast.model.errors import BadInput

_SHOWN_MAX = 80
_ALIASES = {
    "adler32": "adler32",
    "adler": "adler32",
    "ad": "adler32",
    "crc32c": "crc32c",
    "crc32ciscsi": "crc32c",
    "md5": "md5",
    "md": "md5",
    "sha256": "sha256",
    "sha2256": "sha256",
    "blake3": "blake3",
    "b3": "blake3",
}
_IGNORED_IN_NAMES = re.compile(r"[-_./ ]")
_PREFIXES = ("xamz", "checksum")
_NO_VALUE = frozenset({"", "-", "--", "0x", "none", "null", "nil", "n/a", "unknown", "undefined", "\\n"})
_IN_PARTS = re.compile(r"[^-]+-[0-9]{1,5}\Z")
_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]+)\Z")
_ITEM = re.compile(r"([^\s=:]+)\s*[=:]\s*(.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was said and why it is no digest."""

    said: str
    reason: str

    def __str__(self) -> str:
        return f"{self.said}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Told:
    """The digests that were said, each in our form, and what else was said in their place."""

    checksums: Checksums = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()

    @property
    def why_not(self) -> str:
        """The refusals in one line; "" if there are none."""
        return "; ".join(str(refusal) for refusal in self.refusals)


def algorithm(word: str) -> str | None:
    """Our name for an algorithm in any of the spellings of the field; None for one that we do not use."""
    name = _IGNORED_IN_NAMES.sub("", word.strip().lower())
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return _ALIASES.get(name)


def from_hex(name: str, text: str) -> Told:
    """One value in hexadecimal, of the algorithm that was asked for."""
    return _one(name, text, bases="hex")


def from_base64(name: str, text: str) -> Told:
    """One value in base64, of the algorithm that was asked for."""
    return _one(name, text, bases="base64")


def from_words(text: str) -> Told:
    """An algorithm and its value in hexadecimal, divided by blanks, and nothing else."""
    words = text.split()
    if len(words) != 2:
        return _refused(text, "is not a name and a value")
    return _one(words[0], words[1], bases="hex")


def from_digest_header(text: str) -> Told:
    """The value of a header ``Digest`` or ``Repr-Digest``: several algorithms, divided by commas.

    The short ones stand in hexadecimal and the long ones in base64; servers that write the long ones in
    hexadecimal are understood: their lengths differ.
    """
    return _merged(_item(item, bases="either") for item in text.split(",") if item.strip())


def from_column(text: str, name: str = "") -> Told:
    """What stands in a column of a listing: ``algorithm:value`` or ``algorithm=value``, several divided by
    commas, semicolons or blanks; or a bare value where the column's ``name`` says of what.

    A column that says nothing is no refusal: dumps leave it empty where nothing is known.
    """
    if text.strip().lower() in _NO_VALUE:
        return Told()
    parts = [part for part in re.split(r"[,;\s]+", text) if part]
    if len(parts) == 1:
        found = _ITEM.match(parts[0])
        if name and (found is None or algorithm(found[1]) is None):
            return _one(name, parts[0], bases="either")  # Base64 ends in "=" and looks like a name without a value.
        if found is None:
            return _refused(text, "does not say of which algorithm")
    return _merged(_item(part, bases="either") for part in parts)


def _item(text: str, *, bases: str) -> Told:
    found = _ITEM.match(text.strip())
    if found is None:
        return _refused(text, "is not a name and a value")
    value = found[2].partition(";")[0].strip() if found[2].startswith(":") else found[2].strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in ':"':
        value = value[1:-1]
    return _one(found[1], value, bases=bases)


def _one(name: str, text: str, *, bases: str) -> Told:
    known = algorithm(name)
    said = f"{name} {text}"
    if known is None:
        return _refused(said, "is of an algorithm that is not used here")
    value = text.strip()
    if value.lower() in _NO_VALUE:
        return _refused(said, "has no value")
    if _IN_PARTS.match(value):
        return _refused(said, "is a digest of the digests of parts")
    digits = _hex_of(known, value, bases)
    if digits is None:
        wanted = checksums.DIGITS[known]
        form = {"hex": f"{wanted} hexadecimal digits", "base64": f"{wanted // 2} bytes in base64"}
        return _refused(said, f"is not {form.get(bases, form['hex'] + ', nor their bytes in base64')}")
    if known == "adler32" and not int(digits, 16):
        return _refused(said, "is what storages say that know none")
    return Told({known: digits})


def _hex_of(name: str, value: str, bases: str) -> str | None:
    """The digest in our form; None if it is none.

    Hexadecimal of the full length is never base64 of the right length, so that trying both cannot go wrong; short
    hexadecimal might be, without its padding, which base64 therefore has to have.
    """
    found = _HEX.match(value) if bases != "base64" and value.isascii() else None
    try:
        if found:
            return checksums.normalise(name, found[1])
        if bases == "hex":
            return None
        raw = base64.b64decode(value.encode("ascii"), validate=True)
    except (BadInput, binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) * 2 == checksums.DIGITS[name] else None


def _merged(parts: Iterable[Told]) -> Told:
    known: dict[str, str] = {}
    refusals: list[Refusal] = []
    at_odds: set[str] = set()
    for part in parts:
        refusals.extend(part.refusals)
        for name, value in part.checksums.items():
            if known.setdefault(name, value) != value:
                at_odds.add(name)
                refusals.append(Refusal(f"{name} {known[name]} and {value}", "are two values of one file"))
    return Told({name: value for name, value in known.items() if name not in at_odds}, tuple(refusals))


def _refused(said: str, reason: str) -> Told:
    shown = ascii(" ".join(said.split()))[1:-1]
    return Told({}, (Refusal(shown if len(shown) <= _SHOWN_MAX else f"{shown[: _SHOWN_MAX - 3]}...", reason),))
