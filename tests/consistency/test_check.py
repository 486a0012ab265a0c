"""What a check finds, and what it leaves alone. Each damage by itself, then random ones against a plain model."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from checked_world import BLOCK, CONTENT, DATASET, DAY_US, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.consistency.classes import Class
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.sightings import sightings
from holdfast.consistency.run_folder import run_folder
from holdfast.model import changes as c
from holdfast.model import pfn, steps
from holdfast.model.errors import Conflict, PeerError, UnknownName
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Dataset, Evidence, Lock, Staging
from holdfast.storage.driver import DirectoryListing, Entry, Kind, NotAllowed, Stat
from support.logged import logged
from support.soak import examples

FIRST, SECOND = sorted(CONTENT)[:2]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_undamaged_site_agrees(world: World) -> None:
    report, found = world.check(with_checksums=True)
    assert found == {}
    assert report.agrees
    assert (report.expected, report.actual, report.proved) == (6, 6, 6)
    assert report.expected_size == report.actual_size == sum(map(len, CONTENT.values()))


@pytest.mark.parametrize(
    ("cls", "damage"),
    [
        (Class.MISSING, lambda world: world.remove(FIRST)),
        (Class.SIZE_MISMATCH, lambda world: world.away.truncate(FIRST, 3)),
        (Class.CHECKSUM_MISMATCH, lambda world: world.away.flip_byte(FIRST)),
    ],
)
def test_each_damage_is_one_finding_of_its_class(world: World, cls: Class, damage: Callable[[World], None]) -> None:
    damage(world)
    report, found = world.check(with_checksums=True)
    assert found == {cls: [FIRST]}
    assert not report.agrees
    assert report.counts[cls] == 1
    assert report.sizes[cls] == len(CONTENT[FIRST])


def test_a_flipped_byte_is_not_seen_without_checksums(world: World) -> None:
    world.away.flip_byte(FIRST)
    report, found = world.check()
    assert found == {}
    assert report.proved == 0


def test_an_unknown_file_is_an_orphan_once_it_is_old_enough(world: World) -> None:
    world.away.put("/data/dark", b"1234")
    world.away.put("/data/young", b"12", mtime_ns=(world.now_us - DAY_US // 2) * 1000)
    report, found = world.check()
    assert found == {Class.ORPHAN: ["/data/dark"], Class.IGNORED: ["/data/young"]}
    assert report.sizes[Class.ORPHAN] == 4
    world.now_us += DAY_US
    assert world.check()[1] == {Class.ORPHAN: ["/data/dark", "/data/young"]}


def test_orphans_in_directories_that_the_inventory_does_not_know_are_found(world: World) -> None:
    world.away.put("/elsewhere/deep/dark", b"1")
    assert world.check()[1] == {Class.ORPHAN: ["/elsewhere/deep/dark"]}


def test_what_lies_in_a_directory_that_cannot_be_listed_is_not_judged(world: World) -> None:
    world.away.put("/data/a/dark", b"1")
    world.away.fail_directory("/data/a", NotAllowed("permission denied"))
    report, found = world.check(with_checksums=True)
    assert found == {Class.UNLISTED: ["/data/a"]}
    assert report.counts[Class.UNLISTED] == 3
    assert (report.unlisted_places, report.proved) == (1, 3)
    assert not report.agrees


def test_a_site_that_cannot_be_listed_at_all_is_no_site_without_files(world: World) -> None:
    world.away.fail_directory("/", PeerError("connection refused"))
    with pytest.raises(PeerError, match="connection refused"):
        world.check()


@pytest.mark.parametrize(("n_shown", "fraction_max", "n_runs"), [(0, 0.9, 1), (2, 0.5, 1), (2, 0.7, 2), (4, 0.5, 2)])
def test_a_check_that_showed_too_little_does_not_confirm_what_the_next_one_misses(
    world: World, n_shown: int, fraction_max: float, n_runs: int
) -> None:
    """Five of six are there, of which a disk shows some only for a while."""
    world.remove(FIRST)
    there = world.at_away()
    for path in list(there)[n_shown:]:
        world.remove(path)
    world.check(shrunk_fraction_max=fraction_max)
    for path, content in there.items():
        world.away.put(path, content)
    report, found = world.check(shrunk_fraction_max=fraction_max)
    assert found == {Class.MISSING: [FIRST]}
    assert [(each.path, each.n_runs) for each in sightings(Path(report.folder)) if each.is_current] == [(FIRST, n_runs)]


def test_a_file_that_cannot_be_read_is_not_judged(world: World) -> None:
    def fail(operation: str, path: str) -> None:
        if operation == "checksum" and path == FIRST:
            raise PeerError("input/output error")

    world.away.faults = fail
    report, found = world.check(with_checksums=True)
    assert found == {Class.UNLISTED: [FIRST]}
    assert report.proved == 5


def test_a_replica_is_marked_as_proved_only_if_all_of_it_was(world: World) -> None:
    def verified_us() -> int | None:
        with world.store.snapshot() as snapshot:
            return snapshot.replicas(block=BLOCK, site="away")[0].verified_us

    world.check()
    assert verified_us() == 1
    world.away.flip_byte(FIRST)
    world.check(with_checksums=True)
    assert verified_us() == 1
    world.away.flip_byte(FIRST)
    world.check(with_checksums=True)
    assert verified_us() == world.now_us


def test_what_was_proved_behind_another_door_is_not_told(world: World) -> None:
    def move(step: str) -> None:
        if step == "check.listed":
            with world.store.snapshot() as view:
                away = view.site("away")
            world.commit(c.PutSite(replace(away, doors=(replace(away.first_door, root="/elsewhere"),))))

    with steps.observed(move), pytest.raises(Conflict, match="another first door"):
        world.check(with_checksums=True)
    with world.store.snapshot() as snapshot:
        assert snapshot.replicas(block=BLOCK, site="away")[0].verified_us is None


def test_what_was_moved_in_with_an_old_time_is_young(world: World) -> None:
    world.away.put("/data/dark", b"1")
    node = world.away.tree.find("/data/dark")
    world.away.tree.put_node("/data/dark", replace(node, changed_ns=(world.now_us - DAY_US // 2) * 1000))
    assert world.check()[1] == {Class.IGNORED: ["/data/dark"]}
    world.away.tree.put_node("/data/dark", replace(node, changed_ns=None))
    assert world.check()[1] == {Class.ORPHAN: ["/data/dark"]}


def test_a_part_is_left_alone_only_while_it_is_young(world: World) -> None:
    world.away.put("/data/.holdfast-part-0123", b"1", mtime_ns=(world.now_us - DAY_US // 2) * 1000)
    assert world.check()[1] == {Class.IGNORED: ["/data/.holdfast-part-0123"]}
    world.now_us += DAY_US
    assert world.check()[1] == {Class.ORPHAN: ["/data/.holdfast-part-0123"]}


def test_a_file_that_was_brought_back_while_we_listed_is_not_missing(world: World) -> None:
    world.remove(FIRST)

    def while_listing(step: str) -> None:
        if step == "check.listed":
            world.commit(c.FilesGone(BLOCK, "away", (0,), Evidence.STATED))
            world.away.put(FIRST, CONTENT[FIRST])
            world.arrive(DATASET, (0,))

    with steps.observed(while_listing):
        assert world.check()[1] == {Class.IGNORED: [FIRST]}


def test_what_was_brought_back_before_the_listing_and_lost_again_is_missing(world: World) -> None:
    world.arrive(DATASET, (0,))
    world.remove(FIRST)
    assert world.check()[1] == {Class.MISSING: [FIRST]}


def test_names_that_no_text_can_hold_are_shown_escaped(world: World) -> None:
    pages = world.away.pages

    async def odd(path: str) -> AsyncIterator[DirectoryListing]:
        async for piece in pages(path):
            stat = Stat(Kind.FILE, 1, 0)
            odd_ones = (Entry("bad\udcff", stat), Entry("two\nlines", stat)) if path == "/data/a" else ()
            yield replace(piece, entries=(*piece.entries, *odd_ones))

    world.away.pages = odd  # type: ignore[method-assign]
    assert world.check()[1] == {Class.UNLISTED: ["/data/a/two\\nlines", "/data/a/bad\\xff"]}


def test_a_dry_run_notes_nothing_and_still_leaves_its_report(world: World) -> None:
    position = world.store.head().position
    report = world.report(with_checksums=True, dry_run=True)
    assert report.proved == 6
    assert world.store.head().position == position
    assert (Path(report.folder) / "report.json").exists()
    second = world.report(with_checksums=True)
    assert world.store.head().position == position + 1
    told = {run.run: run.report is not None and run.report.dry_run for run in History(world.store).runs("away")}
    assert told == {report.run: True, second.run: False}


def test_only_what_a_run_left_behind_is_removed(world: World) -> None:
    folder = world.folder / "reports" / "away"
    elsewhere = world.folder / "elsewhere"
    for each in (folder / "run99.part", folder / "my notes.part", elsewhere):
        each.mkdir(parents=True)
        (each / "file").write_text("x")
    (folder / "x.part").write_text("x")
    (folder / "link.part").symlink_to(elsewhere)
    assert world.report().agrees
    assert sorted(path.name for path in folder.glob("*.part")) == ["link.part", "my notes.part", "x.part"]
    assert (elsewhere / "file").exists()


def test_a_check_says_in_the_log_what_it_found(world: World) -> None:
    world.remove(FIRST)
    with logged() as logs:
        world.report()
    begun, ended = (entry for entry in logs if entry["event"].startswith("check "))
    assert (begun["event"], begun["site"]) == ("check begun", "away")
    assert (ended["event"], ended["expected"], ended["missing"]) == ("check ended", 6, 1)


def test_what_is_being_published_there_is_no_orphan(world: World) -> None:
    world.commit(c.CreateDataset(Dataset(DatasetKey("staged"), staging=Staging("away", "/incoming"))))
    world.away.put("/incoming/file", b"1")
    world.away.put("/incoming-not/file", b"1")
    assert world.check()[1] == {Class.IGNORED: ["/incoming/file"], Class.ORPHAN: ["/incoming-not/file"]}


def test_a_file_that_went_while_we_listed_is_not_missing(world: World) -> None:
    world.remove(FIRST)

    def while_listing(step: str) -> None:
        if step == "check.listed":
            world.commit(c.FilesGone(BLOCK, "away", (0,), Evidence.STATED))

    with steps.observed(while_listing):
        assert world.check()[1] == {Class.IGNORED: [FIRST]}


def test_a_file_that_was_registered_while_we_listed_is_no_orphan(world: World) -> None:
    world.away.put("/data/new/one", b"1")

    def while_listing(step: str) -> None:
        if step == "check.listed":
            world.publish(DatasetKey("new"), {"/data/new/one": b"1"})
            world.arrive(DatasetKey("new"), (0,))

    with steps.observed(while_listing):
        assert world.check()[1] == {Class.IGNORED: ["/data/new/one"]}


def test_a_locked_orphan_is_an_orphan_that_must_stay(world: World) -> None:
    world.away.put("/data/dark", b"1")
    world.commit(c.PutLock(Lock("l", owner="me", lfn="/data/dark")))
    report = world.report()
    (finding,) = world.findings(report)
    assert finding.cls is Class.ORPHAN
    assert "locked by me" in finding.reason


def test_rules_of_the_door_are_applied_both_ways(tmp_path: Path) -> None:
    world = World(tmp_path, pfn.PfnRules.prefix("/data", "/pnfs/site"))
    assert set(world.away.paths()) == {path.replace("/data", "/pnfs/site") for path in CONTENT}
    assert world.check(with_checksums=True)[1] == {}
    world.away.put("/pnfs/site/a/dark", b"1")
    world.away.put("/outside", b"1")
    world.remove("/pnfs/site/a/x")
    found = world.check()[1]
    assert found == {Class.MISSING: ["/pnfs/site/a/x"], Class.ORPHAN: ["/outside", "/pnfs/site/a/dark"]}


@pytest.mark.parametrize("name", ["x", "dark"])
def test_what_the_listing_contradicts_itself_about_is_not_judged(world: World, name: str) -> None:
    """A file that should be there, and one that should not, told twice with two sizes."""
    pages = world.away.pages
    world.away.put(f"/data/a/{name}", b"other size")

    async def twice(path: str) -> AsyncIterator[DirectoryListing]:
        async for page in pages(path):
            yield page
        if path == "/data/a":
            yield DirectoryListing((Entry(name, Stat(Kind.FILE, 1, world.old() * 1000)),))

    world.away.pages = twice  # type: ignore[method-assign]
    found = world.check()[1]
    assert found == {Class.SUSPECT: ["/data/a"], Class.UNLISTED: [f"/data/a/{name}"]}


def test_the_report_is_whole_or_not_there(world: World) -> None:
    class Stop(BaseException):
        pass

    def stop(step: str) -> None:
        if step == "check.compared":
            raise Stop

    with steps.observed(stop), pytest.raises(Stop):
        world.report()
    left = sorted(path.name for path in (world.folder / "reports" / "away").iterdir())
    assert [name.partition(".")[2] for name in left] == ["lock", "part"]
    assert (Path(world.report().folder) / "report.json").exists()


def test_two_checks_of_one_site_do_not_run_at_once(world: World) -> None:
    def again(step: str) -> None:
        if step == "check.listed":
            # As another process would begin it.
            with (
                pytest.raises(Conflict, match=f"another check of away is running: process {os.getpid()} on "),
                run_folder(world.folder / "reports", "away", "other", usable=lambda _: True),
            ):
                raise AssertionError("two checks at once")

    with steps.observed(again):
        assert world.report().agrees


def test_an_unknown_site_is_named_with_the_nearest(world: World) -> None:
    with pytest.raises(UnknownName, match="did you mean away"):
        world.report_of("awya")


PATHS = sorted(CONTENT)
damages = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(["delete", "truncate", "flip"]))
dark = st.sets(st.sampled_from(["/data/dark", "/data/a/dark", "/data/b/dark", "/new/deep/dark"]))
hidden = st.sets(st.sampled_from(["/data/a", "/data/b"]), max_size=1)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damages=damages, dark=dark, hidden=hidden)
def test_random_damage_is_found_exactly_where_it_can_be_seen(
    tmp_path_factory: pytest.TempPathFactory, damages: dict[str, str], dark: set[str], hidden: set[str]
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    for path, kind in damages.items():
        if kind == "delete":
            world.remove(path)
        elif kind == "truncate":
            world.away.truncate(path, 2)
        else:
            world.away.flip_byte(path)
    for path in dark:
        world.away.put(path, b"dark")
    for folder in hidden:
        world.away.fail_directory(folder, NotAllowed("no"))

    def seen(path: str) -> bool:
        return not any(path.startswith(f"{folder}/") for folder in hidden)

    classes = {"delete": Class.MISSING, "truncate": Class.SIZE_MISMATCH, "flip": Class.CHECKSUM_MISMATCH}
    wanted: dict[Class, list[str]] = {}
    for path in sorted(damages):
        if seen(path):
            wanted.setdefault(classes[damages[path]], []).append(path)
    if any(map(seen, dark)):
        wanted[Class.ORPHAN] = sorted(filter(seen, dark))
    # A directory that is gone with its last file cannot fail.
    there = sorted(folder for folder in hidden if any(path.startswith(f"{folder}/") for path in world.away.paths()))
    report, found = world.check(with_checksums=True)
    if there == sorted(hidden):
        if hidden:
            wanted[Class.UNLISTED] = there
        assert found == wanted
        assert report.agrees == (not wanted)
    with world.store.snapshot() as snapshot:
        assert [dataset.key for dataset in snapshot.datasets()] == [DATASET]
        assert snapshot.replicas(block=BlockKey(DATASET, "0000"), site="away")[0].is_complete
