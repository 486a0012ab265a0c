"""``holdfast init``: a new installation.

The configuration is written first, then the inventory is made where it says: in
a file, or in a PostgreSQL database that is there and empty.
Nothing that is there is overwritten. A configuration without an inventory (from
an ``init`` that was cut short, or put there by an installer) is taken as it is.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from holdfast import config as configuration
from holdfast.cli import options, show
from holdfast.config import Config
from holdfast.inventory.database import check_empty
from holdfast.inventory.sql_store import SqlStore, database_at
from holdfast.model.errors import BadInput, OperatorError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The folder to set up.", show_default=".")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Keep the inventory in this PostgreSQL database: postgresql://USER@HOST/NAME."
        ),
    ] = None,
    dry_run: options.DryRun = False,
) -> None:
    """Make a holdfast.toml and an empty inventory.

    The file is written to DIR (or as --config says) with every setting at its
    default and explained; the inventory is made where the file says. Nothing
    that is there already is overwritten.

    A database has to be there, empty and with the encoding UTF8 (createdb
    --template template0 --encoding UTF8 NAME). Its password is best kept out of the
    URL: in PGPASSFILE, or the whole URL in HOLDFAST_INVENTORY_DATABASE.
    """
    file = _file(folder)
    is_new = not os.path.lexists(file)
    text = configuration.starter_text({} if database is None else {"inventory.database": database})
    config = _config(file, text if is_new else None, database)
    # Beside a configuration that is there, the store judges: the file may be what an init cut short has left.
    if is_new or dry_run:
        _check_free(config.inventory.place)
    if dry_run:
        show.line(f"would {'write' if is_new else 'leave as it is'}: {file}")
        show.line(f"would make: {_shown(config)}")
        return
    if is_new:
        has_password = database is not None and configuration.without_password(database) != database
        _write(file, text, mode=0o600 if has_password else 0o666)
    SqlStore.create(config.inventory.place).close()
    show.line(f"configuration: {file}" + ("" if is_new else " (was there)"))
    show.line(f"inventory: {_shown(config)}")
    show.note("next: holdfast site add NAME --root FOLDER")


def _shown(config: Config) -> str:
    return configuration.without_password(str(config.inventory.place))


def _check_free(place: Path | str) -> None:
    """OperatorError if something is there already."""
    if isinstance(place, Path):
        if place.exists():
            raise OperatorError("there is an inventory already", place=str(place), hint="nothing was changed")
        return
    with closing(database_at(place)) as database:
        database.prepare()
        with database.reading() as connection:
            check_empty(connection, database.place)


def _file(folder: Path | None) -> Path:
    named = options.current.get().config
    if named is not None and folder is not None:
        raise BadInput("both DIR and --config say where", hint="give one of them")
    return (named or (folder or Path()) / configuration.FILE_NAME).absolute()


def _config(file: Path, text: str | None, database: str | None) -> Config:
    """The configuration that will be written, or the one that is there, which has to say the same."""
    if text is not None:
        return configuration.parse(text, file, os.environ)
    config = configuration.load(file, os.environ)
    if database not in (None, config.inventory.database):
        raise BadInput("is there already and does not say that", place=str(file), hint="set [inventory] database in it")
    return config


def _write(file: Path, text: str, *, mode: int) -> None:
    """Make ``file`` with ``text``, durably; it is whole or not there, and never replaces one."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, mode)) as stream:
            try:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            except BaseException:
                file.unlink()
                raise
    except (FileExistsError, NotADirectoryError) as error:
        raise BadInput("is there already", place=str(error.filename or file), hint="choose another place") from error
