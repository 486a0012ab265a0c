"""What becomes of a request, and of the replicas that it awaits, when it is reduced, closed or done in part. Pure.

Shared by every form the inventory has, so that they cannot disagree.

Rules
  * What a request does not ask for is passed over, and so is all of a closed one.
  * The last file that is taken back closes the request as cancelled; the last one that is deleted does not.
  * A wish that is given up leaves nothing behind: replicas that hold nothing
    and that no open copy names are forgotten with it. They stay where a repair,
    which may replace what was there, has ended without bringing all: what the
    site lost is still wanted there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, BlockReplica, CopyRequest, DeletionRequest, Request, RequestState


def after(change: c.CloseRequest | c.ReduceRequest, request: Request, view: Snapshot) -> Request:
    """``request`` as it is once it was closed or reduced; the very same if that alters nothing."""
    if request.state is not RequestState.OPEN:
        return request
    if isinstance(change, c.CloseRequest):
        return replace(request, state=change.state, detail=change.detail)
    if request.dataset is None:
        return request
    asked = {part.block for part in request.scope}
    parts = [part for part in change.scope if part.block in asked]
    n_files = _n_files(request.dataset, (part.block for part in parts), view)
    going: dict[str, FileSet] = {}
    for part in parts:
        going[part.block] = going.get(part.block, FileSet()) | part.files(n_files[part.block])
    scope = _without(request.scope, going, n_files)
    if scope is request.scope:
        return request
    if not scope:
        return replace(request, scope=(), state=RequestState.CANCELLED, detail=change.reason)
    return replace(request, scope=scope)


def deleted(request: Request, change: c.FilesDeleted, view: Snapshot) -> tuple[FileSet, Request]:
    """The files that have gone because ``request`` asked for it, and the request without them."""
    block = change.block.block
    is_asked = isinstance(request, DeletionRequest) and any(part.block == block for part in request.scope)
    if request.state is not RequestState.OPEN or not is_asked:
        return FileSet(), request
    n_files = _n_files(change.block.dataset, (block,), view)
    asked = FileSet()
    for part in request.scope:
        if part.block == block:
            asked = asked | part.files(n_files[block])
    gone = asked & FileSet.of(change.ordinals)
    return gone, replace(request, scope=_without(request.scope, {block: gone}, n_files)) if gone else request


def left_empty(
    change: c.CloseRequest | c.ReduceRequest, before: Request, now: Request, view: Snapshot
) -> tuple[BlockKey, ...]:
    """The blocks whose replicas at the request's site are forgotten; ``view`` shows the request as it is ``now``."""
    if not isinstance(before, CopyRequest) or change.kind == "close-request":
        return ()
    if before.replace and now.state in (RequestState.DONE, RequestState.FAILED):
        return ()
    kept = {part.block for part in now.scope} if now.state is RequestState.OPEN else set()
    keys = tuple({BlockKey(before.dataset, part.block): None for part in before.scope if part.block not in kept})
    return needless(view.find_replicas(keys, before.site).values(), view)


def needless(replicas: Iterable[BlockReplica], view: Snapshot) -> tuple[BlockKey, ...]:
    """Of replicas of one dataset at one site, the blocks of those that hold nothing and that no open copy names."""
    # A replica of a block without files is complete, and stays.
    empty = [replica for replica in replicas if replica.held is not None and not replica.held]
    if not empty:
        return ()
    requests = view.copy_requests(dataset=empty[0].block.dataset, site=empty[0].site)
    awaited = {part.block for request in requests for part in request.scope}
    return tuple(replica.block for replica in empty if replica.block.block not in awaited)


def touched(change: c.Change, view: Snapshot) -> tuple[frozenset[DatasetKey], frozenset[str]]:
    """The datasets and sites that a change is about, also where it names no more than a request."""
    if not isinstance(change, c.CloseRequest | c.ReduceRequest):
        return c.touched(change)
    request = view.request(change.id)
    return (frozenset(), frozenset()) if request is None else c.touched_by(request)


def _n_files(dataset: DatasetKey, blocks: Iterable[str], view: Snapshot) -> dict[str, int]:
    keys = tuple({BlockKey(dataset, block): None for block in blocks})
    return {key.block: block.n_files for key, block in view.find_blocks(keys).items()}


def _without(
    scope: tuple[BlockFiles, ...], going: Mapping[str, FileSet], n_files: Mapping[str, int]
) -> tuple[BlockFiles, ...]:
    """``scope`` without some files; the very same if it names none of them. Parts of other blocks stay as they are."""
    asked: dict[str, FileSet] = {}
    for part in scope:
        if part.block in going:
            asked[part.block] = asked.get(part.block, FileSet()) | part.files(n_files[part.block])
    left = {block: files - going[block] for block, files in asked.items() if files & going[block]}
    if not left:
        return scope
    parts: dict[str | int, BlockFiles] = {}
    for place, part in enumerate(scope):
        if part.block not in left:
            parts[place] = part
        elif left[part.block]:
            parts.setdefault(part.block, BlockFiles(part.block, tuple(left[part.block])))
    return tuple(parts.values())
