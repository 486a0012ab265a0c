"""Area: a part of a site that workflows write to, and that is cleaned by age.

Rules
  * An area stays itself, whatever goes below it.
  * What lies below a log directory has the age of logs.
  * No area lies in another one: a file has one age.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from holdfast.config.cleaning import AreaSettings
from holdfast.model import names
from holdfast.model.errors import BadInput

DAY_S = 86_400
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Area:
    """One area. ``path`` and ``log_directories`` are paths at the site, ``never_enter`` patterns of paths there."""

    path: str
    min_age_s: int
    log_directories: tuple[str, ...] = ()
    log_min_age_s: int = 0
    never_enter: tuple[str, ...] = ()

    @staticmethod
    def of(settings: AreaSettings) -> Area:
        """As it is configured."""
        return Area(
            settings.path,
            round(settings.min_age_days * DAY_S),
            tuple(names.join(settings.path, each) for each in settings.log_directories),
            round(settings.log_min_age_days * DAY_S),
            tuple(names.join(settings.path, each) for each in settings.never_enter),
        )

    def min_age_s_of(self, path: str) -> int:
        """How old what has this path has to be."""
        is_log = any(is_at_or_below(path, each) for each in self.log_directories)
        return self.log_min_age_s if is_log else self.min_age_s

    @property
    def least_age_s(self) -> int:
        """What is younger than that goes nowhere in this area."""
        return min(self.min_age_s, self.log_min_age_s) if self.log_directories else self.min_age_s

    def skip(self, path: str) -> str:
        """Why a directory is not to be entered; "" to enter it."""
        components = path.split("/")
        for pattern in self.never_enter:
            wanted = pattern.split("/")
            if len(wanted) == len(components) and all(map(fnmatchcase, components, wanted)):
                return f"never_enter has {pattern}"
        return ""


def areas_of(settings: Sequence[AreaSettings], site: str) -> tuple[Area, ...]:
    """The areas of a site, by their paths; BadInput if there is none, or if one lies in another."""
    areas = tuple(sorted(map(Area.of, settings), key=lambda area: area.path))
    if not areas:
        hint = f'[[cleaning.areas]] has an area: sites = "{site}", path = ...'
        raise BadInput(f"no area of {site} is to be cleaned", place="[cleaning]", hint=hint)
    for outer in areas:
        for inner in areas:
            if outer is not inner and is_at_or_below(inner.path, outer.path):
                message = f"{inner.path} of {site} is named twice, once within {outer.path}"
                raise BadInput(message, place="[[cleaning.areas]]", hint="name it once")
    return areas


def is_at_or_below(path: str, directory: str) -> bool:
    """Whether a path is a directory's own, or below it."""
    return path == directory or path.startswith(names.join(directory, ""))
