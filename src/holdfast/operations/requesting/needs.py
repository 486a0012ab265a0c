"""Need and Loss: what a copy would have to bring, what a deletion would take away, by the inventory's word.

For those who are about to ask, and want to see it first.

Rules
  * Files that are condemned (``holdfast.inventory.deletion``) are no source and are not counted as held.
  * One look at the replicas of all blocks that are meant, however many these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.inventory import deletion
from holdfast.inventory.copies import GoodCopies, held_by
from holdfast.inventory.deletion import ReplicaObstacle
from holdfast.inventory.store import Snapshot
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import (
    Block,
    BlockFiles,
    BlockReplica,
    CopyRequest,
    DeletionRequest,
    Request,
)
from holdfast.operations.requesting import scopes
from holdfast.operations.requesting.scopes import Files


@dataclass(frozen=True, slots=True)
class Need:
    """What a copy would have to bring."""

    scope: tuple[BlockFiles, ...]
    lacking: Files
    """What the destination does not hold."""
    condemned: Files
    """What it holds, but is to lose by an open deletion."""
    n_files: int
    """Files lacking."""
    size: int
    n_held: int
    """Files of the scope that the destination holds already, the condemned ones not counted."""
    n_without_source: int
    """Lacking files that no other READY site holds to keep."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a deletion would take from a site, and what stands against it."""

    scope: tuple[BlockFiles, ...]
    held: Files
    """What the site holds of the scope."""
    condemned: Files
    """Of this, what an open deletion takes already."""
    n_files: int
    """Files that would go and are not condemned yet."""
    size: int
    n_absent: int
    """Files of the scope that the site does not hold."""
    obstacles: Mapping[BlockKey, Sequence[ReplicaObstacle]]


def need_of(snapshot: Snapshot, dataset: DatasetKey, to_site: str, scope: Sequence[BlockFiles] | None = None) -> Need:
    """What a copy of these files to a site would have to bring; UnknownName."""
    blocks, normal, wanted = _wanted(snapshot, dataset, to_site, scope)
    copies = GoodCopies(snapshot, [BlockKey(dataset, block) for block in wanted])
    lacking: dict[str, FileSet] = {}
    condemned: dict[str, FileSet] = {}
    size = n_held = n_without = 0
    for block, files in sorted(wanted.items()):
        key = BlockKey(dataset, block)
        held = copies.held(key, to_site)
        going = held & copies.condemned(key, to_site) & files
        here, missing = (held & files) - going, files - held
        n_held += len(here)
        n_without += len(missing - held_by(1, copies.staying(key, besides=to_site).values()))
        size += _size(snapshot, blocks[block], missing)
        lacking |= {block: missing} if missing else {}
        condemned |= {block: going} if going else {}
    return Need(normal, lacking, condemned, scopes.count(lacking), size, n_held, n_without)


def loss_of(
    snapshot: Snapshot, dataset: DatasetKey, site: str, scope: Sequence[BlockFiles] | None = None, *, now_us: int
) -> Loss:
    """What a deletion of these files at a site would take away; UnknownName."""
    blocks, normal, wanted = _wanted(snapshot, dataset, site, scope)
    doomed = deletion.condemned(snapshot, dataset, blocks=set(wanted))
    held = {
        block: _held(replicas, {site}, blocks[block].n_files) & wanted[block]
        for block, replicas in _replicas(snapshot, dataset, wanted).items()
    }
    held = {block: files for block, files in held.items() if files}
    condemned = scopes.common(held, {block: files for (block, at), files in doomed.items() if at == site})
    more = scopes.without(held, condemned)
    size = sum(_size(snapshot, blocks[block], files) for block, files in more.items())
    going = {BlockKey(dataset, block): files for block, files in more.items()}
    obstacles = deletion.replica_obstacles_of_blocks(snapshot, site, going, now_us=now_us)
    n_absent = scopes.count(wanted) - scopes.count(held)
    return Loss(normal, held, condemned, scopes.count(more), size, n_absent, obstacles)


def n_files_of(snapshot: Snapshot, dataset: DatasetKey) -> dict[str, int]:
    """How many files each block of a dataset has."""
    return {block.key.block: block.n_files for block in snapshot.blocks(dataset)}


def n_to_delete(snapshot: Snapshot, request: DeletionRequest) -> int:
    """How many files of its scope a deletion of replicas still finds at its site; of orphans none is known."""
    return scopes.count(to_delete(snapshot, request))


def to_delete(snapshot: Snapshot, request: DeletionRequest) -> Files:
    """The files of its scope that a deletion of replicas still finds at its site."""
    if request.dataset is None:
        return scopes.NO_FILES
    keys = [BlockKey(request.dataset, part.block) for part in request.scope]
    known, there = snapshot.find_blocks(keys), snapshot.find_replicas(keys, request.site)
    asked = scopes.files_of(request.scope, {key.block: block.n_files for key, block in known.items()})
    held = {key.block: replica.files(known[key].n_files) for key, replica in there.items()}
    return scopes.common(asked, held)


def asked_of(snapshot: Snapshot, request: Request) -> tuple[int, int]:
    """How many files a request still has to bring or to delete, and their bytes, by what the inventory says now."""
    if isinstance(request, CopyRequest):
        need = need_of(snapshot, request.dataset, request.site, request.scope)
        return need.n_files, need.size
    if request.dataset is None:
        return request.n_paths, sum(request.path_sizes())
    blocks, _, wanted = _wanted(snapshot, request.dataset, request.site, request.scope)
    replicas = _replicas(snapshot, request.dataset, wanted)
    held = {name: _held(found, {request.site}, blocks[name].n_files) & wanted[name] for name, found in replicas.items()}
    return scopes.count(held), sum(_size(snapshot, blocks[name], files) for name, files in held.items())


def _wanted(
    snapshot: Snapshot, dataset: DatasetKey, site: str, scope: Sequence[BlockFiles] | None
) -> tuple[dict[str, Block], tuple[BlockFiles, ...], dict[str, FileSet]]:
    """The blocks of the dataset, the scope in its normal form, and its files."""
    snapshot.site(site)
    blocks = snapshot.blocks(dataset)
    normal = scopes.normal(blocks, scope)
    scopes.require_known(dataset, blocks, normal)
    known = {block.key.block: block for block in blocks}
    return known, normal, scopes.files_of(normal, {name: block.n_files for name, block in known.items()})


def _replicas(snapshot: Snapshot, dataset: DatasetKey, blocks: Iterable[str]) -> dict[str, list[BlockReplica]]:
    found = snapshot.find_replicas_of_blocks([BlockKey(dataset, block) for block in blocks])
    return {key.block: replicas for key, replicas in sorted(found.items())}


def _held(replicas: Iterable[BlockReplica], sites: set[str], n_files: int) -> FileSet:
    return _all([each.files(n_files) for each in replicas if each.site in sites])


def _all(parts: Iterable[FileSet]) -> FileSet:
    together = FileSet()
    for part in parts:
        together = together | part
    return together


def _size(snapshot: Snapshot, block: Block, files: FileSet) -> int:
    """Bytes of some files of a block; whole blocks are known without looking at their files."""
    if len(files) in (0, block.n_files):
        return block.size if files else 0
    sizes = snapshot.files(block.key).sizes
    return sum(sizes[ordinal] for ordinal in files if ordinal < len(sizes))
