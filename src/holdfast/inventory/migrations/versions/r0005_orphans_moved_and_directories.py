"""Deletions may move orphans into the quarantine, and remove empty directories."""

from __future__ import annotations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """The tables stay as they are: what is new stands in the bodies of requests, and is not there in old ones.

    A program of the older release would pass it over, and delete what it is asked to move. So it has to stop.
    """
