"""Batch: some files of one block, for one request, in one condition; the unit of the queue.

Values only (``batches/`` keeps them). The files are a bitmap over the block's
ordinals; of a request that removes orphans and directories, over the request's
own list, and the block is "".

    queued -> active -> (finished: not in the queue any more)
       ^        |-> retry     due at ``not_before_us``
       |        |-> held      until what held it has changed, or somebody says so
       |        |-> failed    final
       |        `-> skipped   final, and rightly so: of orphans only
       `- given back untried, or its worker is dead

Rules
  * Every file of an open request that is planned and not finished is in exactly one batch.
  * ``claim`` is the token of whoever works on it; everything an earlier claim
    may have left behind is known by the claims in ``left``.
  * The temporary part of a file is named by claim and ordinal, and the claim can be read from that name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import CopyRequest, Request
from holdfast.operations.codes import Code


class RequestKind(StrEnum):
    """What a request asks for."""

    COPY = "copy"
    REPLICAS = "replicas"
    """That replicas of a dataset are deleted."""
    ORPHANS = "orphans"
    """That files nobody knows are deleted or moved, and that empty directories go."""

    @staticmethod
    def of(request: Request) -> RequestKind:
        """What ``request`` asks for."""
        if isinstance(request, CopyRequest):
            return RequestKind.COPY
        return RequestKind.ORPHANS if request.dataset is None else RequestKind.REPLICAS

    @property
    def is_deletion(self) -> bool:
        """Whether bytes are to go."""
        return self is not RequestKind.COPY


class BatchState(StrEnum):
    """Where a batch stands."""

    QUEUED = "queued"
    ACTIVE = "active"
    RETRY = "retry"
    HELD = "held"
    FAILED = "failed"
    SKIPPED = "skipped"


NO_OTHER_SOURCE = "no other ready site holds it"
IN_ITS_PLACE = "looked for in its place: "
"""So the words begin of what came of a look where a file was to be brought; who holds it then repeats them."""
FINAL = frozenset({BatchState.FAILED, BatchState.SKIPPED})


class Held(StrEnum):
    """Why a batch is held."""

    NOT = ""
    NO_SOURCE = "no source"
    ALL_FAILED = "all failed"
    """Every source was asked, and failed for good."""
    SITE_UNAVAILABLE = "site unavailable"
    NEEDED = "still needed"
    """Of deletions: a copy that was asked for before would be left without a source."""
    MUST_STAY = "must stay"
    """Of deletions of replicas: the check stands in the way, on any other ground."""

    @property
    def is_refused(self) -> bool:
        """Whether the check of deletions stands in the way. It is made again when the inventory has changed."""
        return self in (Held.NEEDED, Held.MUST_STAY)


@dataclass(frozen=True, slots=True)
class QueuedRequest:
    """A request as the queue knows it. ``n_files`` and ``size`` are of what is planned so far."""

    number: int
    id: str
    kind: RequestKind
    dataset: DatasetKey | None
    """None of orphans."""
    site: str
    owner: str
    priority: int
    deadline_us: int | None
    created_us: int
    plan: int
    """Raised whenever a step that was planned before must not be written any more."""
    planned_to: str
    """How far its scope has been planned, as ``planning.lacking`` says it; "" at first. No number of parts: what
    leaves the scope meanwhile would move them."""
    is_planned: bool
    n_files: int
    size: int
    n_done: int
    """Files that were brought or deleted."""
    size_done: int
    n_found: int
    """Of these: were there, or gone, already."""
    on_hold: str
    """Who holds it back and why; "" if nobody does."""
    is_closed: bool
    is_replacing: bool = False
    """A copy that may replace what is wrong: nothing of it fails for good, it is held."""
    ending: str = ""
    """Why a deletion of replicas was cancelled that had begun: nothing more of it is claimed, and it is closed as soon
    as it is known what has gone. "" if it was not."""


@dataclass(frozen=True, slots=True)
class NewBatch:
    """Files of one block that a request asks for, as planned."""

    block: str
    files: FileSet
    size: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Some files in one condition."""

    id: int
    request: QueuedRequest
    block: str
    files: FileSet
    n_files: int
    size: int
    state: BatchState
    attempts: int = 0
    """Tries that have failed."""
    not_before_us: int = 0
    held: Held = Held.NOT
    code: Code | None = None
    """Of the last failure."""
    error: str = ""
    since_us: int = 0
    """When it came into this state, by the clock of whoever brought it there."""
    worker: str = ""
    claim: str = ""
    source: str = ""
    """The site that it comes from, while it is active."""
    engine: str = ""
    handle: str = ""
    """What the engine calls its job."""
    left: tuple[str, ...] = ()
    """Claims of earlier tries that may have left something behind: parts, or files that are gone and not told of."""
    bad_sources: tuple[str, ...] = ()
    """Sites that were asked for these files and failed for good."""

    @property
    def site(self) -> str:
        """Where the files are to go, or to be deleted."""
        return self.request.site

    @property
    def is_over_link(self) -> bool:
        """Whether its files come from another site. What is found in its place (``engines/in_place.py``) does not."""
        return self.source not in ("", self.site)

    @property
    def is_look(self) -> bool:
        """Whether its files are only looked for in their place."""
        return self.source == self.site

    @property
    def block_key(self) -> BlockKey:
        """The block; an error for orphans, which are of none."""
        assert self.request.dataset is not None
        return BlockKey(self.request.dataset, self.block)

    def token(self, ordinal: int) -> str:
        """Names the temporary part of one file under the present claim."""
        return token_of(self.claim, ordinal)


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """What became of some files of an active batch that did not succeed.

    ``state`` is RETRY (with ``not_before_us``), HELD (with ``held``), FAILED or
    SKIPPED; or QUEUED: given back untried. Files that fare alike should come in
    one Failure, with one ``not_before_us``: each different one is a row.
    """

    files: FileSet
    size: int
    state: BatchState
    attempts: int
    code: Code | None = None
    error: str = ""
    not_before_us: int = 0
    held: Held = Held.NOT
    bad_sources: tuple[str, ...] = ()
    """All that are known by now."""
    left: tuple[str, ...] | None = None
    """Claims that may have left something behind of these files; None: all that were known, and the present one."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one claim: files that are done, files that are not. What is in neither stays claimed."""

    claim: str
    done: FileSet = field(default_factory=FileSet)
    size: int = 0
    """Bytes of ``done``."""
    n_found: int = 0
    """Of these: were there, or gone, already."""
    failures: tuple[BatchFailure, ...] = ()
    gives_back: bool = False
    """Whether what is in neither goes back into the queue, untried."""
    is_job_over: bool = False
    """Whether the engine has said that its job at a service has ended; else that is cancelled with the claim."""


def token_of(claim: str, ordinal: int) -> str:
    """Names the temporary part of one file under a claim."""
    return f"{claim}x{ordinal}"


def claim_of(token: str) -> str:
    """The claim in the name of a part; "" if it is none of ours."""
    claim, mark, ordinal = token.rpartition("x")
    return claim if mark and ordinal.isascii() and ordinal.isdigit() else ""
