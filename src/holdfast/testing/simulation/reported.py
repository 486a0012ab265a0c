"""Reports of checks, held to what is true of the files: what a check says is so, and nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.inventory.store import Snapshot
from holdfast.model import quarantine
from holdfast.testing.memory_tree import Node
from holdfast.testing.simulation.checking import Checked
from holdfast.testing.simulation.effects import SECOND_NS
from holdfast.testing.simulation.span import doomed_files, is_wanted
from holdfast.testing.simulation.world import AREA, IGNORE_AGE_S, World


def check_report(world: World, before: Snapshot, view: Snapshot, site: str, checked: Checked) -> Iterator[str]:
    """S4: what a check says is so, or was since it began; and if nothing disturbed it, it says all."""
    tree = world.files(site)
    truth = _truth(world, view, site, tree)
    looks = world.meanwhile.pop(site, [])
    earlier = [_truth(world, before, site, tree)]  # What was found may have been acted on in this very deed.
    earlier += [_truth(world, view, site, each) for each in (looks if checked.is_resumed else ())]
    expected = _expected(world, view, site)
    hidden = tuple(f"{directory}/" for directory in world.failing[site])
    found: dict[Class, set[str]] = {cls: set() for cls in truth}
    for finding in checked.findings:
        if finding.cls in truth:
            found[finding.cls].add(finding.path)
            was_so = any(finding.path in each[finding.cls] for each in (truth, *earlier))
            if checked.is_resumed and finding.cls is Class.CHECKSUM_MISMATCH:
                # It had the right size when it was listed, and was read later.
                was_so |= any(finding.path in each[Class.SIZE_MISMATCH] for each in (truth, *earlier))
            yield from _judge_finding(finding, () if checked.is_resumed else hidden, site, is_so=was_so)
    if not checked.is_calm or checked.is_resumed:
        return
    # Whether a file that is to go has gone already is no matter, nor what is wrong with one that may be in the writing.
    excused = {world.path(site, lfn) for at, lfn in doomed_files(view) if at == site}
    excused |= {path for path in expected.keys() & tree.keys() if _was_written_lately(world, tree[path])}
    for cls in (
        Class.MISSING,
        Class.SIZE_MISMATCH,
        *([Class.CHECKSUM_MISMATCH] if checked.report.with_checksums else []),
    ):
        lacking = sorted(path for path in truth[cls] - found[cls] - excused if not path.startswith(hidden))
        yield from (f"S4: {site}:{path} is {cls.value}, and the check does not say so" for path in lacking)
    orphans = truth[Class.ORPHAN] & earlier[0][Class.ORPHAN]
    left_out = (
        orphans - found[Class.ORPHAN] - {path for path in orphans if _is_left_alone(world, site, path, tree[path])}
    )
    lacking = sorted(path for path in left_out if not path.startswith(hidden))
    yield from (f"S4: {site}:{path} is an old orphan, and the check does not say so" for path in lacking)


def _expected(world: World, view: Snapshot, site: str) -> dict[str, int]:
    """The paths at which the inventory says that there are files, with their sizes."""
    visible = {dataset.key for dataset in view.datasets()}
    return {world.path(site, lfn): size for lfn, (key, size) in world.held(view, site).items() if key in visible}


def _truth(world: World, view: Snapshot, site: str, tree: Mapping[str, Node]) -> dict[Class, set[str]]:
    """The paths that are really in each class, if a storage looks like that."""
    expected = _expected(world, view, site)
    truth: dict[Class, set[str]] = {
        Class.MISSING: {path for path in expected if path not in tree},
        Class.SIZE_MISMATCH: {path for path, size in expected.items() if path in tree and len(tree[path].data) != size},
    }
    truth[Class.CHECKSUM_MISMATCH] = {
        path for path in expected.keys() & tree.keys() if tree[path].data != world.content[world.lfn(site, path)]
    } - truth[Class.SIZE_MISMATCH]
    truth[Class.ORPHAN] = {path for path in tree.keys() - expected.keys() if not _is_wanted(world, view, site, path)}
    return truth


def _judge_finding(finding: Finding, hidden: tuple[str, ...], site: str, *, is_so: bool) -> Iterator[str]:
    if not is_so:
        yield f"S4: the check calls {site}:{finding.path} {finding.cls.value}, and it is not"
    elif hidden and finding.path.startswith(hidden):
        yield f"S4: the check calls {site}:{finding.path} {finding.cls.value}, in a directory that cannot be listed"


def _is_left_alone(world: World, site: str, path: str, node: Node) -> bool:
    """Whether a check says nothing of a file that nobody knows: it is young, or others see to it."""
    came_ns = max(node.mtime_ns, node.changed_ns or 0)
    is_young = came_ns > world.clock.now_us * 1000 - 2 * IGNORE_AGE_S * SECOND_NS
    is_elsewhere = quarantine.is_quarantined(path) or path.startswith(f"{world.path(site, AREA)}/")
    return is_young or is_elsewhere


def _was_written_lately(world: World, node: Node) -> bool:
    """Whether a check may take a file for one that somebody is writing: it looked at the clock a little earlier."""
    return node.mtime_ns > world.clock.now_us * 1000 - 2 * IGNORE_AGE_S * SECOND_NS


def _is_wanted(world: World, view: Snapshot, site: str, path: str) -> bool:
    """Whether a file is no orphan. An old part is one: whoever wrote it has died."""
    stagings = [each.staging for each in view.datasets(staged=True) if each.staging is not None]
    return is_wanted(view, site, world.lfn(site, path)) or any(
        each.site == site and path.startswith(f"{each.directory}/") for each in stagings
    )
