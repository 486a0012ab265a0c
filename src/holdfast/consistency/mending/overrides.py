"""Overrides: the gates that a person opens for once, whatever the configuration says.

Rules
  * Each has a value, by which a gate is opened or left out, and words, which
    stand in the cause of all that is asked for: whoever asks later why is told.
  * What nobody says stays as it is configured.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.consistency.confirmation import Confirmation
from holdfast.consistency.gates import ClassLimits, GateSettings


@dataclass(frozen=True, slots=True)
class Overrides:
    """What somebody says; False or None: nothing is said."""

    unconfirmed: bool = False
    """What this check has found counts, even if no other has yet."""
    max_fraction: float | None = None
    """So great a part of the expected files may be missing or wrong."""
    orphan_limit: int | None = None
    """So many orphans may go, whatever part of the files they are."""
    despite_empty: bool = False
    """The site has lost all its files: its disk was replaced."""
    no_quarantine: bool = False
    """Orphans are deleted at once."""
    again: bool = False
    """Removals are asked for even if somebody has cancelled them."""

    @property
    def words(self) -> tuple[str, ...]:
        """What was said, for the cause."""
        said = {
            "unconfirmed": self.unconfirmed,
            f"max fraction {self.max_fraction}": self.max_fraction is not None,
            f"orphan limit {self.orphan_limit}": self.orphan_limit is not None,
            "despite empty": self.despite_empty,
            "no quarantine": self.no_quarantine,
            "again": self.again,
        }
        return tuple(words for words, is_said in said.items() if is_said)

    def settings(self, settings: GateSettings) -> GateSettings:
        """What has to be so before anything is done: as it is configured, but for what was said."""
        if self.max_fraction is not None:
            limits = ClassLimits(settings.missing.count_max, self.max_fraction)
            settings = replace(settings, missing=limits, wrong=limits)
        if self.orphan_limit is not None:
            settings = replace(settings, orphan=ClassLimits(self.orphan_limit, None))
        if self.despite_empty:
            settings = replace(settings, is_empty_believed=True)
        if self.unconfirmed:
            settings = replace(settings, confirmations=dict.fromkeys(settings.confirmations, Confirmation()))
        return settings


NONE = Overrides()
