"""Ignored: directories and datasets that a check leaves alone, by the configuration, and the quarantine.

Rules
  * A directory's pattern is a path from the site's root; each of its components
    may have ``*``, ``?`` and ``[...]``, which stand for no ``/``. It covers the
    directory and all below it.
  * A dataset's pattern is compared with the whole name, as `holdfast dataset list` does.
  * What is ignored is so for all classes alike: it is neither missing nor
    wrong nor awaited, no orphan, and no empty directory.
  * It need not be listed, either, if no file is expected there. Else it is
    *unlisted* as any other place: that files are there nobody has seen then, and
    orphans elsewhere may be these files, moved, and stay for that (``mending/sought.py``).
  * What has been quarantined belongs to the purge (``cleaning``).

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.model import quarantine


@dataclass(frozen=True, slots=True)
class Ignored:
    """``directories`` and ``datasets`` are patterns."""

    directories: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    def reason(self, finding: Finding) -> str:
        """Why a finding is to be left alone; "" if it is not."""
        if quarantine.is_quarantined(finding.path):
            return f"quarantined on {quarantine.day_of(finding.path) or 'a day that nobody knows'}"
        components = finding.path.strip("/").split("/")
        for pattern in self.directories:
            if _covers(pattern.strip("/").split("/"), components):
                return f"in an ignored directory: {pattern}"
        if finding.block is not None:
            name = str(finding.block.dataset)
            for pattern in self.datasets:
                if fnmatchcase(name, pattern):
                    return f"of an ignored dataset: {pattern}"
        return ""

    def of_hidden(self, finding: Finding) -> Finding:
        """A place that was not seen, or that it is ignored: not if files are expected there, of which nobody knows."""
        reason = "" if finding.n_files else self.reason(finding)
        return replace(finding, cls=Class.IGNORED, reason=reason) if reason else finding


NOTHING = Ignored()


def _covers(pattern: Iterable[str], components: list[str]) -> bool:
    wanted = list(pattern)
    return len(wanted) <= len(components) and all(
        fnmatchcase(component, each) for component, each in zip(components, wanted, strict=False)
    )
