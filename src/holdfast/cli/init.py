"""``holdfast init``: a new installation.

The configuration is written first, then the inventory is made where it says.
Nothing that is there is overwritten. A configuration without an inventory (from
an ``init`` that was cut short, or put there by an installer) is taken as it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from holdfast import config as configuration
from holdfast.cli import options, show
from holdfast.config import Config
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.errors import BadInput, OperatorError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The folder to set up.", show_default=".")
    ] = None,
    dry_run: options.DryRun = False,
) -> None:
    """Make a holdfast.toml and an empty inventory.

    The file is written to DIR (or as --config says) with every setting at its
    default and explained; the inventory is made where the file says. Nothing
    that is there already is overwritten.
    """
    file = _file(folder)
    is_new = not os.path.lexists(file)
    config = _config(file, is_new)
    inventory = config.inventory.path
    # Beside a configuration that is there, the store judges: the file may be what an init cut short has left.
    if inventory.exists() and (is_new or dry_run):
        raise OperatorError("there is an inventory already", place=str(inventory), hint="nothing was changed")
    if dry_run:
        show.line(f"would {'write' if is_new else 'leave as it is'}: {file}")
        show.line(f"would make: {inventory}")
        return
    if is_new:
        _write(file, configuration.starter_text())
    SqlStore.create(inventory).close()
    show.line(f"configuration: {file}" + ("" if is_new else " (was there)"))
    show.line(f"inventory: {inventory}")
    show.note("next: holdfast site add NAME --root FOLDER")


def _file(folder: Path | None) -> Path:
    named = options.current.get().config
    if named is not None and folder is not None:
        raise BadInput("both DIR and --config say where", hint="give one of them")
    return (named or (folder or Path()) / configuration.FILE_NAME).absolute()


def _config(file: Path, is_new: bool) -> Config:
    if is_new:
        return configuration.parse(configuration.starter_text(), file, os.environ)
    return configuration.load(file, os.environ)


def _write(file: Path, text: str) -> None:
    """Make ``file`` with ``text``, durably; it is whole or not there, and never replaces one."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "x", encoding="utf-8") as stream:
            try:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            except BaseException:
                file.unlink()
                raise
    except (FileExistsError, NotADirectoryError) as error:
        raise BadInput("is there already", place=str(error.filename or file), hint="choose another place") from error
