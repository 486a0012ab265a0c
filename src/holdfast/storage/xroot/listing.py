"""What XRootD says of files and directories, as values of the StorageDriver contract.

Rules
  * Every name in an answer is in the listing, as an entry or as unnameable.
    An entry without a stat (an answer may lack some), or with a name so long
    that the server may have cut it off, is given back apart, to be looked at.
  * The id of a file is no version: servers of one file system disagree in it.
  * ``changed_ns`` is ctime, where the server says it; it also moves when the
    server keeps a checksum beside the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from holdfast.model import names
from holdfast.model.errors import InvalidName, PeerError
from holdfast.storage.abilities import Permissions
from holdfast.storage.driver import Entry, Kind, Stat, Unnameable, Unsupported

SECOND_NS = 1_000_000_000

_EXTENDED = "extended"
_DIRECTORY = 2
_OTHER = 4
_NEITHER = _DIRECTORY | _OTHER
_FILE = Kind.FILE

CUT_AT_BYTES = 254
"""Servers cut longer names off, without a word."""
_NO_NAMES = frozenset({"", ".", ".."})
_SURELY_WHOLE = CUT_AT_BYTES // 4 - 1
"""So many characters, whatever they are, are fewer bytes than that."""

Info = Mapping[str, Any]


class Listed(NamedTuple):
    """One answer: entries with stats, names that are none of ours, and names that have to be looked at."""

    entries: list[Entry]
    unnameable: list[Unnameable]
    bare: list[str]


def stat_of(info: Info) -> Stat:
    """A Stat; PeerError if it makes no sense."""
    flags, size = info["flags"], info["size"]
    if size < 0:
        raise PeerError(f"the storage tells a size of {size}")
    kind = _FILE if not flags & _NEITHER else Kind.DIRECTORY if flags & _DIRECTORY else Kind.OTHER
    # Libraries before 5.7 know the time by this name only, and nothing of the rest.
    return Stat(kind, size, info["modtime"] * SECOND_NS, "", _changed_ns(info))


def permissions_of(info: Info) -> Permissions:
    """Owner, group and mode; Unsupported where the server does not say."""
    if not info.get(_EXTENDED):
        raise Unsupported("this server does not tell permissions")
    return Permissions(info["owner"], info["group"], int(info["mode"], 8) & 0o7777)


def read_entries(answers: Iterable[Mapping[str, Any]]) -> Listed:
    """What is in a listing with stats, in the order of the names' bytes, which is that of their text."""
    entries: list[Entry] = []
    bare: list[str] = []
    append, make = entries.append, tuple.__new__
    for answer in answers:
        name, info = answer["name"], answer["statinfo"]
        if info is None or (len(name) > _SURELY_WHOLE and _may_be_cut(name)):
            bare.append(name)
            continue
        # This runs for every file of a site: written out, and made as what these tuples are.
        size = info["size"]
        if info["flags"] & _NEITHER or size < 0 or not info.get(_EXTENDED):
            append(make(Entry, (name, stat_of(info))))
        else:
            times = info["modtime"] * SECOND_NS, "", info["ctime"] * SECOND_NS
            append(make(Entry, (name, make(Stat, (_FILE, size, *times)))))
    entries.sort(key=itemgetter(0))
    unnameable: list[Unnameable] = []
    if not _all_names([entry.name for entry in entries]):
        entries = [entry for entry in entries if _is_name(entry.name, unnameable)]
    return Listed(entries, unnameable, bare)


def read_names(answers: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[Unnameable], list[str]]:
    """What is in a listing without stats, what of it is none of our names, and what has to be looked at."""
    found = sorted(answer["name"] for answer in answers)
    bare = [name for name in found if len(name) > _SURELY_WHOLE and _may_be_cut(name)]
    unnameable: list[Unnameable] = []
    if bare or not _all_names(found):
        found = [name for name in found if not _may_be_cut(name) and _is_name(name, unnameable)]
    return found, unnameable, bare


def _changed_ns(info: Info) -> int | None:
    return info["ctime"] * SECOND_NS if info.get(_EXTENDED) else None


def _may_be_cut(name: str) -> bool:
    return len(name.encode()) >= CUT_AT_BYTES


def _all_names(found: Sequence[str]) -> bool:
    """Whether all are surely names of ours; if not, one by one will tell."""
    together = "".join(found)
    return together.isprintable() and "/" not in together and _NO_NAMES.isdisjoint(found)


def _is_name(name: str, unnameable: list[Unnameable]) -> bool:
    try:
        names.file_name(name)
    except InvalidName as error:
        unnameable.append(Unnameable(name.encode(), error.message))
        return False
    return True
