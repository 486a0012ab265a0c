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
from collections.abc import Sequence

from holdfast.inventory import checks, file_rules, replica_rules, request_rules
from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model import names, record_checks, records
from holdfast.model.door_space import overlap
from holdfast.model.errors import BadInput, Conflict, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, Evidence

_PATTERN = re.compile(r"[A-Za-z0-9_.\-*?]+\Z")
"""Brackets, which the matching would take for sets of characters, are in no name of a site or group."""


def check_change(change: c.Change, view: Snapshot, *, now_us: int) -> None:
    """Raise unless ``change`` may follow on the state that ``view`` shows."""
    match change:
        case c.PutSite():
            _check_put_site(change, view)
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
        case c.RequestCopy() | c.RequestDeletion() | c.CloseRequest() | c.ReduceRequest() | c.FilesDeleted():
            request_rules.check(change, view, now_us=now_us)
        case c.FilesArrived(block, site, ordinals):
            checks.moment(change.verified_us)
            checks.replica(view, block, site)
            checks.ordinals(checks.block(view, block), ordinals)
            part = records.BlockFiles(block.block, ordinals)
            checks.no_deletion(view, site, lambda: checks.lfns_of(view, block.dataset, (part,)))
        case c.FilesGone():
            _check_gone(change, view)
        case c.FilesVerified():
            replica_rules.check_verified(change, view)
        case c.BlocksArrived():
            replica_rules.check_arrived(change, view)
        case c.RemoveReplicas():
            replica_rules.check_removed(change, view, now_us=now_us)
        case c.AssignReplicas():
            replica_rules.check_assigned(change, view, now_us=now_us)
        case c.RemoveFiles():
            file_rules.check_removed(change, view, now_us=now_us)
        case c.RenameFiles():
            file_rules.check_renamed(change, view, now_us=now_us)
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
    return checks.already_registered(taken) if taken else None


def _check_put_site(change: c.PutSite, view: Snapshot) -> None:
    site = change.site
    record_checks.check_site(site)
    known = next((each for each in view.sites() if each.name == site.name), None)
    if known is None or known.doors != site.doors:
        _check_apart(site, view)
    if known is not None and known.first_door != site.first_door:
        _check_at_rest(change, view)


def _check_apart(site: records.Site, view: Snapshot) -> None:
    """No root lies in that of another site: one file would be two replicas, and the files of one the other's orphans.

    Sites of which that was not seen when they were made can still be taken out of service.
    """
    for other in view.sites():
        if other.name != site.name and any(overlap(one, two) for one in site.doors for two in other.doors):
            message = f"the roots of {site.name} and {other.name} lie in one another"
            raise Conflict(message, rows=(other.name,), hint="give each site a root of its own")


def _check_at_rest(change: c.PutSite, view: Snapshot) -> None:
    """Nothing is deleted at the site, brought to it or published from there, that would be elsewhere in the end.

    What is brought from there to others is proved where it arrives.
    """
    name = change.site.name
    under_way = {"open deletions": [each.id for each in view.deletion_requests(site=name)]}
    if change.kind != "put-site":  # Earlier releases looked at deletions only.
        under_way["open copies to it"] = [each.id for each in view.copy_requests(site=name)]
        under_way["datasets that are being published from it"] = _published_from(name, view)
    for what, rows in under_way.items():
        if rows:
            message = f"site {name} has {what}, so its first door cannot change"
            raise Conflict(message, rows=tuple(rows[: checks.ROWS_SHOWN]), hint="let them end, or cancel them first")


def _published_from(name: str, view: Snapshot) -> list[str]:
    """The datasets that are being published from a site."""
    stagings = ((each.key, each.staging) for each in view.datasets(staged=True))
    return [str(key) for key, staging in stagings if staging is not None and staging.site == name]


def _check_remove_site(name: str, view: Snapshot) -> None:
    view.site(name)
    held = view.replicas(site=name)
    if held:
        raise Conflict(f"site {name} still has {len(held)} block replicas", rows=(str(held[0].block),))
    requests: list[records.Request] = [*view.copy_requests(site=name), *view.deletion_requests(site=name)]
    wanting = [each.id for each in requests]
    if wanting:
        raise Conflict(f"site {name} is wanted by open requests", rows=tuple(wanting[: checks.ROWS_SHOWN]))
    publishing = _published_from(name, view)
    if publishing:
        raise Conflict(
            f"{publishing[0]} is being published from site {name}", rows=tuple(publishing[: checks.ROWS_SHOWN])
        )


def _check_create(dataset: records.Dataset, view: Snapshot) -> None:
    record_checks.check_dataset(dataset)
    if dataset.key in view.find_datasets((dataset.key,)):
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
        record_checks.check_metadata(change.metadata)


def _check_register(change: c.RegisterFiles, view: Snapshot) -> None:
    key = change.block
    dataset = view.dataset(key.dataset)
    names.block_name(key.block)
    checks.some(change.files.names, f"registration in {key}")
    record_checks.check_files(change.files)
    checks.group(view, change.group)
    if dataset.is_visible and not dataset.is_open:
        raise Conflict(f"dataset {dataset.key} is closed: its files cannot change", rows=(str(dataset.key),))
    block = view.find_blocks((key,)).get(key, Block(key))
    if change.first_ordinal != block.n_files:
        raise Conflict(f"block {key} has {block.n_files} files, not {change.first_ordinal}", rows=(str(key),))
    if block.size + sum(change.files.sizes) > checks.INT64_MAX:
        raise BadInput(f"block {key} would hold more than {checks.INT64_MAX} bytes", hint="are the sizes right?")
    checks.moment(change.verified_us)
    if change.site:
        checks.no_deletion(view, change.site, change.files.lfns)
        checks.not_condemned(view, change.site, (key,), only_whole=True)
        checks.paths(view, view.site(change.site), change.files.lfns)


def _check_no_deletion_below(view: Snapshot, staging: records.Staging) -> None:
    """No open deletion in the directory that is going to be published: its reader may be too late to see it."""
    for request in view.deletion_requests(site=staging.site):
        hit = [orphan.path for orphan in request.orphans if staging.covers(orphan.path)]
        if hit:
            raise Conflict(
                f"{staging.site}: {hit[0]} is being deleted",
                rows=tuple(hit[: checks.ROWS_SHOWN]),
                hint="try again later",
            )


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


def _check_gone(change: c.FilesGone, view: Snapshot) -> None:
    block = checks.block(view, change.block)
    checks.ordinals(block, change.ordinals)
    replica = checks.replica(view, change.block, change.site)
    if change.evidence not in (Evidence.STATED, Evidence.DECLARED):
        raise Conflict(f"{change.block} at {change.site}: hearsay is not evidence", hint="stat the files first")
    if change.evidence is Evidence.DECLARED:
        return
    gone = FileSet.of(change.ordinals) & replica.files(block.n_files)
    others = [other for other in view.replicas(block=change.block) if other.site != change.site]
    lost = replica_rules.only_here(gone, block, others)
    if lost:
        raise replica_rules.last_copy(view, change.block, change.site, lost)


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
            checks.block(view, BlockKey(lock.dataset, lock.block))


def _check_permissions(items: Sequence[records.Permission], view: Snapshot) -> None:
    checks.some(items, "a change of permissions")
    for item in items:
        names.directory(item.dir)
        if not 0 <= item.mode <= 0o7777:
            raise BadInput(f"{item.mode:#o} is not a mode", place=names.join(item.dir, item.name))
    lfns = [names.join(item.dir, item.name) for item in items if item.name]
    unknown = [lfn for lfn, record in zip(lfns, view.lookup(lfns), strict=True) if record is None]
    if unknown:
        raise UnknownName(f"there is no file {unknown[0]}")
