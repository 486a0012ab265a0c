"""Changes are data: what a transaction does to the inventory, and what it requires.

A ChangeSet is a list of typed changes with the requirements under which they
hold (``requirements``), who wants them and why. The journal keeps it, messages carry it, a
follower folds it into its image. Changes are applied in order; each is checked
against the state its predecessors left (``holdfast.inventory.rules``).

Rules
  * A change names everything it touches, so that its effect follows from it and
    the state before it alone: no clocks, no randomness, no database ids.
  * Changes that report an outcome are idempotent: the second delivery is
    accepted and alters nothing.
  * A proof (``verified_us``) is no later than the moment in which it is committed.
  * Bulk changes are columns, never a change per row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from holdfast.model.names import BlockKey, DatasetKey, join
from holdfast.model.records import (
    BlockFiles,
    CopyRequest,
    Dataset,
    DatasetStatus,
    DeletionRequest,
    Evidence,
    FileColumns,
    Group,
    Lock,
    Permission,
    Request,
    RequestState,
    Site,
)
from holdfast.model.requirements import Requirement

ROWS_MAX = 50_000
"""Most rows (files, ordinals, paths) in one change set."""
BYTES_MAX = 8_000_000
"""Most bytes of one encoded change set."""


@dataclass(frozen=True, slots=True)
class PutSite:
    """Add a site or replace its record.

    If its first door leads elsewhere then, nothing that it holds is proved any
    more. Earlier releases left the proofs, and wrote "put-site": so do such
    entries.
    """

    site: Site
    kind: Literal["put-site", "set-site"] = "set-site"


@dataclass(frozen=True, slots=True)
class RemoveSite:
    """Forget a site that holds no replica and is wanted by no open request."""

    name: str
    kind: Literal["remove-site"] = "remove-site"


@dataclass(frozen=True, slots=True)
class PutGroup:
    """Add a group; idempotent."""

    group: Group
    kind: Literal["put-group"] = "put-group"


@dataclass(frozen=True, slots=True)
class CreateDataset:
    """Add a dataset: at once, or unseen if its ``staging`` is set."""

    dataset: Dataset
    kind: Literal["create-dataset"] = "create-dataset"


@dataclass(frozen=True, slots=True)
class UpdateDataset:
    """Change the given fields of a dataset; None leaves one as it is."""

    dataset: DatasetKey
    status: DatasetStatus | None = None
    metadata: Mapping[str, Any] | None = None
    is_open: bool | None = None
    required_copies: int | None = None
    kind: Literal["update-dataset"] = "update-dataset"

    def of(self, before: Dataset) -> Dataset:
        """The dataset after this change."""
        given = {
            "status": self.status,
            "metadata": self.metadata,
            "is_open": self.is_open,
            "required_copies": self.required_copies,
        }
        return replace(before, **{field: value for field, value in given.items() if value is not None})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class RegisterFiles:
    """Add new files to a block, made if it is not there; ``site`` (or "" for none) holds them already.

    ``first_ordinal`` must be the block's present number of files. LFNs are
    unique over the whole inventory. ``verified_us``: when they were read whole
    and their checksums taken.
    """

    block: BlockKey
    first_ordinal: int
    files: FileColumns
    site: str = ""
    group: str = ""
    verified_us: int | None = None
    kind: Literal["register-files"] = "register-files"


@dataclass(frozen=True, slots=True)
class RevealDataset:
    """Make a staged dataset visible, complete and closed. ``n_files`` and ``size`` must be its totals."""

    dataset: DatasetKey
    n_files: int
    size: int
    kind: Literal["reveal-dataset"] = "reveal-dataset"


@dataclass(frozen=True, slots=True)
class AbandonStaged:
    """Forget a staged dataset with its blocks, files, owners, modes and replicas; what lies at the site stays."""

    dataset: DatasetKey
    kind: Literal["abandon-staged"] = "abandon-staged"


@dataclass(frozen=True, slots=True)
class RequestCopy:
    """Ask for a copy; makes the partial replicas that it will fill."""

    request: CopyRequest
    kind: Literal["request-copy"] = "request-copy"


@dataclass(frozen=True, slots=True)
class RequestDeletion:
    """Ask for the removal of orphans, empty directories or replicas.

    Passes the check of ``holdfast.inventory.deletion``.
    """

    request: DeletionRequest
    kind: Literal["request-deletion"] = "request-deletion"


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """The final outcome of a request.

    Of a copy, replicas at its site that hold nothing and that no other open
    copy names are forgotten with it; they stay if it was to ``replace`` what
    was there and was not cancelled. The first release did not forget them, and
    wrote "close-request": such entries leave all replicas as they are.
    """

    id: str
    state: RequestState
    detail: str = ""
    kind: Literal["close-request", "end-request"] = "end-request"


@dataclass(frozen=True, slots=True)
class ReduceRequest:
    """These files are not asked for any more, by a copy or a deletion of replicas; ordinals None: nothing of a block.

    What the request does not ask for is passed over. One that loses all that it
    has left is closed as cancelled, with ``reason`` as its detail.
    """

    id: str
    scope: tuple[BlockFiles, ...]
    reason: str = ""
    kind: Literal["reduce-request"] = "reduce-request"


@dataclass(frozen=True, slots=True)
class FilesDeleted:
    """The bytes of these files are gone from a site, as the open deletion ``request`` asked.

    They leave the replica and the scope of the request. What is in its scope no
    more is passed over, and so is all of a closed request. A replica that then
    holds nothing and that no open copy request names is forgotten.
    """

    block: BlockKey
    site: str
    ordinals: tuple[int, ...]
    request: str
    kind: Literal["files-deleted"] = "files-deleted"


@dataclass(frozen=True, slots=True)
class FilesArrived:
    """Files of a block are at a site, proved by checksum at ``verified_us``; ordinals None: all."""

    block: BlockKey
    site: str
    ordinals: tuple[int, ...] | None
    verified_us: int
    kind: Literal["files-arrived"] = "files-arrived"


@dataclass(frozen=True, slots=True)
class FilesGone:
    """Files of a block are not, or not rightly, at a site. Needs evidence and another copy of each.

    The bytes stay where they are, if there are any. Only DECLARED evidence may
    take the last copy that is known.
    """

    block: BlockKey
    site: str
    ordinals: tuple[int, ...]
    evidence: Evidence
    reason: str = ""
    kind: Literal["files-gone"] = "files-gone"


@dataclass(frozen=True, slots=True)
class FilesVerified:
    """Every file that these replicas hold was proved by checksum at ``verified_us``."""

    site: str
    blocks: tuple[BlockKey, ...]
    verified_us: int
    kind: Literal["files-verified"] = "files-verified"


@dataclass(frozen=True, slots=True)
class BlocksArrived:
    """These blocks are whole at a site: replicas that are not there are made, those that are there become complete.

    ``group`` and ``is_custodial`` are for replicas that are made; those that
    are there keep theirs. ``verified_us`` None: nobody has proved the files, as
    in an import from another catalogue.
    """

    site: str
    blocks: tuple[BlockKey, ...]
    group: str = ""
    verified_us: int | None = None
    is_custodial: bool = False
    kind: Literal["blocks-arrived"] = "blocks-arrived"


@dataclass(frozen=True, slots=True)
class RemoveReplicas:
    """Forget the replicas of these blocks at a site: what they held is not, or not rightly, there any more.

    Needs evidence and another copy of each file held, as FilesGone does. A
    block without a replica there alters nothing. The bytes stay where they are,
    if there are any.
    """

    site: str
    blocks: tuple[BlockKey, ...]
    evidence: Evidence
    reason: str = ""
    kind: Literal["remove-replicas"] = "remove-replicas"


@dataclass(frozen=True, slots=True)
class AssignReplicas:
    """Give the replicas of these blocks at a site to a group, make them custodial or not; None leaves it."""

    site: str
    blocks: tuple[BlockKey, ...]
    group: str | None = None
    is_custodial: bool | None = None
    kind: Literal["assign-replicas"] = "assign-replicas"


@dataclass(frozen=True, slots=True)
class RemoveFiles:
    """Forget files of an open dataset that no site holds and nobody awaits or has locked.

    The files behind them move up, so that ordinals are 0, 1, 2 ... again, here
    and in every replica; what is known of owners and modes of the files goes,
    too. A block without any file stays; so do its replicas, as complete ones
    without files.
    """

    block: BlockKey
    ordinals: tuple[int, ...]
    reason: str = ""
    kind: Literal["remove-files"] = "remove-files"


@dataclass(frozen=True, slots=True)
class RenameFiles:
    """New LFNs for files of an open dataset; what is known of owners and modes goes with them.

    ``dirs``, ``dir_index`` and ``names`` are columns as in FileColumns, a row
    for each of ``ordinals``. Where a file lies follows from its LFN: one that a
    site holds is renamed only if a person declares that it was moved there,
    too, and is then no longer proved there.
    """

    block: BlockKey
    ordinals: tuple[int, ...]
    dirs: tuple[str, ...]
    dir_index: tuple[int, ...]
    names: tuple[str, ...]
    evidence: Evidence = Evidence.HEARD
    reason: str = ""
    kind: Literal["rename-files"] = "rename-files"

    def places(self) -> list[tuple[str, str]]:
        """The new directory and name of each file, in the order of ``ordinals``."""
        return [(self.dirs[place], name) for place, name in zip(self.dir_index, self.names, strict=True)]

    def lfns(self) -> list[str]:
        """The new LFNs, in the order of ``ordinals``."""
        return [join(directory, name) for directory, name in self.places()]


@dataclass(frozen=True, slots=True)
class PutLock:
    """Add a lock or replace the one with the same id."""

    lock: Lock
    kind: Literal["put-lock"] = "put-lock"


@dataclass(frozen=True, slots=True)
class RemoveLock:
    """Lift a lock."""

    id: str
    kind: Literal["remove-lock"] = "remove-lock"


@dataclass(frozen=True, slots=True)
class SetPermissions:
    """Owner, group, mode and ACL of directories and files."""

    items: tuple[Permission, ...]
    kind: Literal["set-permissions"] = "set-permissions"


@dataclass(frozen=True, slots=True)
class StartEpoch:
    """Written by restore: our history goes on from an earlier point than some reader may have seen."""

    previous_epoch: str
    restored_position: int
    restored_digest: str
    kind: Literal["start-epoch"] = "start-epoch"


@dataclass(frozen=True, slots=True)
class ConfirmRestore:
    """A person says that all that was published after the restored backup is registered again, or may go.

    Until then the inventory calls nothing an orphan that may be deleted: it
    cannot know what it has forgotten.
    """

    epoch: str
    kind: Literal["confirm-restore"] = "confirm-restore"


Change = (
    PutSite
    | RemoveSite
    | PutGroup
    | CreateDataset
    | UpdateDataset
    | RegisterFiles
    | RevealDataset
    | AbandonStaged
    | RequestCopy
    | RequestDeletion
    | CloseRequest
    | ReduceRequest
    | FilesDeleted
    | FilesArrived
    | FilesGone
    | FilesVerified
    | BlocksArrived
    | RemoveReplicas
    | AssignReplicas
    | RemoveFiles
    | RenameFiles
    | PutLock
    | RemoveLock
    | SetPermissions
    | StartEpoch
    | ConfirmRestore
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change set came from, if not from here; it is never sent back there."""

    endpoint: str
    message_id: str


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """One transaction: changes, requirements, who and why."""

    changes: tuple[Change, ...]
    actor: str
    cause: str
    requirements: tuple[Requirement, ...] = ()
    origin: Origin | None = None


def rows(change: Change) -> int:
    """How many rows a change counts for against ROWS_MAX."""
    match change:
        case RegisterFiles():
            return len(change.files)
        case FilesArrived() | FilesGone() | FilesDeleted():
            return len(change.ordinals or ()) or 1
        case RequestCopy():
            return _named(change.request.scope)
        case ReduceRequest():
            return _named(change.scope)
        case RequestDeletion():
            return change.request.n_paths + _named(change.request.scope)
        case FilesVerified() | BlocksArrived() | RemoveReplicas() | AssignReplicas():
            return len(change.blocks) or 1
        case RemoveFiles() | RenameFiles():
            return len(change.ordinals) or 1
        case SetPermissions():
            return len(change.items)
        case _:
            return 1


def _named(scope: tuple[BlockFiles, ...]) -> int:
    return sum(len(part.ordinals or ()) or 1 for part in scope)


def touched(change: Change) -> tuple[frozenset[DatasetKey], frozenset[str]]:
    """The datasets and sites a change names; those of CloseRequest and ReduceRequest are their request's."""
    match change:
        case PutSite():
            return frozenset(), frozenset({change.site.name})
        case RemoveSite():
            return frozenset(), frozenset({change.name})
        case CreateDataset():
            return frozenset({change.dataset.key}), frozenset()
        case UpdateDataset() | RevealDataset() | AbandonStaged():
            return frozenset({change.dataset}), frozenset()
        case RegisterFiles() | FilesArrived() | FilesGone() | FilesDeleted():
            return frozenset({change.block.dataset}), frozenset({change.site} - {""})
        case RequestCopy() | RequestDeletion():
            return touched_by(change.request)
        case FilesVerified() | BlocksArrived() | RemoveReplicas() | AssignReplicas():
            return frozenset(block.dataset for block in change.blocks), frozenset({change.site})
        case RemoveFiles() | RenameFiles():
            return frozenset({change.block.dataset}), frozenset()
        case _:
            return frozenset(), frozenset()


def touched_by(request: Request) -> tuple[frozenset[DatasetKey], frozenset[str]]:
    """The datasets and sites of whatever becomes of a request."""
    return frozenset(() if request.dataset is None else (request.dataset,)), frozenset({request.site})
