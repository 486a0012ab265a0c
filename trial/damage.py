"""Damage: what goes wrong at the real sites behind the back of their servers, each noted in the book.

By a seed, and of each block at one of its two sites only: every damage can be
repaired from the other one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from random import Random

from trial.book import Book, Kind
from trial.files import File, directory_of, files_of
from trial.plan import Plan, Use
from trial.real_sites import RealSite

ORPHANS_FROM = 900_000_000_000
"""Numbers of files that no inventory knows."""


class Damager:
    """Damages one site after another, and gives back what was locked."""

    def __init__(self, book: Book, plan: Plan, seed: int) -> None:
        self._book, self._plan = book, plan
        self._random = Random(seed)
        self._numbers = iter(range(ORPHANS_FROM, ORPHANS_FROM + 10**9))
        self._locked: list[tuple[RealSite, str]] = []
        self._hidden: list[tuple[str, str]] = []

    def damage(self, site: RealSite) -> dict[str, int]:
        """Do one of everything, ``Amounts.damaged`` times each; how many of each class that made."""
        amounts = self._plan.amounts
        for block in self._plan.blocks_for(Use.LOST, site.name)[: amounts.lost_blocks]:
            self._lose(site, block)
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
        for number in range(max(amounts.damaged // 10, 2)):
            self._make_empty(site, f"{directory_of(self._random.choice(worn))}/left-{number}")
        return {kind.value: sum(each.kind is kind for each in self._book.of_site(site.name)) for kind in Kind}

    def unlock(self) -> list[str]:
        """Let the locked directories be listed again; what checks have said of files that they could not see."""
        wrong = []
        for site, directory in self._locked:
            site.place(directory).chmod(0o755)
        for name, path in self._hidden:
            called = self._book.named.get(name, {}).get(path)
            if called:
                wrong.append(f"{name}: {path} was called {', '.join(sorted(called))} while nobody could see it")
            self._book.damage(name, Kind.MISSING, path)
        self._locked, self._hidden = [], []
        return wrong

    def _lose(self, site: RealSite, block: int) -> None:
        shutil.rmtree(site.place(directory_of(block)))
        for file in files_of(block):
            self._book.damage(site.name, Kind.LOST_SUBTREE, file.lfn)

    def _lock(self, site: RealSite, block: int) -> None:
        """A directory that the server may not list, and in it a file that is missing, which nobody can know."""
        directory, hidden = directory_of(block), next(files_of(block))
        site.place(hidden.lfn).unlink()
        site.place(directory).chmod(0)
        self._book.damage(site.name, Kind.UNLISTED, directory)
        self._locked.append((site, directory))
        self._hidden.append((site.name, hidden.lfn))

    def _chosen(self, blocks: list[int]) -> Iterator[File]:
        """Files of these blocks by chance, none twice."""
        files = [file for block in blocks[: self._plan.amounts.damaged] for file in files_of(block)]
        return iter(self._random.sample(files, len(files)))

    def _remove(self, site: RealSite, file: File) -> None:
        site.place(file.lfn).unlink()
        self._book.damage(site.name, Kind.MISSING, file.lfn)

    def _truncate(self, site: RealSite, file: File) -> None:
        site.rewrite(file.lfn, lambda handle: os.ftruncate(handle, file.size // 2))
        self._book.damage(site.name, Kind.TRUNCATED, file.lfn)

    def _alter(self, site: RealSite, file: File) -> None:
        site.rewrite(file.lfn, lambda handle: os.pwrite(handle, b"F", 0))
        self._book.damage(site.name, Kind.ALTERED, file.lfn)

    def _put_orphan(self, site: RealSite, path: str, *, is_young: bool) -> None:
        file = File(next(self._numbers))
        site.put(path, file, is_young=is_young)
        if is_young:
            self._book.put_single(site.name, file, path)
            self._book.damage(site.name, Kind.ORPHAN_YOUNG, path)
        else:
            self._book.put_dark(site.name, file, path)

    def _make_empty(self, site: RealSite, path: str) -> None:
        site.make_directory(path)
        site.age(path)
        self._book.damage(site.name, Kind.EMPTY, path)
