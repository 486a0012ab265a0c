"""Records: what the inventory knows of sites, datasets, files, replicas, locks and requests.

Frozen values. Times are microseconds since 1970 UTC (``_us``), sizes bytes.
Text fields that name things have passed ``holdfast.model.names``;
``holdfast.model.record_checks`` does that for whole records.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from holdfast.model import names
from holdfast.model import pfn as pfn_rules
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey

BLOCK_FILES_MAX = 10_000
"""Automatic blocks hold at most this many files."""

PRIORITY_LEAST, PRIORITY_USUAL, PRIORITY_MOST = 1, 3, 5
"""How urgent a request can be."""


class StorageType(StrEnum):
    """What a site stores on."""

    DISK = "disk"
    TAPE = "tape"
    BUFFER = "buffer"
    UNKNOWN = "unknown"


class SiteStatus(StrEnum):
    """Whether a site may be used."""

    READY = "ready"
    WAITROOM = "waitroom"
    MORGUE = "morgue"
    UNKNOWN = "unknown"


class DatasetStatus(StrEnum):
    """What the collaboration thinks of a dataset."""

    UNKNOWN = "unknown"
    PRODUCTION = "production"
    VALID = "valid"
    DEPRECATED = "deprecated"
    INVALID = "invalid"
    IGNORED = "ignored"


class Evidence(StrEnum):
    """How we know that a file is gone or wrong, weakest first."""

    HEARD = "heard"
    STATED = "stated"
    """Our own stat or checksum of it said so."""
    DECLARED = "declared"
    """An authorised person said so."""


class RequestState(StrEnum):
    """Open until its final outcome is in the journal."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Door:
    """One way into a site: protocol, root (URL or folder) and how an LFN becomes a path below it."""

    protocol: str
    root: str
    rules: pfn_rules.PfnRules = field(default_factory=pfn_rules.PfnRules)

    @property
    def place(self) -> str:
        """The root as plain text, for comparing: without ``file://``, doubled or trailing slashes and dot names."""
        plain = posixpath.normpath(self.root.removeprefix("file://"))
        return f"/{plain.lstrip('/')}" if plain.startswith("/") else plain

    def leads_to_same(self, other: Door) -> bool:
        """Whether every file is in the same place behind both, as far as their texts tell."""
        return self.way == other.way

    @property
    def way(self) -> str:
        """Where it leads, as one short text to be kept, and compared with what another door has."""
        return hashlib.sha256(repr((self.protocol, self.place, self.rules.chains)).encode()).hexdigest()

    def pfn(self, lfn: str) -> str | None:
        """The PFN of ``lfn`` through this door; None if its rules give none."""
        return pfn_rules.pfn_of(self.root, self.rules, lfn)


@dataclass(frozen=True, slots=True)
class Site:
    """A storage element. The first door is the one that is used unless a caller asks for another."""

    name: str
    doors: tuple[Door, ...]
    storage_type: StorageType = StorageType.DISK
    status: SiteStatus = SiteStatus.READY

    @property
    def first_door(self) -> Door:
        """The door that copies, removals and checks go through, and whose PFNs are told."""
        return self.doors[0]

    def doors_like(self, door: Door) -> tuple[Door, ...]:
        """The other doors that can stand in for one: same protocol, same rules."""
        alike = (door.protocol, door.rules)
        return tuple(each for each in self.doors if each != door and (each.protocol, each.rules) == alike)

    @property
    def is_ready(self) -> bool:
        """Whether it is to be used: what it holds counts, and what is asked for there is done."""
        return self.status is SiteStatus.READY


@dataclass(frozen=True, slots=True)
class Group:
    """An owner of replicas; "" is nobody."""

    name: str


@dataclass(frozen=True, slots=True)
class Staging:
    """Where an unrevealed dataset is being published from; its files are nobody's orphans."""

    site: str
    directory: str

    def covers(self, path: str) -> bool:
        """Whether ``path`` at that site lies below the directory."""
        return self.directory == "/" or path.startswith(f"{self.directory}/")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset and what is known of it; its sizes are the sums of its blocks."""

    key: DatasetKey
    status: DatasetStatus = DatasetStatus.VALID
    type: str = ""
    software_version: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_open: bool = False
    required_copies: int = 1
    staging: Staging | None = None
    created_us: int = 0

    @property
    def is_visible(self) -> bool:
        """Whether all of it is in, so that others may see it."""
        return self.staging is None


@dataclass(frozen=True, slots=True)
class Block:
    """A block: the unit of replication."""

    key: BlockKey
    n_files: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Many files of one block as columns; row i is the block's file ``first ordinal + i``.

    ``dirs`` are distinct; ``dir_index[i]`` points into it. ``checksums`` has a
    column per algorithm, None where unknown; digests are normalised.
    """

    dirs: tuple[str, ...]
    dir_index: tuple[int, ...]
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    checksums: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def lfn(self, row: int) -> str:
        """The LFN of one row."""
        return names.join(self.dirs[self.dir_index[row]], self.names[row])

    def lfns(self) -> Iterator[str]:
        """The LFNs of all rows, in order."""
        prefixes = ["/" if text == "/" else f"{text}/" for text in self.dirs]
        return (prefixes[place] + name for place, name in zip(self.dir_index, self.names, strict=True))

    def checksums_of(self, row: int) -> dict[str, str]:
        """The known checksums of one row."""
        columns = self.checksums.items()
        return {algorithm: column[row] for algorithm, column in columns if column[row] is not None}  # type: ignore[misc]

    def with_digests(self, algorithms: Collection[str]) -> FileColumns:
        """All rows, with the checksums of these algorithms only."""
        kept = {algorithm: column for algorithm, column in self.checksums.items() if algorithm in algorithms}
        return FileColumns(self.dirs, self.dir_index, self.names, self.sizes, kept)

    def chosen(self, rows: Sequence[int]) -> FileColumns:
        """Some rows, in the order given; directories and checksum columns that none of them has are left out."""
        places: dict[str, int] = {}
        dir_index = tuple(places.setdefault(self.dirs[self.dir_index[row]], len(places)) for row in rows)
        columns = {
            algorithm: tuple(column[row] for row in rows)
            for algorithm, column in self.checksums.items()
            if any(column[row] is not None for row in rows)
        }
        names, sizes = tuple(self.names[row] for row in rows), tuple(self.sizes[row] for row in rows)
        return FileColumns(tuple(places), dir_index, names, sizes, columns)

    def renamed(self, rows: Sequence[int], lfns: Iterable[tuple[str, str]]) -> FileColumns:
        """All rows, some with another directory and name."""
        new = dict(zip(rows, lfns, strict=True))
        places: dict[str, int] = {}
        dir_index, names = [], []
        for row, (place, name) in enumerate(zip(self.dir_index, self.names, strict=True)):
            directory, name = new.get(row, (self.dirs[place], name))
            dir_index.append(places.setdefault(directory, len(places)))
            names.append(name)
        return FileColumns(tuple(places), tuple(dir_index), tuple(names), self.sizes, self.checksums)


@dataclass(frozen=True, slots=True)
class Restore:
    """That the inventory was put back to an earlier state: by which entry, and whether a person has said what follows.

    Until it is confirmed no unknown file may be deleted: it may have been
    published after the backup.
    """

    position: int
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file as a look-up finds it."""

    lfn: str
    block: BlockKey
    ordinal: int
    size: int
    checksums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Permission:
    """Owner, group, mode bits and ACL text of a directory (name "") or of a file."""

    dir: str
    name: str
    owner: str
    group: str
    mode: int
    acl: str = ""


@dataclass(frozen=True, slots=True)
class BlockReplica:
    """A block at a site. ``held`` None: complete; else the files that are there."""

    block: BlockKey
    site: str
    group: str = ""
    is_custodial: bool = False
    held: FileSet | None = None
    n_files: int = 0
    size: int = 0
    verified_us: int | None = None
    """When all held files were last proved by checksum; None: not since one arrived unproved."""
    updated_us: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether every file of the block is there."""
        return self.held is None

    def holds(self, ordinal: int) -> bool:
        """Whether one file of the block is there."""
        return self.held is None or ordinal in self.held

    def files(self, n_files: int) -> FileSet:
        """The files that are there, of a block that has ``n_files``."""
        return FileSet.full(n_files) if self.held is None else self.held


@dataclass(frozen=True, slots=True)
class ReplicaSum:
    """What the block replicas of one site, group and dataset status have together.

    Those of datasets that are still being published have a sum of their own.
    """

    site: str
    group: str
    status: DatasetStatus
    is_staged: bool
    n_replicas: int
    n_complete: int
    n_files: int
    """Files held."""
    size: int
    """Bytes held."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What must not be deleted, at sites and of groups that fit the patterns (``*`` and ``?``).

    Either a dataset (with ``block`` one block of it), or one ``lfn``, which
    need not be registered.
    """

    id: str
    owner: str
    dataset: DatasetKey | None = None
    block: str = ""
    lfn: str = ""
    reason: str = ""
    sites: str = "*"
    groups: str = "*"
    expires_us: int | None = None

    @property
    def item(self) -> str:
        """What is locked, as text."""
        if self.dataset is None:
            return self.lfn
        return str(BlockKey(self.dataset, self.block)) if self.block else str(self.dataset)

    def covers(self, site: str, group: str, now_us: int) -> bool:
        """Whether the lock is in force for replicas of ``group`` at ``site``."""
        return self.covers_site(site, now_us) and fnmatchcase(group, self.groups)

    def covers_site(self, site: str, now_us: int) -> bool:
        """Whether the lock is in force at ``site``, for whatever group."""
        return self.in_force(now_us) and fnmatchcase(site, self.sites)

    def in_force(self, now_us: int) -> bool:
        """Whether the lock has not expired."""
        return self.expires_us is None or self.expires_us > now_us


@dataclass(frozen=True, slots=True)
class BlockFiles:
    """Some files of a block; ``ordinals`` None: all of them."""

    block: str
    ordinals: tuple[int, ...] | None = None

    def files(self, n_files: int) -> FileSet:
        """The files it names, of a block that has ``n_files``."""
        return FileSet.full(n_files) if self.ordinals is None else FileSet.of(self.ordinals)


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """Bring files of one dataset to a site.

    ``replace``: what lies in a file's place and is not that file may be
    overwritten, once a proved copy is at hand; else it stays and the copy of
    that file fails.

    ``owner`` is on whose account it goes, ``deadline_us`` when it is of no use any more.
    """

    id: str
    dataset: DatasetKey
    site: str
    scope: tuple[BlockFiles, ...]
    reason: str = ""
    group: str = ""
    state: RequestState = RequestState.OPEN
    detail: str = ""
    created_us: int = 0
    replace: bool = False
    owner: str = ""
    priority: int = PRIORITY_USUAL
    deadline_us: int | None = None


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file at a site that nobody knows, as the listing saw it: path below the first door, size, mtime, version."""

    path: str
    size: int
    mtime_ns: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class EmptyDirectory:
    """A directory at a site in which a listing saw nothing: path below the first door, its own mtime if that is told.

    Directories that are asked to go with it may lie in it.
    """

    path: str
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class DeletionRequest:
    """Remove from a site either orphans and empty directories, or what it holds of some files of a dataset.

    Orphans are deleted, or, if there is an ``into``, moved: each to that
    directory, a day's folder of ``holdfast.model.quarantine``, followed by its
    path. Directories go only if the storage finds them empty.

    While a request for files of a dataset is open, these are condemned at that
    site: they count as nobody's copy and are nobody's source. What is gone
    leaves the scope, so what was asked for is in the journal only.
    """

    id: str
    site: str
    orphans: tuple[Orphan, ...] = ()
    reason: str = ""
    state: RequestState = RequestState.OPEN
    detail: str = ""
    created_us: int = 0
    dataset: DatasetKey | None = None
    scope: tuple[BlockFiles, ...] = ()
    owner: str = ""
    priority: int = PRIORITY_USUAL
    into: str = ""
    directories: tuple[EmptyDirectory, ...] = ()

    @property
    def n_paths(self) -> int:
        """How many orphans and directories it names; they are numbered so, the orphans first."""
        return len(self.orphans) + len(self.directories)

    def directory(self, number: int) -> EmptyDirectory | None:
        """The directory with this number; None if it is an orphan's."""
        return None if number < len(self.orphans) else self.directories[number - len(self.orphans)]

    def path(self, number: int) -> str:
        """The path of the orphan or directory with this number."""
        return (self.directory(number) or self.orphans[number]).path

    def path_size(self, number: int) -> int:
        """The bytes of the orphan or directory with this number."""
        return self.orphans[number].size if number < len(self.orphans) else 0

    def path_sizes(self) -> list[int]:
        """The bytes of each by its number; a directory has none."""
        return [orphan.size for orphan in self.orphans] + [0] * len(self.directories)


Request = CopyRequest | DeletionRequest
