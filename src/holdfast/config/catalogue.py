"""The section of another catalogue than ours that sites can be checked against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from holdfast.config.fields import FolderPath, Section, SqlUrl, listed, setting

OPTIONS_FORM = "a list of texts NAME=VALUE"

_Option = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*=[^\x00-\x1f]*$")]
Options = Annotated[tuple[_Option, ...], BeforeValidator(listed)]


class CatalogueSettings(Section):
    """Another catalogue than our inventory, which `holdfast check` compares sites with if asked.

    What is found then is told as lists that such a catalogue takes; nothing is asked for.
    """

    inventory: str = setting(
        "snapshot",
        "What sites are compared with, unless `--inventory` says so: `snapshot` is our own inventory, `sql` what "
        "follows here, `dump` the files named in the command; others are plug-ins.",
        unit="name",
    )
    url: SqlUrl | None = setting(
        None, "The database of `sql`, as SQLAlchemy writes it; keep its password in a file of its client.", unit="URL"
    )
    query: str = setting(
        "",
        "What it is asked: columns path (or lfn) and, if known, size, adler32, state; `:site` is the site's name.",
        unit="SQL",
    )
    options: Options = setting((), "What a plug-in is told; no secrets.", unit="texts", form=OPTIONS_FORM)
    empty_allowed: bool = setting(
        False, "Whether the answer of `sql` may be that a site should have no file.", unit="yes or no"
    )
    reports: FolderPath = setting(
        Path("reports-catalogue"), "The folder that such checks write their reports to.", unit="path"
    )
    lists_fraction_max: float = setting(
        0.1,
        "If a greater part of what is expected is missing, or of what is there are orphans, no lists are written.",
        unit="fraction",
        least=0,
        most=1,
    )
