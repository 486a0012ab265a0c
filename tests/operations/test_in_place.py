"""Files that no other site can give, and that lie where they were to be brought: found, and nothing is moved."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from operations_world import DATASET, SETTINGS, World

from holdfast.model import changes as c
from holdfast.model.names import BlockKey
from holdfast.model.records import CopyRequest, Evidence, RequestState, SiteStatus
from holdfast.operations.showing import link_overview


def lose(world: World, site: str, *ordinals: int) -> None:
    """A person says that a site has lost files of the first block, and so it has."""
    world.commit(c.FilesGone(BlockKey(DATASET, "0"), site, ordinals, Evidence.DECLARED, "the disk broke"))


def without_source(world: World, **given: Any) -> CopyRequest:
    """A copy to B of files that only A had, which is not to be used now."""
    world.change_site("A", status=SiteStatus.MORGUE)
    return world.ask("B", **given)


def test_the_last_copy_is_found_where_it_is_wanted(any_world: World) -> None:
    lfns = any_world.publish(4, at="A")
    request = any_world.ask("B")
    lose(any_world, "A", 1)
    asyncio.run(any_world.drivers["A"].delete(lfns[1]))
    any_world.put("B", lfns[1], any_world.data[lfns[1]])
    report = any_world.run(request)
    assert (report.files_copied, report.files_found, report.bad_sources) == (3, 1, ())
    assert any_world.request(request.id).state is RequestState.DONE
    any_world.assert_copied(lfns)
    any_world.ask("A")
    any_world.run()
    any_world.assert_copied(lfns, site="A")


def test_what_is_not_there_either_waits_for_a_source_and_is_looked_for_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lfns = world.publish(3)
    request = without_source(world)
    world.put("B", lfns[1], world.data[lfns[1]])
    looks: list[str] = []
    stat = world.drivers["B"].stat
    monkeypatch.setattr(world.drivers["B"], "stat", lambda path: looks.append(path) or stat(path))
    report = world.run(request)
    assert (report.files_copied, report.files_found, report.files_failed) == (0, 1, 0)
    assert report.held[request.id].startswith("no source: no other ready site holds it")
    assert world.paths("B") == [lfns[1]]
    assert sorted(looks) == sorted(lfns)
    world.change_site("A", status=SiteStatus.READY)
    assert world.run(request).files_copied == 2
    world.assert_copied(lfns)


def test_a_different_file_stays_whatever_the_request_may_replace(world: World) -> None:
    lfns = world.publish(2)
    request = without_source(world, may_replace=True)
    wrong = world.data[lfns[0]][:-1] + b"!"
    world.put("B", lfns[0], wrong)
    report = world.run(request)
    assert "a different file is there (has " in report.held[request.id]
    assert world.get("B", lfns[0]) == wrong
    assert not {"write", "rename", "delete"} & {operation for operation, _ in world.drivers["B"].done}
    world.change_site("A", status=SiteStatus.READY)
    world.run(request)
    world.assert_copied(lfns)


def test_a_site_has_no_link_to_itself(world: World) -> None:
    lfns = world.publish(2)
    world.put("B", lfns[0], world.data[lfns[0]])
    request = without_source(world)
    assert link_overview.statuses(world.store, SETTINGS, now_us=world.clock()) == []
    world.run(request)
    assert link_overview.statuses(world.store, SETTINGS, now_us=world.clock()) == []
