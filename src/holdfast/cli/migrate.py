"""``holdfast migrate``: an inventory of an older release, for this one."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import context, options, show
from holdfast.inventory import migrating
from holdfast.inventory.migrating import Migrated


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate)


def migrate(
    keep_copy: Annotated[
        bool, typer.Option("--backup/--no-backup", help="First copy the old file beside itself (SQLite only).")
    ] = True,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Bring an inventory to the tables of this release.

    One that an older release has written cannot be used before. It is done whole
    or not at all, in one transaction, while nobody else writes. Stop what runs on
    the older release first: it is refused afterwards. On PostgreSQL make a backup
    with the older release before.
    """
    place = context.load_config().inventory.place
    migrated = migrating.migrate(place, keep_copy=keep_copy, dry_run=dry_run)
    if json:
        show.document(_document(migrated, dry_run=dry_run))
    else:
        _show(migrated, dry_run=dry_run)


def _document(migrated: Migrated, *, dry_run: bool) -> dict[str, object]:
    known: dict[str, object] = {
        "inventory": migrated.place,
        "found": migrated.found,
        "version": migrated.version,
        "revisions": migrated.done,
        "copy": migrated.copy,
    }
    return known | ({"dry_run": True} if dry_run else {})


def _show(migrated: Migrated, *, dry_run: bool) -> None:
    if not migrated.done:
        show.line(f"{migrated.place}: is at version {migrated.version}; nothing to do")
        return
    if migrated.copy is not None:
        show.line(f"{'would copy' if dry_run else 'copied'} the old inventory to {migrated.copy}")
    for sentence in migrated.done:
        show.line(sentence)
    verb = "would be brought" if dry_run else "brought"
    show.line(f"{migrated.place}: {verb} from version {migrated.found} to {migrated.version}")
