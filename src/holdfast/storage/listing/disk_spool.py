"""DiskSpool: a directory that comes in pieces, on disk until it is whole.

Each piece is packed and appended to a file at once, so that many directories
of a million files may come at the same time. Once kept, the files belong to
the ledger, which takes what is in them with its next save.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from holdfast.model import names
from holdfast.model.errors import BrokenInvariant
from holdfast.storage.driver import Entry
from holdfast.storage.listing import rows
from holdfast.storage.listing.answer import bytes_in
from holdfast.storage.listing.ledger import WaitingDirectory
from holdfast.storage.listing.packed_files import PackedFiles
from holdfast.storage.listing.part_files import told_of
from holdfast.storage.listing.rows import DirectoryRow
from holdfast.storage.listing.tables import ENTRIES, ODDITIES, Directory, DirectoryState, told_time


class DiskSpool:
    """See the module's docstring; ``keep`` hands the directory's row, its bytes and the files to ``kept``."""

    def __init__(
        self, folder: Path, waiting: WaitingDirectory, kept: Callable[[DirectoryRow, int, PackedFiles], None]
    ) -> None:
        self._waiting = waiting
        self._files = PackedFiles(folder)
        self._kept = kept
        self._n_files = self._n_directories = self._n_oddities = self._bytes = 0
        self._open = True

    def add(self, piece: Directory) -> None:
        """Take the next piece."""
        if not self._open:
            raise BrokenInvariant("the pieces of this directory were kept or dropped", place=self._waiting.dir)
        dir = self._waiting.dir
        with told_of(self._files.folder):
            self._files.append(ENTRIES, rows.of_entries([dir], [piece.files]))
            self._files.append(ODDITIES, rows.of_oddities((dir, oddity) for oddity in piece.oddities))
            self._files.append_waiting(*below(dir, piece.directories))
        self._n_files += len(piece.files)
        self._n_directories += len(piece.directories)
        self._n_oddities += len(piece.oddities)
        self._bytes += bytes_in(piece)

    def keep(self, last: Directory) -> None:
        """Take the last piece; the directory is whole."""
        self.add(last)
        self._open = False
        counts = (self._n_files, self._n_directories, self._n_oddities)
        row = DirectoryRow(self._waiting.dir, DirectoryState(last.state).value, last.reason, *counts, last.mtime_ns)
        self._kept(row, self._bytes, self._files)

    def drop(self) -> None:
        """Forget all pieces."""
        if self._open:
            self._open = False
            self._files.remove()


def below(dir: str, entries: tuple[Entry, ...]) -> tuple[list[str], list[int | None]]:
    """Sub-directories as they are to wait; the first by name is the newest."""
    found = entries[::-1]
    dirs = [names.join(dir, entry.name) for entry in found]
    return dirs, [told_time(entry.stat.mtime_ns) for entry in found]
