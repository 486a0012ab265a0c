"""Answer: what a driver said of one directory, in order, each entry where it belongs. Pure.

Rules
  * Names are never believed: each is validated before it is joined to a path,
    and what cannot be a name of ours, or has numbers that make no sense, is an
    oddity with its reason.
  * A name is taken once. Given again for the same thing (redirectors name an
    entry once per server that has it) it is merged: of several times of one file
    the latest counts, because deciding that something is old is the more
    dangerous mistake. Given again for another thing it is a contradiction: the
    first is taken, and there is an oddity that says so.
  * Entries are sorted by the bytes of their names.
"""

from __future__ import annotations

from typing import NamedTuple

from holdfast.model import names
from holdfast.model.errors import InvalidName
from holdfast.storage.driver import NOT_TOLD, DirectoryListing, Entry, Kind, Stat
from holdfast.storage.listing.tables import INT64_MAX, Directory, DirectoryState, Odd, Oddity

TWICE = "the listing names it twice, each time as something else"

_PLAIN_DIR_LENGTH_MAX = (names.LFN_BYTES_MAX - names.COMPONENT_BYTES_MAX - 1) // 4
"""Below such a directory no name makes too long a path, whatever its letters."""


class DirectoryAnswer(NamedTuple):
    """A directory as LISTED, how many names were merged, how many contradicted themselves, and the driver's doubt."""

    directory: Directory
    merged: int = 0
    contradictions: int = 0
    doubt: str = ""

    @property
    def names(self) -> int:
        """How many names were given."""
        directory = self.directory
        return len(directory.files) + len(directory.directories) + len(directory.oddities) - self.contradictions


def sort_out(path: str, listing: DirectoryListing, mtime_ns: int | None = None) -> DirectoryAnswer:
    """What ``listing`` says of the directory ``path``; ``mtime_ns`` is what the one above it said."""
    entries = listing.entries
    if not listing.unnameable:
        found = [entry[0] for entry in entries]
        if not found:
            return DirectoryAnswer(Directory(path, DirectoryState.LISTED, "", mtime_ns), doubt=listing.doubt)
        if len(path) <= _PLAIN_DIR_LENGTH_MAX and names.all_plain(found) and len(set(found)) == len(found):
            # The order of code points is that of UTF-8's bytes.
            ordered = entries if sorted(found) == found else sorted(entries)
            files = [entry for entry in ordered if entry[1][0] is Kind.FILE and not _problem_of(entry[1])]
            directories = [entry for entry in ordered if entry[1][0] is Kind.DIRECTORY]
            if len(files) + len(directories) == len(entries):
                directory = Directory(path, DirectoryState.LISTED, "", mtime_ns, tuple(files), tuple(directories))
                return DirectoryAnswer(directory, doubt=listing.doubt)
    return _sort_out_oddities(path, listing, mtime_ns)


def seen_in(directory: Directory) -> frozenset[bytes]:
    """The bytes of all names that were given in a directory, whatever they stand for."""
    entries = (entry.name.encode() for held in (directory.files, directory.directories) for entry in held)
    return frozenset(entries) | {odd.raw for odd in directory.oddities}


def bytes_in(directory: Directory) -> int:
    """The sizes of the files in a directory, of those that the storage tells."""
    size = 0
    for entry in directory.files:
        size += entry[1][1]
        if entry[1][1] == NOT_TOLD:
            size -= NOT_TOLD
    return size


def raw_name(name: str) -> bytes:
    """The bytes of any text a driver may hand over, lone surrogates included."""
    try:
        return name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return name.encode(errors="surrogatepass")


def by_bytes(entry: Entry) -> bytes:
    """The key by which entries are sorted."""
    return entry.name.encode()


def _sort_out_oddities(path: str, listing: DirectoryListing, mtime_ns: int | None) -> DirectoryAnswer:
    """The same for any listing, name by name."""
    oddities = [Oddity(entry.raw, Odd.UNNAMEABLE, entry.reason) for entry in listing.unnameable]
    taken: dict[str, Entry] = {}
    merged = contradictions = 0
    room = names.LFN_BYTES_MAX - len(names.join(path, "").encode())
    for entry in listing.entries:
        problem = _problem(entry, room)
        if problem:
            oddities.append(Oddity(raw_name(entry.name), Odd.REFUSED, problem))
            continue
        earlier = taken.setdefault(entry.name, entry)
        if earlier is entry:
            continue
        if agree(earlier.stat, entry.stat):
            merged += 1
            taken[entry.name] = Entry(entry.name, _merged(earlier.stat, entry.stat))
        else:
            contradictions += 1
            oddities.append(Oddity(entry.name.encode(), Odd.REFUSED, TWICE))
    # Sorted here and not only by the driver: order is our promise, and this costs next to nothing if it is kept.
    ordered = sorted(taken.values(), key=by_bytes)
    files = tuple(entry for entry in ordered if entry.stat.kind is Kind.FILE)
    directories = tuple(entry for entry in ordered if entry.stat.kind is Kind.DIRECTORY)
    oddities += [
        Oddity(entry.name.encode(), Odd.OTHER, "a link, socket, device or pipe")
        for entry in ordered
        if entry.stat.kind is Kind.OTHER
    ]
    directory = Directory(path, DirectoryState.LISTED, "", mtime_ns, files, directories, tuple(oddities))
    return DirectoryAnswer(directory, merged, contradictions, listing.doubt)


def agree(one: Stat, other: Stat) -> bool:
    """Whether two stats can be of one thing at two servers, each of which has its own times for it."""
    if one.kind is not other.kind:
        return False
    return one.kind is not Kind.FILE or one.size == other.size or NOT_TOLD in (one.size, other.size)


def _merged(one: Stat, other: Stat) -> Stat:
    if one == other:
        return one
    changed = [ns for ns in (one.changed_ns, other.changed_ns) if ns is not None]
    version = one.version if one.version == other.version else ""
    size, mtime_ns = max(one.size, other.size), max(one.mtime_ns, other.mtime_ns)
    return Stat(one.kind, size, mtime_ns, version, max(changed, default=None))


def _problem(entry: Entry, room: int) -> str:
    """Why an entry cannot be taken at its word; "" if it can."""
    try:
        names.file_name(entry.name)
    except InvalidName as error:
        return error.message
    if len(entry.name.encode()) > room:
        return f"its path is longer than {names.LFN_BYTES_MAX} bytes"
    return _problem_of(entry.stat) if entry.stat.kind is Kind.FILE else ""


def _problem_of(stat: Stat) -> str:
    """Why the numbers of a file cannot be true, or not be written down; "" if they can."""
    _, size, mtime_ns, _, changed_ns = stat
    if not 0 <= size <= INT64_MAX and size != NOT_TOLD:
        return f"the listing gives it {size} bytes"
    # File systems keep moments far beyond the year 2262, where 64 bits of nanoseconds end.
    if not (-INT64_MAX <= mtime_ns <= INT64_MAX and (changed_ns is None or -INT64_MAX <= changed_ns <= INT64_MAX)):
        return "the listing gives it a time too far from now"
    return ""
