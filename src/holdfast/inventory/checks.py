"""What several rules ask of the state before a change. Pure: a view in, what was asked for or an error out.

Raises UnknownName for what is not there, BadInput for what can never be right,
Conflict, naming the rows, for what is not right now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from holdfast.inventory.store import Snapshot
from holdfast.model import names, pfn, records
from holdfast.model.errors import BadInput, Conflict, InvalidName, UnknownName, unknown_name
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Block, BlockFiles, BlockReplica, Lock

ROWS_SHOWN = 20
"""How many rows a Conflict names."""
INT64_MAX = 2**63 - 1
"""What a column of numbers can hold."""


def some(items: Sequence[object], what: str) -> None:
    """BadInput unless there are any."""
    if not items:
        raise BadInput(f"{what} asks for nothing")


def moment(at_us: int | None) -> None:
    """BadInput unless this is a time, or none."""
    if at_us is not None and not 0 <= at_us <= INT64_MAX:
        raise BadInput(f"{at_us} is not a time in microseconds since 1970")


def group(view: Snapshot, name: str) -> None:
    """UnknownName unless there is this group; "" is nobody."""
    if name and name not in view.groups():
        raise UnknownName(f"there is no group {name!r}", hint="`holdfast group add` adds one")


def block(view: Snapshot, key: BlockKey) -> Block:
    """One block."""
    return known_blocks(view, (key,))[key]


def known_blocks(view: Snapshot, keys: Collection[BlockKey]) -> Mapping[BlockKey, Block]:
    """Many blocks, if all of them are there."""
    found = view.find_blocks(keys)
    there = found.keys()
    lacking = next((key for key in keys if key not in there), None)
    if lacking is not None:
        raise unknown_name("block", str(lacking), (str(each.key) for each in view.blocks(lacking.dataset)))
    return found


def replica(view: Snapshot, key: BlockKey, site: str) -> BlockReplica:
    """The replica of one block at a site."""
    return replicas(view, (key,), site)[key]


def replicas(view: Snapshot, keys: Collection[BlockKey], site: str) -> Mapping[BlockKey, BlockReplica]:
    """The replicas of many blocks at a site, if all of them have one there."""
    view.site(site)
    found = view.find_replicas(keys, site)
    there = found.keys()
    lacking = [key for key in keys if key not in there]
    if lacking:
        known_blocks(view, lacking)
        more = f", nor have {len(lacking) - 1} more" if len(lacking) > 1 else ""
        message = f"block {lacking[0]} has no replica at {site}{more}"
        raise Conflict(message, rows=tuple(map(str, lacking[:ROWS_SHOWN])))
    return found


def ordinals(of: Block, given: Iterable[int] | None) -> None:
    """BadInput if one of ``given`` is beyond the files of the block; None: all of them."""
    # Not by a FileSet: its size is that of the greatest ordinal, which anybody may have sent.
    if given is not None and not all(0 <= ordinal < of.n_files for ordinal in given):
        raise BadInput(f"block {of.key} has {of.n_files} files, and an ordinal is beyond them")


def open_dataset(view: Snapshot, key: DatasetKey) -> None:
    """Conflict unless the files of this dataset may change."""
    dataset = view.dataset(key)
    if not dataset.is_visible:
        message = f"dataset {key} is still being published"
        raise Conflict(message, rows=(str(key),), hint="it can be abandoned whole")
    if not dataset.is_open:
        raise Conflict(f"dataset {key} is closed: its files cannot change", rows=(str(key),))


def no_deletion(view: Snapshot, site: str, lfns: Callable[[], Iterable[str]]) -> None:
    """No open deletion at ``site`` of the paths of these files. ``lfns`` is called only if one is open."""
    rules = view.site(site).first_door.rules
    going = {orphan.path for each in view.deletion_requests(site=site) for orphan in each.orphans}
    if going:
        hit = [lfn for lfn in lfns() if _path_or_none(rules, lfn) in going]
        if hit:
            raise Conflict(
                f"{site}: {hit[0]} is being deleted", rows=tuple(hit[:ROWS_SHOWN]), hint="try again after the deletion"
            )


def not_condemned(view: Snapshot, site: str, blocks: Collection[BlockKey], *, only_whole: bool = False) -> None:
    """No open deletion of replicas at ``site`` names files of these blocks; ``only_whole``: names all files of one."""
    wanted = set(blocks)
    for request in view.deletion_requests(site=site):
        if request.dataset is None:
            continue
        for part in request.scope:
            key = BlockKey(request.dataset, part.block)
            if key in wanted and (part.ordinals is None or not only_whole):
                message = f"{site}: files of {key} are being deleted, by request {request.id}"
                raise Conflict(message, rows=(str(key),), hint="let the deletion end, or cancel it")


def _path_or_none(rules: pfn.PfnRules, lfn: str) -> str | None:
    """The path, None for a file that can have none: it may be registered from before the site had these rules."""
    try:
        return pfn.path_of(rules, lfn)
    except InvalidName:
        return None


def paths(
    view: Snapshot, site: records.Site, lfns: Callable[[], Iterable[str]], *, are_registered: bool = False
) -> None:
    """Valid paths for these files at ``site``, and no two files at one; InvalidName, Conflict.

    ``lfns`` is called only if the site's rules, and the length of what is registered, allow anything else at all.
    """
    rules = site.first_door.rules
    added = pfn.bytes_added(rules)
    if added == 0:
        return
    if added is not None:
        if are_registered and view.longest_directory() + 1 + names.COMPONENT_BYTES_MAX + added <= names.LFN_BYTES_MAX:
            return
        for lfn in lfns():
            if 4 * len(lfn) + added > names.LFN_BYTES_MAX:
                pfn.path_of(rules, lfn)
        return
    owners: dict[str | None, str] = {}
    new = ((lfn, pfn.path_of(rules, lfn)) for lfn in lfns())
    held = (lfn for replica in view.replicas(site=site.name) for lfn in view.files(replica.block).lfns())
    for lfn, path in chain(new, ((lfn, _path_or_none(rules, lfn)) for lfn in held)):
        if path is not None and owners.setdefault(path, lfn) != lfn:
            message = f"{site.name}: its rules give {owners[path]} and {lfn} the same path {path}"
            raise Conflict(message, rows=(owners[path], lfn), hint="give the site rules that keep them apart")


def lfns_of(view: Snapshot, dataset: DatasetKey, parts: Iterable[BlockFiles]) -> Iterator[str]:
    """The LFNs of some files of a dataset."""
    for part in parts:
        files = view.files(BlockKey(dataset, part.block))
        yield from files.lfns() if part.ordinals is None else (files.lfn(row) for row in part.ordinals)


def refuse_locked(lock: Lock, what: str) -> Conflict:
    """The error for what a lock keeps."""
    return Conflict(f"{what} is locked by {lock.owner} ({lock.id})", rows=(lock.id,), hint="lift the lock first")


def free_lfns(view: Snapshot, lfns: Sequence[str]) -> None:
    """Conflict if one of these LFNs is taken."""
    taken = sorted(record.lfn for record in view.lookup(lfns) if record is not None)
    if taken:
        raise already_registered(taken)


def already_registered(taken: Sequence[str]) -> Conflict:
    """The error for LFNs that are taken."""
    more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
    return Conflict(f"{taken[0]}{more}: already registered", rows=tuple(taken[:200]))


def places(dirs: Sequence[str], dir_index: Sequence[int], file_names: Sequence[str]) -> None:
    """Errors of names if these columns cannot be directories and names of files."""
    if len(dir_index) != len(file_names):
        raise BadInput(f"column dir_index has {len(dir_index)} rows, names has {len(file_names)}")
    if dir_index and not 0 <= min(dir_index) <= max(dir_index) < len(dirs):
        raise BadInput("dir_index points outside dirs")
    names.check_files(dirs, dir_index, file_names)
