"""``holdfast whereis``: from LFNs to PFNs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from holdfast.cli import options, show
from holdfast.cli.context import open_context
from holdfast.inventory.store import Snapshot
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockReplica, FileRecord, Site

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Place:
    """One file at one site. ``pfn`` None: the site's rules have none for it."""

    site: str
    pfn: str | None
    block_is_complete: bool
    verified_us: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """A file and where it is."""

    file: FileRecord
    places: tuple[Place, ...]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("whereis")(whereis)


def whereis(
    lfns: Annotated[
        list[str], typer.Argument(metavar="LFN", help="Logical file names; - reads them from standard input.")
    ],
    json: options.Json = False,
) -> None:
    """Say where files are: their PFN at each site.

    A site is named if it holds the file, as far as the inventory knows; the
    moment is when its copy of the block was last proved by checksum. A file of a
    dataset that is still being published is not there yet. Exit code 1 if a file
    is unknown, nowhere or not there yet.
    """
    wanted = [lfn for given in lfns for lfn in (_from_stdin() if given == STDIN else [given])]
    with open_context() as context, context.store.snapshot() as snapshot:
        records = snapshot.lookup(wanted)
        hidden = _staged(snapshot, records)
        found = _places(snapshot, [each for each in records if each is not None and each.block.dataset not in hidden])
    unknown = [lfn for lfn, record in zip(wanted, records, strict=True) if record is None]
    coming = [each for each in records if each is not None and each.block.dataset in hidden]
    if json:
        being_published = [{"lfn": each.lfn, "dataset": str(each.block.dataset)} for each in coming]
        files = [_record(each) for each in found]
        show.document({"files": files, "unknown": unknown, "being_published": being_published})
    elif found:
        _print(found)
    for lfn in unknown:
        show.note(f"unknown: {lfn}")
    for record in coming:
        show.note(f"not there yet: {record.lfn} (dataset {record.block.dataset} is being published)")
    if unknown or coming or any(not each.places for each in found):
        raise typer.Exit(1)


def _from_stdin() -> list[str]:
    # As arguments are: bytes that are not UTF-8 become what the naming rules refuse by name.
    text = sys.stdin.buffer.read().decode(errors="surrogateescape")
    return [line for line in text.split("\n") if line]


def _staged(snapshot: Snapshot, records: Sequence[FileRecord | None]) -> set[DatasetKey]:
    """The datasets of the files that nobody is to see yet."""
    keys = {record.block.dataset for record in records if record is not None}
    return {key for key in keys if not snapshot.dataset(key).is_visible}


def _places(snapshot: Snapshot, records: Sequence[FileRecord]) -> list[Found]:
    sites = {site.name: site for site in snapshot.sites()}
    replicas: dict[BlockKey, list[BlockReplica]] = {}
    found = []
    for record in records:
        block = record.block
        if block not in replicas:
            replicas[block] = snapshot.replicas(block=block)
        places = tuple(
            _place(record, sites[replica.site], replica)
            for replica in replicas[block]
            if replica.held is None or record.ordinal in replica.held
        )
        found.append(Found(record, places))
    return found


def _place(record: FileRecord, site: Site, replica: BlockReplica) -> Place:
    return Place(site.name, site.doors[0].pfn(record.lfn), replica.is_complete, replica.verified_us)


def _record(found: Found) -> dict[str, Any]:
    file = found.file
    replicas = [
        {
            "site": place.site,
            "pfn": place.pfn,
            "block_complete": place.block_is_complete,
            "verified_at": show.time_exact(place.verified_us),
        }
        for place in found.places
    ]
    return {
        "lfn": file.lfn,
        "size": file.size,
        "checksums": file.checksums,
        "dataset": str(file.block.dataset),
        "block": file.block.block,
        "replicas": replicas,
    }


def _print(found: Sequence[Found]) -> None:
    rows = []
    for each in found:
        file = each.file
        checksums = " ".join(f"{algorithm}:{digest}" for algorithm, digest in sorted(file.checksums.items()))
        for place in each.places or (Place("nowhere", "", False, None),):
            pfn = "no PFN: its rules do not match" if place.pfn is None else place.pfn
            block = "complete" if place.block_is_complete else "partial"
            row = (place.site, pfn, show.size(file.size), block, show.time(place.verified_us) or "never")
            rows.append((*((file.lfn,) if len(found) > 1 else ()), *row, checksums))
    columns = ("site", "pfn", "size", "block", "verified", "checksums")
    show.table((("lfn", *columns) if len(found) > 1 else columns), rows, right=("size",))
