"""The sections of the configuration whose settings are the same for everything a room does."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from holdfast.config.fields import DatabaseUrl, FolderPath, Section, setting


class InventorySettings(Section):
    """Where this installation keeps what should be."""

    path: FolderPath = setting(
        Path("state/inventory.db"),
        "The SQLite file that holds the inventory and its journal; its folder is that of all working files.",
        unit="path",
    )
    database: DatabaseUrl | None = setting(
        None,
        "The PostgreSQL database that holds them instead; keep its password in PGPASSFILE rather than here.",
        unit="URL",
    )

    @property
    def place(self) -> Path | str:
        """Where the inventory is: a file's path or a database's URL, password included."""
        return self.path if self.database is None else self.database


class PublishSettings(Section):
    """How a directory tree becomes a dataset."""

    digest: Literal["sha256", "blake3"] = setting(
        "sha256", "The cryptographic digest taken of each file, beside adler32.", unit="name"
    )
    workers: int | None = setting(
        None,
        "How many files are read at the same time; unset means one per processor.",
        unit="files",
        least=1,
        most=256,
    )


class ConsistencySettings(Section):
    """How what is gets compared with what should be."""

    reports: FolderPath = setting(Path("reports"), "The folder that a check writes its reports to.", unit="path")
    ignore_age_s: int = setting(
        86400, "Files younger than this are never called orphans: they may be on their way in.", unit="s", least=0
    )
    resume_age_s: int = setting(
        604_800, "Interrupted checks older than this are not gone on with, but begun anew.", unit="s", least=0
    )
    missing_fraction_max: float = setting(
        0.1,
        "If a greater part of a site's files is missing, nothing is repaired or deleted without being told so.",
        unit="fraction",
        least=0,
        most=1,
    )
    memory_limit_mb: int = setting(
        300, "The memory a comparison may use before it goes to disk.", unit="MB", least=50, most=1_000_000
    )


class LogSettings(Section):
    """What the program says about its own work, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = setting(
        "warning", "The least serious message that is written.", unit="name"
    )
    format: Literal["text", "json"] = setting(
        "text", "Lines for people, or one JSON object per line for machines.", unit="name"
    )
