"""``holdfast site``: the storage elements and their doors."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from holdfast.cli import apply, options, pfn_text, show, site_door, site_listing, site_pfn, site_root
from holdfast.cli.context import open_context
from holdfast.inventory.store import Snapshot
from holdfast.model import names
from holdfast.model.changes import PutSite, RemoveSite
from holdfast.model.errors import BadInput, Conflict
from holdfast.model.records import BlockReplica, Door, Site, SiteStatus, StorageType
from holdfast.model.requirements import SiteUnchanged

app = typer.Typer(no_args_is_help=True, help="Sites: where files are stored.")

Name = Annotated[str, typer.Argument(metavar="SITE", help="The site's name.")]
TypeOption = typer.Option("--type", help="What the site stores on.")
StatusOption = typer.Option("--status", help="Whether the site may be used; only a ready one is copied to.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    for module in (site_door, site_listing, site_pfn):
        module.register(app)
    parent.add_typer(app, name="site")


@app.command("list")
def list_sites(json: options.Json = False) -> None:
    """All sites."""
    with open_context() as context, context.store.snapshot() as snapshot:
        sites = snapshot.sites()
    if json:
        show.document({"sites": [_record(site) for site in sites]})
        return
    show.table(
        ("site", "status", "type", "protocol", "root"),
        [
            (site.name, site.status.value, site.storage_type.value, site.first_door.protocol, site.first_door.root)
            for site in sites
        ],
    )


@app.command("show")
def show_site(name: Name, json: options.Json = False) -> None:
    """One site: its doors, its rules, and what it holds."""
    with open_context() as context, context.store.snapshot() as snapshot:
        site = snapshot.site(names.site_name(name))
        usage = _usage(snapshot, name)
    if json:
        show.document({**_record(site), "holds": usage})
        return
    show.facts(
        [
            ("site", site.name),
            ("status", site.status.value),
            ("type", site.storage_type.value),
            *(pair for door in site.doors for pair in _door_facts(door)),
            ("holds", f"{show.plural(usage['files'], 'file')}, {show.size(usage['size'])}"),
            ("blocks", f"{show.number(usage['blocks_complete'])} complete of {show.number(usage['blocks'])}"),
            ("datasets", f"{show.number(usage['datasets_complete'])} complete of {show.number(usage['datasets'])}"),
            ("requests", f"{usage['open_copies']} open copies to it, {usage['open_deletions']} open deletions"),
        ]
    )


def _record(site: Site) -> dict[str, Any]:
    doors = [pfn_text.record(door) for door in site.doors]
    return {"name": site.name, "status": site.status, "storage_type": site.storage_type, "doors": doors}


def _door_facts(door: Door) -> list[tuple[str, str]]:
    rules = [("  rule", pfn_text.text_of(chain)) for chain in door.rules.chains] or [("  rule", "the path is the LFN")]
    return [
        ("door", f"{door.protocol} {door.root}"),
        *rules,
        *(("  inverse", pfn_text.text_of(chain)) for chain in door.rules.inverse),
    ]


def _usage(snapshot: Snapshot, name: str) -> dict[str, int]:
    visible = {dataset.key for dataset in snapshot.datasets()}  # What is being published is not there yet.
    held = [replica for replica in snapshot.replicas(site=name) if replica.block.dataset in visible]
    by_dataset: dict[names.DatasetKey, list[BlockReplica]] = {}
    for replica in held:
        by_dataset.setdefault(replica.block.dataset, []).append(replica)
    complete = [
        key
        for key, there in by_dataset.items()
        if all(each.is_complete for each in there) and len(there) == len(snapshot.blocks(key))
    ]
    return {
        "blocks": len(held),
        "blocks_complete": sum(replica.is_complete for replica in held),
        "datasets": len(by_dataset),
        "datasets_complete": len(complete),
        "files": sum(replica.n_files for replica in held),
        "size": sum(replica.size for replica in held),
        "open_copies": sum(request.site == name for request in snapshot.copy_requests()),
        "open_deletions": sum(request.site == name for request in snapshot.deletion_requests()),
    }


@app.command("add")
def add_site(
    name: Name,
    root: site_root.Root,
    protocol: Annotated[str, typer.Option("--protocol", help="How it is spoken to.")] = "posix",
    storage_type: Annotated[StorageType, TypeOption] = StorageType.DISK,
    status: Annotated[SiteStatus, StatusOption] = SiteStatus.READY,
    lfn_prefix: site_root.LfnPrefix = None,
    path_prefix: site_root.PathPrefix = None,
    chain: site_root.Chains = None,
    inverse: site_root.Inverses = None,
    check: site_root.Check = True,
    dry_run: options.DryRun = False,
) -> None:
    """Add a site.

    A root on this machine is taken as seen from here and with its links
    followed. It must not hold Holdfast's own files, nor overlap another site's.

    Without rules, an LFN's path below the root is the LFN itself. A rule is
    'REGEX=>TEMPLATE': the regular expression must match the whole LFN, and {0},
    {1} ... in the template stand for its groups; ';;' divides the steps of a
    chain.

    \b
    holdfast site add T2_HERE --root /data/here
    holdfast site add T1_THERE --root /tape --type tape --lfn-prefix /store --path-prefix /cms
    holdfast site add T3_MINE --root /scratch --chain '/store/user/(.*)=>/mine/{0}'
    """
    names.site_name(name)
    rules = pfn_text.rules_of(lfn_prefix=lfn_prefix, path_prefix=path_prefix, chains=chain or (), inverse=inverse or ())
    door = Door(protocol, site_root.checked(root, protocol), rules)
    site = Site(name, (door,), storage_type, status)
    with open_context(warn=False) as context:  # Its settings may well have come first.
        site_root.require_apart(context, door)
        with context.store.snapshot() as snapshot:
            seen = snapshot.head
            if any(other.name == name for other in snapshot.sites()):
                raise Conflict(f"there is already a site {name}", rows=(name,), hint="see `holdfast site set`")
        if check:
            context.with_driver(site, lambda driver: driver.stat("/"))
        changes = [PutSite(site)]
        unchanged = [SiteUnchanged(name, seen.position, seen.epoch)]
        if apply.commit(context, changes, cause="site add", requirements=unchanged, dry_run=dry_run):
            show.line(f"{name}: added, {protocol} {door.root}")


@app.command("set")
def set_site(
    name: Name,
    storage_type: Annotated[StorageType | None, TypeOption] = None,
    status: Annotated[SiteStatus | None, StatusOption] = None,
    dry_run: options.DryRun = False,
) -> None:
    """Change a site's status or type."""
    if status is None and storage_type is None:
        raise BadInput("nothing to set", hint="say --status or --type")
    with open_context() as context:
        with context.store.snapshot() as snapshot:
            seen, old = snapshot.head, snapshot.site(names.site_name(name))
        new = replace(old, status=status or old.status, storage_type=storage_type or old.storage_type)
        changes = [PutSite(new)] if new != old else []
        unchanged = [SiteUnchanged(name, seen.position, seen.epoch)]
        if apply.commit(context, changes, cause="site set", requirements=unchanged, dry_run=dry_run):
            show.line(f"{name}: {new.status.value}, {new.storage_type.value}")


@app.command("remove")
def remove_site(name: Name, dry_run: options.DryRun = False) -> None:
    """Forget a site that holds no replica. Its files stay where they are."""
    with open_context() as context:
        if apply.commit(context, [RemoveSite(names.site_name(name))], cause="site remove", dry_run=dry_run):
            show.line(f"{name}: removed")
