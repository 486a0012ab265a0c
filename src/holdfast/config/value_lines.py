"""Where in the file something stands: ``FILE:LINE`` of a table or a setting.

TOML's reader keeps no lines, so they are looked for again: in the text, line by
line, by the names in front of ``=`` and in ``[...]``. Of tables ``[[...]]`` each
has its number after its name, "1" for the first. What is written in an
uncommon way (a table within braces, say) is found at the line it begins at.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

_KEY = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
_PATH = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[{{1,2}})\s*({_PATH})\s*\]")
_ENTRY = re.compile(rf"\s*({_PATH})\s*=")


class ValueLines:
    """The lines of one file, by the names that lead to them."""

    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._lines: dict[tuple[str, ...], int] = {}
        within: tuple[str, ...] = ()
        n_tables: Counter[tuple[str, ...]] = Counter()
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                within = _names(header.group(2))
                self._lines.setdefault(within, number)
                if header.group(1) == "[[":
                    n_tables[within] += 1
                    within = (*within, str(n_tables[within]))
                    self._lines[within] = number
            elif entry := _ENTRY.match(line):
                names = within + _names(entry.group(1))
                for depth in range(len(within) + 1, len(names) + 1):
                    self._lines.setdefault(names[:depth], number)

    def of(self, *names: str) -> str:
        """Where the table or setting of these names stands, or what it is written in; only FILE if that is not found.

        A table that only its sub-tables mention stands where the first of them does.
        """
        lines = [number for path, number in self._lines.items() if path[: len(names)] == names]
        if lines:
            return f"{self._file}:{self._lines.get(names, min(lines))}"
        for depth in range(len(names) - 1, 0, -1):
            if (number := self._lines.get(names[:depth])) is not None:
                return f"{self._file}:{number}"
        return str(self._file)


def _names(path: str) -> tuple[str, ...]:
    return tuple(found.strip("\"'") for found in re.findall(_KEY, path))
