"""``holdfast site door``: the ways into a site.

A site has one door or several; the first is the one that copies, removals and
checks go through. Further doors of the same protocol and rules share the work
of a listing; others can be named where a command takes ``--door``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from holdfast.cli import apply, options, pfn_text, show, site_root
from holdfast.cli.context import Context, open_context
from holdfast.model import names
from holdfast.model.changes import PutSite
from holdfast.model.errors import BadInput, Conflict, UnknownName
from holdfast.model.records import Door, Site
from holdfast.model.requirements import SiteUnchanged

app = typer.Typer(no_args_is_help=True, help="The doors of a site: protocol, root and rules of each.")

Name = Annotated[str, typer.Argument(metavar="SITE", help="The site's name.")]
DoorOption = Annotated[
    str | None,
    typer.Option("--door", metavar="PROTOCOL_OR_ROOT", help="Which door, if not the first: its protocol or its root."),
]


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="door")


def find(site: Site, word: str | None) -> Door:
    """The door that ``word`` names by its protocol or root; the first if None. UnknownName, or BadInput if several."""
    if word is None:
        return site.first_door
    found = [door for door in site.doors if word in (door.protocol, door.root)]
    if not found:
        known = "; ".join(f"{door.protocol} {door.root}" for door in site.doors)
        raise UnknownName(f"there is no door of {site.name} {word!r}", hint=f"it has {known}")
    if len(found) > 1:
        raise BadInput(
            f"{site.name} has several doors {word}", hint=f"name one: {', '.join(door.root for door in found)}"
        )
    return found[0]


@app.command("list")
def list_doors(name: Name, json: options.Json = False) -> None:
    """The doors of a site, the first first."""
    with open_context() as context, context.store.snapshot() as snapshot:
        site = snapshot.site(names.site_name(name))
    if json:
        show.document({"site": name, "doors": [pfn_text.record(door) for door in site.doors]})
        return
    rows = [(door.protocol, door.root, "; ".join(map(pfn_text.text_of, door.rules.chains))) for door in site.doors]
    show.table(("protocol", "root", "rules"), rows)


@app.command("add")
def add_door(
    name: Name,
    root: site_root.Root,
    protocol: Annotated[str, typer.Option("--protocol", help="How it is spoken to.")],
    lfn_prefix: site_root.LfnPrefix = None,
    path_prefix: site_root.PathPrefix = None,
    chain: site_root.Chains = None,
    inverse: site_root.Inverses = None,
    first: Annotated[bool, typer.Option("--first", help="Make it the one that everything goes through.")] = False,
    check: site_root.Check = True,
    dry_run: options.DryRun = False,
) -> None:
    """Add a door to a site.

    Without rules it has those of the first door. All doors show the same files.

    \b
    holdfast site door add T2_HERE --protocol davs --root davs://door2.here:443/store
    """
    given = pfn_text.rules_of(lfn_prefix=lfn_prefix, path_prefix=path_prefix, chains=chain or (), inverse=inverse or ())
    place = site_root.checked(root, protocol)
    with open_context() as context:
        with context.store.snapshot() as snapshot:
            seen, site = snapshot.head, snapshot.site(names.site_name(name))
        door = Door(protocol, place, given if given.chains else site.first_door.rules)
        if any(door.root == other.root and protocol == other.protocol for other in site.doors):
            raise Conflict(f"{name} has that door already", rows=(door.root,))
        site_root.require_apart(context, door)
        if check:
            context.with_driver(replace(site, doors=(door,)), lambda driver: driver.stat("/"))
        doors = (door, *site.doors) if first else (*site.doors, door)
        if _put(context, replace(site, doors=doors), SiteUnchanged(name, seen.position, seen.epoch), dry_run=dry_run):
            show.line(f"{name}: door added, {protocol} {door.root}")


@app.command("remove")
def remove_door(
    name: Name,
    door: Annotated[str, typer.Argument(metavar="PROTOCOL_OR_ROOT", help="Which door: its protocol or its root.")],
    dry_run: options.DryRun = False,
) -> None:
    """Forget a door of a site; a site keeps at least one."""
    with open_context() as context:
        with context.store.snapshot() as snapshot:
            seen, site = snapshot.head, snapshot.site(names.site_name(name))
        gone = find(site, door)
        rest = tuple(each for each in site.doors if each != gone)
        if not rest:
            raise Conflict(f"{name} has no other door", hint="add another first, or remove the site")
        if _put(context, replace(site, doors=rest), SiteUnchanged(name, seen.position, seen.epoch), dry_run=dry_run):
            show.line(f"{name}: door removed, {gone.protocol} {gone.root}")


def _put(context: Context, site: Site, unchanged: SiteUnchanged, *, dry_run: bool) -> bool:
    put = [PutSite(site)]
    return apply.commit(context, put, cause="site door", requirements=[unchanged], dry_run=dry_run) is not None
