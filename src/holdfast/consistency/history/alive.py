"""Alive: whether a check of a site is running on this machine, by the lock of the folder that its runs are in."""

from __future__ import annotations

from pathlib import Path

from holdfast.consistency.resumable import LOCK
from holdfast.storage import lock_file


def is_held(folder: Path) -> bool | None:
    """Whether somebody works in ``folder``; None if it cannot be looked at. Without the lock's file nobody does."""
    try:
        return lock_file.is_held(folder / LOCK)
    except FileNotFoundError:
        return False
