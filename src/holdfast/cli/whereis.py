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
    is_staged: bool
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
    moment is when its copy of the block was last proved by checksum. Exit code 1
    if a file is unknown or nowhere.
    """
    wanted = [lfn for given in lfns for lfn in (_from_stdin() if given == STDIN else [given])]
    with open_context() as context, context.store.snapshot() as snapshot:
        records = snapshot.lookup(wanted)
        found = _places(snapshot, [record for record in records if record is not None])
    unknown = [lfn for lfn, record in zip(wanted, records, strict=True) if record is None]
    if json:
        show.document({"files": [_record(each) for each in found], "unknown": unknown})
    elif found:
        _print(found)
    for lfn in unknown:
        show.note(f"unknown: {lfn}")
    if unknown or any(not each.places for each in found):
        raise typer.Exit(1)


def _from_stdin() -> list[str]:
    # As arguments are: bytes that are not UTF-8 become what the naming rules refuse by name.
    text = sys.stdin.buffer.read().decode(errors="surrogateescape")
    return [line for line in text.split("\n") if line]


def _places(snapshot: Snapshot, records: Sequence[FileRecord]) -> list[Found]:
    sites = {site.name: site for site in snapshot.sites()}
    replicas: dict[BlockKey, list[BlockReplica]] = {}
    staged: dict[DatasetKey, bool] = {}
    found = []
    for record in records:
        block = record.block
        if block not in replicas:
            replicas[block] = snapshot.replicas(block=block)
        if block.dataset not in staged:
            staged[block.dataset] = not snapshot.dataset(block.dataset).is_visible
        places = tuple(
            _place(record, sites[replica.site], replica)
            for replica in replicas[block]
            if replica.held is None or record.ordinal in replica.held
        )
        found.append(Found(record, staged[block.dataset], places))
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
        "staged": found.is_staged,
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
