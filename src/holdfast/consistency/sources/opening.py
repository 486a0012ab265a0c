"""Opening: from the name of an inventory to the two answers that a foreign check compares a site with.

Rules
  * A dump is two: one made before the listing, one after it; the second may be
    lacking as yet. Whatever can be asked at any time is one.
  * What is said of another kind of inventory than the one that is meant is BadInput:
    nobody says it for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.config import CatalogueSettings
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.sources import plug_ins
from holdfast.consistency.sources.dump_inventory import DumpInventory
from holdfast.consistency.sources.inventory import Inventory
from holdfast.consistency.sources.snapshot_inventory import SnapshotInventory
from holdfast.consistency.sources.sql_inventory import SqlInventory
from holdfast.inventory.store import Store
from holdfast.model.errors import BadInput


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which inventory, and what was said beside its name: dumps as ``dump_inventory`` has them, and what names are."""

    name: str
    before: str = ""
    after: str = ""
    are_lfns: bool | None = None


def open_inventories(
    wanted: Wanted, settings: CatalogueSettings, store: Store, limits: EngineLimits
) -> tuple[Inventory, Inventory | None]:
    """Whom to ask before the listing, and whom after it, if that is known already."""
    if wanted.name == "dump":
        if not wanted.before:
            raise BadInput(
                "a dump made before the listing is needed", hint="name it with --before, and --after another"
            )
        first = DumpInventory(wanted.before, are_lfns=wanted.are_lfns, limits=limits)
        return first, DumpInventory(wanted.after, are_lfns=wanted.are_lfns, limits=limits) if wanted.after else None
    if wanted.before or wanted.after or wanted.are_lfns is not None:
        raise BadInput(f"--before, --after and --lfns are about dumps, not {wanted.name}", hint="say --inventory dump")
    inventory = _open(wanted.name, settings, store)
    return inventory, inventory


def _open(name: str, settings: CatalogueSettings, store: Store) -> Inventory:
    if name == "snapshot":
        return SnapshotInventory(store)
    if name == "sql":
        if settings.url is None or not settings.query:
            raise BadInput("url and query are not set", place="[catalogue]", hint="the inventory sql needs both")
        return SqlInventory(settings.url, settings.query, is_empty_allowed=settings.empty_allowed)
    pairs = (option.partition("=") for option in settings.options)
    return plug_ins.open_plug_in(name, {key: value for key, _, value in pairs})
