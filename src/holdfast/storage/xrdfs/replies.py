"""What ``xrdfs`` prints, read without believing more than it says.

Pure: bytes in, values out. Lines are cut at line feeds only, since names hold
every other byte; the time zone is UTC whatever the environment says.

Rules
  * A line that is not of the known forms is PeerError: nothing is skipped.
  * A name is what follows the directory that was asked for; what follows
    anything else is PeerError.
  * A name that cannot be one of ours is Unnameable.
  * A path alone, without anything below it, is a file that was asked for its
    entries: NotADirectory.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from functools import lru_cache

from holdfast.model.checksums import Checksums
from holdfast.model.errors import PeerError
from holdfast.storage import told
from holdfast.storage.driver import DirectoryNames, Entry, Kind, NotADirectory, Stat, Unnameable
from holdfast.storage.guarded.hands import Heard, heard_names, named
from holdfast.storage.xroot.listing import SECOND_NS

_TIME = rb"(\d{4,}-\d\d-\d\d) (\d\d):(\d\d):(\d\d)"
# As servers say owner and mode, or as they only say what we may do; the last is of an entry nobody said anything of.
_LONG = re.compile(rb"([d-])[rwxsStT-]{9} +\S+ +\S+ +(\d+) +" + _TIME + rb" (/.*)", re.DOTALL)
_SHORT = re.compile(rb"([d-])[rwx-]{3} +" + _TIME + rb" +(\d+) (/.*)", re.DOTALL)
_BARE = re.compile(rb"---- 0000-00-00 00:00:00 +\? (/.*)", re.DOTALL)
_STAT = re.compile(rb"^Size: +(\d+)$.*?^MTime: +" + _TIME + rb"$.*?^Flags: +(\d+)\b", re.DOTALL | re.MULTILINE)

_IS_DIRECTORY, _IS_OTHER = 2, 4


def listing(reply: bytes, directory: str) -> Heard:
    """What an ``ls -l`` shows."""
    entries: list[Entry] = []
    bare: list[str] = []
    unnameable: list[Unnameable] = []
    for line in _lines(reply):
        path, stat = _entry(line)
        raw = _below(path, directory)
        name, reason = named(raw)
        if reason:
            unnameable.append(Unnameable(raw, reason))
        elif stat is None:
            bare.append(name)
        else:
            entries.append(Entry(name, stat))
    return Heard(tuple(entries), tuple(bare), tuple(unnameable))


def only_names(reply: bytes, directory: str) -> DirectoryNames:
    """The names of an ``ls``; a name with a line feed in it comes in pieces, each like a name of its own."""
    return heard_names([_below(line, directory) for line in _lines(reply)])


def stat(reply: bytes) -> Stat:
    """What a ``stat`` says."""
    found = _STAT.search(reply)
    if not found:
        raise _unknown("stat", reply)
    size, day, hours, minutes, seconds, flags = found.groups()
    kinds = int(flags)
    kind = Kind.DIRECTORY if kinds & _IS_DIRECTORY else Kind.OTHER if kinds & _IS_OTHER else Kind.FILE
    return Stat(kind, int(size), _time(day, hours, minutes, seconds))


def digest(reply: bytes, algorithm: str) -> Checksums:
    """The digest of a ``query checksum``; nothing if it is of another algorithm than was asked for."""
    text = reply.decode(errors="replace")
    word = text.split()[0] if text.split() else ""
    if word and told.algorithm(word) not in (None, algorithm):
        return {}
    said = told.from_words(text)
    if algorithm not in said.checksums:
        raise PeerError(f"the storage told no digest: {said.why_not}")
    return said.checksums


def _lines(reply: bytes) -> Iterator[bytes]:
    *lines, rest = reply.split(b"\n")
    if rest:
        raise PeerError("the answer of xrdfs breaks off")
    return iter(lines)


def _entry(line: bytes) -> tuple[bytes, Stat | None]:
    found = _LONG.fullmatch(line)
    if found:
        kind, size, day, hours, minutes, seconds, path = found.groups()
    else:
        found = _SHORT.fullmatch(line)
        if not found:
            bare = _BARE.fullmatch(line)
            if not bare:
                raise _unknown("ls", line)
            return bare[1], None
        kind, day, hours, minutes, seconds, size, path = found.groups()
    what = Kind.DIRECTORY if kind == b"d" else Kind.FILE
    return path, Stat(what, int(size), _time(day, hours, minutes, seconds))


def _below(path: bytes, directory: str) -> bytes:
    asked = directory.encode()
    prefix = asked.rstrip(b"/") + b"/"
    if path == asked:
        raise NotADirectory("is not a directory")
    if not path.startswith(prefix):
        raise _unknown("ls", path)
    return path[len(prefix) :]


def _time(day: bytes, hours: bytes, minutes: bytes, seconds: bytes) -> int:
    return (_day_s(day) + int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * SECOND_NS


@lru_cache(maxsize=4096)
def _day_s(day: bytes) -> int:
    year, month, date = day.split(b"-")
    try:
        return calendar.timegm((int(year), int(month), int(date), 0, 0, 0))
    except ValueError as error:
        raise _unknown("time", day) from error


def _unknown(what: str, said: bytes) -> PeerError:
    return PeerError(f"xrdfs answers {what} in an unknown way: {said[:80].decode(errors='replace')!a}")
