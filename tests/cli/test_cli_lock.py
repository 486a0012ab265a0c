"""``holdfast lock``: items, durations, and lifting them again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from commanding import Installation

from holdfast.cli import lock
from holdfast.model.clock import SECOND_US
from holdfast.model.errors import BadInput

NOW_US = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp()) * SECOND_US


@pytest.mark.parametrize(
    ("arguments", "item"),
    [
        (("run/raw#1",), "run/raw#1"),
        (("run/raw#1::0000", "--expires", "30d"), "run/raw#1::0000"),
        (("run/raw#1", "--site", "T1_*", "--group", "phys*"), "run/raw#1"),
        (("/not/yet/there", "--file", "--sites", "T1_*", "--groups", "phys*"), "/not/yet/there"),
    ],
)
def test_add_list_and_remove(installation: Installation, arguments: tuple[str, ...], item: str):
    run = installation.run
    added = run.good("lock", "add", *arguments, "--reason", "paper", "--json").document
    assert added["item"] == item
    (listed,) = run.good("lock", "list", "--json").document["locks"]
    assert listed == added
    assert (listed["reason"], listed["expired"]) == ("paper", False)
    assert item in run.good("lock", "list").out
    run.good("lock", "remove", added["id"])
    assert run.good("lock", "list", "--json").document == {"locks": []}


def test_the_owner_is_who_acts(installation: Installation):
    added = installation.run.good("lock", "add", "run/raw#1", "--reason", "x", "--json").document
    assert added["owner"].count("@") == 1


def test_dry_runs_change_nothing(installation: Installation):
    run, before = installation.run, installation.position()
    run.good("lock", "add", "run/raw#1", "--reason", "x", "--dry-run")
    document = run.good("lock", "add", "run/raw#1", "--reason", "x", "--dry-run", "--json").document
    assert (document["dry_run"], document["item"], document["id"]) == (True, "run/raw#1", None)
    run("lock", "add", "nothing", "--reason", "x", "--dry-run").expect_error(2, "there is no dataset 'nothing'")
    run("lock", "remove", "nothing", "--dry-run").expect_error(2, "there is no lock nothing")
    assert installation.position() == before


def test_of_several_locks_all_are_lifted_or_none(installation: Installation):
    run = installation.run
    known = run.good("lock", "add", "run/raw#1", "--reason", "x", "--json").document["id"]
    run("lock", "remove", known, "other").expect_error(2, "there is no lock other")
    assert len(run.good("lock", "list", "--json").document["locks"]) == 1


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("90min", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("1y", timedelta(days=365)),
        ("2030-01-02", timedelta(days=1)),
        ("2030-01-01T12:00", timedelta(hours=12)),
        ("2030-01-01T02:00+01:00", timedelta(hours=1)),
    ],
)
def test_expiry(text: str, after: timedelta):
    assert lock.expiry(text, now_us=NOW_US) == NOW_US + int(after.total_seconds()) * SECOND_US


@pytest.mark.parametrize("text", ["", "soon", "5", "0d", "-1d", "2029-12-31", "999999y", "10m", "2030-13-01"])
def test_bad_expiries_are_refused(text: str):
    with pytest.raises(BadInput, match="--expires"):
        lock.expiry(text, now_us=NOW_US)
