"""Break a site on local disk the way real sites break; for the demonstration only.

Deterministic: the seed chooses which files. Every kind of damage is one that
consistency tools have met in production; the last, a flipped byte under an
unchanged size and time, is seen by checksums alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done, in numbers, and how to undo the part that only an administrator can."""

    deleted: int
    truncated: int
    flipped: int
    dark: int
    closed: Path
    reopen: Callable[[], None]


def break_site(root: Path, *, aside: Path, seed: int) -> Damage:
    """Damage the files below ``root``: about one in fifty, and one directory that cannot be listed.

    ``aside`` is a name outside the site where that directory may wait.
    """
    source = random.Random(seed)
    closed = _directory_to_close(root, source)
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.stat().st_size > 64]
    files = [path for path in files if closed not in path.parents]
    some = max(3, len(files) // 150)
    chosen = source.sample(files, 3 * some)
    for path in chosen[:some]:
        path.unlink()
    for path in chosen[some : 2 * some]:
        os.truncate(path, path.stat().st_size // 2)
    for path in chosen[2 * some :]:
        _flip_byte(path, source)
    dark = _add_dark_files(root, some, source)
    return Damage(some, some, some, dark, closed, _close(closed, aside))


def _directory_to_close(root: Path, source: random.Random) -> Path:
    """A directory of some files, no further directories in it."""
    leaves = [Path(folder) for folder, below, files in os.walk(root) if not below and len(files) >= 3]
    return source.choice(sorted(leaves))


def _flip_byte(path: Path, source: random.Random) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        place = source.randrange(before.st_size)
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x20]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _add_dark_files(root: Path, count: int, source: random.Random) -> int:
    """Files that nobody registered."""
    folders = sorted(path for path in root.rglob("*") if path.is_dir())
    for number in range(count):
        path = source.choice(folders) / f"forgotten-{number:03d}.tmp"
        path.write_bytes(source.randbytes(2000))
    return count


def _close(folder: Path, aside: Path) -> Callable[[], None]:
    """Make ``folder`` impossible to list; returns what undoes it."""
    if os.geteuid() != 0:
        mode = folder.stat().st_mode
        folder.chmod(0)
        return lambda: folder.chmod(mode)
    # Root is not stopped by modes; a link that leads nowhere stops everybody.
    folder.rename(aside)
    folder.symlink_to(folder.name)

    def reopen() -> None:
        folder.unlink()
        aside.rename(folder)

    return reopen
