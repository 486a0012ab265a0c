"""Rooms: what is left of the limits while a schedule is made.

Rules
  * No limit is exceeded; what is over already gives nothing.
  * One request has at most its share of the slots, also while it is alone; so has
    one site that has no limit of its own, as a destination, and one more as a source.
  * The last slot, and the last room of every limit that is not small, is only
    for a request that has nothing under way: whoever comes finds room at once.
"""

from __future__ import annotations

from functools import cache

from holdfast.operations.batch import QueuedRequest
from holdfast.operations.planning import usage
from holdfast.operations.planning.limits import WorkLimits
from holdfast.operations.planning.usage import Place, StreamUsage

UNLIMITED = 1 << 62


class Rooms:
    """Counts down. What is given is how many files may be under way."""

    def __init__(self, limits: WorkLimits, used: StreamUsage) -> None:
        self._limits = limits
        self._used = dict(used.places)
        self._slots = dict(used.slots)
        self._sites = dict(used.sites)
        self._n_slots = sum(used.slots.values())
        self._active = set(used.requests)
        self._request_slots = limits.request_slots()
        self._site_slots = limits.site_slots()
        # Patterns of the configuration are compared with names: once for each.
        self.of_link = cache(limits.of_link)
        self._of_site = cache(limits.of_site)

    @property
    def n_slots_left(self) -> int:
        """Slots that are free."""
        return max(0, self._limits.slots - self._n_slots)

    def n_deletions_left(self, site: str) -> int:
        """Deletions that there is room for at a site."""
        return max(0, self._of_site(site).deletions - self._used.get(usage.deletions(site), 0))

    def for_request(self, request: QueuedRequest) -> int:
        """For a copy, from wherever."""
        is_new = request.number not in self._active
        return min(
            _without(self._limits.slots - self._n_slots, 0 if self._limits.slots == 1 else 1, is_new),
            self._request_slots - self._slots.get(request.number, 0),
            self._left(usage.owner(request.owner), self._limits.per_owner, is_new),
            self._left_at(usage.into(request.site), self._of_site(request.site).into, is_new),
        )

    def from_source(self, request: QueuedRequest, source: str) -> int:
        """For a copy from one site, as far as that matters."""
        is_new = request.number not in self._active
        return min(
            self._left_at(usage.out(source), self._of_site(source).out, is_new),
            self._left(usage.link(source, request.site), self.of_link(source, request.site).per_link, is_new),
        )

    def for_deletion(self, request: QueuedRequest) -> int:
        """For a deletion."""
        most = self._of_site(request.site).deletions
        return self._left(usage.deletions(request.site), most, request.number not in self._active)

    def take_copy(self, request: QueuedRequest, source: str, n_files: int) -> None:
        """So many more files are under way."""
        for place in usage.places_of_copy(request.owner, source, request.site):
            self._used[place] = self._used.get(place, 0) + n_files
        self._slots[request.number] = self._slots.get(request.number, 0) + n_files
        for place in (usage.into(request.site), usage.out(source)):
            self._sites[place] = self._sites.get(place, 0) + n_files
        self._n_slots += n_files
        self._active.add(request.number)

    def take_deletion(self, request: QueuedRequest, n_files: int) -> None:
        """So many more files are under way."""
        place = usage.deletions(request.site)
        self._used[place] = self._used.get(place, 0) + n_files
        self._active.add(request.number)

    def _left_at(self, place: Place, most: int | None, is_new: bool) -> int:
        if most is None:
            return self._share_left(place, is_new)
        return self._left(place, most, is_new)

    def _share_left(self, place: Place, is_new: bool) -> int:
        used, most = self._sites.get(place, 0), self._site_slots
        if place[0] == "in":
            return _without(most - used, min(1, most - 1), is_new)
        # One more: a destination that hangs with all that it may have leaves room at its source.
        return most + 1 - used

    def _left(self, place: Place, most: int | None, is_new: bool) -> int:
        if most is None:
            return UNLIMITED
        return _without(most - self._used.get(place, 0), self._limits.spare(most), is_new)


def _without(left: int, spare: int, is_new: bool) -> int:
    """What a request can have of what is left, of which some is to be spared: if it is new, one all the same."""
    return max(left - spare, min(left, 1)) if is_new else left - spare
