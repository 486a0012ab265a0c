"""``holdfast consistency``: what checks found at each site over time, and the words of people on acting on it."""

from __future__ import annotations

import typer

from holdfast.cli import (
    consistency_findings,
    consistency_lost,
    consistency_nowhere,
    consistency_report,
    consistency_restore,
    consistency_runs,
    consistency_show,
    consistency_states,
)

COMMANDS = (
    consistency_states,
    consistency_runs,
    consistency_show,
    consistency_findings,
    consistency_lost,
    consistency_nowhere,
    consistency_report,
    consistency_restore,
)
"""In the order of the help."""


def register(parent: typer.Typer) -> None:
    """Add the group."""
    app = typer.Typer(no_args_is_help=True, help="Consistency: what checks have found, and if it is acted on.")
    for module in COMMANDS:
        module.register(app)
    parent.add_typer(app, name="consistency")
