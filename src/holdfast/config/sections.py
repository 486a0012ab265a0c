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


class LogSettings(Section):
    """What the program says about its own work, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = setting(
        "warning", "The least serious message that is written.", unit="name"
    )
    format: Literal["text", "json"] = setting(
        "text", "Lines for people, or one JSON object per line for machines.", unit="name"
    )
