"""InventoryWord: what the inventory has against the going of files and directories that are old.

Rules
  * The one check of every deletion is asked, as operations will ask it.
  * What has the size of a file that is lost stays: it may be that file, moved.

Pure: a snapshot and findings in, reasons out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.consistency.classes import Class
from holdfast.consistency.cleaning.deciding import Reason, Stays
from holdfast.consistency.findings import Finding
from holdfast.consistency.mending.sought import sought_files
from holdfast.inventory import deletion
from holdfast.inventory.deletion.directories import directory_obstacles
from holdfast.inventory.store import Snapshot


class InventoryWord:
    """What one snapshot says about things at one site; ``lacking``: the files that a check found missing or wrong."""

    def __init__(self, view: Snapshot, site: str, *, now_us: int, lacking: Iterable[Finding] = ()) -> None:
        self._view = view
        self._site = view.site(site)
        self._now_us = now_us
        self._sought = sought_files(view, site, lacking)

    def reasons(self, piece: Sequence[Finding]) -> dict[str, Reason]:
        """Why some of these stay, by their paths."""
        found: dict[str, Reason] = {}
        for each in piece:
            told = self._sought.reason(each) if each.cls is Class.ORPHAN else ""
            if told:
                found[each.path] = Reason(Stays.LOST, f"it {told}")
        files = [each.path for each in piece if each.cls is Class.ORPHAN]
        for obstacle in deletion.obstacles(self._view, self._site, files, now_us=self._now_us):
            found[obstacle.path] = Reason(Stays.NEEDED, obstacle.reason)
        directories = [each.path for each in piece if each.cls is Class.EMPTY_DIRECTORY]
        for obstacle in directory_obstacles(self._view, self._site, directories, now_us=self._now_us):
            found[obstacle.path] = Reason(Stays.NEEDED, obstacle.reason)
        return found
