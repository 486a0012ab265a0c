"""Registry: whom to tell what a site lacks and has beside what it should.

The second of the three modules of a back end. Where our inventory is compared,
that is the inventory itself: requests, by ``mending``. Where another catalogue is,
it is told by lists that it takes (``lists``); nothing of ours is asked for.

Rules
  * Told is a whole result or nothing of it; telling it twice changes nothing.
  * Who is told decides what to do: a list is no order, and a finding no proof. What
    seems too much to be true is withheld, with the reason.

Raises OperatorError if it cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Result:
    """What a check has found: its report's document (with ``site``, ``run`` and counts) and table of findings."""

    document: Mapping[str, Any]
    findings: Path

    @property
    def site(self) -> str:
        """The site that was checked."""
        return str(self.document["site"])

    @property
    def run(self) -> str:
        """The run that found it."""
        return str(self.document["run"])


@dataclass(frozen=True, slots=True)
class Told:
    """What was told: the place of it, or why it was withheld."""

    place: str = ""
    withheld: str = ""


class Registry(Protocol):
    """Who is told. The module's docstring is the contract."""

    def tell(self, result: Result) -> Told:
        """Tell the result of one check."""
