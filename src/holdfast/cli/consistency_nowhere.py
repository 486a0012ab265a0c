"""``holdfast consistency nowhere``: files of which no site has a copy any more."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import completing, options, show
from holdfast.cli.context import open_context
from holdfast.consistency.mending.nowhere import Nowhere, nowhere
from holdfast.inventory.store import Snapshot
from holdfast.model import names

SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("nowhere")(nowhere_command)


def nowhere_command(
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="[DATASET]", help="Only files of this one.", autocompletion=completing.datasets),
    ] = None,
    json: options.Json = False,
) -> None:
    """Show the files of which no site has a copy any more.

    They were declared lost, or found missing at the last site that had them. A
    copy that is to bring one is held for good: `holdfast transfers cancel` ends
    it. Exit code 1: there are such files.
    """
    with open_context() as context, context.store.snapshot() as view:
        key = None if dataset is None else view.dataset(names.dataset_key(dataset)).key
        found = list(nowhere(view, key))
        if json:
            show.document({"blocks": [_document(view, each) for each in found]})
        else:
            _show(view, found)
    if found:
        raise typer.Exit(1)


def _show(view: Snapshot, found: list[Nowhere]) -> None:
    if not found:
        show.line("of every file some site has a copy, by the inventory's word")
        return
    rows = [
        (str(each.block.dataset), each.block.block, show.number(len(each.files)), ", ".join(each.requests))
        for each in found
    ]
    show.table(("dataset", "block", "files", "held copies"), rows, right=("files",))
    n_shown = 0
    for each in found:
        for lfn in _lfns(view, each)[: SHOWN - n_shown]:
            show.line(f"  {lfn}")
            n_shown += 1
    n_left = sum(len(each.files) for each in found) - n_shown
    if n_left:
        show.line(f"  and {show.number(n_left)} more; --json has all")


def _document(view: Snapshot, nowhere: Nowhere) -> dict[str, object]:
    return {
        "dataset": str(nowhere.block.dataset),
        "block": nowhere.block.block,
        "files": _lfns(view, nowhere),
        "requests": nowhere.requests,
    }


def _lfns(view: Snapshot, nowhere: Nowhere) -> list[str]:
    files = view.files(nowhere.block)
    return [files.lfn(ordinal) for ordinal in nowhere.files]
