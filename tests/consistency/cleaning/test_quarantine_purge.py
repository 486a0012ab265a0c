"""The quarantine of a site: what has lain there long enough goes, and what stays for which reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from cleaning_world import DAY_US, NOW_US, World, left

from holdfast.consistency.cleaning.deciding import Stays
from holdfast.consistency.cleaning.quarantine_purge import QuarantineAges
from holdfast.model import changes as c
from holdfast.model import pfn, quarantine
from holdfast.model.errors import Conflict
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.quarantine import QUARANTINE
from holdfast.model.records import Evidence, Lock


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def quarantined(world: World, path: str, content: bytes = b"x", *, days: float = 100) -> str:
    """A file that was moved into quarantine so many days ago, written long before; returns where it lies."""
    target = quarantine.day_folder(world.now_us - round(days * DAY_US)) + path
    world.put(target, content, days=days)
    return target


def test_what_has_lain_there_long_enough_goes(world: World) -> None:
    old = [quarantined(world, f"/store/{name}", days=40) for name in "ab"]
    new = quarantined(world, "/store/a", days=29)
    world.put("/store/other")
    cleaned = world.purge(days=30)
    assert (cleaned.files, cleaned.total.stays) == (2, {Stays.YOUNG: 1})
    assert world.asked() == old
    world.work()
    assert world.away.paths() == [new, "/store/other"]


def test_a_day_counts_from_its_end() -> None:
    ages = QuarantineAges(1, NOW_US)  # 2023-11-14, late in the evening.
    assert ages.spares(f"{QUARANTINE}/2023-11-12/f") is None
    assert ages.spares(f"{QUARANTINE}/2023-11-13/f") is not None
    assert ages.spares(f"{QUARANTINE}/2023-11-15/f") is not None
    assert ages.spares(f"{QUARANTINE}/9999-12-31/f") is not None
    assert ages.spares(f"{QUARANTINE}/0001-01-01/f") is None
    assert QuarantineAges(36500, NOW_US).spares(f"{QUARANTINE}/9999-01-01/f") is not None


def test_an_old_day_is_not_enough(world: World) -> None:
    world.put(f"{QUARANTINE}/2001-01-01/store/f", days=1)
    assert world.purge().total.stays == {Stays.YOUNG: 1}
    assert world.asked() == []


def test_old_times_are_not_enough(world: World) -> None:
    world.put(quarantine.day_folder(world.now_us) + "/store/f", days=300)
    assert world.purge().total.stays == {Stays.YOUNG: 1}
    assert world.asked() == []


@pytest.mark.parametrize("folder", ["2023-13-01", "yesterday", "2001-1-1", "2001-01-01x", " 2001-01-01"])
def test_what_lies_in_no_days_folder_stays_and_is_told(world: World, folder: str) -> None:
    path = f"{QUARANTINE}/{folder}/store/f"
    world.put(path)
    cleaned = world.purge()
    assert world.asked() == []
    assert left(cleaned)[path] == "of unknown age: it lies in no folder that is named as a day, such as 2026-11-21"


def test_what_the_inventory_wants_back_stays(world: World) -> None:
    wanted = [quarantined(world, f"/store/{name}/f", name.encode() * 9) for name in ("back", "locked", "last")]
    gone = quarantined(world, "/store/gone")
    world.register("back", {"/store/back/f": b"12"})
    world.register("last", {"/store/last/f": b"123"}, at_away=False)
    world.commit(c.FilesGone(BlockKey(DatasetKey("last"), "0000"), "home", (0,), Evidence.DECLARED, "test"))
    world.commit(c.PutLock(Lock("lock1", "me", lfn="/store/locked/f")))
    cleaned = world.purge()
    assert world.asked() == [gone]
    reasons = [left(cleaned)[path] for path in wanted]
    assert reasons[0].startswith("the inventory is against it: it was /store/back/f: the inventory has a replica")
    assert reasons[1] == "the inventory is against it: it was /store/locked/f: locked by me (lock1)"
    assert reasons[2].startswith("the inventory is against it: it was /store/last/f: it may be the last copy")


def test_of_one_path_all_that_was_quarantined_stays(world: World) -> None:
    for days in (100, 101, 102):
        quarantined(world, "/store/f", days=days)
    world.commit(c.PutLock(Lock("lock1", "me", lfn="/store/f")))
    assert world.purge().total.stays == {Stays.NEEDED: 3}


def test_what_is_wanted_back_after_it_was_asked_to_go_stays(world: World) -> None:
    path = quarantined(world, "/store/f")
    world.purge()
    assert world.asked() == [path]
    world.commit(c.PutLock(Lock("lock1", "me", lfn="/store/f")))
    world.work()
    assert world.away.paths() == [path]


def test_by_rules_that_cannot_be_turned_round_nothing_goes(tmp_path: Path) -> None:
    rules = pfn.PfnRules(chains=((pfn.RewriteStep("/store(/.*)", "/cms{0}"),),))
    world = World(tmp_path, rules=rules)
    quarantined(world, "/cms/f")
    assert world.purge().total.stays == {Stays.NEEDED: 1}


def test_what_may_be_a_lost_file_stays(world: World) -> None:
    world.register("lost", {"/store/lost": b"12345"})
    for site in ("home", "away"):
        world.commit(c.FilesGone(BlockKey(DatasetKey("lost"), "0000"), site, (0,), Evidence.DECLARED, "test"))
    kept = quarantined(world, "/store/renamed", b"54321")
    gone = quarantined(world, "/store/other", b"123456")
    cleaned = world.purge()
    assert world.asked() == [gone]
    assert left(cleaned)[kept] == "may be a lost file: it may be a moved last copy of /store/lost"


def test_old_empty_directories_go_with_their_day(world: World) -> None:
    world.make(f"{QUARANTINE}/2001-01-01/store/deep")
    world.make(f"{QUARANTINE}/2001-01-02/store", days=1)
    world.make(f"{QUARANTINE}/odd")
    world.purge()
    world.work()
    kept = ("2001-01-02", "2001-01-02/store", "odd")
    assert world.directories() == [QUARANTINE, *(f"{QUARANTINE}/{name}" for name in kept)]


def test_a_site_without_a_quarantine_has_nothing_to_purge(world: World) -> None:
    cleaned = world.purge()
    assert [place.is_there for place in cleaned.places] == [False]
    assert (cleaned.files, cleaned.requests) == (0, [])


def test_a_dry_run_says_what_the_real_one_does(world: World) -> None:
    for name in "abc":
        quarantined(world, f"/store/{name}")
    dry = world.purge(dry_run=True)
    assert world.asked() == []
    real = world.purge()
    assert (
        (dry.files, dry.size, dry.total, left(dry))
        == (real.files, real.size, real.total, left(real))
        == (3, 3, real.total, {})
    )


def test_a_halted_site_and_one_in_mode_dry_keep_their_quarantine(world: World) -> None:
    quarantined(world, "/store/f")
    world.mode = "dry"
    assert world.purge().refusals
    world.state = "disabled"
    with pytest.raises(Conflict, match="away is disabled"):
        world.purge()
    assert world.asked() == []


@pytest.mark.parametrize("days_ago", [None, 8, -1])
def test_without_a_young_check_nothing_goes(world: World, days_ago: int | None) -> None:
    """Only a check tells that a file was lost since, whose last copy may lie here."""
    quarantined(world, "/dark")
    if days_ago is not None:
        now_us = world.now_us
        world.now_us = now_us - days_ago * DAY_US
        world.check()
        world.now_us = now_us
    with pytest.raises(Conflict, match="away"):
        world.purge(is_checked=False)
    world.now_us += DAY_US if days_ago == -1 else 0
    assert world.purge().total.files == 1
