"""Trees on disk for the local walk, of any shape, and values that its workers can be given."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

NAMES = st.one_of(
    st.sampled_from(
        [b"a", b"b", b"c", b"with blank", b"'q\"", b"%41", b"#?", b"-x", b"...", "grüße\u00a0".encode(), b"caf\xe9"]
    ),
    st.sampled_from([b"new\nline", b"\\", b"\x7f", "\u2028".encode(), b"z" * 255, "ü".encode() * 127]),
    st.binary(min_size=1, max_size=8).filter(
        lambda raw: b"/" not in raw and b"\0" not in raw and raw not in (b".", b"..")
    ),
)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        st.one_of(st.integers(0, 3000), st.just("link"), st.just("pipe")),
        lambda below: st.dictionaries(NAMES, below, max_size=5),
        max_leaves=25,
    ),
    max_size=6,
)


def plant(folder: bytes, tree: Any) -> None:
    """Make what ``tree`` says: dictionaries are directories, numbers files of that size."""
    for name, below in tree.items():
        path = folder + b"/" + name
        if isinstance(below, dict):
            os.mkdir(path)
            plant(path, below)
        elif below == "link":
            os.symlink(b"/", path)
        elif below == "pipe":
            os.mkfifo(path)
        else:
            with open(path, "wb") as file:
                file.truncate(below)


def plant_many(root: Path, n_directories: int, n_files: int) -> None:
    """A tree of three levels with so many directories, each with so many files."""
    root.mkdir()
    across = max(2, round(n_directories ** (1 / 3)))
    for number in range(n_directories):
        path = root / f"d{number % across}" / f"e{number // across % across}" / f"f{number}"
        path.mkdir(parents=True)
        for file in range(n_files):
            (path / f"file-{file}.root").touch()


SLOW_S = 0.05
"""What the first process waits at each directory until the others have done their part: they take a while to start."""


@dataclass(frozen=True)
class Noting:
    """Skips nothing; notes in a file who asks, and holds up the process ``first`` until there are three."""

    notes: Path
    first: int

    def __call__(self, path: str) -> str:
        if os.getpid() == self.first and (not self.notes.exists() or len(set(self.notes.read_text().split())) < 3):
            time.sleep(SLOW_S)
        with open(self.notes, "ab") as file:
            file.write(f"{os.getpid()}\n".encode())
        return ""


@dataclass(frozen=True)
class Killing:
    """Skips nothing; kills whatever process but ``spared`` asks, once or each time."""

    marker: Path
    spared: int
    once: bool

    def __call__(self, path: str) -> str:
        done = self.once and self.marker.exists()
        if os.getpid() == self.spared:
            time.sleep(0 if done else SLOW_S)
        elif not done:
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ""


@dataclass(frozen=True)
class Raising:
    """A bug in what decides what is skipped, in all processes but ``spared``."""

    spared: int

    def __call__(self, path: str) -> str:
        if os.getpid() != self.spared:
            raise RuntimeError("a bug of its own")
        time.sleep(SLOW_S)
        return ""


def skip_b(path: str) -> str:
    """Skip what is called b."""
    return "called b" if path.endswith("/b") else ""
