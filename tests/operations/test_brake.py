"""The brake: how much of a site may be asked to go within a day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine

from holdfast.model.errors import Conflict
from holdfast.operations.requesting import brake
from holdfast.operations.requesting.brake import DAY_US, BrakeLimits, Load, SiteHolding

LIMITS = BrakeLimits(share=0.2, n_files_free=10)
NOW_US = 10 * DAY_US


@pytest.mark.parametrize(
    ("load", "is_refused"),
    [
        (Load("A", 0, 200, 1000), False),
        (Load("A", 0, 201, 1000), True),
        (Load("A", 150, 51, 1000), True),
        (Load("A", 0, 10, 10), False),
        (Load("A", 0, 11, 11), True),
        (Load("A", 0, 11, 0), True),
        (Load("A", 0, 0, 0), False),
    ],
)
def test_refusals(load: Load, is_refused: bool) -> None:
    assert (brake.refusal(load, LIMITS) is not None) == is_refused


def test_the_refusal_says_what_to_do() -> None:
    refused = brake.refusal(Load("A", 100, 200, 1000), LIMITS)
    assert refused is not None
    assert refused.message == (
        "A would lose 300 of 1,000 files (30.0%, 100 of them by requests of the last day), "
        "more than the 20.0% that may go in a day"
    )
    assert "--despite-brake" in refused.hint


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    brake.metadata.create_all(engine)
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def pull(connection: Connection, request: str, n_more: int, site: SiteHolding, *, now_us: int = NOW_US) -> None:
    brake.pull(connection, request, site, n_more, LIMITS, now_us=now_us)


def test_of_many_that_are_each_within_the_limits_the_last_is_refused(connection: Connection) -> None:
    site = SiteHolding("A", 1000, {})
    pull(connection, "r1", 150, site)
    pull(connection, "r2", 50, SiteHolding("A", 1000, {"r1": 150}))
    with pytest.raises(Conflict):
        pull(connection, "r3", 1, SiteHolding("A", 1000, {"r1": 150, "r2": 50}))
    pull(connection, "other", 150, SiteHolding("B", 1000, {}))


def test_what_is_gone_was_there(connection: Connection) -> None:
    pull(connection, "r1", 100, SiteHolding("A", 1000, {}))
    # 60 of them are deleted: the site had 1,000 files when the day began.
    pull(connection, "r2", 100, SiteHolding("A", 940, {"r1": 40}))
    with pytest.raises(Conflict):
        pull(connection, "r3", 1, SiteHolding("A", 940, {"r1": 40, "r2": 100}))


def test_a_day_later_only_what_is_still_open_counts(connection: Connection) -> None:
    pull(connection, "open", 100, SiteHolding("A", 1000, {}))
    pull(connection, "done", 100, SiteHolding("A", 1000, {"open": 100}))
    later_us = NOW_US + DAY_US + 1
    with pytest.raises(Conflict):
        pull(connection, "r3", 101, SiteHolding("A", 1000, {"open": 100}), now_us=later_us)
    pull(connection, "r4", 100, SiteHolding("A", 1000, {"open": 100}), now_us=later_us)


def test_what_is_taken_back_counts_no_more(connection: Connection) -> None:
    site = SiteHolding("A", 1000, {})
    pull(connection, "r1", 200, site)
    with pytest.raises(Conflict):
        pull(connection, "r2", 50, site)
    brake.take_back(connection, "r1", 50)
    brake.take_back(connection, "nobody", 50)
    pull(connection, "r2", 50, site)
    brake.take_back(connection, "r1", 500)
    pull(connection, "r3", 150, site)


def test_who_says_that_it_is_meant_is_counted_all_the_same(connection: Connection) -> None:
    site = SiteHolding("A", 1000, {})
    brake.pull(connection, "r1", site, 900, None, now_us=NOW_US)
    with pytest.raises(Conflict):
        pull(connection, "r2", 1, site)
