"""Context: what a command needs of the installation it runs in.

    with open_context() as context:
        with context.store.snapshot() as snapshot: ...

``open_context`` finds and validates ``holdfast.toml``, turns the log on and
opens the inventory; leaving the block closes it. Only commands that need an
inventory call it: ``compare`` does not.

Raises what ``holdfast.config`` and ``SqlStore.open`` raise, each with the hint
to run ``holdfast init`` where that is the remedy.
"""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from sqlalchemy import MetaData

from holdfast import config as configuration
from holdfast import logs
from holdfast.cli import options
from holdfast.cli.options import Options
from holdfast.config import Config
from holdfast.inventory import sqlite_file
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.clock import Clock, system_clock
from holdfast.model.records import Door, Site
from holdfast.storage.access import access_settings
from holdfast.storage.driver import StorageDriver
from holdfast.storage.opening import SiteOpener

Result = TypeVar("Result")

_log = logs.get("cli")


@dataclass(frozen=True, slots=True)
class Context:
    """The configuration, the open inventory, the clock, who acts (``user@host``), and the way into sites."""

    config: Config
    store: SqlStore
    clock: Clock
    actor: str
    sites: SiteOpener

    @property
    def state_dir(self) -> Path:
        """The folder of the inventory's file, or where that would be; rooms keep their working files below it."""
        return self.config.inventory.path.parent

    @property
    def workers_dir(self) -> Path:
        """Where workers of this machine show that they live."""
        return self.state_dir / "workers"

    def with_doors(self, site: Site, door: Door, work: Callable[[list[StorageDriver]], Awaitable[Result]]) -> Result:
        """Run ``work`` with drivers for ``door`` and those that can stand in for it, in an event loop of its own."""

        async def run() -> Result:
            async with self.sites.drivers(site, door) as drivers:
                return await work(drivers)

        return asyncio.run(run())

    def with_driver(self, site: Site, work: Callable[[StorageDriver], Awaitable[Result]]) -> Result:
        """Run ``work`` with a driver for the site, in an event loop of its own; the driver is closed afterwards."""

        async def run() -> Result:
            driver = self.sites.driver(site)
            try:
                return await work(driver)
            finally:
                await driver.close()

        return asyncio.run(run())

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.close()


def open_context(given: Options | None = None, *, warn: bool = True) -> Context:
    """The installation that the options of this run (or the ``given`` ones) lead to.

    With ``warn``, settings for sites that are not there are told of.
    """
    config = load_config(given)
    if config.inventory.database is not None:  # A further machine begins with nothing but its configuration.
        sqlite_file.make_folder(config.inventory.path.parent)
    sites = SiteOpener(lambda name: access_settings(config.storage.for_site(name)), system_clock)
    context = Context(config, SqlStore.open(config.inventory.place), system_clock, actor(), sites)
    if warn:
        _warn_of_unknown_sites(context)
    return context


def _warn_of_unknown_sites(context: Context) -> None:
    """A misspelt table would leave its site with the settings of all, without a word."""
    config = context.config
    sections = {
        "storage": config.storage.sites,
        "operations": config.operations.sites,
        "consistency": config.consistency.sites,
        "cleaning": config.cleaning.sites,
    }
    if any(sections.values()):
        with context.store.snapshot() as snapshot:
            known = {site.name for site in snapshot.sites()}
        for section, configured in sections.items():
            for name in sorted(configured - known):
                section_of = f"{section}.sites.{name}"
                _log.warning("settings of a site that the inventory does not know", section=section_of)


def rooms() -> list[MetaData]:
    """The tables of all rooms, for those who carry them from one database to another."""
    # Only backup and restore need to know them.
    from holdfast.consistency.cleaning.protecting import remembered
    from holdfast.consistency.history import tables as history
    from holdfast.operations.batches import tables
    from holdfast.operations.requesting import brake
    from holdfast.replication import scan_schema

    return [tables.metadata, brake.metadata, scan_schema.metadata, history.metadata, remembered.metadata]


def load_config(given: Options | None = None) -> Config:
    """The configuration alone, for commands that work without an inventory; turns the log on."""
    given = given or options.current.get()
    config = configuration.load(given.config, os.environ)
    _turn_log_on(config)
    return config


def _turn_log_on(config: Config) -> None:
    given = options.current.get()
    level = "debug" if given.debug else (given.log_level or config.log.level)
    logs.configure(str(level), json=config.log.format == "json")


def hush() -> None:
    """Log errors only, unless it was said from which level on: what a command has to tell, it tells in the end."""
    given = options.current.get()
    if not given.debug and given.log_level is None:
        logs.configure("error", json=logs.settings().json)


def actor() -> str:
    """Who acts: the user by the system's own word (the environment may say anything) and the host."""
    number = os.geteuid()
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:
        user = f"uid{number}"
    return f"{user}@{os.uname().nodename}"
