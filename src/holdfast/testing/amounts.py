"""Make every amount that Holdfast does at once small, so that a little work passes every step several times.

Blocks of a few files, digests kept every few files, claims and reports of a
few, a few pages of a copy at once. It changes amounts and never behaviour; tests that kill or simulate need
it, because nobody waits for a million files to see a second block.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

BLOCK_FILES = 9
BATCH_FILES = 5
CLAIM_FILES = 7
COPY_PAGES = 4


@contextmanager
def shrunk() -> Iterator[None]:
    """Small amounts in this process while the context lasts."""
    plan, publish = _room("replication.plan"), _room("replication.publish")
    scheduling, bookkeeping = _room("operations.work.scheduling"), _room("operations.work.bookkeeping")
    sqlite_copy = _room("inventory.sqlite_copy")
    small: list[tuple[Any, str, Any]] = [
        (plan, "blocks", partial(plan.blocks, files_max=BLOCK_FILES)),
        (publish, "BatchLimits", partial(publish.BatchLimits, n_files=BATCH_FILES)),
        (scheduling, "ROOM_FILES", CLAIM_FILES),
        (bookkeeping, "SETTLE_FILES", CLAIM_FILES),
        (bookkeeping, "SETTLE_PAUSE_S", 0.0),
        (sqlite_copy, "PAGES_AT_ONCE", COPY_PAGES),
    ]
    usual = [(module, name, getattr(module, name)) for module, name, _ in small]
    for module, name, value in small:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in usual:
            setattr(module, name, value)


def _room(name: str) -> Any:
    return importlib.import_module(f"holdfast.{name}")
