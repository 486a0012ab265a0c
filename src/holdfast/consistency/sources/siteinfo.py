"""SiteInfo: which sites there are, through which doors one gets in, whether they are ready, and what they store on.

The third of the three modules of a back end. A site is ``model.records.Site``,
whoever tells of it: ours come from the inventory, others from a file, for people
who have no inventory of ours.

    [sites.T2_Example]                    (TOML; or the same as JSON)
    storage = "disk"                      # or tape; default disk
    status = "ready"                      # or another of the states of a site; default ready
    [[sites.T2_Example.doors]]
    protocol = "davs"
    root = "davs://door.example.org:2880/store"
    lfn_prefix = "/store"                 # both, or none: exchange one leading directory for the other
    path_prefix = ""

Rules
  * A site that is not there is UnknownName with what is near.
  * A file that is none, or says what is not known, is BadInput with its place.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from holdfast.inventory.store import Store
from holdfast.model import names, pfn
from holdfast.model.errors import BadInput, HoldfastError, OperatorError, unknown_name
from holdfast.model.pfn import PfnRules
from holdfast.model.records import Door, Site, SiteStatus, StorageType

_OF_SITE = ("doors", "storage", "status")
_OF_DOOR = ("protocol", "root", "lfn_prefix", "path_prefix")

_Word = TypeVar("_Word", bound=StrEnum)


class SiteInfo(Protocol):
    """Who knows the sites."""

    def names(self) -> tuple[str, ...]:
        """The names of all sites, sorted."""

    def site(self, name: str) -> Site:
        """One site; UnknownName."""

    def is_ready(self, name: str) -> bool:
        """Whether it may be checked now; UnknownName."""


class InventorySites:
    """The sites of our inventory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def names(self) -> tuple[str, ...]:
        """All that are registered."""
        with self._store.snapshot() as view:
            return tuple(sorted(site.name for site in view.sites()))

    def site(self, name: str) -> Site:
        """As it is registered."""
        with self._store.snapshot() as view:
            return view.site(name)

    def is_ready(self, name: str) -> bool:
        """As it was set."""
        return self.site(name).is_ready


class FileSites:
    """The sites that a file tells of; it is read once."""

    def __init__(self, file: Path) -> None:
        self._sites = {site.name: site for site in _read(file)}

    def names(self) -> tuple[str, ...]:
        """All that are in it."""
        return tuple(sorted(self._sites))

    def site(self, name: str) -> Site:
        """As it stands there."""
        if name not in self._sites:
            raise unknown_name("site", name, self._sites)
        return self._sites[name]

    def is_ready(self, name: str) -> bool:
        """As it stands there."""
        return self.site(name).is_ready


def _read(file: Path) -> list[Site]:
    try:
        text = file.read_bytes().decode()
        document = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise OperatorError(f"cannot be read: {error.strerror}", place=str(file)) from error
    except (ValueError, RecursionError) as error:  # Neither UTF-8 nor TOML nor JSON.
        kind = "JSON" if file.suffix == ".json" else "TOML"
        raise BadInput(f"is not {kind}: {str(error).splitlines()[0][:200]}", place=str(file)) from error
    sites = document.get("sites") if isinstance(document, dict) else None
    if not isinstance(sites, dict) or not sites:
        raise BadInput("tells of no sites", place=str(file), hint="write [sites.NAME] with [[sites.NAME.doors]]")
    return [_site(name, said, f"{file}: sites.{name}") for name, said in sites.items()]


def _site(name: str, said: object, place: str) -> Site:
    try:
        table = _table(said, _OF_SITE)
        doors = table.get("doors")
        if not isinstance(doors, list) or not doors:
            raise BadInput("has no doors", hint="write [[sites.NAME.doors]] with protocol and root")
        storage = _word(table, "storage", StorageType, StorageType.DISK)
        status = _word(table, "status", SiteStatus, SiteStatus.READY)
        return Site(names.site_name(name), tuple(_door(door) for door in doors), storage, status)
    except HoldfastError as error:
        error.place = error.place or place
        raise


def _door(said: object) -> Door:
    table = _table(said, _OF_DOOR)
    texts = {key: value for key, value in table.items() if isinstance(value, str)}
    if len(texts) != len(table) or not (texts.get("protocol") and texts.get("root")):
        raise BadInput(
            "a door has a protocol and a root, which are texts", hint='write protocol = "..." and root = "..."'
        )
    prefixes = [texts.get(key) for key in ("lfn_prefix", "path_prefix")]
    if (prefixes[0] is None) != (prefixes[1] is None):
        raise BadInput("lfn_prefix and path_prefix belong together", hint='"" is no prefix')
    rules = PfnRules() if prefixes[0] is None else PfnRules.prefix(*map(str, prefixes))
    pfn.check(rules)
    return Door(texts["protocol"], texts["root"], rules)


def _table(said: object, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        raise BadInput("is no table", hint=f"known in it are {', '.join(known)}")
    unknown = sorted(set(said) - set(known))
    if unknown:
        raise BadInput(f"says {unknown[0]!r}, which is not known", hint=f"known are {', '.join(known)}")
    return said


def _word(table: Mapping[str, Any], key: str, words: type[_Word], default: _Word) -> _Word:
    try:
        return words(table.get(key, default))
    except ValueError as error:
        hint = f"write one of {', '.join(words)}"
        raise BadInput(f"{key} is {str(table[key])[:80]!r}", hint=hint) from error
