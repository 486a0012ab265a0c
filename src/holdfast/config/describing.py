"""What there is to set: every section, every setting, and the starter file that explains them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from holdfast.config.fields import Section, allowed
from holdfast.config.sections import (
    ConsistencySettings,
    InventorySettings,
    LogSettings,
    OperationsSettings,
    PublishSettings,
)
from holdfast.config.storage import StorageSettings

PREFIX = "HOLDFAST_"

SECTIONS: Mapping[str, type[Section]] = MappingProxyType(
    {
        "inventory": InventorySettings,
        "storage": StorageSettings,
        "operations": OperationsSettings,
        "publish": PublishSettings,
        "consistency": ConsistencySettings,
        "log": LogSettings,
    }
)

SITES = "storage.sites"
"""The table that has a table for each site with settings of its own."""

HOMES = {key: section for section, model in SECTIONS.items() for key in model.model_fields}
"""The section that each key belongs to, for hints."""

_EXAMPLE = f"""
# Any of these for one site, before what holds for all:
# [{SITES}.T2_Example]
# token = "secrets/example.token"
# in_flight_max = 32"""


def of_site(name: str) -> str:
    """The section that is about one site."""
    return f"{SITES}.{name}"


def model_of(section: str) -> type[Section]:
    """The class of a section, be it that of one site."""
    return SECTIONS.get(section, StorageSettings)


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
        return f"{PREFIX}{self.section}_{self.key}".upper()


def reference() -> tuple[Setting, ...]:
    """Every setting there is, in order; those of single sites are those of ``storage``."""
    return tuple(describe(section, key) for section, model in SECTIONS.items() for key in model.model_fields)


def describe(section: str, key: str) -> Setting:
    """One setting."""
    info = model_of(section).model_fields[key]
    extra = info.json_schema_extra
    if not isinstance(extra, dict):
        raise TypeError(f"[{section}] {key} is not declared with setting()")
    words = allowed(info.annotation, info.default, extra.get("least"), extra.get("most"))
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
        if model is StorageSettings:
            lines += _EXAMPLE.splitlines()
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
