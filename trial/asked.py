"""Asked: the requests of a day, counted by what they were for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

COLUMNS = ("requests", "files", "done", "not done")


def counted(requests: Iterable[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Requests, as ``transfers list`` and ``deletions list`` tell them, by kind and by who asked; COLUMNS of each."""
    found: dict[str, list[int]] = {}
    for request in requests:
        kind = "move into quarantine" if request["into"] else request["kind"]
        by = "a check" if request["reason"].startswith("check ") else "people"
        row = found.setdefault(f"{kind}, asked by {by}", [0] * len(COLUMNS))
        for place, number in enumerate((1, request["files"], request["done"], request["files"] - request["done"])):
            row[place] += number
    return dict(sorted(found.items()))
