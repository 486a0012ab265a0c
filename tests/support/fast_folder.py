"""A folder in memory where there is one: waiting for the disk is most of the time of a small SQLite test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = "/dev/shm"


def place() -> Path | None:
    """Where such folders are made; None for the usual place of temporary folders."""
    return Path(_MEMORY) if os.access(_MEMORY, os.W_OK) else None


@contextmanager
def fast_folder() -> Iterator[Path]:
    """A new folder, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="holdfast-test-", dir=place()) as folder:
        yield Path(folder)
