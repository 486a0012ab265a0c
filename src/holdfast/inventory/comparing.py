"""What two forms of the inventory say differently. Pure: two snapshots in, the names of what differs out.

Block by block, so that two inventories of many millions of files are compared
without holding a second copy of either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from holdfast.inventory.store import Snapshot
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import FileColumns

About = tuple[str, str]
Difference = tuple[str, About | None]
"""What differs, and the dataset or site that it is about."""

_WHOLE: tuple[tuple[str, Callable[[Snapshot], object]], ...] = (
    ("head", lambda view: view.head),
    ("restored", lambda view: view.restored()),
    ("groups", lambda view: view.groups()),
    ("locks", lambda view: view.locks()),
    ("permissions", lambda view: view.permissions()),
    ("copy requests", lambda view: view.copy_requests(only_open=False)),
    ("deletion requests", lambda view: view.deletion_requests(only_open=False)),
)


def differences(first: Snapshot, second: Snapshot) -> Iterator[str]:
    """What two snapshots say differently, a line each; nothing if they are equal.

    Checksums are compared by the algorithms that both keep.
    """
    for what, _ in differing(first, second):
        yield what


def differing(
    first: Snapshot, second: Snapshot, *, also: Callable[[BlockKey, FileColumns], bool] = lambda _key, _files: False
) -> Iterator[Difference]:
    """The same, with the dataset or site that each difference is about; ``also``: what else may differ of a block."""
    for what, ask in _WHOLE:
        if ask(first) != ask(second):
            yield what, None
    sites = [{site.name: site for site in view.sites()} for view in (first, second)]
    for name in sorted({*sites[0], *sites[1]}):
        if sites[0].get(name) != sites[1].get(name):
            yield f"site {name}", ("site", name)
    datasets = [{dataset.key: dataset for dataset in view.datasets(staged=True)} for view in (first, second)]
    for key in sorted({*datasets[0], *datasets[1]}):
        if datasets[0].get(key) != datasets[1].get(key):
            yield f"dataset {key}", _dataset(key)
    for key in sorted({*datasets[0]} & {*datasets[1]}):
        yield from _differing_blocks(first, second, key, also)


def _differing_blocks(
    first: Snapshot, second: Snapshot, key: DatasetKey, also: Callable[[BlockKey, FileColumns], bool]
) -> Iterator[Difference]:
    digests = first.digests & second.digests
    if first.replicas(dataset=key) != second.replicas(dataset=key):
        yield f"replicas of {key}", _dataset(key)
    blocks = first.blocks(key)
    if blocks != second.blocks(key):
        yield f"blocks of {key}", _dataset(key)
        return
    for block in blocks:
        files = second.files(block.key)
        if first.files(block.key).with_digests(digests) != files.with_digests(digests):
            yield f"files of {block.key}", _dataset(key)
        if also(block.key, files):
            yield f"checksums of {block.key}", _dataset(key)


def last_touches(first: Snapshot, second: Snapshot) -> Iterator[tuple[str, str, int | None, int | None]]:
    """Kind and name of what two snapshots say was touched last at different positions, with both."""
    ours, theirs = _touched(first), _touched(second)
    for item in sorted({*ours, *theirs}):
        if ours.get(item) != theirs.get(item):
            yield *item, ours.get(item), theirs.get(item)


def _touched(view: Snapshot) -> dict[About, int]:
    datasets, sites = view.last_touched()
    return {
        **{_dataset(key): position for key, position in datasets.items()},
        **{("site", name): position for name, position in sites.items()},
    }


def _dataset(key: DatasetKey) -> About:
    return "dataset", str(key)
