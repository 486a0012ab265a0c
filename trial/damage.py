"""Damage: what goes wrong at sites behind the back of their servers, each noted in the book.

By a seed, and of each block at one of its two sites only: every damage can be
repaired from the other one.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Protocol

from trial.book import Book, Kind
from trial.files import File, directory_of, files_of
from trial.plan import Plan, Use

ORPHANS_FROM = 900_000_000_000
"""Numbers of files that no inventory knows."""


class Damaged(Protocol):
    """A site as whoever does damage sees it."""

    @property
    def name(self) -> str:
        """As the inventory has it."""

    @property
    def refuses(self) -> bool:
        """Whether a directory that it may not read is an error, rather than an empty one."""

    @property
    def removes_empty(self) -> bool:
        """Whether empty directories can be removed there without a risk to full ones."""

    def put(self, path: str, file: File, *, is_young: bool = False) -> None:
        """Write a file, an old one unless it is to be young."""

    def remove(self, path: str) -> None:
        """Delete a file."""

    def remove_tree(self, path: str) -> None:
        """Delete a directory with all below it."""

    def truncate(self, path: str, size: int) -> None:
        """Cut a file off, and leave it old."""

    def alter(self, path: str) -> None:
        """Change a byte of a file, and leave it old."""

    def lock(self, path: str) -> None:
        """Let nobody look into a directory."""

    def unlock(self, path: str) -> None:
        """Let it be looked into again."""

    def make_empty(self, path: str) -> None:
        """Make an old directory without anything in it."""


class Damager:
    """Damages one site after another, and gives back what was locked."""

    def __init__(self, book: Book, plan: Plan, seed: int) -> None:
        self._book, self._plan = book, plan
        self._random = Random(seed)
        self._numbers = iter(range(ORPHANS_FROM, ORPHANS_FROM + 10**9))
        self._locked: dict[str, tuple[Damaged, str, str]] = {}
        """By site: its locked directory, and the file in it that is missing."""

    def damage(self, site: Damaged) -> dict[str, int]:
        """Do one of everything, ``Amounts.damaged`` times each; how many of each class that made."""
        amounts = self._plan.amounts
        for block in self._plan.blocks_for(Use.LOST, site.name)[: amounts.lost_blocks]:
            self._lose(site, block)
        if site.refuses:
            self._lock(site, self._plan.blocks_for(Use.LOCKED, site.name)[0])
        worn = self._plan.blocks_for(Use.WORN, site.name)
        files = self._chosen(worn)
        for number in range(amounts.damaged):
            self._remove(site, next(files))
            self._truncate(site, next(files))
            self._alter(site, next(files))
            directory = directory_of(self._random.choice(worn))
            self._put_orphan(site, f"{directory}/dark-{number}.root", is_young=False)
            self._put_orphan(site, f"{directory}/young-{number}.root", is_young=True)
        for number in range(max(amounts.damaged // 10, 2) if site.removes_empty else 0):
            self._make_empty(site, f"{directory_of(self._random.choice(worn))}/left-{number}")
        return {kind.value: sum(each.kind is kind for each in self._book.of_site(site.name)) for kind in Kind}

    def unlock(self, name: str) -> list[str]:
        """Let the locked directory of a site be listed again; what checks have said of files they could not see."""
        if name not in self._locked:
            return []
        site, directory, hidden = self._locked.pop(name)
        site.unlock(directory)
        called = self._book.named.get(name, {}).get(hidden)
        self._book.damage(name, Kind.MISSING, hidden)
        return [f"{name}: {hidden} was called {', '.join(called)} while nobody could see it"] if called else []

    def _lose(self, site: Damaged, block: int) -> None:
        site.remove_tree(directory_of(block))
        for file in files_of(block):
            self._book.damage(site.name, Kind.LOST_SUBTREE, file.lfn)

    def _lock(self, site: Damaged, block: int) -> None:
        """A directory that the server may not list, and in it a file that is missing, which nobody can know."""
        directory, hidden = directory_of(block), next(files_of(block))
        site.remove(hidden.lfn)
        site.lock(directory)
        self._book.damage(site.name, Kind.UNLISTED, directory)
        self._locked[site.name] = (site, directory, hidden.lfn)

    def _chosen(self, blocks: list[int]) -> Iterator[File]:
        """Files of these blocks by chance, none twice."""
        files = [file for block in blocks[: self._plan.amounts.damaged] for file in files_of(block)]
        return iter(self._random.sample(files, len(files)))

    def _remove(self, site: Damaged, file: File) -> None:
        site.remove(file.lfn)
        self._book.damage(site.name, Kind.MISSING, file.lfn)

    def _truncate(self, site: Damaged, file: File) -> None:
        site.truncate(file.lfn, file.size // 2)
        self._book.damage(site.name, Kind.TRUNCATED, file.lfn)

    def _alter(self, site: Damaged, file: File) -> None:
        site.alter(file.lfn)
        self._book.damage(site.name, Kind.ALTERED, file.lfn)

    def _put_orphan(self, site: Damaged, path: str, *, is_young: bool) -> None:
        file = File(next(self._numbers))
        site.put(path, file, is_young=is_young)
        if is_young:
            self._book.put_single(site.name, file, path)
            self._book.damage(site.name, Kind.ORPHAN_YOUNG, path)
        else:
            self._book.put_dark(site.name, file, path)

    def _make_empty(self, site: Damaged, path: str) -> None:
        site.make_empty(path)
        self._book.damage(site.name, Kind.EMPTY, path)
