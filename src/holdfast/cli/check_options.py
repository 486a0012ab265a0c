"""The options of ``holdfast check`` about our own inventory; those of other catalogues are in ``check_foreign``."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import completing

SiteName = Annotated[str, typer.Argument(metavar="SITE", help="The site to check.", autocompletion=completing.sites)]
Checksums = Annotated[
    bool,
    typer.Option("--checksums", help="Also prove the checksum of every file, and note which blocks are whole."),
]
Repair = Annotated[
    bool,
    typer.Option("--repair", help="Bring good copies of what is missing or wrong, and try again what is held."),
]
DeleteOrphans = Annotated[
    bool, typer.Option("--delete-orphans", help="Quarantine or delete what nobody knows, once it is confirmed.")
]
RemoveEmpty = Annotated[bool, typer.Option("--remove-empty", help="Remove empty directories, once they are confirmed.")]
Act = Annotated[bool, typer.Option("--act", help="All three, as far as the gates are open; what is left is told.")]
Unconfirmed = Annotated[
    bool, typer.Option("--unconfirmed", help="Act on what this check has found, even if no other has yet.")
]
DespiteEmpty = Annotated[
    bool, typer.Option("--despite-empty", help="Repair a site that shows no file at all: its disk was replaced.")
]
NoQuarantine = Annotated[
    bool, typer.Option("--no-quarantine", help="Delete orphans at once instead of moving them aside.")
]
Again = Annotated[bool, typer.Option("--again", help="Ask even for removals that somebody has cancelled.")]
OrphanLimit = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=0, help="Remove orphans only if there are at most N, whatever part of the files they are."
    ),
]
MaxFraction = Annotated[
    float | None,
    typer.Option(
        metavar="FRACTION",
        min=0,
        max=1,
        help="Act only if at most this part of the files is missing or wrong; default: missing_fraction_max.",
    ),
]
IgnoreAge = Annotated[
    int | None,
    typer.Option(
        metavar="SECONDS", min=0, help="Unknown and wrong files younger are left alone; default: ignore_age_s."
    ),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Only ask for it; `transfers run`, `deletions run` do it.")]
Afresh = Annotated[
    bool, typer.Option("--afresh", help="List anew, even if an interrupted check could be gone on with.")
]
