"""``holdfast config``: what is set, and by what."""

from __future__ import annotations

import typer

from holdfast.cli import context, options, show
from holdfast.config import toml_value

app = typer.Typer(no_args_is_help=True, help="The configuration: values and where they came from.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="config")


@app.command("show")
def show_config(json: options.Json = False) -> None:
    """Every setting with its value and where it came from.

    The origin is `default`, the line of the file, or the environment variable.
    """
    config = context.load_config()
    settings = list(config.settings())
    if json:
        keys = ("section", "key", "value", "origin")
        rows = [dict(zip(keys, setting, strict=True)) for setting in settings]
        show.document({"file": config.file, "settings": rows})
        return
    show.table(
        ("setting", "value", "origin"),
        [
            (f"{section}.{key}", "unset" if value is None else toml_value(value), origin)
            for section, key, value, origin in settings
        ],
    )


@app.command("path")
def show_path() -> None:
    """The file that is in use."""
    show.line(str(context.load_config().file))
