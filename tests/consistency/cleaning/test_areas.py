"""The production areas of a site: what goes, and what stays for which reason.

Method: a site in memory is cleaned by the real code, and what was asked for is
carried out by the real executors.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cleaning_world import AREA, DAY_US, ELSEWHERE, Told, World, left

from holdfast.config.cleaning import AreaSettings
from holdfast.consistency.checking.ignored import Ignored
from holdfast.consistency.cleaning.areas import DAY_S, Area, areas_of
from holdfast.consistency.cleaning.deciding import Stays
from holdfast.consistency.cleaning.limits import GoingLimits
from holdfast.consistency.gates import ClassLimits
from holdfast.model import changes as c
from holdfast.model import pfn
from holdfast.model.errors import BadInput, Conflict, PeerError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Evidence, Lock
from holdfast.storage.driver import Kind

UNMERGED = AREA.path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_is_old_and_needed_by_nobody_goes(world: World) -> None:
    for name in ("run1/a", "run1/b", "run2/deep/c"):
        world.put(f"{UNMERGED}/{name}", name.encode())
    world.put(f"{UNMERGED}/run1/new", days=27)
    world.put("/store/data/x")
    cleaned = world.clean()
    assert (cleaned.files, cleaned.size) == (3, 23)
    assert world.asked() == [f"{UNMERGED}/{name}" for name in ("run1/a", "run1/b", "run2/deep/c")]
    assert world.away.get(f"{UNMERGED}/run1/a") is not None
    world.work()
    assert world.away.paths() == ["/store/data/x", f"{UNMERGED}/run1/new"]


def test_what_is_protected_stays_with_all_below_it(world: World) -> None:
    for name in ("run1/a", "run1/deep/b", "run10/a", "run2", "run3/c"):
        world.put(f"{UNMERGED}/{name}")
    cleaned = world.clean(f"{UNMERGED}/run1", f"{UNMERGED}/run2/further/below/it/")
    assert world.asked() == [f"{UNMERGED}/run10/a", f"{UNMERGED}/run3/c"]
    assert cleaned.total.stays == {Stays.PROTECTED: 3}
    assert left(cleaned) == {
        f"{UNMERGED}/run1/a": f"protected: protected with {UNMERGED}/run1",
        f"{UNMERGED}/run1/deep/b": f"protected: protected with {UNMERGED}/run1",
        f"{UNMERGED}/run2": "protected: something below it is protected",
    }


def test_what_is_protected_before_or_after_the_listing_stays(world: World) -> None:
    for name in ("before", "after", "never"):
        world.put(f"{UNMERGED}/{name}/f")
    source = Told([[f"{UNMERGED}/before"], [f"{UNMERGED}/after"]])
    world.clean(source=source)
    assert source.asked == 2
    assert world.asked() == [f"{UNMERGED}/never/f"]


def test_protected_lfns_are_found_at_sites_with_other_paths(tmp_path: Path) -> None:
    world = World(tmp_path, rules=pfn.PfnRules.prefix("/store", "/cms/store"))
    for name in ("run1/a", "run2/b"):
        world.put(f"/cms/store/unmerged/{name}")
    world.clean("/store/unmerged/run1", areas=[Area("/cms/store/unmerged", DAY_S)])
    assert world.asked() == ["/cms/store/unmerged/run2/b"]


def test_a_list_about_nothing_in_the_area_is_not_believed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put("/cms/unmerged/f")
    with pytest.raises(PeerError, match="none of the 2 protected paths lies in /cms/unmerged"):
        world.clean("/store/unmerged/run1", "/store/unmerged/run2", areas=[Area("/cms/unmerged", DAY_S)])
    assert world.asked() == []


def test_logs_have_an_age_of_their_own(world: World) -> None:
    area = Area(UNMERGED, 28 * DAY_S, (f"{UNMERGED}/logs",), 60 * DAY_S)
    for days in (27, 29, 59, 61):
        for folder in ("run", "logs/run", "logs-not"):
            world.put(f"{UNMERGED}/{folder}/{days}", days=days)
    world.clean(areas=[area])
    assert world.asked() == sorted(
        [f"{UNMERGED}/{folder}/{days}" for folder in ("run", "logs-not") for days in (29, 59, 61)]
        + [f"{UNMERGED}/logs/run/61"]
    )


def test_logs_may_be_younger_than_all_else(world: World) -> None:
    area = Area(UNMERGED, 28 * DAY_S, (f"{UNMERGED}/logs",), 7 * DAY_S)
    for folder in ("run", "logs"):
        world.put(f"{UNMERGED}/{folder}/f", days=10)
    world.clean(areas=[area])
    assert world.asked() == [f"{UNMERGED}/logs/f"]


def test_what_was_moved_in_lately_is_young_whatever_its_mtime(world: World) -> None:
    world.age_us = DAY_US
    world.away.put(f"{UNMERGED}/moved", b"x", mtime_ns=1)
    cleaned = world.clean()
    assert world.asked() == []
    assert cleaned.total.stays == {Stays.YOUNG: 1}


def test_directories_that_are_never_entered_keep_all_they_have(world: World) -> None:
    area = Area(UNMERGED, 28 * DAY_S, never_enter=(f"{UNMERGED}/SAM", f"{UNMERGED}/*/keep*"))
    for name in ("SAM/a", "run/keep1/b", "run/c", "keep/d"):
        world.put(f"{UNMERGED}/{name}")
    world.away.fail_directory(f"{UNMERGED}/SAM")
    cleaned = world.clean(areas=[area])
    assert world.asked() == [f"{UNMERGED}/keep/d", f"{UNMERGED}/run/c"]
    assert cleaned.places[0].files_listed == 2


def test_what_the_configuration_ignores_stays(world: World) -> None:
    world.put(f"{UNMERGED}/run/a")
    world.ignored = Ignored((f"{UNMERGED}/r*",))
    cleaned = world.clean()
    assert cleaned.total.stays == {Stays.IGNORED: 1}
    assert world.asked() == []


def test_a_directory_that_cannot_be_listed_hides_what_is_below(world: World) -> None:
    for name in ("good/a", "bad/b", "bad/deep/c"):
        world.put(f"{UNMERGED}/{name}")
    world.make(f"{UNMERGED}/bad/empty")
    world.away.fail_directory(f"{UNMERGED}/bad")
    world.clean()
    assert world.asked() == [f"{UNMERGED}/good/a"]


def test_an_area_that_cannot_be_listed_is_an_error(world: World) -> None:
    world.put(f"{UNMERGED}/a")
    world.away.fail_directory(UNMERGED)
    with pytest.raises(Exception, match="permission denied"):
        world.clean()
    assert world.asked() == []


def test_an_area_that_is_not_there_is_told(world: World) -> None:
    cleaned = world.clean()
    assert [place.is_there for place in cleaned.places] == [False]
    assert world.asked() == []


def test_what_the_inventory_has_or_guards_stays(world: World) -> None:
    there = {f"{UNMERGED}/reg/{name}": name.encode() for name in "ab"}
    for path, content in there.items():
        world.put(path, content)
    world.register("there", there)
    world.put(f"{UNMERGED}/locked/f")
    world.commit(c.PutLock(Lock("lock1", "me", lfn=f"{UNMERGED}/locked/f")))
    world.put(f"{UNMERGED}/unknown")
    cleaned = world.clean()
    assert world.asked() == [f"{UNMERGED}/unknown"]
    assert cleaned.total.stays == {Stays.NEEDED: 3}
    assert left(cleaned)[f"{UNMERGED}/locked/f"] == "the inventory is against it: locked by me (lock1)"


def test_what_may_be_a_lost_file_stays(world: World) -> None:
    world.register("lost", {"/store/data/lost": b"12345", "/store/data/kept": b"123456789"})
    for site in ("home", "away"):
        lost = c.FilesGone(BlockKey(DatasetKey("lost"), "0000"), site, (1,), Evidence.DECLARED, "test")
        world.commit(lost)
    world.put(f"{UNMERGED}/perhaps", b"12345")
    world.put(f"{UNMERGED}/surely-not", b"1")
    cleaned = world.clean()
    assert world.asked() == [f"{UNMERGED}/surely-not"]
    assert cleaned.total.stays == {Stays.LOST: 1}


def test_what_is_no_file_stays(world: World) -> None:
    world.put(f"{UNMERGED}/run/f")
    world.away.tree.put_node(f"{UNMERGED}/run/link", world.away.tree.new_node(Kind.OTHER))
    world.clean()
    assert world.asked() == [f"{UNMERGED}/run/f"]


def test_old_empty_directories_go_with_those_in_them(world: World) -> None:
    for name in ("a/b/c", "d", "run1/e", "young/within"):
        world.make(f"{UNMERGED}/{name}")
    world.make(f"{UNMERGED}/young/within/new", days=1)
    world.put(f"{UNMERGED}/full/f", days=1)
    cleaned = world.clean(f"{UNMERGED}/run1")
    assert world.asked() == sorted(f"{UNMERGED}/{name}" for name in ("a", "a/b", "a/b/c", "d"))
    assert cleaned.directories == 4
    world.work()
    assert world.directories() == [
        "/store",
        UNMERGED,
        *(f"{UNMERGED}/{name}" for name in ("full", "run1", "run1/e", "young", "young/within", "young/within/new")),
    ]


def test_the_area_itself_stays_even_if_all_in_it_goes(world: World) -> None:
    world.make(f"{UNMERGED}/a")
    world.clean()
    world.work()
    assert world.directories() == ["/store", UNMERGED]


def test_a_directory_that_belongs_to_registered_files_stays(world: World) -> None:
    world.make(f"{UNMERGED}/reg")
    world.make(f"{UNMERGED}/other")
    world.register("there", {f"{UNMERGED}/reg/a": b"12"})
    world.clean()
    assert world.asked() == [f"{UNMERGED}/other"]


def test_what_is_asked_to_go_already_is_not_asked_for_again(world: World) -> None:
    world.put(f"{UNMERGED}/a")
    world.make(f"{UNMERGED}/d/e")
    first = world.clean()
    assert (first.files, first.directories) == (1, 2)
    again = world.clean()
    assert (again.files, again.directories, again.requests) == (0, 0, [])
    assert again.earlier == first.requests
    assert again.total.stays == {Stays.ASKED: 3}
    world.work()
    assert world.away.paths() == []
    assert world.directories() == ["/store", UNMERGED]


def test_what_changes_between_asking_and_doing_stays(world: World) -> None:
    for name in ("locked", "old", "written"):
        world.put(f"{UNMERGED}/{name}")
    world.make(f"{UNMERGED}/empty")
    world.clean()
    world.put(f"{UNMERGED}/written", b"anew!!!", days=0)
    world.put(f"{UNMERGED}/empty/new", days=0)
    world.commit(c.PutLock(Lock("lock1", "me", lfn=f"{UNMERGED}/locked")))
    world.work()
    assert world.away.paths() == [f"{UNMERGED}/{name}" for name in ("empty/new", "locked", "written")]


def test_what_changed_after_it_was_listed_is_not_asked_for(world: World) -> None:
    for name in ("a", "b", "c", "d", "moved"):
        world.put(f"{UNMERGED}/{name}", b"1234")
    world.make(f"{UNMERGED}/empty")

    class Changing(Told):
        async def paths(self, site: str) -> tuple[str, ...]:
            if self.asked == 1:  # The areas are listed.
                world.put(f"{UNMERGED}/a", b"12345678")
                world.put(f"{UNMERGED}/b", b"1234", days=1)
                await world.away.delete(f"{UNMERGED}/c")
                tree, world.age_us = world.away.tree, 0
                tree.put_node(f"{UNMERGED}/moved", tree.touched(tree.find(f"{UNMERGED}/moved")))
                tree.remove(f"{UNMERGED}/empty")
                world.put(f"{UNMERGED}/empty", b"a file")
            return await super().paths(site)

    cleaned = world.clean(source=Changing([[ELSEWHERE]]))
    assert world.asked() == [f"{UNMERGED}/d"]
    assert cleaned.changed == 5


def test_a_dry_run_says_what_the_real_one_does_and_does_nothing(world: World) -> None:
    for name in "abc":
        world.put(f"{UNMERGED}/run/{name}", name.encode())
    world.make(f"{UNMERGED}/empty")
    position = world.store.head().position
    dry = world.clean(f"{UNMERGED}/run/b", dry_run=True)
    assert (world.store.head().position, world.asked(), dry.requests) == (position, [], [])
    said = left(dry)
    real = world.clean(f"{UNMERGED}/run/b")
    assert (dry.files, dry.size, dry.directories) == (real.files, real.size, real.directories) == (2, 2, 1)
    assert (dry.total, said, dry.refusals) == (real.total, left(real), real.refusals)


def test_too_many_files_keep_all_files_but_no_directories(world: World) -> None:
    for name in "abc":
        world.put(f"{UNMERGED}/{name}")
    world.make(f"{UNMERGED}/empty")
    free = ClassLimits(None, None)
    cleaned = world.clean(limits=GoingLimits(ClassLimits(2, None), free))
    assert cleaned.refusals == ["3 files would go, more than files_max, 2: none is asked to"]
    assert world.asked() == [f"{UNMERGED}/empty"]
    assert (cleaned.files, cleaned.total.files) == (0, 3)


def test_too_great_a_part_goes_not_at_all(world: World) -> None:
    for name in "abc":
        world.put(f"{UNMERGED}/{name}")
    world.put(f"{UNMERGED}/new", days=1)
    for name in "xyz":
        world.make(f"{UNMERGED}/{name}")
    cleaned = world.clean(limits=GoingLimits(ClassLimits(None, 0.7), ClassLimits(None, 0.7)))
    assert cleaned.refusals == [
        "3 of 4 files would go, more than files_of_listed_max, 0.7: none is asked to",
        "3 of 4 directories would go, more than directories_of_listed_max, 0.7: none is asked to",
    ]
    assert world.asked() == []
    world.clean(limits=GoingLimits(ClassLimits(3, 0.75), ClassLimits(3, 0.75)))
    assert len(world.asked()) == 6


def test_a_site_in_mode_dry_is_told_of_and_left(world: World) -> None:
    world.put(f"{UNMERGED}/a")
    world.mode = "dry"
    cleaned = world.clean()
    assert (cleaned.files, cleaned.requests, world.asked()) == (1, [], [])
    assert "away is in mode dry" in cleaned.refusals[0]


def test_a_site_that_is_halted_is_not_even_listed(world: World) -> None:
    world.put(f"{UNMERGED}/a")
    world.state = "halted"
    source = Told([[ELSEWHERE]])
    with pytest.raises(Conflict, match="away is halted"):
        world.clean(source=source)
    assert source.asked == 0


def test_several_areas_are_cleaned_by_their_own_ages(world: World) -> None:
    areas = [Area("/a", 10 * DAY_S), Area("/b", 50 * DAY_S)]
    for area in areas:
        world.put(f"{area.path}/f", days=20)
        world.put(f"{area.path}/g", days=60)
    cleaned = world.clean("/a/none", areas=areas)
    assert world.asked() == ["/a/f", "/a/g", "/b/g"]
    assert [(place.path, place.tally.files) for place in cleaned.places] == [("/a", 2), ("/b", 1)]


def test_areas_come_from_the_configuration() -> None:
    settings = AreaSettings(path="/x", min_age_days=1.0, log_directories=["logs"], never_enter=["*/S"])  # type: ignore[arg-type]
    (area,) = areas_of([settings], "A")
    assert area == Area("/x", DAY_S, ("/x/logs",), 60 * DAY_S, ("/x/*/S",))
    with pytest.raises(BadInput, match="no area of A"):
        areas_of([], "A")
    for other in ("/x", "/x/y"):
        with pytest.raises(BadInput, match="named twice"):
            areas_of([settings, AreaSettings(path=other)], "A")
