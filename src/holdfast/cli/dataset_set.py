"""``holdfast dataset set``: what the collaboration thinks of a dataset, and how many copies there must be."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import apply, completing, options, show
from holdfast.cli.context import open_context
from holdfast.model import names
from holdfast.model.changes import UpdateDataset
from holdfast.model.errors import BadInput
from holdfast.model.records import DatasetStatus


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("set")(set_dataset)


def set_dataset(
    name: Annotated[
        str, typer.Argument(metavar="DATASET", help="NAME or NAME#VERSION.", autocompletion=completing.datasets)
    ],
    required_copies: Annotated[
        int | None,
        typer.Option(
            "--required-copies",
            metavar="N",
            min=1,
            help="No deletion leaves a file of it with fewer copies at ready sites.",
        ),
    ] = None,
    status: Annotated[
        DatasetStatus | None, typer.Option("--status", help="What the collaboration thinks of it.")
    ] = None,
    dry_run: options.DryRun = False,
) -> None:
    """Change how many copies of a dataset there must be, or its status.

    Nothing is copied or deleted by it: what is asked to be deleted is checked
    against it, when it is asked and again right before it goes.
    """
    if required_copies is None and status is None:
        raise BadInput("nothing to set", hint="say --required-copies or --status")
    key = names.dataset_key(name)
    change = UpdateDataset(key, status=status, required_copies=required_copies)
    with open_context() as context:
        if apply.commit(context, [change], cause="dataset set", dry_run=dry_run) is None:
            return
        with context.store.snapshot() as snapshot:
            dataset = snapshot.dataset(key)
    show.line(
        f"{key}: {dataset.status.value}, {show.plural(dataset.required_copies, 'required copy')}".replace(
            "copys", "copies"
        )
    )
