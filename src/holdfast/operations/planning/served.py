"""Served: what owners and requests were given so far, so that who got least comes next.

A worker keeps it in memory; nothing is lost with it but who was served before.

Rules
  * Service is counted in bytes, each file for FILE_BYTES more: a file costs
    work however short it is. Of deletions only the files count.
  * Owners are equal. Within an owner, a request of priority p gets service in
    proportion to 2**p.
  * Who was away, or had no room, has saved up CREDIT and no more: he comes
    first, but not for long.
  * Copies and deletions are counted apart.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from holdfast.model.records import PRIORITY_MOST
from holdfast.operations.batch import QueuedRequest

FILE_BYTES = 100_000_000
"""What a file costs beside its bytes: about as much as so many bytes."""
TURN = 100 * FILE_BYTES << PRIORITY_MOST
"""Requests that are apart by less than this have been served alike: then deadlines decide."""
CREDIT = 4 * TURN
KEPT_MAX = 10_000
"""When so many are known, those that count as any newcomer are forgotten."""

K = TypeVar("K", bound=Hashable)


class _Account(Generic[K]):
    """Service by key, and how far those have come that are being served."""

    def __init__(self) -> None:
        self._served: dict[K, int] = {}
        self._level = 0

    def of(self, key: K) -> int:
        """What counts as given to one."""
        return max(self._served.get(key, 0), self._level - CREDIT)

    def charge(self, key: K, cost: int) -> None:
        """One was given so much more."""
        before = self.of(key)
        self._level = max(self._level, before)
        self._served[key] = before + cost
        if len(self._served) > KEPT_MAX:
            self._served = {key: given for key, given in self._served.items() if given > self._level - CREDIT}

    def copy(self) -> _Account[K]:
        """Another one that says the same."""
        made: _Account[K] = _Account()
        made._served, made._level = dict(self._served), self._level
        return made


class Served:
    """Service of all owners and requests."""

    def __init__(self) -> None:
        self._owners: _Account[tuple[bool, str]] = _Account()
        self._requests: dict[tuple[bool, str], _Account[int]] = {}

    def of_owner(self, request: QueuedRequest) -> int:
        """What the owner of a request was given."""
        return self._owners.of(_owner(request))

    def of_request(self, request: QueuedRequest) -> int:
        """What a request was given, compared with others of its owner."""
        account = self._requests.get(_owner(request))
        return 0 if account is None else account.of(request.number)

    def charge(self, request: QueuedRequest, n_files: int, size: int) -> None:
        """A request was given so much more."""
        cost = n_files * FILE_BYTES + (0 if request.kind.is_deletion else size)
        owner = _owner(request)
        self._owners.charge(owner, cost << PRIORITY_MOST)
        account = self._requests.setdefault(owner, _Account())
        account.charge(request.number, cost << (PRIORITY_MOST - request.priority))

    def copy(self) -> Served:
        """Another one that says the same."""
        made = Served()
        made._owners = self._owners.copy()
        made._requests = {owner: account.copy() for owner, account in self._requests.items()}
        return made


def _owner(request: QueuedRequest) -> tuple[bool, str]:
    return request.kind.is_deletion, request.owner
