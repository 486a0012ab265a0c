"""One validated configuration: ``holdfast.toml`` and the environment, parsed once at the edge.

A frozen section per room; each setting has a unit, a default and a sentence,
from which ``docs/configuration.md`` and the starter file are made.

Rules
  * An unknown section or key is an error that names the nearest known one; so
    is a variable HOLDFAST_<SECTION>_<KEY> that nobody reads, or one that is
    nearly the name of a setting.
  * The environment goes before the file, the file before the default. What is
    set to 0 or to nothing is set: it is taken, or refused, never passed over.
  * A table ``[storage.sites.NAME]`` has the settings of ``[storage]`` for one
    site, ``[operations.sites.NAME]`` some of those of ``[operations]``, and
    ``[consistency.sites.NAME]`` some of those of ``[consistency]``,
    ``[cleaning.sites.NAME]`` those of ``[cleaning]``. It goes
    before these and before the environment, which say what holds for all sites.
  * Of tables ``[[operations.links]]`` there may be many; their order counts. There may
    be many ``[[cleaning.areas]]``, too, and all that are about a site count.
  * A relative path is relative to the folder of the file, also when it comes
    from the environment.
  * Each value keeps where it came from: ``default``, ``FILE:LINE`` or the
    variable's name.
  * A password or token is never shown: not by ``settings``, not in a refusal.
  * The environment and the current folder are arguments; this package reads
    neither by itself.

Raises BadInput, and OperatorError if the file may not be read; a
configuration is returned whole or not at all.
"""

from holdfast.config.catalogue import CatalogueSettings
from holdfast.config.cleaning import AreaSettings, CleaningSettings
from holdfast.config.configuration import Config
from holdfast.config.consistency import ConsistencySettings, SiteConsistencySettings
from holdfast.config.describing import (
    LISTS,
    PREFIX,
    SECTIONS,
    Setting,
    reference,
    starter_text,
    tables,
    toml_value,
)
from holdfast.config.engines import CommandSettings, FtsSettings
from holdfast.config.fields import Section, without_password
from holdfast.config.links import EngineName, LinkSettings
from holdfast.config.operations import OperationsSettings, SiteOperationsSettings
from holdfast.config.reading import CONFIG_VARIABLE, FILE_NAME, find, load, parse
from holdfast.config.sections import InventorySettings, LogSettings, PublishSettings
from holdfast.config.storage import StorageSettings

__all__ = [
    "CONFIG_VARIABLE",
    "FILE_NAME",
    "LISTS",
    "PREFIX",
    "SECTIONS",
    "AreaSettings",
    "CatalogueSettings",
    "CleaningSettings",
    "CommandSettings",
    "Config",
    "ConsistencySettings",
    "EngineName",
    "FtsSettings",
    "InventorySettings",
    "LinkSettings",
    "LogSettings",
    "OperationsSettings",
    "PublishSettings",
    "Section",
    "Setting",
    "SiteConsistencySettings",
    "SiteOperationsSettings",
    "StorageSettings",
    "find",
    "load",
    "parse",
    "reference",
    "starter_text",
    "tables",
    "toml_value",
    "without_password",
]
