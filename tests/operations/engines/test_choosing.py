"""operations.engines.choosing: the first engine that can and does not rest; rests that double; none stops another.

Method: engines that are nothing but a name and an opinion, a clock that is told.
"""

from __future__ import annotations

import asyncio

import pytest

from holdfast.config import LinkSettings, OperationsSettings
from holdfast.operations.engine import Desk, Job, Place
from holdfast.operations.engines.choosing import REST_S_MAX, REST_S_MIN, Chosen, Engines, Unserved
from holdfast.testing.memory_driver import MemoryDriver

LINKS = OperationsSettings().with_tables(
    links=[
        LinkSettings(source="T1_*", destination="T2_?", engines=("fts", "http", "local"), streams=9),
        LinkSettings(source="A", engines=("command",)),
        LinkSettings(engines=("http", "local")),
    ]
)


class Opinion:
    """An engine that carries nothing."""

    outlives_caller = False

    def __init__(self, name: str, unable: str = "") -> None:
        self.name = name
        self.unable = unable
        self.is_closed = False

    def can(self, source: Place, destination: Place) -> str:
        return self.unable

    async def carry(self, job: Job, desk: Desk) -> None:
        raise NotImplementedError

    async def cancel(self, handle: str) -> None:
        raise NotImplementedError

    async def discard(self, destination: Place, token: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self.is_closed = True


class Told:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def place(site: str) -> Place:
    return Place(site, MemoryDriver(label=site), "/f", f"/{site}/f")


def engines_of(*engines: Opinion) -> tuple[Engines, Told]:
    clock = Told()
    return Engines(engines, LINKS.for_link, monotonic=clock), clock


def picked(engines: Engines, source: str = "T1_X", destination: str = "T2_Y") -> str:
    chosen = engines.pick(place(source), place(destination))
    return chosen.engine.name if isinstance(chosen, Chosen) else f"none: {chosen.reason}"


def unserved(engines: Engines, source: str = "T1_X", destination: str = "T2_Y") -> Unserved:
    chosen = engines.pick(place(source), place(destination))
    assert isinstance(chosen, Unserved)
    return chosen


def test_the_first_rule_that_is_about_a_link_counts():
    engines, _ = engines_of(Opinion("fts"), Opinion("http"), Opinion("local"), Opinion("command"))
    chosen = engines.pick(place("T1_X"), place("T2_Y"))
    assert isinstance(chosen, Chosen)
    assert (chosen.engine.name, chosen.link.streams) == ("fts", 9)
    assert picked(engines, "T1_X", "T2_YY") == "http"
    assert picked(engines, "A", "T2_Y") == "command"
    assert picked(engines, "AA", "T2_Y") == "http"


def test_without_rules_what_is_built_in_serves():
    engines = Engines([Opinion("local")], OperationsSettings().for_link, monotonic=Told())
    assert picked(engines) == "local"


def test_only_the_one_that_looks_in_place_serves_a_site_with_itself():
    engines, _ = engines_of(Opinion("fts"), Opinion("http"), Opinion("in-place"))
    assert picked(engines, "T2_Y", "T2_Y") == "in-place"
    assert engines.able(place("T2_Y"), place("T2_Y")) == ["in-place"]
    assert "in-place" not in engines.able(place("T1_X"), place("T2_Y"))
    without, _ = engines_of(Opinion("fts"), Opinion("http"))
    assert unserved(without, "T2_Y", "T2_Y").reason.endswith("in-place: is not configured")


def test_an_engine_that_cannot_serve_the_doors_is_passed_over():
    engines, _ = engines_of(Opinion("fts", "speaks no posix"), Opinion("http"))
    assert picked(engines) == "http"


def test_where_none_can_it_is_said_of_each_and_is_for_good():
    engines, _ = engines_of(Opinion("http", "speaks no posix"), Opinion("local", "cannot be read"))
    found = unserved(engines)
    assert found.rest_s is None
    assert found.reason == (
        "no engine brings files from T1_X to T2_Y: fts: is not configured; http: speaks no posix; local: cannot be read"
    )


def test_one_that_is_down_rests_and_the_next_one_serves():
    engines, clock = engines_of(Opinion("fts"), Opinion("http"))
    assert engines.went_down("fts", "no answer") == REST_S_MIN
    assert picked(engines) == "http"
    clock.now_s += REST_S_MIN - 0.001
    assert picked(engines) == "http"
    clock.now_s += 0.001
    assert picked(engines) == "fts"


def test_rests_double_to_a_limit_and_success_ends_that():
    engines, clock = engines_of(Opinion("fts"))
    rests = []
    for _ in range(8):
        rests.append(engines.went_down("fts", "no answer"))
        clock.now_s += rests[-1]
    assert rests == [30, 60, 120, 240, 480, 900, 900, 900]
    assert rests[-1] == REST_S_MAX
    engines.went_well("fts")
    assert engines.went_down("fts", "again") == REST_S_MIN


def test_jobs_that_were_under_way_make_no_rest_longer():
    engines, clock = engines_of(Opinion("fts"))
    chosen = engines.pick(place("T1_X"), place("T2_Y"))
    assert isinstance(chosen, Chosen)
    assert engines.went_down("fts", "one", picked_s=chosen.picked_s) == REST_S_MIN
    clock.now_s += 10
    assert engines.went_down("fts", "two", picked_s=chosen.picked_s) == REST_S_MIN - 10
    clock.now_s += REST_S_MIN
    assert engines.went_down("fts", "three", picked_s=chosen.picked_s) == 0
    assert picked(engines) == "fts"
    assert engines.went_down("fts", "four", picked_s=clock.now_s) == 2 * REST_S_MIN


def test_where_all_that_can_are_resting_it_is_said_for_how_long():
    engines, clock = engines_of(Opinion("fts"), Opinion("http"), Opinion("local", "cannot be read"))
    engines.went_down("fts", "no answer")
    clock.now_s += 5
    engines.went_down("http", "no library")
    found = unserved(engines)
    assert found.rest_s == REST_S_MIN - 5
    assert "fts: cannot work now: no answer; http: cannot work now: no library" in found.reason


def test_a_rest_stops_no_other_link():
    engines, _ = engines_of(Opinion("fts"), Opinion("command"))
    engines.went_down("fts", "no answer")
    assert picked(engines, "A") == "command"
    assert unserved(engines).rest_s == REST_S_MIN


def test_engines_are_found_by_name_whether_they_rest_or_not():
    fts = Opinion("fts")
    engines, _ = engines_of(fts)
    engines.went_down("fts", "no answer")
    assert engines.named("fts") is fts
    assert engines.named("http") is None


def test_all_are_closed_though_one_does_not_close():
    class Stuck(Opinion):
        async def close(self) -> None:
            raise RuntimeError("stuck")

    other = Opinion("http")
    engines, _ = engines_of(Stuck("fts"), other)
    with pytest.raises(RuntimeError, match="stuck"):
        asyncio.run(engines.close())
    assert other.is_closed
