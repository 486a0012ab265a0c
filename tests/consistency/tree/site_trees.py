"""Random sites as flat dictionaries, what is made of them, and names that are hard to sort or to quote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from holdfast.consistency import findings
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.findings import Finding
from holdfast.consistency.tree.building import TreeRow, build
from holdfast.consistency.tree.directory_info import DirectoryInfo
from holdfast.model import names
from holdfast.storage.driver import Entry, Kind, Stat
from holdfast.storage.listing.disk_ledger import DiskLedger
from holdfast.storage.listing.reading import Listing
from holdfast.storage.listing.summary import ListingPlan
from holdfast.storage.listing.tables import Directory, DirectoryState, Odd, Oddity

LIMITS = EngineLimits(threads=1)
NAMES = ("a", "a!", "a-b", "a b", "A", "é", "名", "'", '"', "*", "[a]", "%2f", "\\", "~")
"""Some of them stand before "/" in the order of bytes, some after it."""

dirs = st.lists(st.sampled_from(NAMES), max_size=4).map(lambda parts: "/" + "/".join(parts))


@dataclass
class FlatTree:
    """A tree as nobody would keep one: sizes of files and states of directories by path; "/" is always there."""

    files: dict[str, int | None] = field(default_factory=dict)
    listed: dict[str, bool] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    @property
    def directories(self) -> set[str]:
        """All that are told of, or that something is in."""
        above = {each for path in (*self.files, *self.others) for each in above_of(path)}
        return above | {"/"} | self.listed.keys() | {each for path in self.listed for each in above_of(path)}

    def built(self) -> DirectoryInfo:
        """The same as objects."""
        rows = [TreeRow(path, "", mtime_ns=1, is_listed=self.listed.get(path, True)) for path in self.directories]
        rows += [TreeRow(*names.split(path), size, mtime_ns=2) for path, size in self.files.items()]
        others: dict[str, list[str]] = {}
        for path in self.others:
            others.setdefault(names.split(path)[0], []).append(names.split(path)[1])
        return build(sorted(rows, key=lambda row: (components(row.dir), row.name)), others=others)


def above_of(path: str) -> Iterator[str]:
    """The directories above a path, the next one first; none for "/"."""
    while path != "/":
        path = names.split(path)[0]
        yield path


def components(path: str) -> list[str]:
    """What a path is put together of; none for "/"."""
    return [part for part in path.split("/") if part]


@st.composite
def flat_trees(draw: st.DrawFn) -> FlatTree:
    """Few names, so that two of them have much in common."""
    paths = st.builds(names.join, dirs, st.sampled_from(NAMES))
    sizes = st.one_of(st.none(), st.integers(0, 2))
    return FlatTree(
        draw(st.dictionaries(paths, sizes, max_size=12)),
        draw(st.dictionaries(dirs, st.booleans(), max_size=6)),
        draw(st.sets(paths, max_size=2)),
    )


@st.composite
def sites(draw: st.DrawFn) -> dict[str, Directory]:
    """What a walk leaves: directories by path, consistent with each other."""
    states = draw(st.dictionaries(dirs, st.sampled_from(DirectoryState), max_size=4))
    wanted = draw(st.sets(dirs, max_size=14)) | states.keys()
    files = draw(st.lists(dirs, max_size=draw(st.sampled_from((0, 3, 12)))))
    odd = draw(st.sets(dirs, max_size=draw(st.sampled_from((0, 2)))))
    wanted |= {"/", *files, *odd}
    wanted |= {above for path in wanted for above in above_of(path)}
    closed = {path for path, state in states.items() if state in (DirectoryState.FAILED, DirectoryState.SKIPPED)}
    wanted = {path for path in wanted if closed.isdisjoint(above_of(path))}
    return {
        path: _directory(path, states.get(path, DirectoryState.LISTED), wanted, files.count(path), path in odd)
        for path in wanted
    }


def _directory(path: str, state: DirectoryState, wanted: Iterable[str], n_files: int, is_odd: bool) -> Directory:
    if state in (DirectoryState.FAILED, DirectoryState.SKIPPED):
        return Directory(path, state, "it would not")
    below = sorted(names.split(each)[1] for each in wanted if each != "/" and names.split(each)[0] == path)
    return Directory(
        path,
        state,
        files=tuple(Entry(f"f{number}", Stat(Kind.FILE, 10**number, 5)) for number in range(n_files)),
        directories=tuple(Entry(name, Stat(Kind.DIRECTORY, 0, 5 + len(name))) for name in below),
        oddities=(Oddity(b"link", Odd.OTHER, "is a link"),) if is_odd else (),
    )


def listing_of(folder: Path, site: Mapping[str, Directory], *, top: str = "/") -> Listing:
    """The listing of a site in a folder that is not there yet."""
    ledger = DiskLedger.open(folder, ListingPlan("bern", top))
    while taken := ledger.take(10):
        for waiting in taken:
            found = site[waiting.dir]
            ledger.found(
                Directory(
                    waiting.dir,
                    found.state,
                    found.reason,
                    waiting.mtime_ns,
                    found.files,
                    found.directories,
                    found.oddities,
                )
            )
    ledger.finish()
    ledger.close()
    return Listing.open(folder)


def findings_table(target: Path, found: Iterable[Finding]) -> Path:
    """The table of some findings."""
    findings.write_table(found, target)
    return target
