"""Dumps: what simulated sites hand out about their storage, with damage in it, and comparing it with the inventory.

Every second site hands out a listing that Holdfast made there: it tells which
directories could not be listed, and no checksums. It goes through the driver of
dumps, by ``holdfast site listing``. The others hand out a table with checksums,
which is compared as it is.

A dump shows what was; so it is compared with what was expected before and after
it, and nothing is repaired by it: once the damage is named the site puts itself
right, and hands out a new one.
"""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from holdfast.consistency.expected import write_expected
from holdfast.inventory.store import Store
from trial.amounts import BLOCKS_A_DATASET, Amounts
from trial.book import Book, Kind
from trial.damage import ORPHANS_FROM
from trial.dump_files import Piece, Row, write_listing, write_table
from trial.files import File, directory_of, files_of
from trial.plan import Use
from trial.processes import Commands
from trial.real_sites import PAST_S

CLASSES = ("missing", "orphan", "size_mismatch", "checksum_mismatch", "in_flight", "unlisted")
PIECE_BLOCKS = 100
_WRONG_ADLER32 = "0badcafe"


@dataclass
class DumpSite:
    """A site of which a dump tells; ``folder`` has the dumps of all of them."""

    name: str
    blocks: list[int]
    folder: Path
    damaged: dict[str, Kind] = field(default_factory=dict)
    """What is wrong at the site now, by path: files, and one directory that is locked."""

    @property
    def is_listing(self) -> bool:
        """Whether it hands out a listing, rather than a table."""
        return int(self.name[-1]) % 2 == 0

    @property
    def place(self) -> Path:
        """Where its dump is."""
        return self.folder / (self.name if self.is_listing else f"{self.name}.parquet")

    def damage(self, amounts: Amounts, book: Book, seed: int) -> None:
        """Do one of everything that its dump can tell of, and note it in the book."""
        random = Random(f"{seed} {self.name}")
        for block in self._blocks_for(Use.LOST)[: amounts.lost_blocks]:
            self.damaged.update((file.lfn, Kind.LOST_SUBTREE) for file in files_of(block))
        worn = self._blocks_for(Use.WORN)[: amounts.damaged]
        files = [file for block in worn for file in files_of(block)]
        kinds = [Kind.MISSING, Kind.TRUNCATED, *(() if self.is_listing else (Kind.ALTERED,))]
        chosen = iter(random.sample(files, amounts.damaged * len(kinds)))
        for number in range(amounts.damaged):
            self.damaged.update((next(chosen).lfn, kind) for kind in kinds)
            directory = directory_of(random.choice(worn))
            self.damaged[f"{directory}/dark-{number}.root"] = Kind.ORPHAN_OLD
            self.damaged[f"{directory}/young-{number}.root"] = Kind.ORPHAN_YOUNG
        if self.is_listing:
            self.damaged[directory_of(self._blocks_for(Use.LOCKED)[0])] = Kind.UNLISTED
        for path, kind in self.damaged.items():
            book.damage(self.name, kind, path)

    def mend(self) -> None:
        """The site has put itself right."""
        self.damaged = {}

    def hand_out(self) -> None:
        """Write the dump of the site as it is now."""
        self.folder.mkdir(exist_ok=True)
        if self.is_listing:
            shutil.rmtree(self.place, ignore_errors=True)
            failed = frozenset(path for path, kind in self.damaged.items() if kind is Kind.UNLISTED)
            write_listing(self.name, self._pieces(), failed, self.place)
        else:
            write_table(self._pieces(), self.place)

    def _blocks_for(self, use: Use) -> list[int]:
        return [block for block in self.blocks if block % BLOCKS_A_DATASET == use]

    def _pieces(self) -> Iterator[Piece]:
        now = int(time.time())
        orphans: dict[str, list[Row]] = {}
        for number, (path, kind) in enumerate(self.damaged.items()):
            if kind in (Kind.ORPHAN_OLD, Kind.ORPHAN_YOUNG):
                directory, _, name = path.rpartition("/")
                mtime = now - (PAST_S if kind is Kind.ORPHAN_OLD else 0)
                row = Row(directory, name, 1000, File(ORPHANS_FROM + number).adler32, mtime)
                orphans.setdefault(directory, []).append(row)
        for start in range(0, len(self.blocks), PIECE_BLOCKS):
            some = self.blocks[start : start + PIECE_BLOCKS]
            rows = [row for block in some for row in self._rows(block, now - PAST_S, orphans)]
            yield rows, [directory for block in some if self._shows(directory := directory_of(block))]

    def _shows(self, directory: str) -> bool:
        """A lost subtree is not there at all."""
        block = int(directory.rpartition("/b")[2])
        return self.damaged.get(next(files_of(block)).lfn) is not Kind.LOST_SUBTREE

    def _rows(self, block: int, mtime: int, orphans: dict[str, list[Row]]) -> Iterator[Row]:
        directory = directory_of(block)
        if self.damaged.get(directory) is Kind.UNLISTED:
            return
        for file in files_of(block):
            kind = self.damaged.get(file.lfn) if self.damaged else None
            if kind in (Kind.MISSING, Kind.LOST_SUBTREE):
                continue
            size = file.size // 2 if kind is Kind.TRUNCATED else file.size
            adler32 = _WRONG_ADLER32 if kind is Kind.ALTERED else file.adler32
            yield Row(directory, file.name, size, adler32, mtime)
        yield from orphans.get(directory, ())


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison took, and whether all was equal."""

    is_equal: bool
    seconds: float
    expecting_s: float
    listing_s: float


class DumpComparison:
    """Compares dumps by the commands; the expected side is written by the Python API."""

    def __init__(self, store: Store, commands: Commands, book: Book, folder: Path) -> None:
        self._store, self._commands, self._book = store, commands, book
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def compare(self, site: DumpSite) -> Compared:
        """Compare one site; what differs is noted in the book."""
        began = time.monotonic()
        before, after = (self._folder / f"{site.name}-{when}.parquet" for when in ("before", "after"))
        if not before.exists():
            self._write_expected(site.name, before)
        expecting_s = time.monotonic() - began
        shown, listing_s = self._listed(site)
        written = time.monotonic()
        self._write_expected(site.name, after)
        expecting_s += time.monotonic() - written
        out = self._folder / f"{site.name}-out"
        shutil.rmtree(out, ignore_errors=True)
        sides = ("--before", str(before), "--after", str(after), str(shown))
        options = ("--ignore-age", "86400", "--out", str(out), "--json", "--quiet")
        ran = self._commands.run("compare", *sides, *options, codes=(0, 1))
        self._note(site.name, out)
        # What was expected after this comparison is expected before the next one.
        after.replace(before)
        return Compared(ran.code == 0, time.monotonic() - began, expecting_s, listing_s)

    def _write_expected(self, site: str, target: Path) -> None:
        with self._store.snapshot() as view:
            write_expected(view, view.site(site), target)

    def _listed(self, site: DumpSite) -> tuple[Path, float]:
        """What is compared: the table as it is, or a listing of the dump through its driver."""
        if not site.is_listing:
            return site.place, 0.0
        into = self._folder / f"{site.name}-listing"
        shutil.rmtree(into, ignore_errors=True)
        ran = self._commands.run(
            "site", "listing", site.name, "--into", str(into), "--quiet", name="site listing", codes=(0, 1)
        )
        return into, ran.seconds

    def _note(self, site: str, out: Path) -> None:
        for cls in CLASSES:
            file = out / f"{cls}.tsv"
            if not file.exists():
                continue
            with file.open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                    path = row["path"]
                    self._book.note(site, cls, path.rpartition("/")[0] if cls == "unlisted" else path)
