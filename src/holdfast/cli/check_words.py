"""What a person says to ``holdfast check`` about acting, beside what the configuration says."""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.config import SiteConsistencySettings
from holdfast.consistency.gates import ClassLimits, Confirmation, GateSettings
from holdfast.consistency.mending.acting import Wishes
from holdfast.model.errors import BadInput


@dataclass(frozen=True, slots=True)
class Words:
    """The options, by their names; False or None: nothing is said."""

    unconfirmed: bool = False
    max_fraction: float | None = None
    orphan_limit: int | None = None
    despite_empty: bool = False
    no_quarantine: bool = False
    again: bool = False
    no_wait: bool = False

    def require_sense(self, wishes: Wishes) -> None:
        """BadInput for a word that says nothing of what is wished for."""
        if self.despite_empty and (not wishes.copies or wishes.orphans or wishes.empty_directories):
            raise BadInput("--despite-empty goes with --repair only", hint="repair first, and act on the rest later")
        removals = wishes.orphans or wishes.empty_directories
        goes_with = {
            "--orphan-limit": (self.orphan_limit is not None, wishes.orphans, "--delete-orphans or --act"),
            "--no-quarantine": (self.no_quarantine, wishes.orphans, "--delete-orphans or --act"),
            "--again": (self.again, removals, "--delete-orphans, --remove-empty or --act"),
            "--unconfirmed": (self.unconfirmed, bool(wishes.classes), _ANY),
            "--max-fraction": (self.max_fraction is not None, bool(wishes.classes), _ANY),
            "--no-wait": (self.no_wait, bool(wishes.classes), _ANY),
        }
        for option, (is_said, is_of_use, others) in goes_with.items():
            if is_said and not is_of_use:
                raise BadInput(f"{option} says nothing without {others}", hint="say both, or neither")

    @property
    def despite(self) -> tuple[str, ...]:
        """What of this opens a gate, or leaves one out, whatever the configuration says."""
        said = {
            "unconfirmed": self.unconfirmed,
            f"max fraction {self.max_fraction}": self.max_fraction is not None,
            f"orphan limit {self.orphan_limit}": self.orphan_limit is not None,
            "despite empty": self.despite_empty,
            "no quarantine": self.no_quarantine,
            "again": self.again,
        }
        return tuple(words for words, is_said in said.items() if is_said)

    def settings(self, configured: SiteConsistencySettings) -> GateSettings:
        """What has to be so before anything is done."""
        settings = GateSettings.of(configured)
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


_ANY = "--repair, --delete-orphans, --remove-empty or --act"
