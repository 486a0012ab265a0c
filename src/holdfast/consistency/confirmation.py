"""Confirmation: how often, and over how long, a thing is to be seen before it is acted on. A value, nothing more."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.model.wording import plural

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What it takes to be acted on: seen in ``runs`` runs without a break, the first at least ``over_s`` ago."""

    runs: int = 1
    over_s: int = 0

    @property
    def words(self) -> str:
        """What it takes, for people."""
        days = f" over {self.over_s / DAY_S:g} days" if self.over_s else ""
        return f"{plural(self.runs, 'check')}{' without a break' if self.runs > 1 else ''}{days}"
