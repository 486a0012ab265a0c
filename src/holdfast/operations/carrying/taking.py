"""Taking: batches out of the queue and under our name, many in one transaction; and those that are decided untried.

Rules
  * A batch is taken as it was seen, or not at all: somebody else was quicker.
  * Nothing is taken of a file that somebody has to do with at the same site,
    whatever he asks for: looked at again in the transaction that takes.
  * A batch may be taken from several times in one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from holdfast.model.fileset import FileSet
from holdfast.operations.batch import Batch, BatchFailure, RequestKind, Settled
from holdfast.operations.batches.queue import Queue
from holdfast.operations.planning.sizes import Sizes
from holdfast.operations.planning.usage import busy_of

NOTHING = FileSet()


@dataclass(frozen=True, slots=True)
class WantedFiles:
    """Files of a waiting batch that are to be carried out now."""

    batch: Batch
    files: FileSet
    size: int
    source: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """Files of a waiting batch that go on in another state, without a try; ``failure`` has them and their size."""

    batch: Batch
    failure: BatchFailure


class Taking:
    """One transaction's view of what is there to be taken."""

    def __init__(
        self, connection: Connection, queue: Queue, worker: str, *, now_us: int, new_id: Callable[[], str]
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._worker = worker
        self._now_us = now_us
        self._new_id = new_id
        self._busy = busy_of(queue.active(connection))
        self._cut: dict[int, Batch] = {}
        """Batches of which something was taken, as they are since."""

    def take(self, wanted: Sequence[WantedFiles]) -> list[tuple[WantedFiles, Batch]]:
        """Claim what is wanted, as far as it is still to be had."""
        free = [each for each in wanted if self._reserve(each)]
        n_wishes = Counter(each.batch.id for each in free)
        whole = [each for each in free if each.files == each.batch.files and n_wishes[each.batch.id] == 1]
        wishes = {self._new_id(): each for each in whole}
        given = self._queue.claim_whole(
            self._connection,
            [(each.batch, claim, each.source, each.engine) for claim, each in wishes.items()],
            worker=self._worker,
            now_us=self._now_us,
        )
        by_batch = {wishes[claim].batch.id: batch for claim, batch in given.items()}
        taken = []
        for each in free:
            is_whole = each.files == each.batch.files and n_wishes[each.batch.id] == 1
            claimed = by_batch.get(each.batch.id) if is_whole else self._claim(each)
            if claimed is not None:
                taken.append((each, claimed))
        return taken

    def _reserve(self, wanted: WantedFiles) -> bool:
        """Whether nobody has to do with these files; from here on, we have."""
        batch = wanted.batch
        if batch.request.kind is RequestKind.ORPHANS:
            return True
        # What is read at a source may well be read by others; what is written or deleted may not.
        if self._busy.get((batch.block_key, batch.site), NOTHING) & wanted.files:
            return False
        for site in filter(None, (batch.site, wanted.source)):
            place = batch.block_key, site
            self._busy[place] = self._busy.get(place, NOTHING) | wanted.files
        return True

    def decide(self, all_decided: Iterable[Decided]) -> list[Decided]:
        """Write down what is decided of batches that are still as they were seen; returns those."""
        found: list[Decided] = []
        settled: list[Settled] = []
        for each in all_decided:
            claimed = self._claim(WantedFiles(each.batch, each.failure.files, each.failure.size))
            if claimed is not None:
                found.append(each)
                settled.append(Settled(claimed.claim, failures=(each.failure,)))
        if settled:
            self._queue.settle(self._connection, settled, now_us=self._now_us)
        return found

    def _claim(self, wanted: WantedFiles) -> Batch | None:
        batch, files = wanted.batch, wanted.files
        known = self._cut.get(batch.id, batch)
        claimed = self._queue.claim(
            self._connection,
            known,
            files,
            wanted.size,
            worker=self._worker,
            claim=self._new_id(),
            source=wanted.source,
            engine=wanted.engine,
            now_us=self._now_us,
        )
        if claimed is not None and files != known.files:
            left = known.files - files
            self._cut[batch.id] = replace(known, files=left, n_files=len(left), size=known.size - claimed.size)
        return claimed


def size_of(batch: Batch, files: FileSet, sizes: Sizes) -> int:
    """The exact bytes of some files of a batch; asks only if these are not all of them."""
    if files == batch.files:
        return batch.size
    every = sizes(batch)
    return sum(map(every.__getitem__, files))
