"""Places in reports of checks, held to what is true: which directories are empty, and which could not be seen into.

A directory is judged as it was before the deed and as it is after it; of a check that began in an earlier deed, or that
faults disturbed, only what it says is judged, and not what it leaves out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from holdfast.consistency.classes import UNSEEN, Class
from holdfast.inventory.store import Snapshot
from holdfast.model import names, quarantine
from holdfast.testing.simulation.checking import Checked
from holdfast.testing.simulation.effects import SECOND_NS
from holdfast.testing.simulation.world import AREA, IGNORE_AGE_S, VOLUME, World


def check_places(world: World, before: Snapshot, view: Snapshot, checked: Checked) -> Iterator[str]:
    """S4: the directories that one check calls empty or unseen, and those that it leaves out."""
    site, is_whole = checked.report.site, checked.is_calm and not checked.is_resumed
    there = world.folders[site] | set(world.trees[site].directories())
    failing = world.failing[site] & there
    said = {each.path for each in checked.findings if each.cls is Class.EMPTY_DIRECTORY}
    if not checked.is_resumed:
        full = _above(world.files(site)) & _above(world.mirror[site])
        wanted = _above(
            world.path(site, lfn) for lfn in world.held(before, site).keys() & world.held(view, site).keys()
        )
        for path in sorted(said):
            if path in full or path not in there:
                yield f"S4: the check calls {site}:{path} an empty directory, and it is none"
            elif path in wanted:
                yield f"S4: the check calls {site}:{path} an empty directory, in which files should be"
            elif any(_is_within(path, each) or _is_within(each, path) for each in failing):
                yield f"S4: the check calls {site}:{path} an empty directory, and could not see into it"
    if is_whole:
        for each in checked.findings:
            if each.cls in UNSEEN and not any(_is_within(each.path, place) for place in failing):
                yield f"S4: the check calls {site}:{each.path} {each.cls.value}, and it can be seen into"
        yield from _left_out(world, before, view, checked, said)


def _left_out(world: World, before: Snapshot, view: Snapshot, checked: Checked, said: Collection[str]) -> Iterator[str]:
    """Directories that are empty and old, and about which the check says nothing."""
    site, tree = checked.report.site, world.trees[checked.report.site]
    youngest_ns = world.clock.now_us * 1000 - 2 * IGNORE_AGE_S * SECOND_NS
    area = world.path(site, AREA)
    stagings = [each.staging for each in (*before.datasets(staged=True), *view.datasets(staged=True))]
    near = [each.directory for each in stagings if each is not None and each.site == site]
    near += [each.path for each in checked.findings if each.block is not None]
    near += world.failing[site] & {*tree.directories()}
    stays = _above(world.files(site)) | _above(near) | {"/", *_above([f"{VOLUME[site]}/any"])}
    # Each stays that has one in it which does.
    for path in sorted(tree.directories(), reverse=True):
        is_left_alone = quarantine.is_quarantined(path) or _is_within(path, area) or path == quarantine.QUARANTINE
        is_near = any(_is_within(path, each) for each in near)
        if path in stays or is_left_alone or is_near or tree.find(path).mtime_ns > youngest_ns:
            stays |= {path, *_above([path])}
        elif path not in said:
            yield f"S4: {site}:{path} is an empty directory, and the check does not say so"


def _above(paths: Iterable[str]) -> set[str]:
    """The directories that some paths lie in, however deep."""
    found = set[str]()
    for path in paths:
        while path != "/" and (path := names.split(path)[0]) not in found:
            found.add(path)
    return found


def _is_within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place.rstrip('/')}/")
