"""Schedule: of all that waits, what is claimed next: which files, from where, how many at once.

Pure: what waits, what is under way, limits and figures in, assignments out.
Nothing is claimed here; a claim that fails leaves its files for the next turn.

Rules
  * No limit is exceeded (``rooms``), and no more than ``room_files`` files are
    assigned at a time, of copies and of deletions.
  * Who was given least comes next (``turns``); where several requests can be
    given something, the first of them does not get it all.
  * What a request may have under way of deletions at its site is shared by its
    assignments according to their files: many small blocks are claimed together.
  * A file goes into one assignment, and into none while somebody has to do with
    it at that site (``busy``), whatever request asks for it. Nor is a file brought
    to where it is to be deleted (``doomed``): what else its batch has does not wait.
  * An assignment is of one batch and one source. It is cut to what its link
    allows, and to about WORK_S seconds of work where the link's rate is known;
    one file at least. A batch can be in several, to be claimed one after the other.
  * A copy to a site that is not READY, and whatever has to do with one that is
    unknown or stopped, is held; so is what has no source (``sources``).
  * A request whose deadline has passed is reported, and given nothing.
  * Equal input gives an equal schedule, in equal order; ties end at names and
    numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.model.records import Site
from holdfast.operations.batch import Batch, Held, QueuedRequest, RequestKind
from holdfast.operations.planning.assignment import Assignment, BatchPiece, HeldBatch, RequestLine
from holdfast.operations.planning.copies import CopyTurns
from holdfast.operations.planning.deletions import DeletionTurns
from holdfast.operations.planning.holders import Holders
from holdfast.operations.planning.limits import WorkLimits
from holdfast.operations.planning.rooms import Rooms
from holdfast.operations.planning.served import Served
from holdfast.operations.planning.sizes import Sizes
from holdfast.operations.planning.sources import Links, Sources
from holdfast.operations.planning.usage import Busy, StreamUsage


@dataclass(frozen=True, slots=True)
class Schedule:
    """What comes next. What is in none of these goes on waiting."""

    assignments: tuple[Assignment, ...]
    held: tuple[HeldBatch, ...]
    overdue: tuple[QueuedRequest, ...]
    """Open requests whose deadline has passed, oldest first."""


def schedule(
    waiting: Sequence[Batch],
    *,
    usage: StreamUsage,
    limits: WorkLimits,
    holders: Holders,
    sizes: Sizes,
    links: Links,
    sites: Mapping[str, Site],
    served: Served,
    room_files: int,
    now_us: int,
    busy: Busy | None = None,
    doomed: Busy | None = None,
    stopped: Mapping[str, str] | None = None,
) -> Schedule:
    """What is claimed next of ``waiting``: queued batches and retries that are due, in any order.

    ``stopped``: sites that cannot be used now though they are READY, with the
    reason. ``served`` is not altered: whoever claims an assignment charges it.
    """
    rooms, charged = Rooms(limits, usage), served.copy()
    taken: dict[tuple[BlockKey | None, str], FileSet] = dict((busy or {}).items())
    lines, held, overdue = _in_line(waiting, sites, stopped or {}, now_us)
    sources = Sources(holders, links, sites, now_us=now_us, stopped=stopped)
    copies = CopyTurns(lines, rooms, sources, sizes, links, taken, doomed or {})
    deletions = DeletionTurns(lines, rooms, sizes, taken, files_max=limits.deletion_files)
    assignments = (*copies.assign(charged, room_files), *deletions.assign(charged, room_files))
    return Schedule(assignments, (*held, *copies.held()), tuple(overdue))


def _in_line(
    waiting: Iterable[Batch], sites: Mapping[str, Site], stopped: Mapping[str, str], now_us: int
) -> tuple[list[RequestLine], list[HeldBatch], list[QueuedRequest]]:
    """What can be seen to, what is held because of its site, and what comes too late."""
    lines: dict[int, RequestLine] = {}
    held: list[HeldBatch] = []
    overdue: dict[int, QueuedRequest] = {}
    for batch in sorted(waiting, key=_age):
        request = batch.request
        if request.deadline_us is not None and request.deadline_us <= now_us:
            overdue[request.number] = request
        elif reason := _unavailable(request, sites, stopped):
            held.append(HeldBatch(batch, Held.SITE_UNAVAILABLE, reason))
        else:
            line = lines.get(request.number)
            if line is None:
                line = lines[request.number] = RequestLine(request)
            line.pieces.append(
                BatchPiece(batch, None if request.kind is RequestKind.ORPHANS else batch.block_key, batch.files)
            )
    return list(lines.values()), held, list(overdue.values())


def _age(batch: Batch) -> tuple[int, int]:
    return batch.request.number, batch.id


def _unavailable(request: QueuedRequest, sites: Mapping[str, Site], stopped: Mapping[str, str]) -> str:
    """Why the site of a request cannot be used; "" if it can. What is to be deleted need not lie at a READY site."""
    site = sites.get(request.site)
    if site is None:
        return f"{request.site} is not known"
    if not site.is_ready and request.kind is RequestKind.COPY:
        return f"{request.site} is {site.status}"
    return f"{request.site}: {stopped[request.site]}" if request.site in stopped else ""
