"""Deletions: assigns what is to be deleted, as far as there is room. The rules are ``schedule``'s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey
from holdfast.operations.batch import QueuedRequest
from holdfast.operations.planning.assignment import Assignment, BatchPiece, Remains, RequestLine, in_turn
from holdfast.operations.planning.rooms import Rooms
from holdfast.operations.planning.served import Served
from holdfast.operations.planning.sizes import Sizes, first
from holdfast.operations.planning.turns import Turns

STREAM_FILES = 4
"""Where there are many streams each is given so many files at least: to begin one costs as much as a deletion does."""
STREAMS_MIN = 8
"""Up to so many there are not many."""


class DeletionTurns:
    """Gives to deletion requests, each of which has its site to itself or shares it."""

    def __init__(
        self,
        lines: Iterable[RequestLine],
        rooms: Rooms,
        sizes: Sizes,
        taken: dict[tuple[BlockKey | None, str], FileSet],
        *,
        files_max: int,
    ) -> None:
        """``files_max``: files of one assignment. ``taken``: files that somebody has to do with; grows."""
        self._lines = {line.request.number: line for line in lines if line.request.kind.is_deletion}
        self._rooms = rooms
        self._sizes = sizes
        self._taken = taken
        self._remains = Remains()
        self._files_max = files_max
        self._n_at_site = Counter(line.request.site for line in self._lines.values())
        self._n_left = {site: rooms.n_deletions_left(site) for site in self._n_at_site}
        self._n_waiting: dict[int, int] = {}
        """Files of each request, as far as they were counted."""

    def assign(self, served: Served, room_files: int) -> list[Assignment]:
        """All that there is room for. ``served`` is charged with it."""
        requests = [line.request for line in self._lines.values()]
        n_able = sum(min(self._n_at_site[site], n_left) for site, n_left in self._n_left.items())
        self._files_max = min(self._files_max, max(1, room_files // max(1, n_able)))
        return in_turn(Turns(requests, served), room_files, self._give)

    def _give(self, request: QueuedRequest, room_files: int) -> Assignment | None:
        site, pieces = request.site, self._lines[request.number].pieces
        share = max(1, self._n_left[site] // self._n_at_site[site])
        if request.number not in self._n_waiting:
            self._n_waiting[request.number] = sum(len(piece.files) for piece in pieces)
        streams = min(share, self._rooms.for_deletion(request))
        while pieces and streams > 0:
            piece = pieces.popleft()
            batch, files = piece.batch, piece.files
            place = None if piece.block is None else (piece.block, site)
            if place in self._taken:
                files -= self._taken[place]
            if not files:
                continue
            files_max = min(room_files, self._files_max)
            part, size = first(batch, files, None, self._sizes, files_max=files_max, size_max=None)
            if part != files:
                pieces.appendleft(BatchPiece(batch, piece.block, files - part))
            if place is not None:
                self._taken[place] = self._taken.get(place, FileSet()) | part
            streams = min(streams, self._streams(request, len(part), share))
            self._rooms.take_deletion(request, streams)
            return Assignment(self._remains.take(batch, part, size), part, size, "", streams)
        return None

    def _streams(self, request: QueuedRequest, n_files: int, share: int) -> int:
        """How many streams so many files are worth: small batches share what a request is given."""
        n_given = min(self._n_waiting[request.number], self._files_max)
        return min(-(-n_files * share // n_given), n_files, max(STREAMS_MIN, -(-n_files // STREAM_FILES)))
