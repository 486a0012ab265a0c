"""Verify a live inventory: every invariant of ``docs/invariants.md``, at one position.

It reads in one transaction, so writers go on meanwhile and cannot confuse it.
I11 replays the whole journal: each entry must be accepted by the rules again,
and the end must equal the tables; what differs was not written by a commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Connection

from holdfast.inventory.image.image import Image
from holdfast.inventory.invariants import CONNECTION_CHECKS, SNAPSHOT_CHECKS, Finding
from holdfast.inventory.sql_snapshot import SqlSnapshot
from holdfast.inventory.sql_store import SqlStore, read_entries
from holdfast.inventory.store import Snapshot
from holdfast.model.errors import HoldfastError

INVARIANTS: dict[str, str] = {
    "I1": "the journal has no gap, its digests form a chain, its time runs forward",
    "I2": "the journal's side table names all that each entry touches",
    "I3": "blocks are the sums of their files",
    "I4": "files have valid names, sizes and checksums, and each LFN is in one block",
    "I5": "replicas have a block and a site and say truly what they hold",
    "I6": "staged datasets say where they come from",
    "I7": "open copies have replicas to fill",
    "I8": "open deletions touch nothing that is had or awaited",
    "I9": "no reader's cursor is ahead of the journal or on another history",
    "I10": "the database is sound and its references hold",
    "I11": "the journal, replayed under the rules, gives the tables",
}
"""Number and sentence of every invariant that is checked on a live inventory."""


def verify(store: SqlStore, *, replay: bool = True, progress: Callable[[str], None] | None = None) -> list[Finding]:
    """Every violation, in the order of the checks; an empty list is a clean inventory.

    Without ``replay`` I11 is left out: it holds the whole inventory in memory.
    """
    findings: list[Finding] = []
    with store.reading() as connection:
        view = SqlSnapshot(connection)
        checks: list[tuple[str, Iterator[Finding]]] = [
            *((check.__name__, check(connection)) for check in CONNECTION_CHECKS),
            *((check.__name__, check(view)) for check in SNAPSHOT_CHECKS),
        ]
        if replay:
            checks.append((check_replay.__name__, check_replay(connection, view)))
        for name, check in checks:
            if progress is not None:
                progress(name.removeprefix("check_").replace("_", " "))
            findings.extend(_guarded(name, check))
    return findings


def _guarded(name: str, check: Iterator[Finding]) -> Iterator[Finding]:
    """The findings of one check; an inventory too broken to be read is a finding too."""
    try:
        yield from check
    except HoldfastError as error:
        yield Finding("I10", error.place or name, f"cannot be read: {error.message}")


def check_replay(connection: Connection, view: SqlSnapshot) -> Iterator[Finding]:
    """I11: replay the journal under the rules and compare the end with the tables."""
    image = Image.empty()
    for entry in read_entries(connection):
        try:
            image.apply_all((entry,), checked=True)
        except HoldfastError as error:
            yield Finding("I11", f"position {entry.position}", f"would be refused today: {error.message}")
            return
    if view.head.position:  # Before the first entry there is nothing to compare, and no epoch in the image.
        for difference in differences(image.snapshot(), view):
            yield Finding("I11", difference, "differs between the replayed journal and the tables")


def differences(first: Snapshot, second: Snapshot) -> Iterator[str]:
    """What two snapshots say differently, a line each; nothing if they are equal."""
    for what in ("head", "restored", "sites", "groups", "locks", "permissions", "replicas"):
        one, other = getattr(first, what), getattr(second, what)
        if (one() if callable(one) else one) != (other() if callable(other) else other):
            yield what
    for what in ("copy_requests", "deletion_requests"):
        if getattr(first, what)(only_open=False) != getattr(second, what)(only_open=False):
            yield what.replace("_", " ")
    datasets = first.datasets(staged=True)
    if datasets != second.datasets(staged=True):
        yield "datasets"
        return
    for dataset in datasets:
        blocks = first.blocks(dataset.key)
        if blocks != second.blocks(dataset.key):
            yield f"blocks of {dataset.key}"
            continue
        yield from (f"files of {each.key}" for each in blocks if first.files(each.key) != second.files(each.key))
