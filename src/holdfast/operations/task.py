"""Task: one file that is to be brought to one site, and what has become of it.

Values only. A task is the unit of the durable queue (``queue.py``); the
inventory knows requests and outcomes, never tasks.

    queued -> active -> done -> reported
       ^         |
       +- retry -+-> failed

``done``: the file is whole at its site, proved there. ``reported``: the
inventory knows it. A task carries size and checksums of its file, which never
change once registered, so that claiming one asks the inventory for sources
only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from holdfast.model.names import BlockKey, DatasetKey


class TaskState(StrEnum):
    """Where a task stands."""

    QUEUED = "queued"
    ACTIVE = "active"
    """Claimed by the executor that holds the lock."""
    DONE = "done"
    REPORTED = "reported"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NewTask:
    """A file that a request asks for, as planned."""

    block: str
    ordinal: int
    lfn: str
    size: int
    checksums: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """An open copy request as the queue knows it."""

    number: int
    id: str
    dataset: DatasetKey
    site: str
    n_parts: int
    """How many parts of its scope have been planned."""
    is_planned: bool
    n_files: int
    size: int


@dataclass(frozen=True, slots=True)
class Task:
    """A task that has been claimed."""

    id: int
    request: QueuedRequest
    block: str
    ordinal: int
    lfn: str
    size: int
    checksums: Mapping[str, str]
    attempts: int
    token: str
    """Names the temporary part; on record before the first byte is written."""

    @property
    def site(self) -> str:
        """Where the file is to go."""
        return self.request.site

    @property
    def block_key(self) -> BlockKey:
        """The block the file belongs to."""
        return BlockKey(self.request.dataset, self.block)


@dataclass(frozen=True, slots=True)
class Settled:
    """What one try has led to. A retry is QUEUED with the moment before which it is not due."""

    task: Task
    state: TaskState
    attempts: int
    not_before_us: int = 0
    source: str = ""
    error: str = ""
    verified_us: int = 0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A task that is done and not yet reported."""

    id: int
    request: str
    block: BlockKey
    ordinal: int
    lfn: str
    site: str
    size: int
    verified_us: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks of a request stand where, and their bytes."""

    n_files: Mapping[TaskState, int]
    sizes: Mapping[TaskState, int]

    def files(self, *states: TaskState) -> int:
        """The number of tasks in ``states``."""
        return sum(self.n_files.get(state, 0) for state in states)

    def size(self, *states: TaskState) -> int:
        """The bytes of the tasks in ``states``."""
        return sum(self.sizes.get(state, 0) for state in states)
