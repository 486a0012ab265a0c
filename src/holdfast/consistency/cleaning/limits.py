"""Limits: how much may go at once, of files and of directories, each by itself.

Rules
  * Too much of the one does not stop the other.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.config.cleaning import CleaningSettings
from holdfast.consistency.gates import ClassLimits
from holdfast.model.wording import number


@dataclass(frozen=True, slots=True)
class GoingLimits:
    """Those of files and of empty directories; the fractions are of what was listed."""

    files: ClassLimits
    directories: ClassLimits

    @staticmethod
    def of(settings: CleaningSettings) -> GoingLimits:
        """Those of a site, by the configuration."""
        return GoingLimits(
            ClassLimits(settings.files_max, settings.files_of_listed_max),
            ClassLimits(settings.directories_max, settings.directories_of_listed_max),
        )

    def of_files(self, n_going: int, n_listed: int) -> str:
        """Why so many files may not go; "" if they may."""
        return _refusal(self.files, "files", n_going, n_listed)

    def of_directories(self, n_going: int, n_listed: int) -> str:
        """Why so many directories may not go; "" if they may."""
        return _refusal(self.directories, "directories", n_going, n_listed)


NO_LIMITS = GoingLimits(ClassLimits(None, None), ClassLimits(None, None))


def _refusal(limits: ClassLimits, what: str, n_going: int, n_listed: int) -> str:
    if limits.count_max is not None and n_going > limits.count_max:
        return f"{number(n_going)} {what} would go, more than {what}_max, {number(limits.count_max)}: none is asked to"
    if limits.fraction_max is not None and n_going > limits.fraction_max * n_listed:
        going = f"{number(n_going)} of {number(n_listed)} {what} would go"
        return f"{going}, more than {what}_of_listed_max, {limits.fraction_max:.4g}: none is asked to"
    return ""
