"""``holdfast whereis``: from LFNs to PFNs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from holdfast.cli import hints, options, show
from holdfast.cli.context import open_context
from holdfast.inventory import whereabouts
from holdfast.inventory.whereabouts import FileAtSite, Located

STDIN = "-"


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
    dataset that is still being published is not there yet. What became of a copy
    that is not named any more, `holdfast journal tail --lfn LFN --site SITE` tells.
    Exit code 1 if a file is unknown, nowhere or not there yet.
    """
    wanted = [lfn for given in lfns for lfn in (_from_stdin() if given == STDIN else [given])]
    with open_context() as context, context.store.snapshot() as snapshot:
        located = whereabouts.locate(snapshot, wanted)
    found = [each for each in located if each is not None and each.is_visible]
    unknown = [lfn for lfn, each in zip(wanted, located, strict=True) if each is None]
    coming = [each.file for each in located if each is not None and not each.is_visible]
    if json:
        being_published = [{"lfn": each.lfn, "dataset": str(each.block.dataset)} for each in coming]
        files = [_record(each) for each in found]
        show.document({"files": files, "unknown": unknown, "being_published": being_published})
    elif found:
        _print(found)
        nowhere = [each.file.lfn for each in found if not each.places]
        if nowhere:
            show.note(f"nowhere: `holdfast journal tail --lfn {nowhere[0]}` tells what became of the copies")
    for lfn in unknown:
        show.note(f"unknown: {lfn}")
    if unknown and not json:
        show.note(f"what no dataset has: {hints.findings_below()} tells what checks have seen, and what was done")
    for record in coming:
        show.note(f"not there yet: {record.lfn} (dataset {record.block.dataset} is being published)")
    if unknown or coming or any(not each.places for each in found):
        raise typer.Exit(1)


def _from_stdin() -> list[str]:
    # As arguments are: bytes that are not UTF-8 become what the naming rules refuse by name.
    text = sys.stdin.buffer.read().decode(errors="surrogateescape")
    return [line for line in text.split("\n") if line]


def _record(found: Located) -> dict[str, Any]:
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


def _print(found: Sequence[Located]) -> None:
    rows = []
    for each in found:
        file = each.file
        checksums = " ".join(f"{algorithm}:{digest}" for algorithm, digest in sorted(file.checksums.items()))
        for place in each.places or (FileAtSite("nowhere", "", False, None),):
            pfn = "no PFN: its rules do not match" if place.pfn is None else place.pfn
            block = "complete" if place.block_is_complete else "partial"
            row = (place.site, pfn, show.size(file.size), block, show.time(place.verified_us) or "never")
            rows.append((*((file.lfn,) if len(found) > 1 else ()), *row, checksums))
    columns = ("site", "pfn", "size", "block", "verified", "checksums")
    show.table((("lfn", *columns) if len(found) > 1 else columns), rows, right=("size",))
