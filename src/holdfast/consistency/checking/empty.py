"""Empty: directories below which nothing is, as findings of a check.

Rules
  * Only what was listed wholly counts as empty, and nothing that all files of
    the site have in common by its PFN rules (``tree/empty.py``).
  * One that is young, or whose age nobody tells, is ignored: somebody may be
    about to put something there. So is one that is being published from.
  * One in which a file is expected or awaited is none: that its files are not
    there is what there is to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.inventory.store import Snapshot
from holdfast.model import names
from holdfast.model.records import EmptyDirectory

SECOND_NS = 1_000_000_000


def empty_findings(
    found: Iterable[EmptyDirectory],
    view: Snapshot,
    site: str,
    *,
    wanted: Collection[str],
    ignored: Ignored,
    now_us: int,
    ignore_age_s: int,
) -> Iterator[Finding]:
    """A finding for each empty directory. ``wanted`` are directories in which files should be."""
    staged = [each.staging for each in view.datasets(staged=True)]
    stagings = [each for each in staged if each is not None and each.site == site]
    youngest_ns = now_us * 1000 - ignore_age_s * SECOND_NS
    full, stays = _with_those_above(wanted), ""
    for each in found:
        if each.path in full:
            stays = each.path
            continue
        finding = Finding(Class.EMPTY_DIRECTORY, each.path, mtime_ns=each.mtime_ns, n_files=0)
        reason = ignored.reason(finding)
        if any(_touches(staging.directory, each.path) for staging in stagings):
            reason = "a dataset is being published from there"
        elif each.mtime_ns is None:
            reason = reason or "nobody tells how old it is"
        elif each.mtime_ns > youngest_ns:
            reason = reason or "too young to be judged"
        # Each comes after all that are below it: what has one in it that stays, stays.
        if stays.startswith(f"{each.path}/"):
            reason = reason or "a directory in it stays"
        if reason:
            stays = each.path
        yield finding if not reason else Finding(Class.IGNORED, each.path, reason, mtime_ns=each.mtime_ns, n_files=0)


def _touches(directory: str, path: str) -> bool:
    """Whether one of two directories is the other, or lies below it."""
    first, second = f"{directory.rstrip('/')}/", f"{path.rstrip('/')}/"
    return first.startswith(second) or second.startswith(first)


def _with_those_above(directories: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for directory in directories:
        while directory not in found:
            found.add(directory)
            directory = names.split(directory)[0]
    return found
