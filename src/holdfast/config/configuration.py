"""Config: the whole configuration, and where each of its values came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from holdfast.config.describing import SECTIONS, SITES
from holdfast.config.fields import DatabaseUrl, kind_of, without_arguments, without_password
from holdfast.config.sections import (
    ConsistencySettings,
    InventorySettings,
    LogSettings,
    OperationsSettings,
    PublishSettings,
)
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
    log: LogSettings = field(default_factory=LogSettings)
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def settings(self) -> Iterator[tuple[str, str, object, str]]:
        """Each setting as section, key, value and origin, in the order of the reference page.

        Passwords, and what a command is told, are left out. Of the section of one site, only what is set there.
        """
        for section, model in SECTIONS.items():
            for key, info in model.model_fields.items():
                value = getattr(getattr(self, section), key)
                if kind_of(info.annotation) == DatabaseUrl and value is not None:
                    value = without_password(value)
                yield section, key, _shown(value), self.origins.get(f"{section}.{key}", "default")
            if section == "storage":
                yield from self._of_sites()

    def _of_sites(self) -> Iterator[tuple[str, str, object, str]]:
        for name, origin in self.origins.items():
            section, _, key = name.rpartition(".")
            if section.startswith(f"{SITES}."):
                settings = self.storage.for_site(section.removeprefix(f"{SITES}."))
                yield section, key, _shown(getattr(settings, key)), origin


def _shown(value: object) -> object:
    return without_arguments(value) if isinstance(value, tuple) else value
