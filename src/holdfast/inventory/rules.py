"""Which changes the inventory accepts. Pure: a view of the state and a change in, an error or nothing out.

Every form of the inventory asks here before it applies a change, so that they
refuse the same things with the same words. The one rule that is kept by the
store itself, because only its index can, is that LFNs are unique.

Raises UnknownName for what is not there, BadInput for what can never be right,
Conflict, naming the rows, for what is not right now.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from holdfast.inventory import deletion, requirements
from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model import names, pfn, records
from holdfast.model.errors import BadInput, Conflict, UnknownName, unknown_name
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, BlockReplica, Evidence, Request, RequestState, SiteStatus

ROWS_SHOWN = 20

_PATTERN = re.compile(r"[A-Za-z0-9_.\-*?]+\Z")
"""Brackets, which the matching would take for sets of characters, are in no name of a site or group."""
INT64_MAX = 2**63 - 1
"""What a column of numbers can hold."""


def check_change(change: c.Change, view: Snapshot, *, now_us: int) -> None:
    """Raise unless ``change`` may follow on the state that ``view`` shows."""
    match change:
        case c.PutSite(site):
            _check_put_site(site, view)
        case c.RemoveSite(name):
            _check_remove_site(name, view)
        case c.PutGroup(group):
            names.group_name(group.name)
        case c.CreateDataset(dataset):
            _check_create(dataset, view)
        case c.UpdateDataset():
            _check_update(change, view)
        case c.RegisterFiles():
            _check_register(change, view)
        case c.RevealDataset():
            _check_reveal(change, view)
        case c.AbandonStaged(key):
            if view.dataset(key).is_visible:
                raise Conflict(f"dataset {key} is published and cannot be abandoned", rows=(str(key),))
        case c.RequestCopy(request):
            _check_copy(request, view)
        case c.RequestDeletion(request):
            _check_new_request(request, view)
            _check_some(request.orphans, f"deletion request {request.id}")
            deletion.refuse(view, request.site, [orphan.path for orphan in request.orphans], now_us=now_us)
        case c.CloseRequest():
            _check_close(change, view)
        case c.FilesArrived(block, site, ordinals):
            _check_moment(change.verified_us)
            _replica(view, block, site)
            _check_ordinals(_block(view, block), ordinals)
        case c.FilesGone():
            _check_gone(change, view)
        case c.FilesVerified(site, blocks):
            _check_moment(change.verified_us)
            view.site(site)
            for block in blocks:
                _replica(view, block, site)
        case c.PutLock(lock):
            _check_lock(lock, view)
        case c.RemoveLock(id):
            if all(lock.id != id for lock in view.locks()):
                raise UnknownName(f"there is no lock {id}")
        case c.SetPermissions(items):
            _check_permissions(items, view)
        case c.StartEpoch():
            raise BadInput("an epoch is started by restore only")
        case c.ConfirmRestore(epoch):
            if view.restored() is None:
                raise BadInput("nothing was restored here, so there is nothing to confirm")
            if epoch != view.head.epoch:
                raise Conflict(f"epoch {epoch} is not the present one", rows=(epoch,), hint="look again")


def already_registered(change: c.RegisterFiles, view: Snapshot) -> Conflict | None:
    """The error for LFNs that are taken, in the inventory or by another row of the same change; None if none is."""
    lfns = list(change.files.lfns())
    twice = {lfn for lfn, n_rows in Counter(lfns).items() if n_rows > 1}
    taken = sorted(twice | {record.lfn for record in view.lookup(lfns) if record is not None})
    if not taken:
        return None
    more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
    return Conflict(f"{taken[0]}{more}: already registered", rows=tuple(taken[:200]))


def _check_some(items: Sequence[object], what: str) -> None:
    if not items:
        raise BadInput(f"{what} asks for nothing")


def _check_moment(at_us: int | None) -> None:
    if at_us is not None and not 0 <= at_us <= INT64_MAX:
        raise BadInput(f"{at_us} is not a time in microseconds since 1970")


def _block(view: Snapshot, key: BlockKey) -> Block:
    for block in view.blocks(key.dataset):
        if block.key == key:
            return block
    raise unknown_name("block", str(key), (str(block.key) for block in view.blocks(key.dataset)))


def _replica(view: Snapshot, block: BlockKey, site: str) -> BlockReplica:
    view.site(site)
    for replica in view.replicas(block=block, site=site):
        return replica
    raise Conflict(f"block {block} has no replica at {site}", rows=(str(block),))


def _check_new_request(request: Request, view: Snapshot) -> None:
    names.label("request id", request.id)
    if request.state is not RequestState.OPEN:
        raise BadInput(f"request {request.id} is new and already {request.state.value}")
    if view.request(request.id) is not None:
        raise Conflict(f"there is already a request {request.id}", rows=(request.id,))


def _check_group(view: Snapshot, group: str) -> None:
    if group and group not in view.groups():
        raise UnknownName(f"there is no group {group!r}", hint="`holdfast group add` adds one")


def _check_ordinals(block: Block, ordinals: Iterable[int] | None) -> None:
    # Not by a FileSet: its size is that of the greatest ordinal, which anybody may have sent.
    if ordinals is not None and not all(0 <= ordinal < block.n_files for ordinal in ordinals):
        raise BadInput(f"block {block.key} has {block.n_files} files, and an ordinal is beyond them")


def _check_put_site(site: records.Site, view: Snapshot) -> None:
    records.check_site(site)
    known = next((each for each in view.sites() if each.name == site.name), site)
    going = [each.id for each in view.deletion_requests() if each.site == site.name]
    for other in view.sites():
        if other.name != site.name and any(one.overlaps(two) for one in site.doors for two in other.doors):
            # One file would be two replicas, and the files of one site the orphans of the other.
            message = f"the roots of {site.name} and {other.name} lie in one another"
            raise Conflict(message, rows=(other.name,), hint="give each site a root of its own")
    if known.doors != site.doors and going:
        # Their paths were found behind the present door; behind another they would be other files.
        message = f"site {site.name} has open deletions, so its doors cannot change"
        raise Conflict(message, rows=tuple(going[:ROWS_SHOWN]), hint="let them end first")


def _check_remove_site(name: str, view: Snapshot) -> None:
    view.site(name)
    held = view.replicas(site=name)
    if held:
        raise Conflict(f"site {name} still has {len(held)} block replicas", rows=(str(held[0].block),))
    requests: list[Request] = [*view.copy_requests(), *view.deletion_requests()]
    wanting = [each.id for each in requests if each.site == name]
    if wanting:
        raise Conflict(f"site {name} is wanted by open requests", rows=tuple(wanting[:ROWS_SHOWN]))
    stagings = ((each.key, each.staging) for each in view.datasets(staged=True))
    publishing = [str(key) for key, staging in stagings if staging is not None and staging.site == name]
    if publishing:
        raise Conflict(f"{publishing[0]} is being published from site {name}", rows=tuple(publishing[:ROWS_SHOWN]))


def _check_create(dataset: records.Dataset, view: Snapshot) -> None:
    records.check_dataset(dataset)
    if any(other.key == dataset.key for other in view.datasets(staged=True)):
        raise Conflict(f"there is already a dataset {dataset.key}", rows=(str(dataset.key),))
    if dataset.staging is not None:
        view.site(dataset.staging.site)
        names.directory(dataset.staging.directory)  # Else no path would lie below it, and none be safe.
        _check_no_deletion_below(view, dataset.staging)
    if dataset.is_open and dataset.key.version:
        raise BadInput(f"dataset {dataset.key} has a version and cannot be open")


def _check_update(change: c.UpdateDataset, view: Snapshot) -> None:
    dataset = view.dataset(change.dataset)
    if change.is_open and dataset.key.version:
        raise Conflict(f"dataset {dataset.key} is a published version and cannot be opened", rows=(str(dataset.key),))
    if change.required_copies is not None and change.required_copies < 1:
        raise BadInput(f"required_copies is {change.required_copies}", hint="1 or more")
    if change.metadata is not None:
        records.check_metadata(change.metadata)


def _check_register(change: c.RegisterFiles, view: Snapshot) -> None:
    key = change.block
    dataset = view.dataset(key.dataset)
    names.block_name(key.block)
    _check_some(change.files.names, f"registration in {key}")
    records.check_files(change.files)
    _check_group(view, change.group)
    if dataset.is_visible and not dataset.is_open:
        raise Conflict(f"dataset {dataset.key} is closed: its files cannot change", rows=(str(dataset.key),))
    block = next((block for block in view.blocks(key.dataset) if block.key == key), Block(key))
    if change.first_ordinal != block.n_files:
        raise Conflict(f"block {key} has {block.n_files} files, not {change.first_ordinal}", rows=(str(key),))
    if block.size + sum(change.files.sizes) > INT64_MAX:
        raise BadInput(f"block {key} would hold more than {INT64_MAX} bytes", hint="are the sizes right?")
    _check_moment(change.verified_us)
    if change.site:
        _check_no_deletion(view, change.site, change.files.lfns)
        _check_paths(view, view.site(change.site), change.files.lfns)


def _check_no_deletion(view: Snapshot, site: str, lfns: Callable[[], Iterable[str]]) -> None:
    """No open deletion at ``site`` of the paths of these files. ``lfns`` is called only if one is open."""
    rules = view.site(site).doors[0].rules
    going = {orphan.path for each in view.deletion_requests() if each.site == site for orphan in each.orphans}
    if going:
        hit = [lfn for lfn in lfns() if pfn.path_of(rules, lfn) in going]
        if hit:
            raise Conflict(
                f"{site}: {hit[0]} is being deleted", rows=tuple(hit[:ROWS_SHOWN]), hint="try again after the deletion"
            )


def _check_no_deletion_below(view: Snapshot, staging: records.Staging) -> None:
    """No open deletion in the directory that is going to be published: its reader may be too late to see it."""
    for request in view.deletion_requests():
        if request.site == staging.site:
            hit = [orphan.path for orphan in request.orphans if staging.covers(orphan.path)]
            if hit:
                raise Conflict(
                    f"{staging.site}: {hit[0]} is being deleted", rows=tuple(hit[:ROWS_SHOWN]), hint="try again later"
                )


def _check_paths(view: Snapshot, site: records.Site, lfns: Callable[[], Iterable[str]]) -> None:
    """No two files at one path of ``site``; ``lfns`` is called only if its rules allow that at all."""
    rules = site.doors[0].rules
    if pfn.is_one_to_one(rules):
        return
    owners: dict[str | None, str] = {}
    held = (lfn for replica in view.replicas(site=site.name) for lfn in view.files(replica.block).lfns())
    for lfn in (*lfns(), *held):
        path = pfn.path_of(rules, lfn)
        if path is not None and owners.setdefault(path, lfn) != lfn:
            message = f"{site.name}: its rules give {owners[path]} and {lfn} the same path {path}"
            raise Conflict(message, rows=(owners[path], lfn), hint="give the site rules that keep them apart")


def _check_reveal(change: c.RevealDataset, view: Snapshot) -> None:
    dataset = view.dataset(change.dataset)
    if dataset.staging is None:
        raise Conflict(f"dataset {dataset.key} is already published", rows=(str(dataset.key),))
    blocks = view.blocks(dataset.key)
    totals = (sum(block.n_files for block in blocks), sum(block.size for block in blocks))
    if totals != (change.n_files, change.size) or not change.n_files:
        raise Conflict(
            f"dataset {dataset.key} has {totals[0]} files of {totals[1]} bytes, not {change.n_files} of {change.size}",
            rows=(str(dataset.key),),
        )
    there = view.replicas(dataset=dataset.key, site=dataset.staging.site)
    lacking = {block.key for block in blocks} - {replica.block for replica in there if replica.is_complete}
    if lacking:
        raise Conflict(
            f"{dataset.staging.site} does not hold all of {dataset.key}", rows=tuple(map(str, sorted(lacking)))
        )


def _check_copy(request: records.CopyRequest, view: Snapshot) -> None:
    _check_new_request(request, view)
    _check_some(request.scope, f"copy request {request.id}")
    _check_group(view, request.group)
    if not view.dataset(request.dataset).is_visible:
        raise Conflict(f"dataset {request.dataset} is still being published", rows=(str(request.dataset),))
    site = view.site(request.site)
    if site.status is not SiteStatus.READY:
        raise Conflict(f"site {site.name} is {site.status.value}", rows=(site.name,))
    blocks = {block.key.block: block for block in view.blocks(request.dataset)}
    for part in request.scope:
        if part.block not in blocks:
            raise UnknownName(f"there is no block {BlockKey(request.dataset, part.block)}")
        _check_ordinals(blocks[part.block], part.ordinals)
    _check_no_deletion(view, site.name, lambda: _lfns_of(request, view))
    _check_paths(view, site, lambda: _lfns_of(request, view))


def _lfns_of(request: records.CopyRequest, view: Snapshot) -> Iterator[str]:
    for part in request.scope:
        files = view.files(BlockKey(request.dataset, part.block))
        yield from (files.lfn(row) for row in (range(len(files)) if part.ordinals is None else part.ordinals))


def _check_close(change: c.CloseRequest, view: Snapshot) -> None:
    state = requirements.request_of(view, change.id).state
    if change.state is RequestState.OPEN:
        raise BadInput(f"request {change.id} cannot be closed as open")
    if state not in (RequestState.OPEN, change.state):
        raise Conflict(f"request {change.id} is already {state.value}", rows=(change.id,))


def _check_gone(change: c.FilesGone, view: Snapshot) -> None:
    block = _block(view, change.block)
    _check_ordinals(block, change.ordinals)
    replica = _replica(view, change.block, change.site)
    if change.evidence is Evidence.HEARD:
        raise Conflict(f"{change.block} at {change.site}: hearsay is not evidence", hint="stat the files first")
    if change.evidence is Evidence.DECLARED:
        return
    gone = FileSet.of(change.ordinals) & replica.files(block.n_files)
    for other in view.replicas(block=change.block):
        if other.site != change.site:
            gone = gone - other.files(block.n_files)
    if gone:
        files = view.files(change.block)
        rows = tuple(files.lfn(ordinal) for ordinal in list(gone)[:ROWS_SHOWN])
        raise Conflict(
            f"{change.site} has the last known copy of {rows[0]}", rows=rows, hint="only a person may say so"
        )


def _check_lock(lock: records.Lock, view: Snapshot) -> None:
    names.label("lock id", lock.id)
    names.label("owner of a lock", lock.owner)
    for pattern in (lock.sites, lock.groups):
        if not _PATTERN.match(pattern):
            raise BadInput(
                f"{pattern!r} is not a pattern of names", hint="letters, digits, _ . - and the marks * and ?"
            )
    if (lock.dataset is None) == (not lock.lfn):
        raise BadInput("a lock is on a dataset, a block of it, or an LFN")
    if lock.lfn:
        names.lfn(lock.lfn)
    if lock.dataset is not None:
        view.dataset(lock.dataset)
        if lock.block:
            _block(view, BlockKey(lock.dataset, lock.block))


def _check_permissions(items: Sequence[records.Permission], view: Snapshot) -> None:
    _check_some(items, "a change of permissions")
    for item in items:
        names.directory(item.dir)
        if not 0 <= item.mode <= 0o7777:
            raise BadInput(f"{item.mode:#o} is not a mode", place=names.join(item.dir, item.name))
    lfns = [names.join(item.dir, item.name) for item in items if item.name]
    unknown = [lfn for lfn, record in zip(lfns, view.lookup(lfns), strict=True) if record is None]
    if unknown:
        raise UnknownName(f"there is no file {unknown[0]}")
