"""The Python API of the inventory: what programs of users call, one file or fifty thousand at a time.

    head = calls.register_files(store, block, calls.columns([calls.NewFile("/data/a", 10)]), actor="me", cause="run 7")

Plain functions over a Store. Questions about a snapshot are in
``holdfast.inventory.whereabouts`` and in Snapshot itself.

Rules
  * A call is one transaction: all of it happens, or nothing. It is never
    split: more than ROWS_MAX rows or BYTES_MAX bytes are BadInput.
  * It returns the head it was committed at; a snapshot at that position or
    later shows it.
  * ``require`` are requirements that must hold in the same transaction:
    something has not changed since a position, is not locked, is still there.
  * What stands in the way is a Conflict that names the rows; what is not there
    an UnknownName; what can never be right BadInput. Nothing happened then.
  * Calls that name files by LFN find them at one position and change nothing
    else: if their datasets change in between, the call looks again, up to
    LOOKS_MAX times.
  * Registrations in one block by threads of one process take turns, first come
    first served: none is refused because of the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from holdfast.inventory import turn
from holdfast.inventory.store import Head, Snapshot, Store
from holdfast.model import changes as c
from holdfast.model import checksums, names
from holdfast.model import requirements as need
from holdfast.model.errors import BadInput, Conflict, UnknownName
from holdfast.model.names import BlockKey
from holdfast.model.records import Evidence, FileColumns, FileRecord, Permission

LOOKS_MAX = 1000
"""How often a call looks for its files because their datasets have changed. Each time somebody else got through: of
equals who all want the same block, hundreds would have to meet for one never to be first."""
ROWS_SHOWN = 200
"""How many unknown LFNs an error names."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that is to be registered; digests may be in any usual spelling."""

    lfn: str
    size: int
    checksums: Mapping[str, str] = field(default_factory=dict)


def columns(files: Iterable[NewFile]) -> FileColumns:
    """Files as columns, in the order given; InvalidName, or BadInput for what is no digest."""
    rows = list(files)
    places: dict[str, int] = {}
    parsed = [names.lfn(row.lfn) for row in rows]
    digests = [checksums.normalise_all(row.checksums) for row in rows]
    known = [algorithm for algorithm in checksums.DIGITS if any(algorithm in each for each in digests)]
    return FileColumns(
        dir_index=tuple(places.setdefault(lfn.dir, len(places)) for lfn in parsed),
        dirs=tuple(places),
        names=tuple(lfn.name for lfn in parsed),
        sizes=tuple(row.size for row in rows),
        checksums={algorithm: tuple(each.get(algorithm) for each in digests) for algorithm in known},
    )


def register_files(
    store: Store,
    block: BlockKey,
    files: FileColumns,
    *,
    site: str = "",
    group: str = "",
    verified_us: int | None = None,
    actor: str,
    cause: str,
    require: Sequence[need.Requirement] = (),
) -> Head:
    """Add files to a block of an open or staged dataset; ``site``, if one is given, holds them already."""

    def changes(snapshot: Snapshot) -> list[c.Change]:
        before = snapshot.find_blocks((block,)).get(block)
        first = before.n_files if before is not None else 0
        return [c.RegisterFiles(block, first, files, site, group, verified_us)]

    with _line_of(store, block):
        # The number of its first file guards the block; other blocks of the dataset may go on growing.
        return _looked_up(store, changes, is_guarded=False, actor=actor, cause=cause, require=require)


_lines: WeakValueDictionary[tuple[int, BlockKey], turn.Line] = WeakValueDictionary()
"""Of those blocks of which some thread is registering files, by store."""
_lines_mutex = threading.Lock()


@contextmanager
def _line_of(store: Store, block: BlockKey) -> Iterator[None]:
    """One thread at a time for a block: who looks while another registers would only have to look again."""
    if turn.is_held_here():  # Those in the line wait for the turn, and would for ever; the store will refuse this one.
        yield
        return
    with _lines_mutex:
        line = _lines.get((id(store), block))
        if line is None:
            line = _lines[id(store), block] = turn.Line()
    with line.turn():
        yield


def register_replicas(
    store: Store,
    site: str,
    blocks: Sequence[BlockKey],
    *,
    group: str = "",
    is_custodial: bool = False,
    verified_us: int | None = None,
    actor: str,
    cause: str,
    require: Sequence[need.Requirement] = (),
) -> Head:
    """These blocks are whole at a site; those that were there already keep their group and custodial mark.

    Replicas that were complete already stay as they are, ``verified_us`` does not reach them: ``verified`` does.
    """
    change = c.BlocksArrived(site, tuple(blocks), group, verified_us, is_custodial)
    return _commit(store, [change], actor=actor, cause=cause, require=require)


def complete(
    store: Store,
    site: str,
    blocks: Sequence[BlockKey],
    *,
    verified_us: int | None = None,
    actor: str,
    cause: str,
    require: Sequence[need.Requirement] = (),
) -> Head:
    """What these replicas lacked has arrived; Conflict if a block has no replica there."""
    there = need.ReplicasThere(site, tuple(blocks))
    change = c.BlocksArrived(site, there.blocks, verified_us=verified_us)
    return _commit(store, [change], actor=actor, cause=cause, require=(there, *require))


def verified(
    store: Store,
    site: str,
    blocks: Sequence[BlockKey],
    verified_us: int,
    *,
    actor: str,
    cause: str,
    require: Sequence[need.Requirement] = (),
) -> Head:
    """All that these replicas hold was proved at ``verified_us``; a later proof than that stays."""
    return _commit(
        store, [c.FilesVerified(site, tuple(blocks), verified_us)], actor=actor, cause=cause, require=require
    )


def assign_replicas(
    store: Store,
    site: str,
    blocks: Sequence[BlockKey],
    *,
    group: str | None = None,
    is_custodial: bool | None = None,
    actor: str,
    cause: str,
    require: Sequence[need.Requirement] = (),
) -> Head:
    """Give these replicas to a group, make them custodial or not; None leaves it."""
    change = c.AssignReplicas(site, tuple(blocks), group, is_custodial)
    return _commit(store, [change], actor=actor, cause=cause, require=require)


def remove_replicas(
    store: Store,
    site: str,
    blocks: Sequence[BlockKey],
    *,
    evidence: Evidence,
    reason: str = "",
    actor: str,
    cause: str,
    require: Sequence[need.Requirement] = (),
) -> Head:
    """Forget these replicas: what they held is not there any more. No bytes are deleted."""
    change = c.RemoveReplicas(site, tuple(blocks), evidence, reason)
    return _commit(store, [change], actor=actor, cause=cause, require=require)


def remove_files(
    store: Store,
    lfns: Sequence[str],
    *,
    reason: str = "",
    actor: str,
    cause: str,
    require: Sequence[need.Requirement] = (),
) -> Head:
    """Forget files of open datasets that no site holds."""

    def changes(snapshot: Snapshot) -> list[c.Change]:
        found = _by_block(snapshot, lfns)
        return [c.RemoveFiles(key, tuple(file.ordinal for file in files), reason) for key, files in found.items()]

    return _looked_up(store, changes, is_guarded=True, actor=actor, cause=cause, require=require)


def rename_files(
    store: Store,
    new_lfns: Mapping[str, str],
    *,
    evidence: Evidence = Evidence.HEARD,
    reason: str = "",
    actor: str,
    cause: str,
    require: Sequence[need.Requirement] = (),
) -> Head:
    """New LFNs, by the old ones, for files of open datasets; for those that sites hold only as DECLARED.

    No name may pass from one file to another in one call: BadInput.
    """
    passed_on = sorted(set(new_lfns) & set(new_lfns.values()))
    if passed_on:
        hint = "first give away the name, then, in another call, take it"
        raise BadInput(f"{passed_on[0]} is renamed and another file's new name in one call", hint=hint)
    new = {old: names.lfn(text) for old, text in new_lfns.items()}

    def changes(snapshot: Snapshot) -> list[c.Change]:
        made: list[c.Change] = []
        for key, files in _by_block(snapshot, list(new)).items():
            places: dict[str, int] = {}
            dir_index = tuple(places.setdefault(new[file.lfn].dir, len(places)) for file in files)
            file_names = tuple(new[file.lfn].name for file in files)
            ordinals = tuple(file.ordinal for file in files)
            made.append(c.RenameFiles(key, ordinals, tuple(places), dir_index, file_names, evidence, reason))
        return made

    return _looked_up(store, changes, is_guarded=True, actor=actor, cause=cause, require=require)


def set_permissions(
    store: Store,
    items: Sequence[Permission],
    *,
    actor: str,
    cause: str,
    require: Sequence[need.Requirement] = (),
) -> Head:
    """Owner, group, mode and ACL of directories and of files that are registered."""
    return _commit(store, [c.SetPermissions(tuple(items))], actor=actor, cause=cause, require=require)


def _commit(
    store: Store, changes: Sequence[c.Change], *, actor: str, cause: str, require: Sequence[need.Requirement]
) -> Head:
    return store.commit(c.ChangeSet(tuple(changes), actor, cause, tuple(require)))


def _looked_up(
    store: Store,
    make: Callable[[Snapshot], list[c.Change]],
    *,
    is_guarded: bool,
    actor: str,
    cause: str,
    require: Sequence[need.Requirement],
) -> Head:
    """Commit what ``make`` makes of a snapshot; look again if that is refused and its datasets have changed.

    ``is_guarded``: whether it only holds while they have not.
    """
    for look in range(LOOKS_MAX):
        with store.snapshot() as snapshot:
            seen, changes = snapshot.head, make(snapshot)
        datasets = sorted({key for change in changes for key in c.touched(change)[0]})
        unchanged = [need.DatasetUnchanged(key, seen.position, seen.epoch) for key in datasets if is_guarded]
        try:
            return _commit(store, changes, actor=actor, cause=cause, require=(*require, *unchanged))
        except Conflict:
            with store.snapshot() as snapshot:
                moved = snapshot.head.epoch != seen.epoch or snapshot.changed_since(seen.position)[0] & set(datasets)
            if not moved or look == LOOKS_MAX - 1:
                raise
    raise AssertionError("the last look returns or raises")


def _by_block(snapshot: Snapshot, lfns: Sequence[str]) -> dict[BlockKey, list[FileRecord]]:
    found: dict[BlockKey, list[FileRecord]] = {}
    unknown = []
    for lfn, file in zip(lfns, snapshot.lookup(lfns), strict=True):
        if file is None:
            unknown.append(lfn)
        else:
            found.setdefault(file.block, []).append(file)
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UnknownName(f"there is no file {unknown[0]}{more}", place=", ".join(unknown[1:ROWS_SHOWN]))
    return found
