"""What must not be refused: at the end, undisturbed, what may be is had back, purged, declared lost and cleaned.

Everywhere else a refusal is an outcome like any other; without this, a command that always refuses would break no rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from holdfast.consistency.classes import MAY_BE_LACKING, UNSEEN, WRONG
from holdfast.consistency.confirmation import Confirmation
from holdfast.consistency.gates import GateSettings
from holdfast.consistency.mending import losses
from holdfast.consistency.mending.losses import Hope
from holdfast.inventory.store import Snapshot
from holdfast.model import quarantine
from holdfast.testing.simulation.deeds import Deeds
from holdfast.testing.simulation.gated import judge_gates
from holdfast.testing.simulation.looks import Looks
from holdfast.testing.simulation.mending import Said
from holdfast.testing.simulation.world import AREA, DAY_S, SITES, WEEK_NS

Do = Callable[[str, Callable[[], str]], None]
LEFTOVER = b"no file of a dataset is as long as this one, so that it cannot be one that is lacking anywhere"
_DAYS_MORE = 1.1
"""A day of quarantine counts from its end."""


def last_deeds(deeds: Deeds, looks: Looks, do: Do) -> Iterator[str]:
    """Do each of them where there is anything to do it with; whatever has not come of it is a violation."""
    yield from _put_in_order(deeds, looks, do)
    yield from _clean(deeds, SITES[0], do)


def _put_in_order(deeds: Deeds, looks: Looks, do: Do) -> Iterator[str]:
    lying = [place for place in deeds.lying() if _may_come_back(deeds, *place)]
    if lying:
        site, path = lying[0]
        do("have back", lambda: deeds.restore_one(site, path))
        if quarantine.original(path) not in deeds.world.files(site):
            yield f"end: {site}:{path} was to come back, and does not"
    if not deeds.lying() and not any(checked.has(*WRONG) for checked in deeds.checked.values()):
        return
    days = max(settings.quarantine_days for settings in deeds.world.settings.values())
    deeds.world.clock.pass_time((days + _DAYS_MORE) * DAY_S)
    for site in SITES:
        # A check that shows far more than the one before begins anew with what is missing.
        for _ in range(2 if deeds.checked[site].has(*WRONG) else 1):
            do("check", lambda site=site: deeds.check_one(site, with_checksums=True))  # type: ignore[misc]
        yield from _purge(deeds, site, do)
        yield from _declare(deeds, site, looks, do)


def _clean(deeds: Deeds, site: str, do: Do) -> Iterator[str]:
    """In the production area what is old goes, and what is young stays; so much is needed that no limit is met."""
    world = deeds.world
    area = world.path(site, AREA)
    old, young, needed = (f"{area}/last/{name}" for name in ("old", "young", "needed"))
    world.protected[site].add(needed)
    n_there = sum(path.startswith(f"{area}/") for path in world.files(site))
    stays = {young, *(f"{needed}/{number}" for number in range(n_there + 1))}
    for path in (old, *sorted(stays)):
        world.put(site, path, LEFTOVER, age_ns=0 if path == young else WEEK_NS)
    world.look()
    do("clean area", lambda: deeds.clean_area_at(site))
    do("carry", deeds.carry)
    left = {old, *stays} & world.files(site).keys()
    if left != stays:
        yield f"end: in the area of {site} {sorted(stays)} were to stay, and {sorted(left)} have"


def _may_come_back(deeds: Deeds, site: str, path: str) -> bool:
    """Whether nothing lies where it was, nor above, and nobody has asked for anything else about it."""
    original = quarantine.original(path)
    files = deeds.world.files(site)
    if original is None or any(each == original or original.startswith(f"{each}/") for each in files):
        return False
    with deeds.world.store.snapshot() as view:
        asked = {orphan.path for each in view.deletion_requests() for orphan in each.orphans if each.site == site}
    return not asked & {path, original} and original not in deeds.world.trees[site].directories()


def _purge(deeds: Deeds, site: str, do: Do) -> Iterator[str]:
    with deeds.world.store.snapshot() as view:
        may_go = [path for at, path in deeds.lying() if at == site and _nobody_knows(deeds, view, site, path)]
    if not may_go or _lacks_anything(deeds, site):
        return
    # One that has died is gone on with first, with its old listing.
    for _ in range(2):
        do("purge", lambda: deeds.purge_one(site, is_again=True))
        do("carry", deeds.carry)
    left = sorted(set(may_go) & deeds.world.files(site).keys())
    yield from (f"end: {site}:{path} was to be purged, and lies there yet" for path in left)


def _nobody_knows(deeds: Deeds, view: Snapshot, site: str, path: str) -> bool:
    lfn = deeds.world.lfn(site, quarantine.original(path) or "")
    return not lfn or view.lookup([lfn])[0] is None


def _lacks_anything(deeds: Deeds, site: str) -> bool:
    """Whether anything in quarantine may be a file that the site lacks."""
    found = deeds.checked[site].findings
    with deeds.world.store.snapshot() as view:
        is_partial = any(not replica.is_complete for replica in view.replicas(site=site))
    return is_partial or any(
        each.cls in UNSEEN or (each.cls in MAY_BE_LACKING and each.block is not None) for each in found
    )


def _declare(deeds: Deeds, site: str, looks: Looks, do: Do) -> Iterator[str]:
    """What two checks have found lost is declared so, if the site does not lack too much."""
    world, checked = deeds.world, deeds.checked[site]
    settings = GateSettings.of(world.settings[site])
    classes = [cls for cls in WRONG if checked.has(cls)]
    said = Said(settings, WRONG, is_declaring=True)
    if not classes or any(judge_gates(checked.report, said, classes, looks.reports_before(checked.report))):
        return
    needed = Confirmation(world.settings[site].lost_runs)
    with world.store.snapshot() as view:
        gone = [each.finding for each in losses.losses(view, site, checked.findings) if each.hope is Hope.NONE]
    lost = [
        each.lfn for each in gone if not any(looks.judge(site, each.cls, each.path, needed, now_us=world.clock.now_us))
    ]
    if not lost:
        return
    do("declare lost", lambda: deeds.declare_lost_at(site))
    with world.store.snapshot() as view:
        left = sorted(set(lost) & world.held(view, site).keys())
    yield from (f"end: {lfn} was to be declared lost at {site}, and is not" for lfn in left)
