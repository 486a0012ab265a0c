"""The tables of links: which engines move files from which sites to which others, and how many at once."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator

from holdfast.config.fields import PATTERN_FORM, Pattern, Section, listed, setting

EngineName = Literal["http", "xrootd", "local", "fts", "command"]
ENGINES_FORM = f"a list of some of {', '.join(get_args(EngineName))}, each once"


def _engines(value: tuple[EngineName, ...]) -> tuple[EngineName, ...]:
    if not value or len(set(value)) < len(value):
        raise ValueError("no engine, or one of them twice")
    return value


Engines = Annotated[tuple[EngineName, ...], BeforeValidator(listed), AfterValidator(_engines)]


class LinkSettings(Section):
    """What moves files from some sites to some others. The first table that is about a link counts, whole.

    Of the engines the first is taken that can serve the doors of both sites; while it cannot work, the next one is.
    """

    source: Pattern = setting(
        "*",
        "The sites that files come from; `*` stands for any text, `?` for a letter.",
        unit="name",
        form=PATTERN_FORM,
    )
    destination: Pattern = setting("*", "The sites that files go to, likewise.", unit="name", form=PATTERN_FORM)
    engines: Engines = setting(
        ("http", "xrootd", "local"),
        "What moves the files; the first that can do it is taken.",
        unit="names",
        form=ENGINES_FORM,
    )
    streams: int = setting(
        4, "How many files of one batch are under way at the same time.", unit="files", least=1, most=10_000
    )
    batch_files: int = setting(1000, "How many files one batch has at most.", unit="files", least=1, most=10_000)
    batch_size: int = setting(
        100_000_000_000,
        "How many bytes one batch has at most, unless it is a single file.",
        unit="bytes",
        least=1,
        most=10**18,
    )
    per_link: int | None = setting(
        None,
        "How many files are under way on such a link at the same time at most; unset means as in `[operations]`.",
        unit="files",
        least=1,
        most=100_000,
    )

    def is_about(self, source: str, destination: str) -> bool:
        """Whether the link between these sites is one of those meant here."""
        return matches(self.source, source) and matches(self.destination, destination)


def matches(pattern: str, name: str) -> bool:
    """Whether the name of a site is one of those that a pattern means."""
    return _compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
