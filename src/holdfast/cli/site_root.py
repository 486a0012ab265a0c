"""What ``site add`` and ``site door add`` have in common: where a door's files begin, and its rules."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.context import Context
from holdfast.model.errors import BadInput
from holdfast.model.records import Door, Site
from holdfast.storage import door_roots, doors

Root = Annotated[str, typer.Option("--root", metavar="PATH_OR_URL", help="Where its files begin.")]
LfnPrefix = Annotated[
    str | None, typer.Option("--lfn-prefix", metavar="DIR", help="Rule: this leading directory of the LFN ...")
]
PathPrefix = Annotated[
    str | None, typer.Option("--path-prefix", metavar="DIR", help="... becomes this one of the path.")
]
Chains = Annotated[
    list[str] | None,
    typer.Option("--chain", metavar="REGEX=>TEMPLATE", help="Rule from LFN to path; the first that matches wins."),
]
Inverses = Annotated[
    list[str] | None,
    typer.Option("--inverse", metavar="REGEX=>TEMPLATE", help="Rule from path to LFN; without, no orphan is sure."),
]
Check = Annotated[bool, typer.Option("--check/--no-check", help="Ask the storage whether the root is there.")]


def checked(root: str, protocol: str) -> str:
    """The root, a path of this machine by its one name; BadInput, which shows no secret, if it makes no sense."""
    if not root:
        raise BadInput("--root is empty")
    door_roots.refuse_secrets(root)
    found = door_roots.absolute(root, protocol)
    door_roots.check_root(protocol, found)
    return found


def require_apart(context: Context, door: Door) -> None:
    """BadInput if the door would show files of our own: a check would call them orphans, and may remove them."""
    if door.protocol != "posix":
        return
    root, config = Path(door.root), context.config
    own = {"the state folder": context.state_dir, "the reports folder": config.consistency.reports}
    for what, folder in own.items():
        ours = folder.resolve()
        if ours.is_relative_to(root) or root.is_relative_to(ours):
            raise _overlap(root, what, ours)
    file = config.file.resolve() if config.file is not None else None
    if file is not None and file.is_relative_to(root):
        raise _overlap(root, "the configuration", file)


def require_beside_sites(folder: Path, sites: Iterable[Site]) -> None:
    """BadInput if a folder of ours lies in the files of a site, or they in it: they would become files of the site."""
    ours = folder.resolve()
    for site in sites:
        for door in site.doors:
            root = doors.folder_of(door)
            if root is not None and (ours.is_relative_to(root) or root.is_relative_to(ours)):
                raise BadInput(
                    f"the folder overlaps the root {root} of {site.name}",
                    place=str(folder),
                    hint="name a folder beside all sites",
                )


def _overlap(root: Path, what: str, place: Path) -> BadInput:
    return BadInput(
        f"the root {root} overlaps {what} {place}",
        hint="give the site a folder of its own, beside what belongs to Holdfast",
    )
