"""A folder in memory where there is one: waiting for the disk is most of the time of a small SQLite test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = "/dev/shm"


@contextmanager
def fast_folder() -> Iterator[Path]:
    """A new folder, removed at the end."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="holdfast-test-", dir=place) as folder:
        yield Path(folder)
