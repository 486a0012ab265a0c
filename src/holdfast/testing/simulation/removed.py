"""Removals that checks and cleanings ask for, judged: not again what was called off; by checks into the quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.inventory.store import Snapshot
from holdfast.model.records import DeletionRequest, RequestState
from holdfast.testing.simulation.mending import Said

_SECOND_NS = 1_000_000_000

_Look = tuple[int, int]
"""Size and time of a file as a request names it; a directory's size is 0."""


@dataclass
class RemovalsAsked:
    """S8, S10: what checks and cleanings have asked to go so far."""

    last: dict[tuple[str, str], tuple[str, _Look]] = field(default_factory=dict)
    """By site and path: the request that asked last, and how the file looked."""

    def judge(self, before: Snapshot, request: DeletionRequest, said: Said) -> Iterator[str]:
        """A further request of a check, made by somebody who has said what he wants."""
        site = request.site
        if request.orphans and bool(request.into) != said.is_quarantining:
            where = "the quarantine" if said.is_quarantining else "no quarantine"
            yield f"S10: orphans of {site} were asked to go, and it was {where} that they should go to"
        yield from self.judge_called_off(before, request, is_again=said.is_again)

    def judge_called_off(self, before: Snapshot, request: DeletionRequest, *, is_again: bool) -> Iterator[str]:
        """A further request; ``is_again``: whoever made it wants even what somebody has called off."""
        site = request.site
        looks = {each.path: (each.size, each.mtime_ns // _SECOND_NS) for each in request.orphans}
        looks |= {each.path: (0, (each.mtime_ns or 0) // _SECOND_NS) for each in request.directories}
        for path, look in sorted(looks.items()):
            id, then = self.last.get((site, path), ("", None))
            if then == look and not is_again and _is_cancelled(before, id):
                yield f"S8: {site}:{path} was asked to go again, and somebody has called that off"
            self.last[site, path] = request.id, look


def _is_cancelled(view: Snapshot, id: str) -> bool:
    request = view.request(id)
    return request is not None and request.state is RequestState.CANCELLED
