"""Where two trees differ: what should be at a site, and what is.

It looks only where hashes differ. It says what the two trees say and no more: what
was about to come or go while they were made, it cannot know. That is what a check
is for (``checking``).

Rules
  * A file is in one class only; one whose size differs is a size mismatch, neither
    missing nor an orphan. A size that one side does not know is no mismatch.
  * What one side has and the other may have is unlisted: below a directory that
    was not listed, or under a name of which nothing is known. What is shown
    under a directory that was listed lies open, even if that lies in one that was not.
  * With ``youngest_ns``, what lies at the site and came later, or at a time that
    nobody tells, is ignored: it is no orphan, and its size may not be its last.
  * Equal trees give nothing, whatever is unlisted in both.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.consistency.classes import Class
from holdfast.consistency.tree.directory_info import DirectoryInfo, FileInfo
from holdfast.model import names


@dataclass(frozen=True, slots=True)
class TreeDifference:
    """Paths of files by class, each in the order of bytes."""

    missing: tuple[str, ...] = ()
    orphan: tuple[str, ...] = ()
    size_mismatch: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    """Files that one side shows, where the other could not look."""
    ignored: tuple[str, ...] = ()
    """Too young to be judged."""


_CLASSES = (Class.MISSING, Class.ORPHAN, Class.SIZE_MISMATCH, Class.UNLISTED, Class.IGNORED)
"""Named as the fields of TreeDifference."""


def compare(expected: DirectoryInfo, actual: DirectoryInfo, *, youngest_ns: int | None = None) -> TreeDifference:
    """What differs below two directories that stand for the same place, "/"."""
    found: dict[Class, list[str]] = {cls: [] for cls in _CLASSES}
    waiting = [_Pair("/", expected, actual)]
    while waiting:
        pair = waiting.pop()
        if pair.expected.hash != pair.actual.hash:
            for name, cls in _judged(pair, youngest_ns):
                found[cls].append(names.join(pair.path, name))
            waiting.extend(_below(pair))
    return TreeDifference(**{cls.value: tuple(sorted(paths)) for cls, paths in found.items()})


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two directories of one path; ``is_hidden`` if nothing is known of what is there under that path."""

    path: str
    expected: DirectoryInfo
    actual: DirectoryInfo
    is_hidden: bool = False

    def hides(self, name: str) -> bool:
        """Whether nothing is known of what is in it under a name."""
        return self.is_hidden or name in self.expected.others or name in self.actual.others


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of one side of a pair, by name."""

    directory: DirectoryInfo
    by_name: dict[str, FileInfo]
    is_listed: dict[str, bool]
    """Of directories, by name: what could not be listed may be no directory at all, what was listed is no file."""

    @staticmethod
    def of(directory: DirectoryInfo) -> _Files:
        is_listed = {each.name: each.is_listed for each in directory.directories}
        return _Files(directory, {each.name: each for each in directory.files}, is_listed)

    def may_have(self, name: str) -> bool:
        """Whether it may have a file that it does not show."""
        return not self.is_listed.get(name, self.directory.is_listed)


def _judged(pair: _Pair, youngest_ns: int | None) -> Iterator[tuple[str, Class]]:
    """The files directly in a pair that differ."""
    expected, actual = _Files.of(pair.expected), _Files.of(pair.actual)
    for name in expected.by_name.keys() | actual.by_name.keys():
        wanted, there = expected.by_name.get(name), actual.by_name.get(name)
        if wanted is not None and there is not None:
            if None in (wanted.size, there.size) or wanted.size == there.size:
                continue
            cls = Class.SIZE_MISMATCH
        else:
            cls, absent = (Class.ORPHAN, expected) if wanted is None else (Class.MISSING, actual)
            cls = Class.UNLISTED if absent.may_have(name) else cls
        if pair.hides(name):
            cls = Class.UNLISTED
        elif cls is not Class.UNLISTED and there is not None and _is_young(there, youngest_ns):
            cls = Class.IGNORED
        yield name, cls


def _is_young(file: FileInfo, youngest_ns: int | None) -> bool:
    return youngest_ns is not None and (file.since_ns is None or file.since_ns > youngest_ns)


def _below(pair: _Pair) -> Iterator[_Pair]:
    """The directories in a pair; one that the other side does not have meets an empty one there."""
    expected = {each.name: each for each in pair.expected.directories}
    actual = {each.name: each for each in pair.actual.directories}
    for name in expected.keys() | actual.keys():
        yield _Pair(
            names.join(pair.path, name),
            expected.get(name) or DirectoryInfo.of(name, is_listed=pair.expected.is_listed),
            actual.get(name) or DirectoryInfo.of(name, is_listed=pair.actual.is_listed),
            is_hidden=pair.hides(name),
        )
