"""Replacing: may a file that lies in the place of another be overwritten?

Asked right before it would go, so that a lock counts from the moment when it
was acknowledged.

Rules
  * Only a request that says so (``CopyRequest.replace``) replaces anything.
  * What a lock in force names by its LFN stays: whoever locked it may mean what
    lies there, and not the file that we know by that name.
  * A lock on a block or dataset means the files that we know. A wrong file in
    the place of one of them is none, so a proved copy may replace it.
  * What lies where a dataset is being published from stays.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.inventory.store import Store
from holdfast.model.clock import Clock


def asking(store: Store, clock: Clock, site: str, lfn: str, path: str) -> Callable[[], str]:
    """A question for ``Transfer.replaceable``: why what lies at ``path`` must stay now, "" if it may go."""

    def ask() -> str:
        now_us = clock()
        with store.snapshot() as view:
            for lock in view.locks():
                if lock.lfn == lfn and lock.covers_site(site, now_us):
                    return f"it is locked by {lock.owner} ({lock.id})"
            stagings = [each.staging for each in view.datasets(staged=True) if each.staging is not None]
            for staging in stagings:
                if staging.site == site and staging.covers(path):
                    return f"a dataset is being published from {staging.directory}"
        return ""

    return ask
