"""Building a tree from sorted rows, in one pass.

Pure: rows in, a DirectoryInfo out.

Rules
  * Rows come in the order of their directories, as ``columns.ORDER`` has it: all
    that is below a directory follows it before anything else does. BadInput if not.
  * A directory that is only known by what is below it is there, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.consistency.tree.directory_info import DirectoryInfo, FileInfo
from holdfast.model import names


class TreeRow(NamedTuple):
    """A file, or with the name "" what is known of the directory itself."""

    dir: str
    name: str
    size: int | None = None
    mtime_ns: int | None = None
    changed_ns: int | None = None
    is_listed: bool | None = None
    """Of a directory."""


@dataclass
class _Open:
    """A directory to which more may come."""

    path: str
    name: str
    is_listed: bool
    mtime_ns: int | None = None
    files: list[FileInfo] = field(default_factory=list)
    directories: list[DirectoryInfo] = field(default_factory=list)


def build(
    rows: Iterable[TreeRow], *, is_listed: bool = True, others: Mapping[str, Sequence[str]] | None = None
) -> DirectoryInfo:
    """The tree of ``rows``, whose top is "/".

    ``is_listed`` is for directories of which no row tells that, ``others`` the names of other things by directory.
    """
    return _Building(is_listed, others or {}).tree(rows)


class _Building:
    def __init__(self, is_listed: bool, others: Mapping[str, Sequence[str]]) -> None:
        self._is_listed = is_listed
        self._others = others
        self._open = [_Open("/", "/", is_listed)]

    def tree(self, rows: Iterable[TreeRow]) -> DirectoryInfo:
        """All of it; called once."""
        present = self._open[0]
        for row in rows:
            if row.dir != present.path:
                present = self._enter(row.dir)
            if row.name:
                present.files.append(FileInfo.of(row.name, row.size, row.mtime_ns, row.changed_ns))
            else:
                present.mtime_ns = row.mtime_ns
                present.is_listed = self._is_listed if row.is_listed is None else row.is_listed
        while len(self._open) > 1:
            self._close()
        return self._made(self._open[0])

    def _enter(self, path: str) -> _Open:
        while not _is_at_or_below(path, self._open[-1].path):
            self._close()
        above = self._open[-1].path
        rest = path.removeprefix(above).strip("/")
        for name in rest.split("/") if rest else ():
            above = names.join(above, name)
            self._open.append(_Open(above, name, self._is_listed))
        return self._open[-1]

    def _close(self) -> None:
        done = self._open.pop()
        self._open[-1].directories.append(self._made(done))

    def _made(self, done: _Open) -> DirectoryInfo:
        return DirectoryInfo.of(
            done.name,
            done.directories,
            done.files,
            mtime_ns=done.mtime_ns,
            is_listed=done.is_listed,
            others=self._others.get(done.path, ()),
        )


def _is_at_or_below(path: str, above: str) -> bool:
    return path == above or above == "/" or path.startswith(f"{above}/")
