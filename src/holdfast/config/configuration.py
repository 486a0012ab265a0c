"""Config: the whole configuration, and where each of its values came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType

from holdfast.config.catalogue import CatalogueSettings
from holdfast.config.cleaning import CleaningSettings
from holdfast.config.consistency import ConsistencySettings
from holdfast.config.describing import LISTS, OF_SITES, SECTIONS
from holdfast.config.fields import DatabaseUrl, Section, SqlUrl, kind_of, without_arguments, without_password
from holdfast.config.operations import OperationsSettings
from holdfast.config.sections import InventorySettings, LogSettings, PublishSettings
from holdfast.config.storage import StorageSettings


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; ``origins`` is by ``section.key``, ``file`` is None for built-in defaults."""

    file: Path | None = None
    inventory: InventorySettings = field(default_factory=InventorySettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    operations: OperationsSettings = field(default_factory=OperationsSettings)
    publish: PublishSettings = field(default_factory=PublishSettings)
    consistency: ConsistencySettings = field(default_factory=ConsistencySettings)
    catalogue: CatalogueSettings = field(default_factory=CatalogueSettings)
    cleaning: CleaningSettings = field(default_factory=CleaningSettings)
    log: LogSettings = field(default_factory=LogSettings)
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def settings(self) -> Iterator[tuple[str, str, object, str]]:
        """Each setting as section, key, value and origin, in the order of the reference page.

        Passwords, and what a command is told, are left out. Of tables for one site or some links, only what is set
        there.
        """
        for section, model in SECTIONS.items():
            built = attrgetter(section)(self)
            for key in model.model_fields:
                yield section, key, _shown(built, key), self.origins.get(f"{section}.{key}", "default")
            yield from self._of_many(section)

    def _of_many(self, section: str) -> Iterator[tuple[str, str, object, str]]:
        """What is set in tables of which there may be many, within one section."""
        for origin_of, origin in self.origins.items():
            table, _, key = origin_of.rpartition(".")
            for tables in (*OF_SITES, *LISTS):
                if tables.rpartition(".")[0] == section and table.startswith(f"{tables}."):
                    built = self._built(tables, table.removeprefix(f"{tables}."))
                    yield table, key, _shown(built, key), origin

    def _built(self, tables: str, name: str) -> Section:
        if tables in LISTS:
            links: tuple[Section, ...] = attrgetter(tables)(self)
            return links[int(name) - 1]
        found: Section = attrgetter(tables.rpartition(".")[0])(self).for_site(name)
        return found


def _shown(built: Section, key: str) -> object:
    """A value as it may be shown."""
    value, annotation = getattr(built, key), built.__class__.model_fields[key].annotation
    if kind_of(annotation) in (DatabaseUrl, SqlUrl) and value is not None:
        return without_password(value)
    return without_arguments(value) if annotation == tuple[str, ...] else value
