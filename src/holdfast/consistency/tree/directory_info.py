"""DirectoryInfo: a directory with all that is below it, and a hash that says whether two of them are alike.

For programs that look at a site as a tree, and for sites that fit into memory:
there is an object for each file. What is to be known of large sites is found on
columns (``usage``, ``empty``, ``lost``, ``rollup``).

Rules
  * A file's hash covers its name and size; a directory's covers the names and
    hashes of all that is directly in it, so that it speaks for all below. No time
    is in it, and not the directory's own name.
  * What was not listed has another hash than what was, even if both show the same.
  * Files and directories are in the order of their names' bytes, whatever order
    they came in. No name is looked for by going through its siblings.
  * A file that is given twice is one file; its size is not known if the two differ.
  * Nothing recurses: a tree may be as deep as a storage allows.

Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter
from typing import NamedTuple, TypeVar

from holdfast.model import names
from holdfast.model.errors import BadInput

HASH_BYTES = 16
_name_of = attrgetter("name")


class FileInfo(NamedTuple):
    """A file: its name, its size in bytes, when it was written; made by ``of``. None is what is not known."""

    name: str
    size: int | None
    mtime_ns: int | None
    hash: bytes
    """Over name and size."""
    changed_ns: int | None = None
    """When anything about it last changed, its name included."""

    @staticmethod
    def of(name: str, size: int | None, mtime_ns: int | None = None, changed_ns: int | None = None) -> FileInfo:
        """The file with its hash."""
        told = f"{'' if size is None else size}:{name}"
        return FileInfo(name, size, mtime_ns, _hash(told.encode(errors="surrogatepass")), changed_ns)

    @property
    def since_ns(self) -> int | None:
        """Since when it is there under this name, at the earliest: what was moved in keeps its old mtime."""
        return _later(self.mtime_ns, self.changed_ns)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DirectoryInfo:
    """A directory; made by ``of``. ``n_files``, ``size`` (bytes) and ``n_directories`` are sums of all below it."""

    name: str
    mtime_ns: int | None
    directories: tuple[DirectoryInfo, ...]
    files: tuple[FileInfo, ...]
    others: tuple[str, ...]
    """Names of what is neither a file nor a directory of ours, as links, and of what was named twice, each time as
    something else: nothing is known of what is there under such a name."""
    is_listed: bool
    """Whether what is directly in it is all shown."""
    hash: bytes
    n_files: int
    size: int
    n_directories: int

    @staticmethod
    def of(
        name: str,
        directories: Iterable[DirectoryInfo] = (),
        files: Iterable[FileInfo] = (),
        *,
        mtime_ns: int | None = None,
        is_listed: bool = True,
        others: Iterable[str] = (),
    ) -> DirectoryInfo:
        """The directory with its hash and sums; BadInput if two directories have one name."""
        # Text is sorted by code points, which is the order of its bytes in UTF-8.
        below = tuple(sorted(directories, key=_name_of))
        if len({each.name for each in below}) != len(below):
            raise BadInput("two directories have the same name", place=name)
        held = _one_of_each(sorted(files, key=_name_of))
        odd = tuple(sorted(set(others)))
        return DirectoryInfo(
            name,
            mtime_ns,
            below,
            held,
            odd,
            is_listed,
            _hash_of(below, held, odd, is_listed),
            len(held) + sum(each.n_files for each in below),
            sum(each.size or 0 for each in held) + sum(each.size for each in below),
            len(below) + sum(each.n_directories for each in below),
        )

    def __repr__(self) -> str:
        return f"<DirectoryInfo {self.name!r}: {self.n_files} files, {self.n_directories} directories>"

    def find(self, path: str) -> DirectoryInfo | None:
        """The directory at ``path``, for which this one is "/"; None if there is none."""
        found: DirectoryInfo | None = self
        for name in path.split("/"):
            if name and found is not None:
                found = _named(found.directories, name)
        return found

    def file(self, path: str) -> FileInfo | None:
        """The file at ``path``, for which this directory is "/"; None if there is none."""
        dir, name = names.split(path)
        found = self.find(dir)
        return None if found is None else _named(found.files, name)

    def walk(self) -> Iterator[tuple[str, DirectoryInfo]]:
        """This directory, as "/", and all below it with their paths: each before those in it, in order of names."""
        waiting = [("/", self)]
        while waiting:
            path, directory = waiting.pop()
            yield path, directory
            waiting.extend((names.join(path, each.name), each) for each in reversed(directory.directories))


_Named = TypeVar("_Named", FileInfo, DirectoryInfo)


def _named(among: tuple[_Named, ...], name: str) -> _Named | None:
    place = bisect_left(among, name, key=_name_of)
    return among[place] if place < len(among) and among[place].name == name else None


def _one_of_each(files: list[FileInfo]) -> tuple[FileInfo, ...]:
    """Sorted files, each name once."""
    if len({each.name for each in files}) == len(files):
        return tuple(files)
    found: dict[str, FileInfo] = {}
    for each in files:
        found[each.name] = _merged(found[each.name], each) if each.name in found else each
    return tuple(found.values())


def _merged(one: FileInfo, other: FileInfo) -> FileInfo:
    size = one.size if one.size == other.size else None
    changed_ns = _later(one.changed_ns, other.changed_ns)
    return FileInfo.of(one.name, size, _later(one.mtime_ns, other.mtime_ns), changed_ns)


def _later(*times_ns: int | None) -> int | None:
    """The last of the times that are known: to think that something is old is the more dangerous mistake."""
    return max((at_ns for at_ns in times_ns if at_ns is not None), default=None)


def _hash(content: bytes) -> bytes:
    return blake2b(content, digest_size=HASH_BYTES).digest()


def _hash_of(
    directories: tuple[DirectoryInfo, ...], files: tuple[FileInfo, ...], others: tuple[str, ...], is_listed: bool
) -> bytes:
    # How many of each come first, then texts with their lengths, then what has one length: so no two directories
    # that differ give the same bytes.
    content = [bytes([is_listed])]
    content += [len(held).to_bytes(8, "big") for held in (directories, files, others)]
    for name in (*(each.name for each in directories), *others):
        encoded = name.encode(errors="surrogatepass")
        content += [len(encoded).to_bytes(8, "big"), encoded]
    content += [each.hash for each in directories]
    content += [each.hash for each in files]
    return _hash(b"".join(content))
