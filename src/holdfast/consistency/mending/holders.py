"""Holders: who else has a file, by one snapshot.

Pure: a snapshot in, answers out; remembers the replicas that were looked up.
"""

from __future__ import annotations

from holdfast.consistency.findings import Finding
from holdfast.inventory.store import Snapshot
from holdfast.model.errors import UnknownName
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica


class Holders:
    """Who holds files, seen from one site."""

    def __init__(self, view: Snapshot, site: str) -> None:
        self._view = view
        self._site = site
        self._ready = {each.name for each in view.sites() if each.is_ready} - {site}
        self._replicas: dict[BlockKey, list[BlockReplica]] = {}

    def here(self, finding: Finding) -> BlockReplica | None:
        """The replica at the site, if there is one."""
        return next((each for each in self._of(finding) if each.site == self._site), None)

    def is_elsewhere(self, finding: Finding) -> bool:
        """Whether another site that is READY holds the file, even if it is to be deleted there.

        Such a copy counts: once the inventory knows that the file is gone from
        here, the deletion there has to leave it, for it is the last.
        """
        return any(site in self._ready for site in self.elsewhere(finding))

    def elsewhere(self, finding: Finding) -> list[str]:
        """The names of all other sites that hold the file, whatever is to become of it and them."""
        return sorted(
            each.site for each in self._of(finding) if each.site != self._site and each.holds(finding.ordinal)
        )

    def _of(self, finding: Finding) -> list[BlockReplica]:
        if finding.block is None:
            return []
        if finding.block not in self._replicas:
            try:
                self._replicas[finding.block] = self._view.replicas(block=finding.block)
            except UnknownName:
                self._replicas[finding.block] = []
        return self._replicas[finding.block]
