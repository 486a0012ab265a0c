"""``holdfast group``: who owns replicas."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import apply, options, show
from holdfast.cli.context import open_context
from holdfast.model import names
from holdfast.model.changes import PutGroup
from holdfast.model.records import Group

app = typer.Typer(no_args_is_help=True, help="Groups: who owns replicas.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="group")


@app.command("list")
def list_groups(json: options.Json = False) -> None:
    """All groups."""
    with open_context() as context, context.store.snapshot() as snapshot:
        groups = snapshot.groups()
    if json:
        show.document({"groups": [{"name": name} for name in groups]})
    else:
        show.table(("group",), [(name,) for name in groups])


@app.command("add")
def add_group(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The group's name.")],
    dry_run: options.DryRun = False,
) -> None:
    """Add a group; no error if it is there."""
    names.group_name(name)
    with open_context() as context:
        with context.store.snapshot() as snapshot:
            is_known = name in snapshot.groups()
        changes = [] if is_known else [PutGroup(Group(name))]
        if apply.commit(context, changes, cause="group add", dry_run=dry_run):
            show.line(f"{name}: {'is there already' if is_known else 'added'}")
