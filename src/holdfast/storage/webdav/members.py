"""Members: which names the answer to PROPFIND speaks of, and what it says of them.

Pure. An href is absolute or relative, with or without the host, and written in
one of two ways: percent-encoded, as the standard has it, or with the bytes of
the name as they are (XRootD up to at least 5.5). ``way_of`` tells the two apart
where the hrefs themselves give it away; where they do not, ``disputed`` are
those that would name different things, and whoever lists asks the server.

Rules
  * A name is one component directly below the directory that was asked for, or
    the directory itself. Whatever else an href names is refused, and reported.
  * Names come back byte for byte; what cannot be one of ours is Unnameable.
  * What is not told is NOT_TOLD. Sizes of directories mean nothing and are 0.
  * A size that is no number of bytes makes the whole answer worthless: PeerError.
  * A member that came with an error is reported with its status, not guessed at.
  * What is not said to be a file or a directory is OTHER, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import unquote

from holdfast.model import names
from holdfast.model.errors import InvalidName, PeerError
from holdfast.storage.driver import NOT_TOLD, Entry, Kind, Stat, Unnameable
from holdfast.storage.webdav import times as webdav_times
from holdfast.storage.webdav.propfind import OK, Member, restored

SIZE_MAX = (1 << 63) - 1


class Way(Enum):
    """How a server writes names into hrefs."""

    ENCODED = "percent-encoded"
    BARE = "as they are"


# Who encodes anything encodes blanks, and the mark of encoding itself.
_BARE = re.compile(r" |%(?![0-9A-Fa-f]{2})")
_NO_NAMES = frozenset({"", ".", ".."})
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/]*")
_SLASHES = re.compile(r"/{2,}")


@dataclass(slots=True)
class FoundMembers:
    """What a piece of an answer says."""

    entries: list[Entry] = field(default_factory=list)
    unnameable: list[Unnameable] = field(default_factory=list)
    itself: Stat | None = None
    """The directory that was asked for, if it was in this piece."""
    itself_status: int = OK
    errors: int = 0
    """How many members came with an error, or are not in this directory."""
    untyped: int = 0
    """Of how many it was not said what they are."""


def way_of(members: Iterable[Member]) -> Way | None:
    """How the names were written, if that can be seen from the hrefs."""
    return Way.BARE if any(_BARE.search(_trimmed(member.href)) for member in members) else None


def disputed(members: Iterable[Member]) -> list[str]:
    """Those hrefs that name different things in the two ways."""
    return [member.href for member in members if "%" in member.href and _decoded(member.href) != member.href]


def is_plain(members: Iterable[Member]) -> bool:
    """Whether there is neither a blank nor a "%" in any href, as is common: then there is nothing to tell apart."""
    together = "".join([member.href for member in members])
    return "%" not in together and " " not in together


def both_ways(href: str, base: str) -> tuple[str, str] | None:
    """What a disputed href names if it is encoded, and if it is bare; None if it is no name below ``base``."""
    named = [_name_below(_path(href, way), base) for way in (Way.ENCODED, Way.BARE)]
    return (named[0], named[1]) if named[0] and named[1] else None


def read(members: Sequence[Member], base: str, way: Way) -> FoundMembers:
    """What ``members`` say of the directory ``base``, a path of the server, and of what is in it."""
    found = FoundMembers()
    prefix = base if base == "/" else f"{base}/"
    length = len(prefix)
    for member in members:
        href = member.href
        if member.status == OK and href.startswith(prefix) and href.isascii() and "%" not in href:
            # The common case: nothing to decode, and nothing to be wary of but the slashes.
            name = href[length:-1] if href.endswith("/") else href[length:]
            if "/" not in name and name not in _NO_NAMES:
                found.entries.append(Entry(name, stat_of(member)))
                continue
        _read_uncommon(member, base, way, found)
    found.untyped = sum(not member.typed for member in members if member.status == OK)
    _set_apart(found)
    return found


def _read_uncommon(member: Member, base: str, way: Way, found: FoundMembers) -> None:
    name = _name_below(_path(member.href, way), base)
    if name == "":
        found.itself, found.itself_status = stat_of(member), member.status
    elif name is None:
        found.errors += 1
        found.unnameable.append(_refused(member.href, "is not in the directory that was asked for"))
    elif member.status != OK:
        found.errors += 1
        found.unnameable.append(_refused(name, f"the storage answered {member.status} for it"))
    else:
        found.entries.append(Entry(name, stat_of(member)))


def stat_of(member: Member) -> Stat:
    """What was said of one name; PeerError if that makes no sense."""
    mtime_ns = webdav_times.parse(member.mtime) if member.mtime else NOT_TOLD
    if member.collection:
        return Stat(Kind.DIRECTORY, 0, mtime_ns, member.etag)
    kind = Kind.FILE if member.typed and not member.reference else Kind.OTHER
    return Stat(kind, size_of(member.size), mtime_ns, member.etag)


def size_of(text: str) -> int:
    """A number of bytes; NOT_TOLD if there is none, PeerError if it is something else."""
    if not text:
        return NOT_TOLD
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) <= SIZE_MAX):
        raise PeerError(f"the storage calls {digits[:40]!a} the size of a file")
    return int(digits)


def _set_apart(found: FoundMembers) -> None:
    """Report what cannot be a name of ours. The common case takes no call per name."""
    try:
        names.check_files(("/",), (0,) * len(found.entries), [entry.name for entry in found.entries])
    except InvalidName:
        entries, found.entries = found.entries, []
        for entry in entries:
            try:
                names.file_name(entry.name)
                found.entries.append(entry)
            except InvalidName as error:
                found.unnameable.append(_refused(entry.name, error.message))


def _refused(text: str, reason: str) -> Unnameable:
    return Unnameable(text.encode("utf-8", "surrogateescape"), reason)


def _trimmed(href: str) -> str:
    # A server that writes its XML for people breaks lines around the text; one that does not means every blank.
    return href.strip() if href[:1].isspace() else href


def _decoded(href: str) -> str:
    return unquote(href, errors="surrogateescape") if "%" in href else href


def _path(href: str, way: Way) -> str | None:
    """The path an href names, absolute or relative; None if it has a slash within a name."""
    text = restored(_trimmed(href))
    if way is Way.ENCODED and "%" in text:
        decoded = _decoded(text)
        if decoded.count("/") != text.count("/"):
            return None
        text = decoded
    if text.startswith("/"):
        return text
    host = _HOST.match(text)
    return text[host.end() :] or "/" if host else text


def _name_below(path: str | None, base: str) -> str | None:
    """The component that ``path`` has more than ``base``; "" if they are the same, None if it is not below it."""
    prefix = base if base == "/" else f"{base}/"
    if path is None:
        return None
    if not path.startswith("/"):
        path = prefix + path.removeprefix("./")
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if path in (base, prefix):
        return ""
    name = path[len(prefix) :].removesuffix("/") if path.startswith(prefix) else ""
    return name if "/" not in name and name not in _NO_NAMES else None
