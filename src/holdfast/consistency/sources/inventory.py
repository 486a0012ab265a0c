"""Inventory: what a catalogue says should be at a site, whoever's catalogue it is.

The first of the three modules of a back end; ``registry`` and ``siteinfo`` are
the others. Ours is ``snapshot_inventory``; dumps, SQL queries and plug-ins are
others, and ``opening`` finds them by name.

Rules
  * ``write`` asks the catalogue once, and writes what it says to ``target``, a
    Parquet table, durably: ``dir`` and ``name`` (the path at the site, by its
    first door's rules), ``size``, ``adler32`` and ``lfn``, which may be null: not
    told, and the same as the path. Further columns are allowed.
  * What the catalogue knows of the site but does not count as there (it is on its
    way, or being deleted) is in the table ``known_beside``: ``dir`` and ``name``.
    Such a file is not missing, and no orphan. Without such files there need be no table.
  * Memory does not grow with the site.
  * A catalogue that names nothing is an error unless that was said to be right.
  * ``taken`` says from when the answer is, if it is older than the question.

Raises BadInput for what makes no sense, OperatorError if the catalogue cannot be
asked; then the tables do not count. No message holds a password.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from holdfast.model.records import Site
from holdfast.storage.abilities import Taken

SHOWN_MAX = 20
"""So many names for which there is no path are shown."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: files and bytes that should be there, files only known, names that no path belongs to.

    ``taken`` None: the catalogue was asked, and answered for the moment.
    """

    files: int
    size: int
    known: int = 0
    without_path: int = 0
    without_path_shown: tuple[str, ...] = ()
    taken: Taken | None = None


@runtime_checkable
class Inventory(Protocol):
    """A catalogue that can say what should be at a site. The module's docstring is the contract."""

    @property
    def label(self) -> str:
        """Which catalogue it is, for people, and for telling it from another one; without a password."""

    def write(self, site: Site, target: Path) -> Written:
        """Write what should be at ``site``."""


def known_beside(target: Path) -> Path:
    """The table of what is known, beside that of what should be there."""
    return target.with_name(f"{target.stem}.known{target.suffix}")
