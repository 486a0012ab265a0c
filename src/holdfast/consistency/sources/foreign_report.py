"""ForeignReport: the sums of a check against another catalogue than ours.

Its JSON has the keys of a report of ours (``consistency.report``) where they mean
the same; what is of our journal is not in it, and instead what was said by the
catalogue before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.consistency.classes import DIFFERING, FOREIGN, Class
from holdfast.consistency.sources.inventory import Written
from holdfast.storage.abilities import Taken

_NEVER_FOUND = (Class.EMPTY_DIRECTORY, Class.AWAITED)
"""Always 0: their keys stay for programs that know them. A further class that is never found here has none."""

_KEYS = tuple(cls for cls in Class if cls in (*FOREIGN, *_NEVER_FOUND))


@dataclass(frozen=True, slots=True)
class ForeignReport:
    """The sums of one check. ``inventory`` names the catalogue; counts are as in ``Report``."""

    site: str
    run: str
    inventory: str
    started_us: int
    """When the catalogue was asked the first time."""
    listed_from_us: int
    listed_until_us: int
    seconds: float
    before: Written
    after: Written
    directories: int
    unlisted_places: int
    actual: int
    actual_size: int
    resumed: int = 0
    counts: Mapping[Class, int] = field(default_factory=dict)
    sizes: Mapping[Class, int] = field(default_factory=dict)
    folder: str = ""

    @property
    def agrees(self) -> bool:
        """Whether everything was listed, and the files are as the catalogue says, all of whose names make sense."""
        differing = sum(self.counts[cls] for cls in DIFFERING)
        return not (differing or self.unlisted_places or self.before.without_path or self.after.without_path)

    def to_json(self) -> dict[str, Any]:
        """One document: a key per class that it may find, and ``sizes`` with the same keys."""
        left_out = ("counts", "sizes", "before", "after")
        values = {name: getattr(self, name) for name in self.__slots__ if name not in left_out}
        values |= {"expected": self.before.files, "expected_size": self.before.size}
        values |= {"before": _said(self.before), "after": _said(self.after)}
        values |= {cls.value: self.counts[cls] for cls in _KEYS}
        return values | {"sizes": {cls.value: self.sizes[cls] for cls in _KEYS}, "agrees": self.agrees}


def _said(written: Written) -> dict[str, Any]:
    """What the catalogue said, as JSON has it."""
    taken = written.taken
    return {
        "files": written.files,
        "size": written.size,
        "known": written.known,
        "without_path": written.without_path,
        "without_path_shown": list(written.without_path_shown),
        "taken": _moment(taken) if taken else None,
    }


def _moment(taken: Taken) -> dict[str, Any]:
    return {"earliest_us": taken.earliest_ns // 1000, "latest_us": taken.latest_ns // 1000, "source": taken.source}
