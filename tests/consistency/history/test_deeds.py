"""Deeds: what was done about each path is written with the asking, found again by what is seen, and forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from history_world import NOW_US, HistoryWorld
from sqlalchemy import Connection, func, select

from holdfast.consistency.classes import Class
from holdfast.consistency.findings import Finding
from holdfast.consistency.history import deeds, tables
from holdfast.consistency.history.deeds import Deed, DeedKind, Deeds, Seen
from holdfast.model.changes import ChangeSet, PutGroup
from holdfast.model.records import Group


def done(
    world: HistoryWorld,
    paths: Sequence[str],
    *,
    site: str = "A",
    cls: Class = Class.ORPHAN,
    kind: DeedKind = DeedKind.QUARANTINE,
    request: str = "request1",
    at_us: int = NOW_US,
) -> None:
    """Something is asked for about these paths."""
    found = [Finding(cls, path) for path in paths]
    record = Deeds(world.store).recorder(site, kind, request, found, at_us)
    world.store.commit(ChangeSet((PutGroup(Group("g")),), "me", "why"), also=record)


def last(
    world: HistoryWorld, *paths: str, site: str = "A", cls: Class = Class.ORPHAN, since_us: int = NOW_US
) -> list[Deed]:
    """What was done last about these paths, in the order of the paths."""
    found = Deeds(world.store).last(site, [Seen(cls, path, since_us) for path in paths])
    return [found[key] for key in sorted(found)]


def n_deeds(world: HistoryWorld) -> int:
    with world.store.room(tables.metadata).read() as connection:
        return connection.scalar(select(func.count()).select_from(tables.deed)) or 0


def test_what_was_done_is_known_of_each_path(world: HistoryWorld) -> None:
    done(world, ["/a", "/b"])
    assert last(world, "/a", "/b", "/c") == [
        Deed(Class.ORPHAN, path, DeedKind.QUARANTINE, "request1", NOW_US) for path in ("/a", "/b")
    ]
    assert last(world) == []


def test_it_is_done_at_one_site_in_one_class(world: HistoryWorld) -> None:
    done(world, ["/a"])
    done(world, ["/a"], cls=Class.MISSING, kind=DeedKind.COPY, request="request2")
    assert last(world, "/a", site="B") == []
    assert last(world, "/a", cls=Class.SIZE_MISMATCH) == []
    (copy,) = last(world, "/a", cls=Class.MISSING)
    assert (copy.kind, copy.request) == (DeedKind.COPY, "request2")
    (moved,) = last(world, "/a")
    assert (moved.kind, moved.request) == (DeedKind.QUARANTINE, "request1")


def test_the_last_one_counts_whatever_the_clocks_say(world: HistoryWorld) -> None:
    done(world, ["/a", "/b"], at_us=NOW_US + 9)
    done(world, ["/a"], kind=DeedKind.DELETION, request="request2", at_us=NOW_US + 1)
    assert [deed.request for deed in last(world, "/a", "/b")] == ["request2", "request1"]


def test_what_was_done_about_an_earlier_file_of_the_name_does_not_count(world: HistoryWorld) -> None:
    done(world, ["/a"])
    assert len(last(world, "/a", since_us=NOW_US)) == 1
    assert last(world, "/a", since_us=NOW_US + 1) == []


def test_more_paths_are_looked_up_than_one_question_has(world: HistoryWorld) -> None:
    paths = [f"/data/f{number:05}" for number in range(2 * deeds.LOOKED_UP_AT_ONCE + 1)]
    done(world, paths)
    assert [deed.path for deed in last(world, *paths)] == paths


def test_what_is_undone_was_not_done(world: HistoryWorld) -> None:
    record = Deeds(world.store).recorder("A", DeedKind.COPY, "request1", [Finding(Class.MISSING, "/a")], NOW_US)

    def undone(connection: Connection) -> None:
        record(connection)
        raise KeyError

    with pytest.raises(KeyError):
        world.store.commit(ChangeSet((PutGroup(Group("g")),), "me", "why"), also=undone)
    assert n_deeds(world) == 0


def test_what_is_old_is_forgotten_in_pieces(world: HistoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deeds, "FORGOTTEN_AT_ONCE", 3)
    done(world, [f"/old{number}" for number in range(7)], at_us=NOW_US - 1)
    done(world, ["/old1", "/young"])
    done(world, ["/elsewhere"], site="B", at_us=NOW_US - 1)
    Deeds(world.store).forget(NOW_US)
    assert n_deeds(world) == 2
    assert [deed.path for deed in last(world, "/old1", "/old2", "/young", since_us=0)] == ["/old1", "/young"]


def test_an_inventory_of_before_gets_the_table(world: HistoryWorld) -> None:
    world.done()
    with world.store.room(tables.metadata).write() as connection:
        tables.deed.drop(connection)
    assert last(world, "/a") == []
    done(world, ["/a"])
    assert len(last(world, "/a")) == 1
    assert [run.run for run in world.history.runs()] == ["run1"]
