"""Copies: assigns what is to be copied, as far as there is room. The rules are ``schedule``'s."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from operator import sub

from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.operations.batch import Batch, QueuedRequest, RequestKind
from holdfast.operations.planning.assignment import Assignment, BatchPiece, HeldBatch, Remains, RequestLine, in_turn
from holdfast.operations.planning.rooms import Rooms
from holdfast.operations.planning.served import Served
from holdfast.operations.planning.sizes import Sizes, first
from holdfast.operations.planning.sources import HeldFiles, Links, Sources
from holdfast.operations.planning.turns import Turns
from holdfast.operations.planning.usage import Busy

WORK_S = 20
"""How much work one assignment is, about."""


class CopyTurns:
    """Gives to copy requests."""

    def __init__(
        self,
        lines: Iterable[RequestLine],
        rooms: Rooms,
        sources: Sources,
        sizes: Sizes,
        links: Links,
        taken: dict[tuple[BlockKey | None, str], FileSet],
        doomed: Busy,
    ) -> None:
        """``taken``: files that somebody has to do with, by block and site; grows. ``doomed``: those that are to go."""
        self._sourceless: dict[int, tuple[Batch, tuple[HeldFiles, ...]]] = {}
        self._remains = Remains()
        self._lines = {line.request.number: line for line in lines if line.request.kind is RequestKind.COPY}
        self._rooms = rooms
        self._sources = sources
        self._sizes = sizes
        self._links = links
        self._taken = taken
        self._doomed = doomed
        self._streams_max = self._files_max = 1

    def assign(self, served: Served, room_files: int) -> list[Assignment]:
        """All that there is room for. ``served`` is charged with it."""
        requests = [line.request for line in self._lines.values()]
        n_slots = self._rooms.n_slots_left
        # So many can be given something, at most; none of them should get all.
        n_able = sum(self._rooms.for_request(request) > 0 for request in requests)
        self._streams_max = max(1, n_slots // max(1, n_able))
        self._files_max = max(1, room_files // max(1, min(n_able, n_slots)))
        found = in_turn(Turns(requests, served), room_files, self._give)
        return [self._widened(assignment) for assignment in found]

    def held(self) -> list[HeldBatch]:
        """Batches that have no source, or nothing but files without one left. Others first lose those that have one."""
        found = []
        for batch, parts in self._sourceless.values():
            left = self._remains.of(batch)
            if not reduce(sub, (part.files for part in parts), left.files):
                found.append(HeldBatch(left, parts[0].held, "; ".join(part.reason for part in parts)))
        return found

    def _give(self, request: QueuedRequest, room_files: int) -> Assignment | None:
        line = self._lines[request.number]
        streams_max = min(self._streams_max, self._rooms.for_request(request))
        while line.pieces and streams_max > 0:
            piece = line.pieces.popleft()
            taken = self._taken.get((piece.block, request.site))
            if taken is not None and taken & piece.files:
                piece = BatchPiece(piece.batch, piece.block, piece.files - taken, piece.source)
            if not piece.files:
                continue
            if not piece.source:
                self._choose(line, piece)
                continue
            streams = min(streams_max, self._rooms.from_source(request, piece.source))
            if streams > 0:
                return self._cut(line, piece, streams, min(room_files, self._files_max))
        return None

    def _choose(self, line: RequestLine, piece: BatchPiece) -> None:
        """Put files back into line by their sources, as far as these have room."""
        request, rooms, batch = line.request, self._rooms, piece.batch
        choice = self._sources.choose(batch, piece.files, lambda source: rooms.from_source(request, source) > 0)
        doomed = self._doomed.get((batch.block_key, request.site)) if self._doomed else None
        for part in reversed(choice.sources):
            if doomed is None or not part.files & doomed:
                line.pieces.appendleft(BatchPiece(batch, piece.block, part.files, part.source, part.size))
            elif part.files - doomed:
                line.pieces.appendleft(BatchPiece(batch, piece.block, part.files - doomed, part.source))
        if choice.held:
            self._sourceless[batch.id] = batch, choice.held

    def _cut(self, line: RequestLine, piece: BatchPiece, streams: int, files_max: int) -> Assignment:
        """Assign the first files of a piece, and put the rest back."""
        request, batch, source = line.request, piece.batch, piece.source
        limits = self._rooms.of_link(source, request.site)
        streams = min(streams, limits.streams)
        size_max = limits.batch_size
        link = self._links.get((source, request.site))
        if link is not None and link.rate_bytes_s:
            size_max = min(size_max, int(link.rate_bytes_s * streams * WORK_S))
        files_max = min(files_max, limits.batch_files)
        part, size = first(batch, piece.files, piece.size, self._sizes, files_max=files_max, size_max=size_max)
        if part != piece.files:
            rest = None if piece.size is None else max(0, piece.size - size)
            line.pieces.appendleft(BatchPiece(batch, piece.block, piece.files - part, source, rest))
        streams = min(streams, len(part))
        self._rooms.take_copy(request, source, streams)
        for place in ((piece.block, request.site), (piece.block, source)):
            self._taken[place] = self._taken.get(place, FileSet()) | part
        return Assignment(self._remains.take(batch, part, size), part, size, source, streams)

    def _widened(self, assignment: Assignment) -> Assignment:
        """The same with more streams, if nobody else can use the room."""
        request, source = assignment.batch.request, assignment.source
        wanted = min(self._rooms.of_link(source, request.site).streams, len(assignment.files)) - assignment.streams
        if wanted <= 0:
            return assignment
        more = min(wanted, self._rooms.for_request(request), self._rooms.from_source(request, source))
        if more <= 0:
            return assignment
        self._rooms.take_copy(request, source, more)
        return replace(assignment, streams=assignment.streams + more)
