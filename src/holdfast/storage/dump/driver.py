"""DumpDriver: a listing that a site hands out, as a storage that can only be looked at.

The root of the door names the dump and says what its first lines do not
(``options``); ``layout`` has the layouts.

Rules, beside those of the contract
  * A dump is read whole, once, when it is asked for the first time, into a
    folder for temporary files (``TMPDIR``); from then on its own file is not
    needed. What is wrong with it is BadInput then, for every call.
  * It shows one moment (``taken``): a dump that is replaced is seen by a new
    driver. It is hearsay: not ``live``, no evidence for anything that is done.
  * Directories are there because paths lead through them.
  * What a dump does not tell is NOT_TOLD. Where it tells no mtime, changed_ns is
    the latest that a file of this dump can have been changed: when it was taken.
  * A name that is there twice is listed twice; ``stat`` of it is PeerError unless
    both say the same. A digest that is none is PeerError when it is asked for.
  * A dump without a single file is BadInput, unless the door says that it may
    be empty: of all that goes wrong with dumps this is the most likely.
"""

from __future__ import annotations

import asyncio
import builtins
import shutil
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from itertools import pairwise
from pathlib import Path
from typing import Any

from holdfast.model import names
from holdfast.model.checksums import DIGITS
from holdfast.model.errors import BadInput, BrokenInvariant, HoldfastError, OperatorError, PeerError
from holdfast.storage.abilities import Taken
from holdfast.storage.access import Access
from holdfast.storage.carried_out import settled
from holdfast.storage.driver import (
    NOT_TOLD,
    Capabilities,
    Digest,
    DirectoryListing,
    Entry,
    Kind,
    NotADirectory,
    NotAFile,
    NotAllowed,
    NotThere,
    Stat,
    Unnameable,
    Unsupported,
)
from holdfast.storage.dump import options as dump_options
from holdfast.storage.dump.own import FAILED
from holdfast.storage.dump.plan import DumpPlan, plan, stage
from holdfast.storage.dump.rows import DIRECTORY, FILE, HERE, MARK, OTHER, UNNAMEABLE
from holdfast.storage.dump.store import DumpStore, RowRange

PAGE_ROWS = 4096

_KINDS = {FILE: Kind.FILE, DIRECTORY: Kind.DIRECTORY, OTHER: Kind.OTHER, HERE: Kind.DIRECTORY}


def open_door(root: str, *, site: str, access: Access) -> DumpDriver:
    """The driver of the dump that ``root`` names; OperatorError if it is not there, BadInput if it is not clear."""
    place = f"{site}:{root}"
    with _errors_at(place):
        return DumpDriver(plan(dump_options.parse(root)), label=place)


class DumpDriver:
    """One dump. ``label`` names it in errors."""

    def __init__(self, planned: DumpPlan, *, label: str = "") -> None:
        self._plan = planned
        self._label = label or str(planned.options.path)
        self._staging: asyncio.Task[DumpStore] | None = None
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        """Looking, and the checksums that the dump has a column for."""
        algorithms = self._plan.algorithms
        return Capabilities(
            writable=False,
            readable=False,
            live=False,
            rename=False,
            atomic_rename=False,
            directories=False,
            checksums=algorithms,
            told=algorithms,
            pages=True,
            outlives_caller=False,
            calls_max=16,
            mtime_resolution_ns=self._plan.mtime_resolution_ns,
        )

    @property
    def label(self) -> str:
        """The site and the root of its door."""
        return self._label

    @property
    def taken(self) -> Taken:
        """When the dump was made."""
        return self._plan.sources.taken

    async def list(self, path: str) -> DirectoryListing:
        """Everything the dump names directly below ``path``."""
        with self._errors(path):
            store = await self._store(path)
            return await asyncio.to_thread(_list, store, path)

    async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
        """The same in pieces."""
        with self._errors(path):
            store = await self._store(path)
            ranges = await asyncio.to_thread(_ranges, store, path)
            pages = _pages(store, ranges)
            while (page := await asyncio.to_thread(next, pages, None)) is not None:
                yield _listing(page)

    async def stat(self, path: str) -> Stat:
        """What the dump says of ``path``."""
        with self._errors(path):
            store = await self._store(path)
            return _stat_of(await asyncio.to_thread(_named, store, path))

    async def checksum(self, path: str, algorithms: Sequence[str], *, read: bool = False) -> Digest:
        """What the dump tells of it; nothing can be read."""
        with self._errors(path):
            unknown = [name for name in algorithms if name not in DIGITS]
            if unknown:
                raise BadInput(f"unknown checksum algorithm {unknown[0]!r}", hint=f"known are {', '.join(DIGITS)}")
            store = await self._store(path)
            lacking = sorted(set(algorithms) - self._plan.algorithms)
            if lacking or read:
                raise Unsupported(f"a dump has no bytes to take {', '.join(lacking or algorithms)} of")
            rows = await asyncio.to_thread(_named, store, path)
            return _digest(rows, algorithms)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Unsupported."""
        with self._errors(path):
            self._check(path)
            if path:
                raise Unsupported("a dump has no bytes to read")
        yield b""

    async def write(self, path: str, chunks: AsyncIterable[bytes]) -> Stat:
        """Unsupported."""
        raise self._read_only(path)

    async def rename(self, source: str, target: str, *, replace: bool = False) -> None:
        """Unsupported."""
        raise self._read_only(source)

    async def delete(self, path: str, *, expected: Stat | None = None) -> None:
        """Unsupported."""
        raise self._read_only(path)

    async def make_directory(self, path: str) -> None:
        """Unsupported."""
        raise self._read_only(path)

    async def remove_directory(self, path: str) -> None:
        """Unsupported."""
        raise self._read_only(path)

    async def close(self) -> None:
        """Let go of what was staged; waits for staging, which cannot be stopped halfway."""
        self._closed = True
        if self._staging is not None:
            found = (await asyncio.gather(self._staging, return_exceptions=True))[0]
            if isinstance(found, DumpStore):
                found.close()

    def _read_only(self, path: str) -> HoldfastError:
        if self._closed:
            return BrokenInvariant("the driver has been closed", place=f"{self._label}:{path}")
        return Unsupported("a dump is only read", place=f"{self._label}:{path}")

    def _check(self, path: str) -> None:
        if self._closed:
            raise BrokenInvariant("the driver has been closed")
        names.directory(path)

    async def _store(self, path: str) -> DumpStore:
        """The staged dump; the first who asks has it staged, the others wait for the same."""
        self._check(path)
        if self._staging is None:
            self._staging = asyncio.ensure_future(settled(_staged, self._plan))
        return await asyncio.shield(self._staging)

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        with _errors_at(f"{self._label}:{path}"):
            yield


@contextmanager
def _errors_at(place: str) -> Iterator[None]:
    try:
        yield
    except HoldfastError as error:
        error.place = error.place or place
        raise


def _staged(planned: DumpPlan) -> DumpStore:
    try:
        folder = Path(tempfile.mkdtemp(prefix="holdfast-dump-"))
    except OSError as error:
        raise _no_room(error) from error
    try:
        stage(planned, folder)
        return DumpStore(folder)
    except OSError as error:
        raise _no_room(error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _no_room(error: OSError) -> OperatorError:
    return OperatorError(
        f"the dump cannot be staged: {(error.strerror or str(error)).lower()}",
        place=tempfile.gettempdir(),
        hint="make room there, or name another folder by TMPDIR",
    )


# ---- from rows to what drivers say ---------------------------------------------------


def _ranges(store: DumpStore, path: str) -> builtins.list[RowRange]:
    """Where the directory is; NotThere, NotADirectory, or why nothing is known of it."""
    ranges = store.ranges(path)
    if not ranges:
        rows = _named(store, path)
        raise NotADirectory("is a file, not a directory") if rows else NotThere("no such file or directory")
    for row in store.rows(ranges[0].start, min(ranges[0].rows, 2)):
        if row["kind"] == MARK and row["name"] == FAILED:
            # Not worth trying again: it will never be known what was in it.
            raise NotAllowed(f"was not listed when the dump was made: {row.get('note') or 'no reason given'}")
    return ranges


def _list(store: DumpStore, path: str) -> DirectoryListing:
    return _listing([row for page in _pages(store, _ranges(store, path)) for row in page])


def _pages(store: DumpStore, ranges: Sequence[RowRange]) -> Iterator[builtins.list[dict[str, Any]]]:
    """The rows of a directory in the order of their names; all of one name are in one piece, with what is said of it.

    A very large directory is several ranges, each in order.
    """
    at_once = max(PAGE_ROWS // len(ranges), 64)
    rows = merge(
        *(_range(store, place, at_once) for place in ranges), key=lambda row: (row["kind"] >= FILE, row["name"])
    )
    page: builtins.list[dict[str, Any]] = []
    for row in rows:
        if len(page) >= PAGE_ROWS and row["name"] != page[-1]["name"]:
            yield page
            page = []
        page.append(row)
    yield page


def _range(store: DumpStore, place: RowRange, at_once: int) -> Iterator[dict[str, Any]]:
    end = place.start + place.rows
    for start in range(place.start, end, at_once):
        yield from store.rows(start, min(at_once, end - start))


def _listing(rows: Sequence[dict[str, Any]]) -> DirectoryListing:
    entries: builtins.list[tuple[bytes, Entry]] = []
    unnameable: builtins.list[Unnameable] = []
    doubts: dict[str, None] = {}
    for row in rows:
        kind, raw = row["kind"], row["name"]
        if kind == UNNAMEABLE:
            unnameable.append(Unnameable(raw, row["note"]))
        elif kind == MARK:
            doubts[row.get("note") or "doubted when the dump was made"] = None
        elif kind != HERE:
            entries.append((raw, Entry(raw.decode(), _stat(row))))
    entries.sort(key=lambda pair: (pair[0], pair[1].stat.size, pair[1].stat.mtime_ns))
    unnameable.sort(key=lambda entry: entry.raw)
    found = tuple(entry for _, entry in entries)
    at_odds = [one.name for one, two in pairwise(found) if one.name == two.name and one != two]
    if at_odds:
        doubts[f"{at_odds[0]!r} is named twice, and not alike"] = None
    return DirectoryListing(found, tuple(unnameable), "; ".join(doubts))


def _named(store: DumpStore, path: str) -> builtins.list[dict[str, Any]]:
    """The rows that name ``path`` in its parent; the root is named by itself."""
    if path == "/":
        return [row for place in store.ranges("/")[:1] for row in store.rows(place.start, 1)]
    above, name = names.split(path)
    return [row for place in store.ranges(above) for row in store.named(place, name.encode())]


def _stat_of(rows: Sequence[dict[str, Any]]) -> Stat:
    rows = [row for row in rows if row["kind"] in _KINDS]
    if not rows:
        raise NotThere("no such file or directory")
    stats = {_stat(row) for row in rows}
    if len(stats) > 1:
        raise PeerError("is named twice in the dump, and not alike")
    return stats.pop()


def _stat(row: dict[str, Any]) -> Stat:
    kind = _KINDS[row["kind"]]
    size, mtime_ns = row.get("size"), row.get("mtime_ns")
    return Stat(
        kind,
        (NOT_TOLD if kind is Kind.FILE else 0) if size is None else size,
        NOT_TOLD if mtime_ns is None else mtime_ns,
        row.get("version") or "",
        row.get("changed_ns"),
    )


def _digest(rows: Sequence[dict[str, Any]], algorithms: Sequence[str]) -> Digest:
    stat = _stat_of(rows)
    if stat.kind is not Kind.FILE:
        raise NotAFile(f"is a {stat.kind.value}, not a file")
    told: dict[str, str] = {}
    for name in algorithms:
        values = {row.get(name) for row in rows}
        value = values.pop()
        if values or not value:
            raise _not_told(rows, name, several=bool(values))
        told[name] = value
    return Digest(told, stat, frozenset(told))


def _not_told(rows: Sequence[dict[str, Any]], name: str, *, several: bool) -> HoldfastError:
    notes = "; ".join(row["note"] for row in rows if row.get("note"))
    if several or notes:
        return PeerError(f"the dump's {name} of this file is not to be believed: {notes or 'it tells two'}")
    return Unsupported(f"the dump tells no {name} of this file")
