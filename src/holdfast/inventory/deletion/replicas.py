"""May files of a replica go? Part of the one check of ``holdfast.inventory.deletion``.

Works on whole blocks at a time, with bitmaps: a million files in a hundred
blocks take no longer than a hundred blocks.

A replica's file may go only if
  * no restored backup waits for a person to say what was published after it;
  * its dataset is visible;
  * the replica is not custodial;
  * no lock in force covers file, block or dataset for this site and the replica's group;
  * as many other sites as the dataset requires copies, one at least, are READY
    and hold it, not condemned there;
  * no open copy request to another site that lacks it, and was asked for no
    later than the deletion, is left without a READY site that is no tape and
    holds it, not condemned there.
What the site does not hold is passed over: there is nothing that could go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.inventory.copies import GoodCopies, held_by
from holdfast.inventory.deletion.grounds import FORGOTTEN, Ground, has_forgotten
from holdfast.inventory.store import Snapshot
from holdfast.model.errors import Conflict
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Block, BlockReplica, CopyRequest, Lock, StorageType


@dataclass(frozen=True, slots=True)
class ReplicaObstacle:
    """Why some files of a block must stay at a site."""

    files: FileSet
    ground: Ground
    reason: str


def replica_obstacles(
    view: Snapshot, site: str, block: BlockKey, files: FileSet, *, now_us: int, asked_us: int | None = None
) -> list[ReplicaObstacle]:
    """What stands in the way of files of one block, each file at most once."""
    return replica_obstacles_of_blocks(view, site, {block: files}, now_us=now_us, asked_us=asked_us).get(block, [])


def replica_obstacles_of_blocks(
    view: Snapshot, site: str, wanted: Mapping[BlockKey, FileSet], *, now_us: int, asked_us: int | None = None
) -> dict[BlockKey, list[ReplicaObstacle]]:
    """What stands in the way of files of known blocks of one dataset, by block.

    ``asked_us``: when the deletion was asked for; None: it is now. A block is left
    out if all of its files may go; what the site does not hold is passed over.
    """
    if not wanted:
        return {}
    check = _Check(view, site, tuple(wanted), now_us, asked_us)
    found = {key: list(check.obstacles(key, files)) for key, files in wanted.items()}
    return {key: each for key, each in found.items() if each}


def refuse_replicas(
    view: Snapshot,
    site: str,
    wanted: Mapping[BlockKey, FileSet],
    *,
    now_us: int,
    most: int,
    asked_us: int | None = None,
) -> None:
    """Conflict, naming ``most`` of the LFNs that must stay, unless all of these files may go."""
    found = replica_obstacles_of_blocks(view, site, wanted, now_us=now_us, asked_us=asked_us)
    if not found:
        return
    block, (first, *_) = next(iter(found.items()))
    staying = {key: _all_of(obstacles) for key, obstacles in found.items()}
    rows: list[str] = []
    for key, files in staying.items():
        if len(rows) < most:
            rows += view.files(key).chosen(list(files)[: most - len(rows)]).lfns()
    lfn, n_more = view.files(block).lfn(next(iter(first.files))), sum(map(len, staying.values())) - 1
    more = f", and {n_more} more" if n_more else ""
    raise Conflict(f"{site}: must not be deleted: {lfn}: {first.ground.value}: {first.reason}{more}", rows=tuple(rows))


def _all_of(obstacles: Sequence[ReplicaObstacle]) -> FileSet:
    files = FileSet()
    for obstacle in obstacles:
        files = files | obstacle.files
    return files


class _Check:
    """What the check has to know of one dataset and one site, asked for once."""

    def __init__(self, view: Snapshot, site: str, keys: Sequence[BlockKey], now_us: int, asked_us: int | None) -> None:
        self._site = site
        self._dataset = view.dataset(keys[0].dataset)
        self._has_forgotten = has_forgotten(view)
        self._counting = GoodCopies(view, keys)
        self._locks = [lock for lock in view.locks() if lock.covers_site(site, now_us)]
        self._locked = _locked_files(view, self._locks)
        self._now_us = now_us
        copies = view.copy_requests(dataset=self._dataset.key)
        earlier = [each for each in copies if asked_us is None or each.created_us <= asked_us]
        self._copies = _by_block(earlier, {key.block for key in keys})

    def obstacles(self, key: BlockKey, files: FileSet) -> Iterator[ReplicaObstacle]:
        """What stands in the way of files of one block, each file at most once."""
        block = self._counting.blocks[key]
        here = next((each for each in self._counting.replicas[key] if each.site == self._site), None)
        if here is None:
            return
        left = files & here.files(block.n_files)
        for ground, reason, hit in self._grounds(block, here):
            hit = hit & left
            if hit:
                yield ReplicaObstacle(hit, ground, reason)
                left = left - hit
            if not left:
                return

    def _grounds(self, block: Block, here: BlockReplica) -> Iterator[tuple[Ground, str, FileSet]]:
        """Each ground with a reason and the files of the block that it is about."""
        everything = FileSet.full(block.n_files)
        if self._has_forgotten:
            yield Ground.UNKNOWN, FORGOTTEN, everything
        if not self._dataset.is_visible:
            yield Ground.WANTED, f"dataset {self._dataset.key} is still being published", everything
        if here.is_custodial:
            yield Ground.CUSTODIAL, f"{self._site} has custody of {block.key}", everything
        yield from self._locks_on(block, here)
        staying = self._counting.staying(block.key, besides=self._site)
        needed = self._counting.required(block.key)
        reason = f"fewer than {needed} other ready {'site has' if needed == 1 else 'sites have'} a copy that is to stay"
        yield Ground.LAST_COPY, reason, everything - held_by(needed, staying.values())
        yield from self._copies_from(block, staying)

    def _locks_on(self, block: Block, here: BlockReplica) -> Iterator[tuple[Ground, str, FileSet]]:
        for lock in self._locks:
            if not lock.covers(self._site, here.group, self._now_us):
                continue
            if lock.dataset == block.key.dataset and lock.block in ("", block.key.block):
                files = FileSet.full(block.n_files)
            else:
                files = FileSet.of(self._locked.get(lock.id, {}).get(block.key, ()))
            yield Ground.LOCKED, f"locked by {lock.owner} ({lock.id})", files

    def _copies_from(self, block: Block, staying: Mapping[str, FileSet]) -> Iterator[tuple[Ground, str, FileSet]]:
        """Open copies to other sites that would have no source on disk."""
        counting = self._counting
        on_disk = {name for name, site in counting.ready.items() if site.storage_type is not StorageType.TAPE}
        elsewhere = held_by(1, [files for site, files in staying.items() if site in on_disk])
        for request in self._copies.get(block.key.block, ()):
            if request.site == self._site:
                continue
            asked = FileSet()
            for part in request.scope:
                if part.block == block.key.block:
                    asked = asked | part.files(block.n_files)
            # A copy that is going from there, too, will have to be brought again.
            there = counting.held(block.key, request.site) - counting.condemned(block.key, request.site)
            reason = f"request {request.id} is to copy it to {request.site} and has no other source on disk"
            yield Ground.NEEDED, reason, asked - there - elsewhere


def _locked_files(view: Snapshot, locks: Sequence[Lock]) -> dict[str, dict[BlockKey, list[int]]]:
    """By lock, the registered files that it names by their LFN."""
    by_lfn = [lock for lock in locks if lock.lfn]
    found: dict[str, dict[BlockKey, list[int]]] = {}
    for lock, file in zip(by_lfn, view.lookup([lock.lfn for lock in by_lfn]), strict=True):
        if file is not None:
            found[lock.id] = {file.block: [file.ordinal]}
    return found


def _by_block(requests: Sequence[CopyRequest], blocks: set[str]) -> dict[str, list[CopyRequest]]:
    found: dict[str, list[CopyRequest]] = {}
    for request in requests:
        for block in dict.fromkeys(part.block for part in request.scope if part.block in blocks):
            found.setdefault(block, []).append(request)
    return found
