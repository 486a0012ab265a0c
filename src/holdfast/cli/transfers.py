"""``holdfast transfers``: the copies that were asked for, and how they get on."""

from __future__ import annotations

import typer

from holdfast.cli import request_commands
from holdfast.operations.showing import overview


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        name="transfers",
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Transfers: copies that were asked for, and how they get on.",
    )
    request_commands.add_to(group, overview.COPIES)
    app.add_typer(group)
