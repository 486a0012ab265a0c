"""The end of a simulation: no more faults, and everything that can be put right has to come right.

What an operator would do is done, round after round: directories are healed,
sites opened, locks lifted, publications finished, all sites checked and repaired, copies
that had failed asked for again. Then nothing may be left that a good copy
exists for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from holdfast.inventory.store import Snapshot
from holdfast.model import names
from holdfast.model.changes import RemoveLock
from holdfast.model.records import SiteStatus
from holdfast.storage import parts
from holdfast.testing.simulation.deeds import Deeds
from holdfast.testing.simulation.world import ANCHOR, SITES, World

ROUNDS_MAX = 6


def settle(deeds: Deeds, do: Callable[[str, Callable[[], str]], None]) -> None:
    """Put everything right, by deeds that ``do`` carries out and checks."""
    world = deeds.world
    world.unmounted.clear()
    for site in SITES:
        world.failing[site].clear()
        world.set_status(site, SiteStatus.READY)
    with world.store.snapshot() as view:
        locks = [lock.id for lock in view.locks() if lock.lfn != ANCHOR]
    world.commit(*(RemoveLock(id) for id in locks))
    for _ in range(ROUNDS_MAX):
        do("carry copies", deeds.carry_copies)
        do("carry deletions", deeds.carry_deletions)
        for source in [each for each in world.sources if not each.is_published]:
            do("publish", lambda source=source: deeds.publish_one(source))  # type: ignore[misc]
        for site in SITES:
            do("check", lambda site=site: deeds.check_one(site, with_checksums=True))  # type: ignore[misc]
            do("repair", lambda site=site: deeds.repair_one(site))  # type: ignore[misc]
            do("delete orphans", lambda site=site: deeds.delete_orphans_of(site))  # type: ignore[misc]
        do("carry copies", deeds.carry_copies)
        do("carry deletions", deeds.carry_deletions)
        with world.store.snapshot() as view:
            partial = sorted({(each.block.dataset, each.site) for each in view.replicas() if not each.is_complete})
        for key, site in partial:
            do("ask copy", lambda key=key, site=site: deeds.ask_copy_of(key, site))  # type: ignore[misc]
        do("carry copies", deeds.carry_copies)
        with world.store.snapshot() as view:
            if not any(True for _ in unfinished(world, view)):
                return


def unfinished(world: World, view: Snapshot) -> Iterator[str]:
    """What is not right though it could be."""
    ids = [each.id for each in view.copy_requests()] + [each.id for each in view.deletion_requests()]
    yield from (f"end: request {id} is still open" for id in ids)
    for site in SITES:
        awaited = {replica.block for replica in view.replicas(site=site)}
        held = world.held(view, site)
        for lfn, record in zip(world.content, view.lookup(list(world.content)), strict=True):
            if record is None or record.block not in awaited or not any(world.is_right(other, lfn) for other in SITES):
                continue
            if not world.is_right(site, lfn):
                yield f"end: {lfn} is not right at {site}, and a good copy exists"
            elif lfn not in held:
                yield f"end: {lfn} is right at {site}, and the inventory does not know it"


def left_behind(world: World) -> int:
    """Temporary parts that nobody will remove any more."""
    return sum(parts.is_part_name(names.split(path)[1]) for site in SITES for path in world.files(site))


def lost(world: World) -> int:
    """Files of which people have broken the last copy."""
    return sum(not any(world.is_right(site, lfn) for site in SITES) for lfn in world.content)
