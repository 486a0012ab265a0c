"""ReadAhead: a snapshot for those who read all files, block after block.

Whoever asks for the files of a block next asks for those of the blocks behind
it; so they are read together. A statement for each block costs several times
what the rows do.
"""

from __future__ import annotations

from functools import cached_property

from sqlalchemy import Connection

from holdfast.inventory import sql_many
from holdfast.inventory.sql_snapshot import SqlSnapshot, files_of_blocks
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import FileColumns

FILES_AHEAD = 20_000
BLOCKS_AHEAD = 1_000

_BLOCKS = (
    "SELECT dataset.name, dataset.version, block.name, block.id, block.n_files FROM dataset"
    " JOIN block ON block.dataset_id = dataset.id ORDER BY dataset.name, dataset.version, block.name"
)


class ReadAhead(SqlSnapshot):
    """A SqlSnapshot whose ``files`` are read many blocks at a time; the transaction must not write."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._read: dict[BlockKey, FileColumns] = {}

    def files(self, block: BlockKey) -> FileColumns:
        """All files of a block by ordinal."""
        if block not in self._read:
            first = self._places.get(block)
            if first is None:
                return super().files(block)
            self._read = self._read_from(first)
        return self._read[block]

    @cached_property
    def _blocks(self) -> list[tuple[BlockKey, int, int]]:
        """Key, number and number of files of each block, in the order of the keys."""
        rows = sql_many.fetched(self._connection, _BLOCKS)
        return [(BlockKey(DatasetKey(row[0], row[1]), row[2]), row[3], row[4]) for row in rows]

    @cached_property
    def _places(self) -> dict[BlockKey, int]:
        return {key: place for place, (key, _, _) in enumerate(self._blocks)}

    def _read_from(self, first: int) -> dict[BlockKey, FileColumns]:
        keys: dict[int, BlockKey] = {}
        n_files = 0
        for key, number, count in self._blocks[first : first + BLOCKS_AHEAD]:
            keys[number] = key
            n_files += count
            if n_files >= FILES_AHEAD:
                break
        return files_of_blocks(self._connection, keys)
