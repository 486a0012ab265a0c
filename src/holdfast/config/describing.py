"""What there is to set: every section, every setting, and the starter file that explains them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from holdfast.config.catalogue import CatalogueSettings
from holdfast.config.cleaning import AreaSettings, CleaningSettings
from holdfast.config.consistency import ConsistencySettings, SiteConsistencySettings
from holdfast.config.engines import CommandSettings, FtsSettings
from holdfast.config.fields import Section, allowed
from holdfast.config.links import LinkSettings
from holdfast.config.operations import OperationsSettings, SiteOperationsSettings
from holdfast.config.sections import InventorySettings, LogSettings, PublishSettings
from holdfast.config.storage import StorageSettings

PREFIX = "HOLDFAST_"

SECTIONS: Mapping[str, type[Section]] = MappingProxyType(
    {
        "inventory": InventorySettings,
        "storage": StorageSettings,
        "operations": OperationsSettings,
        "operations.fts": FtsSettings,
        "operations.command": CommandSettings,
        "publish": PublishSettings,
        "consistency": ConsistencySettings,
        "catalogue": CatalogueSettings,
        "cleaning": CleaningSettings,
        "log": LogSettings,
    }
)
"""Every table that is there once."""

OF_SITES: Mapping[str, type[Section]] = MappingProxyType(
    {
        "storage.sites": StorageSettings,
        "operations.sites": SiteOperationsSettings,
        "consistency.sites": SiteConsistencySettings,
        "cleaning.sites": CleaningSettings,
    }
)
"""The tables that have a table for each site with settings of its own; the rest is as in the section around them."""

LISTS: Mapping[str, type[Section]] = MappingProxyType(
    {"operations.links": LinkSettings, "cleaning.areas": AreaSettings}
)
"""Tables of which there may be many, in an order that counts."""

HOMES = {
    key: f"[{section}]" if section in SECTIONS else f"[[{section}]]"
    for section, model in {**LISTS, **SECTIONS}.items()
    for key in model.model_fields
}
"""The section that each key belongs to, for hints."""

_EXAMPLES = {
    "storage": """
# Any of these for one site, before what holds for all:
# [storage.sites.T2_Example]
# token = "secrets/example.token"
# in_flight_max = 32""",
    "operations": """
# Some of these for one site, before what holds for all:
# [operations.sites.T2_Example]
# per_site_in = 100
# remove_empty_directories = true""",
    "operations.command": """
# What moves files between which sites; the first such table that is about a link counts:
# [[operations.links]]
# source = "T1_*"
# destination = "*"
# engines = ["fts", "http"]
# streams = 20""",
    "consistency": """
# Some of these for one site, before what holds for all:
# [consistency.sites.T2_Example]
# mode = "dry"
# orphans_max = 100""",
    "cleaning": """
# Which areas are cleaned; all tables that are about a site count:
# [[cleaning.areas]]
# sites = "T2_*"
# path = "/store/unmerged"
# log_directories = ["logs"]
# Any of the settings above for one site, before what holds for all:
# [cleaning.sites.T2_Example]
# protected_file = "protected.txt"
# files_max = 1000""",
}


def of_site(tables: str, name: str) -> str:
    """The section that is about one site."""
    return f"{tables}.{name}"


def of_list(tables: str, number: int) -> str:
    """The section of one table of many; ``number`` is 1 for the first."""
    return f"{tables}.{number}"


def inner_tables(section: str) -> tuple[str, ...]:
    """The names of tables within a section."""
    every = (*SECTIONS, *OF_SITES, *LISTS)
    return tuple(name.rpartition(".")[2] for name in every if name.rpartition(".")[0] == section)


def model_of(section: str) -> type[Section]:
    """The class of a section, be it that of one site or of one table of many."""
    for known, model in (*OF_SITES.items(), *LISTS.items()):
        if section.startswith(f"{known}."):
            return model
    return SECTIONS[section]


def header(section: str) -> str:
    """A section's name as its header is written in the file."""
    return f"[[{section.rpartition('.')[0]}]]" if section.rpartition(".")[0] in LISTS else f"[{section}]"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is to be known of one setting, for the reference page and for messages."""

    section: str
    key: str
    default: object
    unit: str
    allowed: str
    sentence: str

    @property
    def variable(self) -> str:
        """The environment variable that overrides it."""
        return f"{PREFIX}{self.section}_{self.key}".replace(".", "_").upper()


def reference() -> tuple[Setting, ...]:
    """Every setting that a variable can set, in order; tables of sites and links have theirs from ``tables``."""
    return tuple(describe(section, key) for section, model in SECTIONS.items() for key in model.model_fields)


def tables() -> tuple[Setting, ...]:
    """Every setting of the tables of which there may be many."""
    return tuple(describe(of_list(name, 1), key) for name, model in LISTS.items() for key in model.model_fields)


def describe(section: str, key: str) -> Setting:
    """One setting."""
    info = model_of(section).model_fields[key]
    extra = info.json_schema_extra
    if not isinstance(extra, dict):
        raise TypeError(f"[{section}] {key} is not declared with setting()")
    words = str(extra["form"] or allowed(info.annotation, info.default, extra.get("least"), extra.get("most")))
    return Setting(section, key, info.default, str(extra["unit"]), words, info.description or "")


def nearest(name: str, known: Iterable[str], similarity: float = 0.6) -> str:
    """The known name most like ``name``, or "" if none is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=similarity)
    return near[0] if near else ""


def starter_text(given: Mapping[str, object] = MappingProxyType({})) -> str:
    """A first ``holdfast.toml``: every setting with its sentence, commented out at its default.

    Those ``given`` by ``section.key`` are set.
    """
    lines = ["# Holdfast's configuration. A line without '#' replaces a default;", "# paths are relative to this file."]
    for section, model in SECTIONS.items():
        lines += ["", f"# {(model.__doc__ or '').strip().splitlines()[0]}", f"[{section}]"]
        for setting in (describe(section, key) for key in model.model_fields):
            name = f"{section}.{setting.key}"
            value = f"{setting.key} = {toml_value(given.get(name, setting.default))}"
            lines += [f"# {setting.sentence} ({setting.allowed})", value if name in given else f"# {value}"]
        lines += _EXAMPLES.get(section, "").splitlines()
    return "\n".join(lines) + "\n"


def toml_value(value: object) -> str:
    """A value as one writes it in the file; an unset one as ``...``."""
    if value is None:
        return "..."
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return str(value) if isinstance(value, int | float) else json.dumps(str(value), ensure_ascii=False)
