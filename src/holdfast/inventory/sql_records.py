"""Records made of rows: what a row of a table says, as the value that everybody else knows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from holdfast.inventory import schema
from holdfast.inventory.record_text import record_adapter
from holdfast.model import names
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockReplica, FileColumns, FileRecord, Site

K = TypeVar("K")
V = TypeVar("V")


class MadeRecords(Mapping[K, V]):
    """Records by key, each made of its row when it is asked for: many only ask which keys there are."""

    def __init__(self, rows: Mapping[K, Any], make: Callable[[K, Any], V]) -> None:
        self._rows, self._make = rows, make

    def __getitem__(self, key: K) -> V:
        return self._make(key, self._rows[key])

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[K]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def keys(self) -> KeysView[K]:
        """The keys."""
        return self._rows.keys()


def digest_text(algorithm: str, value: Any) -> str | None:
    """A stored digest as normalised text."""
    if value is None:
        return None
    return f"{value:08x}" if algorithm in schema.NUMBER_DIGESTS else bytes(value).hex()


def file_columns(rows: Sequence[Sequence[Any]]) -> FileColumns:
    """The files of rows that have directory, name, size and the digests, in the order of ``DIGEST_COLUMNS``."""
    if not rows:
        return FileColumns((), (), (), ())
    paths, file_names, sizes, *digests = zip(*rows, strict=True)
    places: dict[str, int] = {}
    dir_index = tuple(places.setdefault(path, len(places)) for path in paths)
    checksums = {
        algorithm: tuple(digest_text(algorithm, value) for value in column)
        for algorithm, column in zip(schema.DIGEST_COLUMNS, digests, strict=True)
        if any(value is not None for value in column)
    }
    return FileColumns(tuple(places), dir_index, file_names, sizes, checksums)


def file_record_of(dir: str, row: Sequence[Any]) -> FileRecord:
    """A file from its row: that of its directory, then its name, block, ordinal, size and digests."""
    _, name, dataset, version, block, ordinal, size, *digests = row
    known = zip(schema.DIGEST_COLUMNS, digests, strict=True)
    texts = {algorithm: digest_text(algorithm, value) for algorithm, value in known}
    checksums = {algorithm: text for algorithm, text in texts.items() if text is not None}
    return FileRecord(names.join(dir, name), BlockKey(DatasetKey(dataset, version), block), ordinal, size, checksums)


def replica_of(block: BlockKey, site: str, row: Sequence[Any]) -> BlockReplica:
    """A replica from its row, which is in the order of ``REPLICA_COLUMNS``."""
    _, _, group, is_custodial, held, n_files, size, verified_us, updated_us = row
    files = None if held is None else FileSet.from_bytes(held)
    return BlockReplica(block, site, group, bool(is_custodial), files, n_files, size, verified_us, updated_us)


@lru_cache(maxsize=4096)
def site_of(body: str) -> Site:
    """A site from its body; every transaction asks for some, and they seldom change."""
    found: Site = record_adapter(Site).validate_json(body)
    return found
