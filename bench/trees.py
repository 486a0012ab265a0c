"""A tree of files as a site of the field has it: many directories, few files in each.

250,000 files in 29,000 directories by default: 8.6 files a directory on the
average, between none and forty, names of UUID length. Files are empty but for
their size: nothing here is read. The tree is made once for each number of
files and kept in the bench's data folder.
"""

from __future__ import annotations

import os
import random
import uuid
from dataclasses import dataclass
from pathlib import Path

FILES_A_DIRECTORY = 250_000 / 29_000
BRANCHES = 20
"""Sub-directories of each directory that has any: three levels for 29,000 directories."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What was made: where it begins, and how much there is of it, the top directory included."""

    top: Path
    files: int
    directories: int


def tree(workdir: Path, files: int, *, seed: int = 1) -> Tree:
    """The tree of so many files below ``workdir``."""
    directories = max(round(files / FILES_A_DIRECTORY), 1)
    top = workdir / f"tree-{files}"
    made = Tree(top, files, directories)
    if (workdir / f"tree-{files}.whole").exists():
        return made
    chance = random.Random(seed)
    paths = [top]
    for number in range(1, directories):
        paths.append(paths[(number - 1) // BRANCHES] / f"directory-{number:06}")
    for path in paths:
        path.mkdir(parents=True, exist_ok=True)
    for _ in range(files):
        name = f"{uuid.UUID(int=chance.getrandbits(128), version=4)}.root"
        handle = os.open(paths[int(chance.triangular(0, directories, directories))] / name, os.O_CREAT | os.O_WRONLY)
        os.truncate(handle, chance.randrange(1, 1 << 32))
        os.close(handle)
    (workdir / f"tree-{files}.whole").touch()
    return made
