"""Findings: what a check found, one row a file, and the table they are kept in.

A file is in one class only. ``suspect`` rows are expected files that were not shown by a
directory whose answer is not believed; ``empty_directory`` rows are directories with nothing
below them. ``awaited`` rows are files that an open copy is to
bring to the site and that are not counted as there; what lies in such a place
already is ``ignored`` beside that. ``unlisted`` rows are directories (or files) that could
not be judged; ``ignored`` rows were different and are left alone, the reason
says why. The table is written and read in pieces, so its size does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.consistency.durable import sync
from holdfast.model import names
from holdfast.model.errors import OperatorError
from holdfast.model.names import BlockKey, DatasetKey

PIECE_ROWS = 10_000


class Class(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"
    ORPHAN = "orphan"
    SIZE_MISMATCH = "size_mismatch"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    SUSPECT = "suspect"
    EMPTY_DIRECTORY = "empty_directory"
    AWAITED = "awaited"
    UNLISTED = "unlisted"
    IGNORED = "ignored"


class Remedy(StrEnum):
    """What mends what is found."""

    COPY = "copy"
    """A good copy from elsewhere, once the gate of the class is open."""
    REMOVAL = "removal"
    """That it goes, once the gate of the class is open."""
    WAITING = "waiting"
    """It was asked for already."""
    LOOK = "look"
    """Another look: nobody knows what is there."""
    NONE = "none"


class LimitGroup(StrEnum):
    """Which limits a class is held against, and how it is confirmed; classes of one group together."""

    MISSING = "missing"
    WRONG = "wrong"
    ORPHAN = "orphan"
    EMPTY_DIRECTORY = "empty_directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is so of all findings of a class, and what people read of it."""

    one: str
    many: str
    head: str
    """A few words for the head of a column."""
    meaning: str
    """In a few words, beside its numbers."""
    definition: str
    """In full."""
    where: str = ""
    """The title of the picture of where they lie; "": there is none."""
    remedy: Remedy
    limits: LimitGroup | None = None
    """None: it has no gate, as nothing is done about it."""
    is_there: bool = True
    """Whether anything lies at its path."""
    is_directory: bool = False


TRAITS: Mapping[Class, Traits] = {
    Class.MISSING: Traits(
        one="missing file",
        many="missing files",
        head="missing",
        meaning="should be there",
        definition="expected before and after the listing, and not there",
        where="Where missing files should be",
        remedy=Remedy.COPY,
        limits=LimitGroup.MISSING,
        is_there=False,
    ),
    Class.ORPHAN: Traits(
        one="orphan",
        many="orphans",
        head="orphans",
        meaning="nobody knows them (dark data)",
        definition="there, and expected by nobody",
        where="Where orphans lie",
        remedy=Remedy.REMOVAL,
        limits=LimitGroup.ORPHAN,
    ),
    Class.SIZE_MISMATCH: Traits(
        one="file of wrong size",
        many="files of wrong size",
        head="wrong size",
        meaning="wrong size",
        definition="there, and not of the size that the inventory knows",
        where="Where files of the wrong size lie",
        remedy=Remedy.COPY,
        limits=LimitGroup.WRONG,
    ),
    Class.CHECKSUM_MISMATCH: Traits(
        one="file of wrong content",
        many="files of wrong content",
        head="wrong checksum",
        meaning="right size, wrong content",
        definition="read, and not of the checksum that the inventory knows",
        where="Where files of the wrong checksum lie",
        remedy=Remedy.COPY,
        limits=LimitGroup.WRONG,
    ),
    Class.SUSPECT: Traits(
        one="suspect file",
        many="suspect files",
        head="suspect",
        meaning="not judged: not believed about",
        definition="expected, and not shown by a directory whose answer is not believed",
        remedy=Remedy.LOOK,
    ),
    Class.EMPTY_DIRECTORY: Traits(
        one="empty directory",
        many="empty directories",
        head="empty directories",
        meaning="directories with nothing below",
        definition="with nothing below but empty directories",
        remedy=Remedy.REMOVAL,
        limits=LimitGroup.EMPTY_DIRECTORY,
        is_directory=True,
    ),
    Class.AWAITED: Traits(
        one="awaited file",
        many="awaited files",
        head="awaited",
        meaning="asked for, not there yet",
        definition="what open copies are still to bring",
        remedy=Remedy.WAITING,
        is_there=False,
    ),
    Class.UNLISTED: Traits(
        one="file not seen",
        many="files not seen",
        head="unlisted",
        meaning="not judged: not listed or not readable",
        definition="expected below places that could not be listed: not judged",
        remedy=Remedy.LOOK,
    ),
    Class.IGNORED: Traits(
        one="ignored file",
        many="ignored files",
        head="ignored",
        meaning="young, in flight or left alone",
        definition="different and left alone: young, in flight, changed meanwhile, or by the configuration",
        remedy=Remedy.NONE,
    ),
}
"""Every class; whoever needs some of them derives these from here."""


def mended_by(*remedies: Remedy) -> tuple[Class, ...]:
    """The classes with one of these remedies, in their order."""
    return tuple(cls for cls in Class if TRAITS[cls].remedy in remedies)


WRONG = mended_by(Remedy.COPY)
"""The classes of what is not as the inventory says."""

LACKING = mended_by(Remedy.COPY, Remedy.WAITING)
"""The classes that a good copy from elsewhere mends."""

UNSEEN = mended_by(Remedy.LOOK)
"""The classes of places that a listing could not see into, or was not believed about."""

ACTED = tuple(cls for cls in Class if TRAITS[cls].limits is not None)
"""The classes that have a gate."""

TOLD = tuple(cls for cls in Class if TRAITS[cls].remedy is not Remedy.NONE)
"""The classes that people are told of."""

DIFFERING = tuple(cls for cls in TOLD if not TRAITS[cls].is_directory)
"""The classes of which nothing is found where a site agrees: those of files that anything is to be done about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One file (or directory) and what is the matter with it. Paths are below the site's first door."""

    cls: Class
    path: str
    reason: str = ""
    lfn: str = ""
    block: BlockKey | None = None
    ordinal: int = -1
    expected_size: int | None = None
    actual_size: int | None = None
    mtime_ns: int | None = None
    version: str = ""
    changed_ns: int | None = None
    """When anything about what is there last changed, its name included; None where the storage does not say."""
    n_files: int = 1
    """Expected files it stands for: those below a directory that was not listed."""

    @property
    def size(self) -> int:
        """The bytes at stake: those that should be there, else those that are."""
        return self.expected_size if self.expected_size is not None else self.actual_size or 0

    @property
    def since_ns(self) -> int | None:
        """Since when it is there under this name, at the earliest: what was moved in keeps its old mtime."""
        return max((at_ns for at_ns in (self.mtime_ns, self.changed_ns) if at_ns is not None), default=None)


_FIELDS: list[pa.Field[Any]] = [
    pa.field("class", pa.string(), nullable=False),
    pa.field("dir", pa.string(), nullable=False),
    pa.field("name", pa.string(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
    pa.field("lfn", pa.string(), nullable=False),
    pa.field("dataset", pa.string()),
    pa.field("dataset_version", pa.string()),
    pa.field("block", pa.string()),
    pa.field("ordinal", pa.int32(), nullable=False),
    pa.field("expected_size", pa.int64()),
    pa.field("actual_size", pa.int64()),
    pa.field("mtime_ns", pa.int64()),
    pa.field("version", pa.string(), nullable=False),
    pa.field("changed_ns", pa.int64()),
    pa.field("n_files", pa.int64(), nullable=False),
]
SCHEMA = pa.schema(_FIELDS)


def write_table(findings: Iterable[Finding], target: Path) -> None:
    """Write findings in the order given, durably."""
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for piece in pieces(findings):
            writer.write_table(pa.Table.from_pylist([_row(finding) for finding in piece], schema=SCHEMA))
    sync(target)


def read_table(source: Path, classes: Sequence[Class] = tuple(Class)) -> Iterator[Finding]:
    """The findings of ``classes``, in the order they were written; OperatorError if they cannot be read."""
    try:
        with pq.ParquetFile(source) as table:
            for batch in table.iter_batches(PIECE_ROWS):
                for row in batch.to_pylist():
                    if row["class"] in classes:
                        yield _finding(row)
    except (OSError, pa.ArrowException) as error:
        hint = "bring the report back, or move its folder away and check the site again"
        raise OperatorError("the findings cannot be read", place=str(source), hint=hint) from error


def pieces(findings: Iterable[Finding], size: int = PIECE_ROWS) -> Iterator[list[Finding]]:
    """The same findings in lists of at most ``size``."""
    piece: list[Finding] = []
    for finding in findings:
        piece.append(finding)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece


def _row(finding: Finding) -> dict[str, object]:
    dir, name = names.split(finding.path)
    block = finding.block
    return {
        "class": finding.cls.value,
        "dir": dir,
        "name": name,
        # It may quote what a far side said, in whatever bytes; the table holds UTF-8.
        "reason": finding.reason.encode(errors="backslashreplace").decode(),
        "lfn": finding.lfn,
        "dataset": block.dataset.name if block else None,
        "dataset_version": block.dataset.version if block else None,
        "block": block.block if block else None,
        "ordinal": finding.ordinal,
        "expected_size": finding.expected_size,
        "actual_size": finding.actual_size,
        "mtime_ns": finding.mtime_ns,
        "version": finding.version,
        "changed_ns": finding.changed_ns,
        "n_files": finding.n_files,
    }


def _finding(row: dict[str, object]) -> Finding:
    values = dict(row)
    dataset, version, block = (values.pop(name) for name in ("dataset", "dataset_version", "block"))
    path = names.join(str(values.pop("dir")), str(values.pop("name")))
    key = None if dataset is None else BlockKey(DatasetKey(str(dataset), str(version)), str(block))
    return Finding(cls=Class(values.pop("class")), path=path, block=key, **values)  # type: ignore[arg-type]
