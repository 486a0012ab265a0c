"""Which changes of registered files the inventory accepts: removal and new names. Part of ``rules``.

Both are for datasets that are open; what is published keeps its files and their
names for ever, what is staged is abandoned whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from holdfast.inventory import checks
from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import BlockFiles, BlockReplica, Evidence


def check_removed(change: c.RemoveFiles, view: Snapshot, *, now_us: int) -> None:
    """Files that nobody has, awaits or has locked."""
    key = change.block
    checks.some(change.ordinals, f"a removal of files of {key}")
    checks.open_dataset(view, key.dataset)
    block = checks.block(view, key)
    checks.ordinals(block, change.ordinals)
    gone = FileSet.of(change.ordinals)
    held = FileSet()
    for replica in view.replicas(block=key):
        held = held | (replica.files(block.n_files) & gone)
    lfns = view.files(key).chosen(list(gone)).lfns()
    if held:
        rows = tuple(lfn for lfn, ordinal in zip(lfns, gone, strict=True) if ordinal in held)[: checks.ROWS_SHOWN]
        raise Conflict(f"{rows[0]} is held by a site", rows=rows, hint="say first that it is gone from there")
    # Whatever part of the block is asked for: the request names files by ordinals, which will be others.
    _refuse_asked_for(view, key, None)
    _refuse_locked(view, key, tuple(lfns), now_us)


def check_renamed(change: c.RenameFiles, view: Snapshot, *, now_us: int) -> None:
    """New LFNs that are free, for files that nobody awaits or has locked; for held ones if a person says so."""
    key = change.block
    checks.some(change.ordinals, f"a renaming of files of {key}")
    checks.open_dataset(view, key.dataset)
    checks.ordinals(checks.block(view, key), change.ordinals)
    if len(set(change.ordinals)) != len(change.ordinals) or len(change.names) != len(change.ordinals):
        raise BadInput(f"a renaming of files of {key} needs one new name for each of them")
    checks.places(change.dirs, change.dir_index, change.names)
    old = tuple(view.files(key).chosen(change.ordinals).lfns())
    new = change.lfns()
    twice = sorted(lfn for lfn, n_rows in Counter(new).items() if n_rows > 1)
    if twice:
        raise BadInput(f"two files cannot both become {twice[0]}")
    checks.free_lfns(view, new)
    replicas = view.replicas(block=key)
    _refuse_held(change, old, replicas)
    _refuse_asked_for(view, key, change.ordinals)
    _refuse_locked(view, key, old, now_us)
    for site in sorted({request.site for request in view.deletion_requests()}):
        checks.no_deletion(view, site, lambda: (*old, *new))
    for replica in replicas:
        checks.paths(view, view.site(replica.site), lambda: new)


def _refuse_held(change: c.RenameFiles, lfns: Sequence[str], replicas: Collection[BlockReplica]) -> None:
    if change.evidence is Evidence.DECLARED:
        return
    for replica in replicas:
        rows = tuple(lfn for lfn, ordinal in zip(lfns, change.ordinals, strict=True) if replica.holds(ordinal))
        if rows:
            message = f"{rows[0]} is held by {replica.site}, where it would have to be moved"
            hint = "only a person may say that it was"
            raise Conflict(message, rows=rows[: checks.ROWS_SHOWN], hint=hint)


def _refuse_asked_for(view: Snapshot, key: BlockKey, ordinals: Collection[int] | None) -> None:
    """Conflict if an open request names one of these files of the block; None: any of it."""
    copies = [each for each in view.copy_requests(dataset=key.dataset) if _names(each.scope, key, ordinals)]
    deletions = [each for each in view.deletion_requests(dataset=key.dataset) if _names(each.scope, key, ordinals)]
    rows = (*(each.id for each in copies), *(each.id for each in deletions))[: checks.ROWS_SHOWN]
    hint = "let the request end, or cancel it"
    if copies:
        message = f"files of {key} are awaited at {copies[0].site}, by request {copies[0].id}"
        raise Conflict(message, rows=rows, hint=hint)
    if deletions:
        message = f"files of {key} are being deleted at {deletions[0].site}, by request {deletions[0].id}"
        raise Conflict(message, rows=rows, hint=hint)


def _names(scope: Iterable[BlockFiles], key: BlockKey, ordinals: Collection[int] | None) -> bool:
    return any(
        part.block == key.block
        and (ordinals is None or part.ordinals is None or not set(ordinals).isdisjoint(part.ordinals))
        for part in scope
    )


def _refuse_locked(view: Snapshot, key: BlockKey, lfns: Collection[str], now_us: int) -> None:
    locked = set(lfns)
    for lock in view.locks():
        on_block = lock.dataset == key.dataset and lock.block in ("", key.block)
        if (on_block or lock.lfn in locked) and lock.in_force(now_us):  # Whatever site or group it is for.
            raise checks.refuse_locked(lock, lock.item)
