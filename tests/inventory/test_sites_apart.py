"""Sites that an earlier release let lie in one another: they can be taken out of service or moved apart, not back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.inventory import rules
from holdfast.inventory.store import Store
from holdfast.model.changes import ChangeSet, PutSite
from holdfast.model.errors import Conflict
from holdfast.model.records import Door, Site, SiteStatus
from holdfast.testing.memory_store import MemoryStore

ONE = Site("A", (Door("xroot", "root://se.example//store"),))
OTHER = Site("B", (Door("xrdfs", "root://se.example:1094//store"),))


def put(store: Store, site: Site) -> None:
    store.commit(ChangeSet((PutSite(site),), actor="test", cause="test"))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = MemoryStore(clock=lambda: 1)
    with monkeypatch.context() as earlier:
        earlier.setattr(rules, "overlap", lambda one, other: one == other)
        put(made, ONE)
        put(made, OTHER)
    return made


def test_one_of_them_can_be_taken_out_of_service(store: Store) -> None:
    put(store, replace(OTHER, status=SiteStatus.MORGUE))
    with store.snapshot() as view:
        assert view.site("B").status is SiteStatus.MORGUE


def test_one_of_them_can_be_moved_apart_and_not_back(store: Store) -> None:
    put(store, Site("B", (Door("xrdfs", "root://se.example//other"),)))
    with pytest.raises(Conflict, match="lie in one another"):
        put(store, OTHER)
