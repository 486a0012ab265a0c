"""Copies of SQLite files: whole under their name or not there, and never in the place of another.

Rules
  * What is being made lies in a folder of its own beside its final name, on the same disk; leaving the block removes
    it, and so does the next one that makes something there if a process died.
  * A name is given only to what is on disk, by a link: unlike a rename, it fails if the name has been taken.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from holdfast.inventory.sqlite_file import translated
from holdfast.model.errors import OperatorError

PAGES_AT_ONCE = 4096
"""So many pages are copied between two looks at whether anybody wants to hear of it."""

_LOCK = "in-use"


def copy_pages(source: Path, target: Path, *, progress: Callable[[], None] | None = None) -> None:
    """All pages of one SQLite file into another, in one transaction of the target.

    ``progress`` is called while that is under way, if at all; the source must then be ours alone.
    """
    with translated(target), closing(_open(source, "ro")) as reader, closing(_open(target, "rwc")) as writer:
        if progress is None:
            reader.backup(writer)
            return

        def tell(_status: int, remaining: int, _total: int) -> None:
            if remaining:  # With the last page it is committed.
                progress()

        reader.backup(writer, pages=PAGES_AT_ONCE, progress=tell)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=60)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def in_one_file(path: Path) -> None:
    """End the write-ahead log of a copy: it is one file, readable without a log beside it, and on disk."""
    with translated(path), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    durable(path)


def named(part: Path, destination: Path) -> None:
    """Give a finished copy its name, durably."""
    try:
        os.link(part, destination)
    except FileExistsError as error:
        raise OperatorError("is there already", place=str(destination), hint="choose another name") from error
    durable(destination.parent)


def durable(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def temporary(beside: Path) -> Iterator[Path]:
    """A name of our own on the disk of ``beside``; whatever comes to lie there is removed at the end."""
    if not beside.parent.is_dir():
        raise OperatorError("there is no such folder", place=str(beside.parent))
    if not os.access(beside.parent, os.W_OK):
        raise OperatorError("cannot be written", place=str(beside.parent), hint="is it mounted read-only?")
    _remove_left(beside)
    folder = Path(tempfile.mkdtemp(prefix=_prefix(beside), dir=beside.parent))
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / beside.name
    finally:
        shutil.rmtree(folder)
        os.close(lock)


def _prefix(beside: Path) -> str:
    return f"{beside.name}.part-"


def _remove_left(beside: Path) -> None:
    """Remove what a process that died has left here; a living one holds its lock."""
    for folder in beside.parent.glob(f"{glob.escape(_prefix(beside))}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise
            continue  # Not ours, or about to be locked.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
