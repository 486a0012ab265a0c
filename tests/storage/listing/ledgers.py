"""Invented trees, and how a ledger is led through one: what an engine does, without a storage."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from holdfast.model import names
from holdfast.storage.driver import Entry, Kind, Stat
from holdfast.storage.listing.ledger import Ledger, WaitingDirectory
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import ListingCounts, ListingPlan
from holdfast.storage.listing.tables import (
    DIRECTORIES,
    ENTRIES,
    ODDITIES,
    SCHEMAS,
    Directory,
    DirectoryState,
    Odd,
    Oddity,
)

PLAN = ListingPlan("bern", "/", ("posix /data",))


def a_tree(seed: int, n_directories: int = 60) -> dict[str, Directory]:
    """Directories by path, as their listing would be."""
    source = random.Random(seed)
    dirs = ["/"]
    below: dict[str, list[str]] = {"/": []}
    while len(dirs) < n_directories:
        parent = source.choice(dirs[-10:])
        name = f"{source.choice(['d', 'grüße ', 'with %20'])}{len(dirs)}"
        below[parent].append(name)
        path = names.join(parent, name)
        below[path] = []
        dirs.append(path)
    return {path: _directory(source, path, below[path]) for path in dirs}


def _directory(source: random.Random, path: str, below: Sequence[str]) -> Directory:
    state = (
        DirectoryState.LISTED
        if below
        else source.choice(
            [DirectoryState.LISTED] * 6 + [DirectoryState.FAILED, DirectoryState.SKIPPED, DirectoryState.DOUBTED]
        )
    )
    reason = "" if state is DirectoryState.LISTED else f"reason {source.randrange(9)}"
    own = None if path == "/" else _mtime_of(path)
    if state in (DirectoryState.FAILED, DirectoryState.SKIPPED):
        return Directory(path, state, reason, own)
    files = tuple(_file(source, number) for number in range(source.choice([0, 1, 3, 8])))
    odd = tuple(Oddity(bytes([200 + i]), Odd.UNNAMEABLE, "no UTF-8") for i in range(source.choice([0, 0, 0, 2])))
    entries = (Entry(name, Stat(Kind.DIRECTORY, 0, _mtime_of(names.join(path, name)))) for name in below)
    return Directory(path, state, reason, own, files, tuple(sorted(entries, key=lambda e: e.name.encode())), odd)


def _mtime_of(path: str) -> int:
    return len(path) * 1_000_000_001


def _file(source: random.Random, number: int) -> Entry:
    changed = source.choice([None, source.randrange(2**60)])
    size, mtime_ns = source.randrange(2**40), source.randrange(-(2**60), 2**60)
    return Entry(f"file{number}", Stat(Kind.FILE, size, mtime_ns, f"v{number}", changed))


def pieces(directory: Directory, source: random.Random) -> Iterator[Directory]:
    """The same directory in pieces; the last has what is said of it as a whole."""
    cut = source.randrange(len(directory.files) + 1)
    split = source.randrange(len(directory.directories) + 1)
    yield Directory(
        directory.dir, DirectoryState.LISTED, "", None, directory.files[:cut], directory.directories[:split]
    )
    yield Directory(directory.dir, DirectoryState.LISTED, "", None)
    rest = (directory.files[cut:], directory.directories[split:], directory.oddities)
    yield Directory(directory.dir, directory.state, directory.reason, directory.mtime_ns, *rest)


def find(ledger: Ledger, waiting: WaitingDirectory, tree: Mapping[str, Directory], source: random.Random) -> None:
    """Tell the ledger of one directory, in one of the ways there are."""
    directory = tree[waiting.dir]
    assert directory.mtime_ns == waiting.mtime_ns
    if directory.state in (DirectoryState.FAILED, DirectoryState.SKIPPED) or source.random() < 0.6:
        ledger.found(directory)
        return
    spool = ledger.spool(waiting)
    *first, last = pieces(directory, source)
    for piece in first:
        spool.add(piece)
    if source.random() < 0.2:
        spool.drop()
        ledger.found(directory)
    else:
        spool.keep(last)


def rows_of(folder: Path) -> dict[str, list[Any]]:
    """All rows of a complete listing, sorted; each part has its schema."""
    listing = Listing.open(folder)
    found: dict[str, list[Any]] = {}
    for table in (ENTRIES, DIRECTORIES, ODDITIES):
        assert listing.parts(table)
        for path in listing.parts(table):
            assert pq.read_schema(path).equals(SCHEMAS[table])
        rows = [tuple(row.values()) for batch in listing.batches(table) for row in batch.to_pylist()]
        found[table] = sorted(rows, key=repr)
    return found


def rows_wanted(tree: Mapping[str, Directory]) -> dict[str, list[Any]]:
    """The rows that a listing of the tree has to have, sorted."""
    found: dict[str, list[Any]] = {ENTRIES: [], DIRECTORIES: [], ODDITIES: []}
    for d in tree.values():
        counts = (len(d.files), len(d.directories), len(d.oddities))
        found[DIRECTORIES].append((d.dir, d.state.value, d.reason, *counts, d.mtime_ns))
        for name, (_, size, mtime_ns, version, changed_ns) in d.files:
            found[ENTRIES].append((d.dir, name, size, mtime_ns // 10**9, mtime_ns, version, changed_ns))
        for odd in d.oddities:
            found[ODDITIES].append((d.dir, f"\\x{odd.raw.hex()}", odd.raw, odd.kind.value, odd.reason))
    return {table: sorted(rows, key=repr) for table, rows in found.items()}


def counts_wanted(tree: Mapping[str, Directory]) -> ListingCounts:
    """What a summary has to count; without failures and doubts by name."""
    states = [d.state for d in tree.values()]
    return ListingCounts(
        listed=states.count(DirectoryState.LISTED),
        doubted=states.count(DirectoryState.DOUBTED),
        failed=states.count(DirectoryState.FAILED),
        skipped=states.count(DirectoryState.SKIPPED),
        files=sum(len(d.files) for d in tree.values()),
        bytes=sum(entry.stat.size for d in tree.values() for entry in d.files),
        oddities=sum(len(d.oddities) for d in tree.values()),
        top_state=tree["/"].state.value,
    )
