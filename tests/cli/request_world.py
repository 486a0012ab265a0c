"""An installation for the tests of copying and deleting by commands: folders, and a dataset of three files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commanding import Commands

from holdfast.inventory.sql_store import SqlStore

FILES = ["data/f0", "data/f1", "data/f2"]


@dataclass
class Sites:
    """Sites A, B and C, each a folder; A has ``FILES``, published as dataset ``d``."""

    run: Commands

    def __post_init__(self) -> None:
        (self.folder / "A/data").mkdir(parents=True)
        for number, path in enumerate(FILES):
            (self.folder / "A" / path).write_text(f"hello {number}" * 5000)
        self.run.good("init")
        for name in "ABC":
            (self.folder / name).mkdir(exist_ok=True)
            self.run.good("site", "add", name, "--root", name)
        self.run.good("publish", "A/data", "--dataset", "d", "--site", "A")

    @property
    def folder(self) -> Path:
        return self.run.folder

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What a command prints on standard output; ``err`` has the rest."""
        ran = self.run(*arguments)
        assert ran.code == code, ran
        self.err = ran.err
        return ran.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))

    def files(self, site: str = "B") -> list[str]:
        root = self.folder / site
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def store(self) -> SqlStore:
        return SqlStore.open(self.folder / "state/inventory.db")

    def position(self) -> int:
        store = self.store()
        position = store.head().position
        store.close()
        return position

    def listed(self, group: str = "transfers", *more: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json(group, "list", *more)["requests"]
        return found
