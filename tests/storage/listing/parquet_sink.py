"""ParquetSink: a listing as three files of one table each.

Rules
  * At most a group of rows of each table is in memory, plus what is added at once.
  * The tables have their names only when they are whole; before that, or after
    a failure, there is nothing under these names that was not there before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast.storage.listing import rows
from holdfast.storage.listing.part_files import PART, PartFile, sync_folder, told_of
from holdfast.storage.listing.tables import DIRECTORIES, ENTRIES, ODDITIES, Directory


class ParquetSink:
    """Writes the three tables into ``folder``, which is made if need be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables: dict[str, PartFile] = {}
        try:
            with told_of(folder):
                folder.mkdir(parents=True, exist_ok=True)
                for name in (ENTRIES, ODDITIES, DIRECTORIES):
                    self._tables[name] = PartFile(folder / f".{name}{PART}", name)
        except BaseException:
            self.abandon()
            raise

    def add(self, directories: Sequence[Directory]) -> None:
        """Take some directories with everything in them."""
        with told_of(self._folder):
            for name, batch in rows.of(directories, [*map(rows.row_of, directories)]).items():
                self._tables[name].write(batch)

    def finish(self) -> None:
        """Complete the tables and give them their names."""
        with told_of(self._folder):
            for table in self._tables.values():
                table.complete()
            # The directories come last: whoever finds them finds the others.
            for name, table in self._tables.items():
                table.reveal(self._folder / name)
            sync_folder(self._folder)

    def abandon(self) -> None:
        """Remove what has been written so far."""
        for table in self._tables.values():
            table.abandon()
