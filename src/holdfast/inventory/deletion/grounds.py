"""Ground: on which ground something must stay."""

from __future__ import annotations

from enum import StrEnum

from holdfast.inventory.store import Snapshot


class Ground(StrEnum):
    """On which ground a path or a replica's file must stay."""

    WANTED = "wanted"
    """The inventory has a replica of its block here, or it is being published."""
    UNKNOWN = "unknown"
    """We cannot tell which file it is, or what has been forgotten."""
    CUSTODIAL = "custodial"
    LOCKED = "locked"
    LAST_COPY = "last-copy"
    """Too few good copies would be left."""
    NEEDED = "needed"
    """An open copy request would be left without a source on disk."""


FORGOTTEN = (
    "the inventory was restored from a backup and has forgotten what was published since;"
    " publish that again, then run `holdfast restore --confirm`"
)


def has_forgotten(view: Snapshot) -> bool:
    """Whether a restored backup waits for a person to say what was published after it."""
    restored = view.restored()
    return restored is not None and not restored.is_confirmed
