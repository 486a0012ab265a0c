"""The end of a simulation: no more faults, and everything that can be put right has to come right.

What an operator would do is done, round after round: directories are healed,
sites opened, locks lifted, publications finished, all sites checked and repaired, copies
that had failed asked for again, requests that are held given up. Then nothing may be left that a good copy
exists for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, reduce
from operator import or_

from holdfast.consistency.history.states import Mode, State
from holdfast.inventory import deletion
from holdfast.inventory.store import Snapshot
from holdfast.model import names
from holdfast.model.changes import RemoveLock
from holdfast.model.fileset import FileSet
from holdfast.model.records import SiteStatus
from holdfast.operations import requests
from holdfast.operations.batch import BatchState
from holdfast.operations.batches.queue import Queue
from holdfast.operations.work import closing
from holdfast.storage import parts
from holdfast.testing.simulation.deeds import Deeds
from holdfast.testing.simulation.mending import ALL, IMPATIENT
from holdfast.testing.simulation.operating import ACTOR
from holdfast.testing.simulation.span import is_awaited
from holdfast.testing.simulation.world import ANCHOR, IGNORE_AGE_S, SITES, World

ROUNDS_MAX = 6
PATIENT_ROUNDS = 3
"""After so many the operator gives up copies that are held, and lets new ones replace what is in their way."""


def settle(deeds: Deeds, do: Callable[[str, Callable[[], str]], None]) -> Iterator[str]:
    """Put everything right, by deeds that ``do`` carries out and checks; whatever is found wrong on the way."""
    world = deeds.world
    world.unmounted.clear()
    for site in SITES:
        world.failing[site].clear()
        world.set_status(site, SiteStatus.READY)
        deeds.say(site, state=State.READY, mode=Mode.ACT)
    with world.store.snapshot() as view:
        locks = [lock.id for lock in view.locks() if lock.lfn != ANCHOR]
    world.commit(*(RemoveLock(id) for id in locks))
    do("release", deeds.release)
    for number in range(ROUNDS_MAX):
        do("carry", deeds.carry)
        with world.store.snapshot() as view:
            yield from refused_for_nothing(world, view)
        if number >= PATIENT_ROUNDS:
            do("give up", lambda: _give_up(deeds))
        for source in [each for each in world.sources if not each.is_published]:
            do("publish", lambda source=source: deeds.publish_one(source))  # type: ignore[misc]
        # Nobody is writing any more, and what is young grows old.
        world.clock.pass_time(3 * IGNORE_AGE_S)
        for site in SITES:
            do("check", lambda site=site: deeds.check_one(site, with_checksums=True))  # type: ignore[misc]
            do("act", lambda site=site: deeds.act_on(site, ALL, IMPATIENT))  # type: ignore[misc]
        do("carry", deeds.carry)
        with world.store.snapshot() as view:
            lacking = sorted({(each.block.dataset, each.site) for each in view.replicas() if not each.is_complete})
        for key, site in lacking:
            ask = partial(deeds.ask_copy_of, key, site, may_replace=number >= PATIENT_ROUNDS)
            do("ask copy", ask)
        do("carry", deeds.carry)
        with world.store.snapshot() as view:
            if not any(True for _ in unfinished(world, view)):
                return


def _give_up(deeds: Deeds) -> str:
    """Cancel the copies that are held, and the deletions that people have asked for."""
    with deeds.world.store.snapshot() as view:
        asked = [each.id for each in view.copy_requests()]
        asked += [each.id for each in view.deletion_requests() if each.dataset is not None]
    held = [id for id in asked if _is_held(deeds.world, id)]
    for id in held:
        requests.cancel(deeds.world.store, id, reason="simulated", actor=ACTOR)
    return ", ".join(held) or "nothing"


def refused_for_nothing(world: World, view: Snapshot) -> Iterator[str]:
    """Deletions of replicas that are still refused, though nothing is against them and good copies are elsewhere."""
    with Queue(world.store).read() as connection:
        refused = [batch for batch in Queue.held(connection) if batch.held.is_refused]
    for batch in refused:
        asked = view.request(batch.request.id)
        if asked is None:
            continue
        at = {"now_us": world.clock(), "asked_us": asked.created_us}
        against = deletion.replica_obstacles(view, batch.site, batch.block_key, batch.files, **at)
        free = batch.files - reduce(or_, (each.files for each in against), FileSet())
        for lfn in view.files(batch.block_key).chosen([*free]).lfns():
            others = [site for site in SITES if site != batch.site and lfn in world.held(view, site)]
            if others and all(world.is_right(site, lfn) for site in others):
                yield f"end: the deletion {asked.id} of {lfn} at {batch.site} is refused, and nothing stands against it"


def unfinished(world: World, view: Snapshot) -> Iterator[str]:
    """What is not right though it could be."""
    ids = [each.id for each in view.copy_requests()] + [each.id for each in view.deletion_requests()]
    yield from (f"end: request {id} is still open" for id in ids if not _is_held(world, id))
    for site in SITES:
        awaited = {replica.block for replica in view.replicas(site=site)}
        held = world.held(view, site)
        for lfn, record in zip(world.content, view.lookup(list(world.content)), strict=True):
            if record is None or record.block not in awaited or not _has_good_copy(world, view, lfn):
                continue
            if not world.is_right(site, lfn):
                yield f"end: {lfn} is not right at {site}, and a good copy exists"
            elif lfn not in held:
                yield f"end: {lfn} is right at {site}, and the inventory does not know it"


def _has_good_copy(world: World, view: Snapshot, lfn: str) -> bool:
    """Whether a good copy lies where the inventory looks for one."""
    return any(world.is_right(site, lfn) and is_awaited(view, site, lfn) for site in SITES)


def _is_held(world: World, id: str) -> bool:
    """Whether a request waits for somebody, with a reason: all that is left of it is held."""
    queue = Queue(world.store)
    known = queue.find(id)
    if known is None or not known.is_planned:
        return False
    counts = queue.counts(known)
    problems = [batch for batch in queue.problems(known, 100) if batch.state is BatchState.HELD]
    return counts.files(BatchState.HELD) == closing.n_undone(counts) > 0 and all(each.error for each in problems)


def left_behind(world: World) -> int:
    """Temporary parts that nobody will remove any more."""
    return sum(parts.is_part_name(names.split(path)[1]) for site in SITES for path in world.files(site))


def lost(world: World) -> int:
    """Files of which people have broken the last copy."""
    return sum(not any(world.is_right(site, lfn) for site in SITES) for lfn in world.content)
