"""Directories, judged: one goes only if our side has emptied it, or was asked to and nothing is awaited in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from holdfast.model import names
from holdfast.storage import parts
from holdfast.testing.simulation.span import Span
from holdfast.testing.simulation.world import SITES, World


def check_folders(world: World, span: Span, *, is_deleting: bool) -> Iterator[str]:
    """S5: the directories that have gone in this deed."""
    for site in SITES:
        gone = world.folders[site] - set(world.trees[site].directories())
        if gone:
            yield from _judge(world, site, sorted(gone), span, is_deleting=is_deleting)


def _judge(world: World, site: str, gone: Collection[str], span: Span, *, is_deleting: bool) -> Iterator[str]:
    requests = [each for each in span.before.deletion_requests() if each.site == site]
    asked = {each.path for request in requests for each in request.directories}
    # What a deletion has emptied may go with all that is empty above it.
    files = [each.path for request in requests for each in request.orphans]
    files += [world.path(site, lfn) for at, lfn in span.doomed if at == site]
    held = [world.path(site, lfn) for lfn in world.held(span.after, site)]
    for path in gone:
        is_emptied = any(each.startswith(f"{path}/") for each in files)
        place = f"the directory {site}:{path}"
        if not is_deleting or not (is_emptied or path in asked):
            yield f"S5: {place} went, which nobody asked for or was to empty"
        elif not is_emptied and any(each.startswith(f"{path}/") for each in held):
            yield f"S5: {place} went, and the inventory has files in it"
        yield from (f"S5: {place} went with {each}" for each in _unasked(world, site, path, files))


def _unasked(world: World, site: str, directory: str, files: Collection[str]) -> Iterator[str]:
    """Files right in a directory, as it was before, that nobody asked to go. Workers take parts away by themselves."""
    for path in world.mirror[site]:
        above, name = names.split(path)
        if above == directory and path not in files and not parts.is_part_name(name):
            yield path
