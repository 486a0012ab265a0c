"""Requirements: what a change set rests on; it is refused if that does not hold any more.

They are checked before the first change, in the transaction that makes the
changes (``holdfast.inventory.requirements``).

Rules
  * A requirement names what its author has seen or decided, never how to find it out.
  * Requirements are not in the journal: that a change set was accepted says that they held.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, Door


@dataclass(frozen=True, slots=True)
class DatasetUnchanged:
    """Nothing has touched the dataset after ``position`` of ``epoch`` ("": the present one), a point of our history."""

    dataset: DatasetKey
    position: int
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class SiteUnchanged:
    """Nothing has touched the site after ``position`` of ``epoch`` ("": the present one), a point of our history."""

    site: str
    position: int
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class DatasetVisible:
    """The dataset is there and revealed."""

    dataset: DatasetKey


@dataclass(frozen=True, slots=True)
class NotLocked:
    """No lock on the dataset, its blocks or files covers the site and group now."""

    dataset: DatasetKey
    site: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class StillThere:
    """Each of these LFNs is registered."""

    lfns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplicasThere:
    """Each of these blocks has a replica at the site, complete or not."""

    site: str
    blocks: tuple[BlockKey, ...]


@dataclass(frozen=True, slots=True)
class SameHistory:
    """The inventory's history is still this ``epoch``: no backup was restored."""

    epoch: str


@dataclass(frozen=True, slots=True)
class SameDoor:
    """The files of the site are still where this door, its first, leads to."""

    site: str
    door: Door


@dataclass(frozen=True, slots=True)
class RequestIsOpen:
    """The request has no final outcome yet."""

    id: str


@dataclass(frozen=True, slots=True)
class CopyIsThere:
    """The site of this copy request holds all that it asks for, but what comes with the change set itself."""

    request: str
    coming: tuple[BlockFiles, ...] = ()


@dataclass(frozen=True, slots=True)
class StillOrphans:
    """The check of every deletion, again: nobody knows, wants or locks these paths now."""

    site: str
    orphans: tuple[str, ...]
    request: str = ""
    """The deletion request that asks, which is not in its own way."""


@dataclass(frozen=True, slots=True)
class StillNeedless:
    """The check of every removal of a directory, again: the inventory has nothing in these at the site, or below."""

    site: str
    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoOtherRemovals:
    """Of orphans and directories of the site nothing is to go but by ``requests``: nobody has asked for more since."""

    site: str
    requests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StillDeletable:
    """The check of every deletion, again: these files of a block are asked for by this open request, and may go now.

    A Conflict names all files that must stay. ``lfns``, if given, says for which
    file each ordinal is taken: it has to be that one.
    """

    request: str
    block: BlockKey
    ordinals: tuple[int, ...]
    lfns: tuple[str, ...] = ()


Requirement = (
    DatasetUnchanged
    | SiteUnchanged
    | DatasetVisible
    | NotLocked
    | StillThere
    | ReplicasThere
    | SameHistory
    | SameDoor
    | RequestIsOpen
    | CopyIsThere
    | StillOrphans
    | StillNeedless
    | NoOtherRemovals
    | StillDeletable
)
