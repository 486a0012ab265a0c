"""``holdfast deletions``: the deletions that were asked for, and how they get on."""

from __future__ import annotations

import typer

from holdfast.cli import request_commands
from holdfast.operations.showing import overview


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="deletions",
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Deletions: what was asked to go, and how that gets on.",
    )
    request_commands.add_to(group, overview.DELETIONS)
    app.add_typer(group)
