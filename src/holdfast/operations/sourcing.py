"""From claimed tasks to transfers: ask the inventory where each file may come from, and make the places.

Rules
  * What the destination holds by the inventory's word is not transferred.
  * A source that has no path for the file, or whose door does not open, is a
    fault of that source; the others are still asked.
  * A destination whose door does not open is an error for the whole site.
  * Drivers that a function makes for us are ours to close; those of a mapping
    belong to whoever made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from holdfast.inventory.store import Snapshot
from holdfast.model import pfn
from holdfast.model.errors import BrokenInvariant, HoldfastError, InvalidName, OperatorError, UnknownName
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockReplica, Site
from holdfast.operations import plan
from holdfast.operations.engine import Place, SourceFault, Transfer
from holdfast.operations.task import Task
from holdfast.storage.driver import StorageDriver

Drivers = Callable[[Site], StorageDriver] | Mapping[str, StorageDriver]
Failures = Mapping[tuple[str, str], int]
"""Failures since the last success, by source and destination."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task with its transfer; with neither transfer nor error the destination has the file already."""

    task: Task
    transfer: Transfer | None = None
    error: str = ""
    """Why it can never be transferred."""
    faults: tuple[SourceFault, ...] = ()
    """Sources that could not even be asked."""


class Sourcing:
    """Knows the sites and their drivers; each is opened once."""

    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers
        self._opened: dict[Site, StorageDriver] = {}
        self.sites: dict[str, Site] = {}

    def prepare(
        self,
        tasks: Iterable[Task],
        snapshot: Snapshot,
        failures: Failures,
        replaceable: Callable[[Task], Callable[[], str] | None],
    ) -> list[Prepared]:
        """Each task with the transfer that would do it, in order; ``replaceable`` as a transfer has it."""
        replicas: dict[BlockKey, list[BlockReplica]] = {}
        prepared = []
        for task in tasks:
            try:
                if task.block_key not in replicas:
                    replicas[task.block_key] = snapshot.replicas(block=task.block_key)
                prepared.append(self._prepare(task, replicas[task.block_key], failures, replaceable(task)))
            except (UnknownName, InvalidName) as error:
                prepared.append(Prepared(task, error=str(error)))
        return prepared

    def path(self, site: str, lfn: str) -> str:
        """Where a file lies at a site; "" if nowhere, or if the site is not known."""
        try:
            return pfn.path_of(self.sites[site].doors[0].rules, lfn) or "" if site in self.sites else ""
        except InvalidName:
            return ""

    def place(self, site: Site, lfn: str) -> Place:
        """Where a file lies at a site, through its first door; InvalidName if nowhere, or what opening it raises."""
        door = site.doors[0]
        path = pfn.path_of(door.rules, lfn)
        if path is None:
            raise InvalidName(f"the rules of {site.name} give no path for {lfn}", hint="see the site's PFN rules")
        return Place(site.name, self.driver(site), path, pfn.pfn_of(door.root, door.rules, lfn) or "")

    def driver(self, site: Site) -> StorageDriver:
        """The driver of a site's first door."""
        if site not in self._opened:
            if callable(self._drivers):
                self._opened[site] = self._drivers(site)
            elif site.name in self._drivers:
                self._opened[site] = self._drivers[site.name]
            else:
                raise OperatorError(f"there is no driver for site {site.name}")
        return self._opened[site]

    async def close(self) -> None:
        """Close what was opened for us, in the event loop that used it."""
        opened, self._opened = self._opened, {}
        if callable(self._drivers):
            for driver in opened.values():
                await driver.close()

    def _prepare(
        self,
        task: Task,
        replicas: list[BlockReplica],
        failures: Failures,
        replaceable: Callable[[], str] | None,
    ) -> Prepared:
        if any(replica.site == task.site and replica.holds(task.ordinal) for replica in replicas):
            return Prepared(task)
        # A driver that does not open is found by ``driver`` beforehand, for the whole site at once.
        destination = self.place(self.sites[task.site], task.lfn)
        recent = {source: number for (source, target), number in failures.items() if target == task.site}
        chosen = plan.sources(task.ordinal, replicas, self.sites, destination=task.site, failures=recent)
        places, faults = [], []
        for name in chosen:
            try:
                places.append(self.place(self.sites[name], task.lfn))
            except BrokenInvariant:
                raise
            except HoldfastError as error:
                faults.append(SourceFault(name, f"{name}: {error}", is_permanent=not error.retryable))
        transfer = Transfer(task.token, task.size, task.checksums, destination, tuple(places), replaceable)
        return Prepared(task, transfer, faults=tuple(faults))
