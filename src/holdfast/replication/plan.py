"""Cut a sorted list of files into blocks.

Pure: rows in, blocks out, one at a time, so that a version of a million files
never lies in memory whole.

Rules
  * Equal rows give equal blocks: the order is the rows', names count up from
    ``0000``, nothing depends on time or on how far an earlier run came.
  * Every row is in exactly one block, and the rows' order is kept.
  * A block holds at most ``files_max`` files and, by a careful estimate, at
    most ``bytes_max`` bytes once encoded, so that one RegisterFiles carries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from holdfast.model import names
from holdfast.model.changes import BYTES_MAX
from holdfast.model.records import BLOCK_FILES_MAX, FileColumns

BLOCK_BYTES_MAX = BYTES_MAX // 2
"""Half of what a change set may be: the estimate may be wrong by a factor of two."""
ROW_BYTES = 64
"""What a row costs beside its name and digests: numbers, quotes, commas."""


class ReadFile(NamedTuple):
    """A file and what reading it whole has shown."""

    dir: str
    name: str
    size: int
    adler32: str
    strong: str
    read_us: int

    @property
    def lfn(self) -> str:
        """The file's LFN."""
        return names.join(self.dir, self.name)


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """A block as it is to be registered; ``verified_us`` is when its first file was read."""

    name: str
    files: FileColumns
    size: int
    verified_us: int


def block_name(number: int) -> str:
    """The name of block ``number``, from 0."""
    return f"{number:04d}"


def blocks(
    rows: Iterable[ReadFile],
    algorithm: str,
    *,
    files_max: int = BLOCK_FILES_MAX,
    bytes_max: int = BLOCK_BYTES_MAX,
) -> Iterator[PlannedBlock]:
    """Cut ``rows``, sorted as they are to be registered, into blocks; ``algorithm`` names their strong digest."""
    held: list[ReadFile] = []
    dirs: set[str] = set()
    number = held_bytes = 0
    for row in rows:
        row_bytes = _encoded_bytes(row, dirs)
        if held and (len(held) == files_max or held_bytes + row_bytes > bytes_max):
            yield _block(number, held, algorithm)
            number, held, dirs = number + 1, [], set()
            held_bytes, row_bytes = 0, _encoded_bytes(row, dirs)
        held.append(row)
        dirs.add(row.dir)
        held_bytes += row_bytes
    if held:
        yield _block(number, held, algorithm)


def same_files(first: FileColumns, second: FileColumns) -> bool:
    """Whether two lists of files are the same, row by row, however their columns are kept."""
    return (
        first.names == second.names
        and first.sizes == second.sizes
        and all(one == other for one, other in zip(first.lfns(), second.lfns(), strict=True))
        and _known_digests(first) == _known_digests(second)
    )


def _known_digests(files: FileColumns) -> Mapping[str, tuple[str | None, ...]]:
    return {algorithm: column for algorithm, column in files.checksums.items() if any(column)}


def _encoded_bytes(row: ReadFile, dirs: set[str]) -> int:
    own = ROW_BYTES + len(row.adler32) + len(row.strong) + _text_bytes(row.name)
    return own if row.dir in dirs else own + _text_bytes(row.dir)


def _text_bytes(text: str) -> int:
    # JSON may write any character beyond ASCII as \uXXXX, at worst six bytes for two of UTF-8.
    return len(text) if text.isascii() else 3 * len(text.encode())


def _block(number: int, rows: list[ReadFile], algorithm: str) -> PlannedBlock:
    places: dict[str, int] = {}
    sizes = tuple(row.size for row in rows)
    files = FileColumns(
        dir_index=tuple(places.setdefault(row.dir, len(places)) for row in rows),
        dirs=tuple(places),
        names=tuple(row.name for row in rows),
        sizes=sizes,
        checksums={"adler32": tuple(row.adler32 for row in rows), algorithm: tuple(row.strong for row in rows)},
    )
    return PlannedBlock(block_name(number), files, sum(sizes), min(row.read_us for row in rows))
