"""Which changes of requests the inventory accepts: made, reduced, carried out in part, closed. Part of ``rules``.

A copy of files that are condemned at its destination is accepted: whoever asks
for it takes back, in the same change set, what of that deletion nobody has
claimed, and what somebody has claimed is deleted first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from holdfast.inventory import checks, deletion
from holdfast.inventory.store import Snapshot
from holdfast.model import changes as c
from holdfast.model import names, quarantine
from holdfast.model.errors import BadInput, Conflict, UnknownName
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    PRIORITY_LEAST,
    PRIORITY_MOST,
    Block,
    BlockFiles,
    CopyRequest,
    DeletionRequest,
    Request,
    RequestState,
    SiteStatus,
)

LFNS_SHOWN = 200
"""How many LFNs a Conflict names."""


Change = c.RequestCopy | c.RequestDeletion | c.CloseRequest | c.ReduceRequest | c.FilesDeleted


def check(change: Change, view: Snapshot, *, now_us: int) -> None:
    """Raise unless ``change`` may follow on the state that ``view`` shows."""
    match change:
        case c.RequestCopy(request):
            _check_copy(request, view)
        case c.RequestDeletion(request):
            _check_deletion(request, view, now_us=now_us)
        case c.ReduceRequest():
            _check_reduced(change, view)
        case c.FilesDeleted():
            _check_deleted(change, view)
        case c.CloseRequest():
            _check_closed(change, view)


def _check_copy(request: CopyRequest, view: Snapshot) -> None:
    """Known files of a visible dataset, to a site that can have them: ready, or in the waitroom, where it is held."""
    _check_new(request, view)
    checks.moment(request.deadline_us)
    checks.some(request.scope, f"copy request {request.id}")
    checks.group(view, request.group)
    _check_visible(request.dataset, view)
    site = view.site(request.site)
    if site.status not in (SiteStatus.READY, SiteStatus.WAITROOM):
        raise Conflict(f"site {site.name} is {site.status.value}", rows=(site.name,))
    _check_scope(request.dataset, request.scope, view)
    checks.no_deletion(view, site.name, lambda: checks.lfns_of(view, request.dataset, request.scope))
    checks.paths(view, site, lambda: checks.lfns_of(view, request.dataset, request.scope), are_registered=True)


def _check_deletion(request: DeletionRequest, view: Snapshot, *, now_us: int) -> None:
    """Either paths or replicas that may go."""
    _check_new(request, view)
    if request.n_paths and (request.scope or request.dataset is not None):
        raise BadInput(f"deletion request {request.id} is of orphans and of replicas", hint="make two")
    if request.into:
        _check_into(request)
    if request.dataset is not None:
        _check_replicas(request, request.dataset, view, now_us)
        return
    checks.some([*request.orphans[:1], *request.directories[:1]], f"deletion request {request.id}")
    directories = [directory.path for directory in request.directories]
    twice = {orphan.path for orphan in request.orphans} & set(directories)
    if twice:
        raise BadInput(f"deletion request {request.id} calls {min(twice)} a file and a directory")
    deletion.refuse(view, request.site, [orphan.path for orphan in request.orphans], now_us=now_us)
    deletion.refuse_directories(view, request.site, directories, now_us=now_us)


def _check_into(request: DeletionRequest) -> None:
    """Only orphans are moved, only into a day of the quarantine, and not out of it."""
    if not request.orphans:
        raise BadInput(f"deletion request {request.id} moves nothing", hint="only orphans are moved")
    if request.directories:
        raise BadInput(f"deletion request {request.id} moves files and removes directories", hint="make two")
    if quarantine.day_of(request.into) is None or quarantine.original(request.into) is not None:
        message = f"deletion request {request.id} moves files into {request.into!r}, which is no day of the quarantine"
        raise BadInput(message, hint=f"such as {quarantine.day_folder(0)}")
    there = next((orphan.path for orphan in request.orphans if quarantine.is_quarantined(orphan.path)), None)
    if there is not None:
        message = f"deletion request {request.id} moves {there}, which is in the quarantine already"
        raise BadInput(message, hint="files there are deleted, or moved back by a person")


def _check_replicas(request: DeletionRequest, dataset: DatasetKey, view: Snapshot, now_us: int) -> None:
    checks.some(request.scope, f"deletion request {request.id}")
    view.site(request.site)
    _check_visible(dataset, view)
    blocks = _check_scope(dataset, request.scope, view)
    wanted = wanted_files(dataset, request.scope, blocks)
    here = view.find_replicas(tuple(wanted), request.site)
    if not any(wanted[key] & replica.files(blocks[key].n_files) for key, replica in here.items()):
        raise BadInput(f"{request.site} holds none of the files that request {request.id} is to delete")
    deletion.refuse_replicas(view, request.site, wanted, now_us=now_us, most=LFNS_SHOWN)


def _check_reduced(change: c.ReduceRequest, view: Snapshot) -> None:
    """Files of blocks, where the request asks for any."""
    checks.some(change.scope, f"a reduction of request {change.id}")
    request = request_of(view, change.id)
    if request.dataset is None:
        raise BadInput(f"request {change.id} is for orphans: it can be cancelled, not reduced")
    if request.state is RequestState.OPEN:
        asked = {part.block for part in request.scope}
        _check_scope(request.dataset, [part for part in change.scope if part.block in asked], view)


def _check_deleted(change: c.FilesDeleted, view: Snapshot) -> None:
    """What the request did ask for; what it asks for no more may be told late, and whatever has become of it."""
    request = request_of(view, change.request)
    if not isinstance(request, DeletionRequest) or (request.dataset, request.site) != (
        change.block.dataset,
        change.site,
    ):
        raise BadInput(f"request {change.request} is for no files of {change.block} at {change.site}")
    if request.state is RequestState.OPEN and any(part.block == change.block.block for part in request.scope):
        checks.ordinals(checks.block(view, change.block), change.ordinals)


def _check_closed(change: c.CloseRequest, view: Snapshot) -> None:
    """One final outcome."""
    state = request_of(view, change.id).state
    if change.state is RequestState.OPEN:
        raise BadInput(f"request {change.id} cannot be closed as open")
    if state not in (RequestState.OPEN, change.state):
        raise Conflict(f"request {change.id} is already {state.value}", rows=(change.id,))


def request_of(view: Snapshot, id: str) -> Request:
    """One request; UnknownName if there is none."""
    request = view.request(id)
    if request is None:
        raise UnknownName(f"there is no request {id}")
    return request


def wanted_files(
    dataset: DatasetKey, scope: Iterable[BlockFiles], blocks: Mapping[BlockKey, Block]
) -> dict[BlockKey, FileSet]:
    """The files of a scope by block, which may be named more than once."""
    wanted: dict[BlockKey, FileSet] = {}
    for part in scope:
        key = BlockKey(dataset, part.block)
        wanted[key] = wanted.get(key, FileSet()) | part.files(blocks[key].n_files)
    return wanted


def _check_new(request: Request, view: Snapshot) -> None:
    names.label("request id", request.id)
    if request.owner:
        names.label("owner of a request", request.owner)
    if not PRIORITY_LEAST <= request.priority <= PRIORITY_MOST:
        hint = f"{PRIORITY_LEAST} is the least, {PRIORITY_MOST} the most"
        raise BadInput(f"request {request.id} has the priority {request.priority}", hint=hint)
    if request.state is not RequestState.OPEN:
        raise BadInput(f"request {request.id} is new and already {request.state.value}")
    if view.request(request.id) is not None:
        raise Conflict(f"there is already a request {request.id}", rows=(request.id,))


def _check_visible(dataset: DatasetKey, view: Snapshot) -> None:
    if not view.dataset(dataset).is_visible:
        raise Conflict(f"dataset {dataset} is still being published", rows=(str(dataset),))


def _check_scope(dataset: DatasetKey, scope: Iterable[BlockFiles], view: Snapshot) -> Mapping[BlockKey, Block]:
    """The blocks of a scope; UnknownName and BadInput for what is not there."""
    parts = list(scope)
    keys = tuple(dict.fromkeys(BlockKey(dataset, part.block) for part in parts))
    blocks = view.find_blocks(keys)
    for part in parts:
        block = blocks.get(BlockKey(dataset, part.block))
        if block is None:
            raise UnknownName(f"there is no block {BlockKey(dataset, part.block)}")
        checks.ordinals(block, part.ordinals)
    return blocks
