"""Ask for copies and for deletions: one inventory transaction each, nothing done yet.

The inventory's rules decide what may be asked (``holdfast.inventory.rules``);
here scopes are put in order, askers who want the same are joined, and what was
asked to the opposite is taken back (``opposites``).

Rules
  * What is asked for is whole files of one dataset, or paths at one site.
  * Asking again for what an open request covers joins that request; copies only
    if both say the same about replacing. It stays as it is: who asks for another
    priority, deadline or owner is told of that.
  * Asking for what is so already changes nothing.
  * One request fits one change set: a part of its scope for each whole block,
    so that no dataset is too big for one.
  * Whoever asks a site to lose very much has to say that it is meant (``brake``).
  * A dry run goes through the whole transaction, which is then undone.

Raises UnknownName, Conflict and BadInput of the inventory's rules; then
nothing was asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from holdfast.inventory.dry_run import Also
from holdfast.inventory.store import Snapshot, Store
from holdfast.model import steps
from holdfast.model.changes import ROWS_MAX, Change, FilesGone, RequestCopy, RequestDeletion
from holdfast.model.clock import Clock, show_time
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    PRIORITY_USUAL,
    BlockFiles,
    CopyRequest,
    DeletionRequest,
    EmptyDirectory,
    Evidence,
    Orphan,
)
from holdfast.model.requirements import DatasetUnchanged, Requirement
from holdfast.operations.requesting.asking import Asked, Asker
from holdfast.operations.requesting.brake import BrakeLimits
from holdfast.operations.requesting.copy_asking import CopyAsking
from holdfast.operations.requesting.deletion_asking import DeletionAsking
from holdfast.operations.requesting.ending import cancel as cancel

NewId = Callable[[], str]


def random_id() -> str:
    """A new identifier, also fit for naming temporary parts."""
    return uuid.uuid4().hex


def user_of(actor: str) -> str:
    """On whose account ``user@host`` acts."""
    return actor.partition("@")[0]


def request_copy(
    store: Store,
    dataset: DatasetKey,
    to_site: str,
    *,
    scope: Sequence[BlockFiles] | None = None,
    reason: str,
    actor: str,
    clock: Clock,
    group: str = "",
    may_replace: bool = False,
    owner: str | None = None,
    priority: int = PRIORITY_USUAL,
    deadline_us: int | None = None,
    may_wait: bool = True,
    dry_run: bool = False,
    new_id: NewId = random_id,
) -> Asked[CopyRequest]:
    """Ask for files of a dataset at a site, all of them if ``scope`` is None.

    ``owner`` None: the actor's user. If the site holds everything already, and
    nothing of it is to go, nothing is written. A site in the waitroom gets them
    once it is ready; Conflict, unless they ``may_wait`` for that. A dry run
    returns the request that would have been made.
    """
    now_us = clock()
    if deadline_us is not None and deadline_us <= now_us:
        raise BadInput(f"the deadline {show_time(deadline_us)} is past", hint=f"now is {show_time(now_us)}")
    if not may_wait:
        _require_ready(store, to_site)
    wanted = CopyRequest(
        new_id(),
        dataset,
        to_site,
        (),
        reason,
        group,
        created_us=now_us,
        replace=may_replace,
        owner=user_of(actor) if owner is None else owner,
        priority=priority,
        deadline_us=deadline_us,
    )
    asker = Asker(store, actor, dry_run)
    copying = CopyAsking(asker, wanted, scope)
    asked = asker.until_still(dataset, copying.look, copying.ask)
    steps.reach("copy.requested")
    return asked


def request_replacement(
    store: Store,
    dataset: DatasetKey,
    site: str,
    look: Callable[[Snapshot], Mapping[BlockKey, tuple[int, ...]]],
    *,
    reason: str,
    actor: str,
    also: Callable[[str], Also],
    requirements: Sequence[Requirement] = (),
    dry_run: bool = False,
    new_id: NewId = random_id,
) -> CopyRequest | None:
    """Say that files of a dataset are gone from a site, or wrong there, as was just seen, and ask for good copies.

    ``look`` says which, by ordinals in blocks; it is called again, with another snapshot, if the dataset has changed
    meanwhile. What lies in their places may be replaced. ``also``, called with the id of the request, says what is
    written into the asking room's own tables in the same transaction; a dry run undoes that, too. None if there was
    nothing to ask for. Conflict if the dataset keeps changing, or one of the ``requirements`` does not hold.
    """
    asker = Asker(store, actor, dry_run)

    def ask(files: Mapping[BlockKey, tuple[int, ...]], unchanged: DatasetUnchanged) -> CopyRequest | None:
        if not files:
            return None
        changes: list[Change] = [
            FilesGone(block, site, ordinals, Evidence.STATED, reason) for block, ordinals in files.items()
        ]
        scope = tuple(BlockFiles(block.block, ordinals) for block, ordinals in files.items())
        request = CopyRequest(new_id(), dataset, site, scope, reason, owner=user_of(actor), replace=True)
        changes.append(RequestCopy(request))
        asker.commit(changes, cause=reason, requirements=(unchanged, *requirements), also=(also(request.id),))
        return request

    return asker.until_still(dataset, look, ask)


def _require_ready(store: Store, name: str) -> None:
    with store.snapshot() as snapshot:
        site = snapshot.site(name)
    if not site.is_ready:
        hint = f"`holdfast site set {name} --status ready` lets it be used; with --no-wait the copy waits for that"
        raise Conflict(f"site {name} is {site.status.value}", rows=(name,), hint=hint)


def request_replica_deletion(
    store: Store,
    dataset: DatasetKey,
    site: str,
    *,
    scope: Sequence[BlockFiles] | None = None,
    reason: str,
    actor: str,
    clock: Clock,
    owner: str | None = None,
    priority: int = PRIORITY_USUAL,
    limits: BrakeLimits | None = None,
    dry_run: bool = False,
    new_id: NewId = random_id,
) -> Asked[DeletionRequest]:
    """Ask that a site loses files of a dataset, all of them if ``scope`` is None.

    ``owner`` None: the actor's user. ``limits`` of the site's brake; None:
    somebody has said that it is meant. If the site holds nothing of it, no more
    is done than that copies to there are given up. Conflict names what must stay.
    """
    wanted = DeletionRequest(
        new_id(),
        site,
        reason=reason,
        created_us=clock(),
        dataset=dataset,
        owner=user_of(actor) if owner is None else owner,
        priority=priority,
    )
    asker = Asker(store, actor, dry_run)
    deleting = DeletionAsking(asker, wanted, dataset, scope, limits)
    asked = asker.until_still(dataset, deleting.look, deleting.ask)
    steps.reach("deletion.requested")
    return asked


def request_deletion(
    store: Store,
    site: str,
    orphans: Sequence[Orphan],
    *,
    reason: str,
    actor: str,
    clock: Clock,
    into: str = "",
    directories: Sequence[EmptyDirectory] = (),
    also: Also | None = None,
    requirements: Sequence[Requirement] = (),
    dry_run: bool = False,
    new_id: NewId = random_id,
) -> DeletionRequest:
    """Ask that orphans are deleted, or moved ``into`` a day of the quarantine, and that empty directories go.

    A request moves, or it removes directories, not both. ``also`` writes into
    the asking room's own tables, in the same transaction; a dry run undoes that,
    too. Conflict names the paths that must stay, or what of the ``requirements``
    does not hold.
    """
    request = DeletionRequest(
        new_id(),
        site,
        tuple(orphans),
        reason=reason,
        created_us=clock(),
        owner=user_of(actor),
        into=into,
        directories=tuple(sorted(directories, key=_depth, reverse=True)),
    )
    if request.n_paths > ROWS_MAX:
        raise BadInput(f"{request.n_paths} files in one deletion request", hint=f"at most {ROWS_MAX}")
    asker = Asker(store, actor, dry_run)
    written = () if also is None else (also,)
    head = asker.commit((RequestDeletion(request),), cause=reason, requirements=requirements, also=written)
    return request if head is None else replace(request, created_us=head.at_us)


def _depth(directory: EmptyDirectory) -> tuple[int, str]:
    """What a directory is sorted by: the deepest last."""
    return directory.path.count("/"), directory.path
