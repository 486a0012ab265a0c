"""Named steps: the points between which a crash must do no harm.

A room calls ``reach("publish.block-staged")`` after each durable effect. In
production that does nothing. Crash tests install an observer that kills the
process there; the simulator installs one that raises. ``STEPS`` lists every
name, so that a crash test can prove that it has hit each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

STEPS: dict[str, tuple[str, ...]] = {
    "publish": (
        "publish.staged",
        "publish.scanned",
        "publish.hashed",
        "publish.rechecked",
        "publish.block-staged",
        "publish.revealed",
    ),
    "copy": (
        "copy.requested",
        "copy.planned",
        "copy.claimed",
        "copy.part-written",
        "copy.renamed",
        "copy.reported",
    ),
    "deletion": (
        "deletion.requested",
        "deletion.planned",
        "deletion.claimed",
        "deletion.deleted",
        "deletion.reported",
    ),
    "orphans": (
        "orphans.moved",
        "orphans.directory-removed",
    ),
    "work": (
        "work.registered",
        "work.buried",
    ),
    "fts": (
        "fts.kept",
        "fts.submitted",
    ),
    "check": (
        "check.begun",
        "check.snapshot-taken",
        "check.listed",
        "check.compared",
        "check.renamed",
        "check.reported",
        "check.told",
        "check.repair-requested",
        "check.orphans-requested",
    ),
    "clean": (
        "clean.listed",
        "clean.decided",
        "clean.requested",
    ),
    "listing": (
        "listing.part-written",
        "listing.saved",
        "listing.revealed",
    ),
    "commit": (
        "commit.applied",
        "commit.durable",
    ),
    "image": (
        "image.parts-written",
        "image.manifest-replaced",
        "image.old-removed",
        "image.folded",
    ),
    "backup": (
        "backup.written",
        "backup.named",
    ),
    "trim": (
        "trim.checkpointed",
        "trim.trimmed",
    ),
    "restore": (
        "restore.proved",
        "restore.applied",
        "restore.durable",
    ),
    "migrate": (
        "migrate.copied",
        "migrate.applied",
        "migrate.durable",
    ),
}
"""Every step by the work that passes it, in the order it passes them; that of a commit is part of most others."""

_observer: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """Say that the step ``name`` has been passed."""
    if _observer is not None:
        _observer(name)


@contextmanager
def observed(observer: Callable[[str], None]) -> Iterator[None]:
    """Call ``observer`` at each step while the context lasts; for tests only."""
    global _observer
    previous, _observer = _observer, observer
    try:
        yield
    finally:
        _observer = previous
