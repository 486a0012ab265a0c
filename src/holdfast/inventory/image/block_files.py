"""The files of one block, put together from the chunks they lie in.

Rules
  * Files come in the order of their ordinals, wherever they lie.
  * Directories come in the order of their first file, each once.
  * A block without files has no columns and no checksums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.inventory.image import arrays
from holdfast.inventory.image.arrays import I64, U32, Bools, Numbers
from holdfast.inventory.image.directories import text_of
from holdfast.inventory.image.file_chunk import FileChunk
from holdfast.model.records import FileColumns

DIGITS = 8
"""An adler32 as text."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockPart:
    """What one chunk has of a block: slots and ordinals."""

    chunk: FileChunk
    slots: Numbers
    ordinals: I64


def parts_of(chunks: Sequence[FileChunk], block: int) -> list[BlockPart]:
    """What the chunks have of a block."""
    return [part for part in _parts(chunks, block) if len(part.slots)]


def _parts(chunks: Sequence[FileChunk], block: int) -> Iterator[BlockPart]:
    for chunk in chunks:
        segments = chunk.segments
        if segments.block_min <= block <= segments.block_max:
            found = segments.of_block(block)
            counts = segments.lengths(found)
            slots = arrays.spread(segments.first_slots[found], counts)
            yield BlockPart(chunk, slots, arrays.spread(segments.first_ordinals[found], counts))


def sizes_of(parts: Sequence[BlockPart]) -> I64:
    """The sizes of the files, by ordinal."""
    if not parts:
        return np.empty(0, "<i8")
    sizes = np.concatenate([part.chunk.sizes[part.slots] for part in parts])
    order = _order(parts)
    return sizes if order is None else sizes[order]


def files_of(parts: Sequence[BlockPart]) -> FileColumns:
    """The files, by ordinal."""
    names = [name for part in parts for name in part.chunk.names.taken(part.slots).texts()]
    prefixes: dict[bytes, int] = {}
    directory = [number for part in parts for number in _directory(part, prefixes)]
    sizes = [size for part in parts for size in part.chunk.sizes[part.slots].tolist()]
    checksums = [text for part in parts for text in adler32_texts(*part.chunk.adler32_of(part.slots))]
    order = _order(parts)
    if order is not None:
        places = order.tolist()
        names, sizes, checksums, directory = (
            [column[place] for place in places] for column in (names, sizes, checksums, directory)
        )
    texts = [text_of(prefix) for prefix in prefixes]
    known: dict[int, int] = {}
    index = tuple([known.setdefault(number, len(known)) for number in directory])
    has_checksums = any(text is not None for text in checksums)
    return FileColumns(
        dirs=tuple([texts[number] for number in known]),
        dir_index=index,
        names=tuple(names),
        sizes=tuple(sizes),
        checksums={"adler32": tuple(checksums)} if has_checksums else {},
    )


def adler32_texts(adler32: U32, known: Bools) -> list[str | None]:
    """Checksums as their eight digits, None where not known."""
    digits = adler32.astype(">u4").tobytes().hex()
    texts: list[str | None] = [digits[at : at + DIGITS] for at in range(0, len(digits), DIGITS)]
    if known.all():
        return texts
    return [text if is_known else None for text, is_known in zip(texts, known.tolist(), strict=True)]


def _order(parts: Sequence[BlockPart]) -> Numbers | None:
    """What puts the parts' rows in the order of ordinals; None: they are."""
    ordinals = np.concatenate([part.ordinals for part in parts]) if parts else np.empty(0, "<i8")
    return None if (ordinals[1:] > ordinals[:-1]).all() else np.argsort(ordinals, kind="stable")


def _directory(part: BlockPart, prefixes: dict[bytes, int]) -> list[int]:
    """The column of directories, by their numbers in ``prefixes``."""
    column = part.chunk.directory[part.slots].tolist()
    texts = dict.fromkeys(column)
    numbers = {at: prefixes.setdefault(part.chunk.directories.prefix(at), len(prefixes)) for at in texts}
    return [numbers[at] for at in column]
