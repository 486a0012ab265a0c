"""Cancelled: removals that a person has called off, so that no later check or cleaning asks for them again.

Rules
  * What was asked for last about a path counts, as far as that is remembered (``history/deeds.py``).
  * It is about one file: one that has another size or time now is another file, which nobody has spoken of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast.consistency.findings import Finding
from holdfast.consistency.history.deeds import Deeds, Seen
from holdfast.inventory.store import Store
from holdfast.model.records import DeletionRequest, RequestState

SECOND_NS = 1_000_000_000
"""As exactly as every storage tells times."""

_Look = tuple[int, int]
"""Size and time of a file; a directory's size is 0, as is a time that is not known."""


def without(store: Store, site: str, findings: Sequence[Finding], skipped: list[Finding]) -> list[Finding]:
    """Those orphans or empty directories that nobody wants kept; the others go to ``skipped``, with who has said so.

    ``findings`` are a piece, with all that a stat tells.
    """
    spared = reasons(store, site, findings)
    skipped += [replace(each, reason=spared[each.path]) for each in findings if each.path in spared]
    return [each for each in findings if each.path not in spared]


def reasons(store: Store, site: str, findings: Sequence[Finding]) -> dict[str, str]:
    """Who wants which of these orphans or empty directories kept, by path; ``findings`` as for ``without``."""
    deeds = Deeds(store).last(site, (Seen(each.cls, each.path, 0) for each in findings))
    by_request: dict[str, list[Finding]] = {}
    for each in findings:
        if (each.cls, each.path) in deeds:
            by_request.setdefault(deeds[each.cls, each.path].request, []).append(each)
    spared: dict[str, str] = {}
    with store.snapshot() as view:
        for id, about in by_request.items():
            request = view.request(id)
            if isinstance(request, DeletionRequest) and request.state is RequestState.CANCELLED:
                asked = _looks(request)
                why = f"{request.detail or 'its removal was cancelled'}; --again asks for it nonetheless"
                spared |= {each.path: why for each in about if asked.get(each.path) == _look(each)}
    return spared


def _looks(request: DeletionRequest) -> dict[str, _Look]:
    files = {each.path: (each.size, each.mtime_ns // SECOND_NS) for each in request.orphans}
    return files | {each.path: (0, (each.mtime_ns or 0) // SECOND_NS) for each in request.directories}


def _look(finding: Finding) -> _Look:
    return finding.actual_size or 0, (finding.mtime_ns or 0) // SECOND_NS
