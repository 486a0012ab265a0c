"""Commands: which there are, and how they are loaded only when asked for.

``holdfast --help`` shows ``COMMANDS`` and loads none of them; a command loads
its own module, and with it the rooms that it calls, and nothing else. Each
module has ``register(app)``, which adds its commands to a Typer.
"""

from __future__ import annotations

import functools
import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One command or group: the module of this package that registers it, and its sentence in the list."""

    module: str
    summary: str


COMMANDS: dict[str, CommandEntry] = {
    "demo": CommandEntry("demo", "Publish, copy, damage, check, repair: the main job."),
    "init": CommandEntry("init", "Make a holdfast.toml and an empty inventory."),
    "site": CommandEntry("site", "Sites: where files are stored."),
    "group": CommandEntry("group", "Groups: who owns replicas."),
    "publish": CommandEntry("publish", "Register a directory tree at a site as a dataset."),
    "copy": CommandEntry("copy", "Bring a dataset to another site."),
    "transfers": CommandEntry("transfers", "Transfers: copies that were asked for, and how they get on."),
    "delete": CommandEntry("delete", "Let a site lose what it holds of a dataset."),
    "deletions": CommandEntry("deletions", "Deletions: what was asked to go, and how that gets on."),
    "links": CommandEntry("links", "Links: how well files come from one site to another."),
    "workers": CommandEntry("workers", "Workers: who carries out copies and deletions."),
    "check": CommandEntry("check", "Compare what a site holds with what the inventory says."),
    "consistency": CommandEntry("consistency", "Consistency: what checks have found, and if it is acted on."),
    "clean": CommandEntry("clean", "Cleaning: what is old in production areas and quarantine."),
    "compare": CommandEntry("compare", "Compare two listing files."),
    "dataset": CommandEntry("dataset", "Datasets: what is registered, and where it is."),
    "whereis": CommandEntry("whereis", "Say where files are: their PFN at each site."),
    "journal": CommandEntry("journal", "The journal: every change, in order."),
    "lock": CommandEntry("lock", "Locks: what must not be deleted."),
    "verify": CommandEntry("verify", "Check that the inventory keeps its own invariants."),
    "backup": CommandEntry("backup", "Write a copy of the inventory, while it is in use."),
    "restore": CommandEntry("restore", "Make an inventory from a backup, in a new epoch."),
    "migrate": CommandEntry("migrate", "Bring an inventory to the tables of this release."),
    "config": CommandEntry("config_show", "The configuration: values and where they came from."),
}
"""Every command by its name, in the order of the help."""


class LazyGroup(TyperGroup):
    """The group of all commands, which stands for each by its summary until it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=entry.summary, rich_markup_mode=None) for name, entry in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The real command, once one is named."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, load(name) if name is not None and stand_in is not None else stand_in, rest


@functools.cache
def load(name: str) -> Any:
    """The command or group ``name``, its module imported. Once: groups would register what is below them again."""
    app = typer.Typer(rich_markup_mode=None)
    with _uncollected():
        importlib.import_module(f"holdfast.cli.{COMMANDS[name].module}").register(app)
    return typer.main.get_group(app).commands[name]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Load code without looking for garbage: it is all kept, and looking takes a quarter of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
