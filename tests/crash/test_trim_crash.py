"""Trimming the journal, killed by SIGKILL at every named step: before or after, and the same call finishes it."""

from __future__ import annotations

from contextlib import closing

import pytest

from crash.test_inventory_crash import KINDS_IN_TURN, Place
from crash.test_inventory_crash import place as place
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.verify import verify
from holdfast.model import steps

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("place", KINDS_IN_TURN, indirect=True)
@pytest.mark.parametrize("step", steps.STEPS["trim"])
def test_killed_during_a_trim(place: Place, step: str) -> None:
    place.make("a", "b", "c", "d")
    place.run("journal", "trim", "--keep-entries", "1", at=step)
    assert len(list((place.file.parent / "checkpoints").iterdir())) == 1
    assert _begins_after(place) == (0 if step == "trim.checkpointed" else 3)
    for last in ("e", "f"):
        place.add(last)
        place.run("journal", "trim", "--keep-entries", "1")
        assert _begins_after(place) == {"e": 4, "f": 5}[last]


def _begins_after(place: Place) -> int:
    """The position before the first entry of a clean inventory that has lost nothing."""
    with closing(SqlStore.open(place.inventory)) as store:
        assert verify(store, folder=place.file.parent / "checkpoints") == []
        with store.snapshot() as snapshot:
            assert snapshot.groups() == list("abcdef")[: snapshot.head.position]
        return store.start().position
