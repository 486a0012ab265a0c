"""Kept columns: the files of the blocks that are worked on, read once and kept for a while.

Rules
  * The inventory lets nobody remove or rename files of a block while a request
    asks for them. So what was read for a request holds as long as that is open,
    and for no other request: between two of them ordinals may have moved.
  * A restored inventory is another one: ``forget``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from holdfast.inventory.store import Snapshot
from holdfast.model.names import BlockKey
from holdfast.model.records import DeletionRequest, FileColumns
from holdfast.operations.batch import Batch, RequestKind
from holdfast.operations.planning.sizes import Sizes

Place = tuple[str, BlockKey]
"""A request, by its id, and a block that it asks for."""

ROWS_MAX = 200_000
"""As many files as are kept, the last block that was read apart."""


class KeptColumns:
    """The files of blocks, those that were asked for last."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[Place, FileColumns] = OrderedDict()
        self._n_rows = 0

    def of(self, view: Snapshot, batch: Batch) -> FileColumns:
        """The files of a batch's block; UnknownName."""
        place = _place(batch)
        if self._knows(batch):
            self._blocks.move_to_end(place)
        else:
            self._keep(place, view.files(batch.block_key))
        return self._blocks[place]

    def read(self, view: Snapshot, batches: Iterable[Batch]) -> None:
        """Read the blocks of these batches together, as far as they are not known and there is room for them."""
        wanted = list({_place(batch): None for batch in batches if not self._knows(batch)})
        if len(wanted) < 2:
            return
        blocks, n_files = view.find_blocks(list({key: None for _, key in wanted})), 0
        some: list[Place] = []
        for place in wanted:
            block = blocks.get(place[1])
            if block is None:
                continue
            n_files += block.n_files
            if n_files > ROWS_MAX:
                break
            some.append(place)
        found = view.find_files(list({key: None for _, key in some}))
        for place in some:
            self._keep(place, found[place[1]])

    def _knows(self, batch: Batch) -> bool:
        known = self._blocks.get(_place(batch))
        # An open dataset may have got more files since.
        return known is not None and batch.files.within(len(known))

    def _keep(self, place: Place, files: FileColumns) -> None:
        known = self._blocks.pop(place, None)
        self._n_rows += len(files) - (0 if known is None else len(known))
        self._blocks[place] = files
        while self._n_rows > ROWS_MAX and len(self._blocks) > 1:
            _, dropped = self._blocks.popitem(last=False)
            self._n_rows -= len(dropped)

    def sizes(self, view: Snapshot, orphans: Mapping[str, DeletionRequest]) -> Sizes:
        """The sizes of the files of batches, as long as ``view`` is open; ``orphans``: open deletions by id."""

        def sizes(batch: Batch) -> Sequence[int]:
            if batch.request.kind is RequestKind.ORPHANS:
                return orphans[batch.request.id].path_sizes()
            return self.of(view, batch).sizes

        return sizes

    def forget(self) -> None:
        """Nothing that was read holds any more."""
        self._blocks.clear()
        self._n_rows = 0


def _place(batch: Batch) -> Place:
    return batch.request.id, batch.block_key
