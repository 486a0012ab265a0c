"""Files that change, vanish or appear while they are published: told, not registered, and read by the next run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from publishing import KEY, World

from holdfast.model import steps
from holdfast.replication import reading
from holdfast.replication.publication import PublishOutcome, PublishReport
from holdfast.replication.reading import BatchLimits

VICTIM = "/data/d001/f0007"


def _once(operation: str, path: str, act: Callable[[], None]) -> Callable[[str, str], None]:
    done = False

    def hear(called: str, at: str) -> None:
        nonlocal done
        if not done and (called, at) == (operation, path):
            done = True
            act()

    return hear


def _incomplete(world: World, reason: str, *, path: str = VICTIM) -> PublishReport:
    report = world.publish()
    assert report.outcome is PublishOutcome.INCOMPLETE
    assert [(problem.path, problem.reason) for problem in report.problems] == [(path, reason)]
    assert report.n_problems == 1
    assert (report.n_blocks, world.files(), world.visible()) == (0, {}, [])
    return report


def _finished(world: World, *, n_files: int, read: list[str]) -> None:
    """The next run reads what is left, and nothing else."""
    report = world.publish()
    assert report.outcome is PublishOutcome.PUBLISHED
    assert world.reads == dict.fromkeys(read, 1)
    assert report.n_files == n_files == len(world.files())
    assert world.visible() == [str(KEY)]


def test_a_file_that_changes_while_it_is_read(world: World) -> None:
    world.fill(23)
    world.on_call = _once("checksum.chunk", VICTIM, lambda: world.driver.put(VICTIM, b"longer " * 20))
    report = _incomplete(world, "changed while it was read")
    assert report.read_files == 22, "the others are finished"
    _finished(world, n_files=23, read=[VICTIM])


def test_a_file_that_changes_after_it_was_listed(world: World) -> None:
    world.fill(23)
    world.on_call = _once("checksum", VICTIM, lambda: world.driver.put(VICTIM, b"shorter"))
    _incomplete(world, "changed after it was listed")
    _finished(world, n_files=23, read=[VICTIM])


def test_a_file_that_vanishes_before_it_is_read(world: World) -> None:
    world.fill(23)
    world.on_call = _once("checksum", VICTIM, lambda: void(world.driver.tree.remove(VICTIM)))
    _incomplete(world, "vanished")
    _finished(world, n_files=22, read=[])


def test_a_file_that_comes_back_is_read_by_the_next_run(world: World) -> None:
    world.fill(23)
    data = world.driver.get(VICTIM) or b""
    world.on_call = _once("checksum", VICTIM, lambda: void(world.driver.tree.remove(VICTIM)))
    _incomplete(world, "vanished")
    world.driver.put(VICTIM, data)
    _finished(world, n_files=23, read=[VICTIM])


def void(anything: object) -> None:
    """For actions that return something."""


def _at_the_second_listing(world: World, act: Callable[[], None]) -> None:
    def after_reading(called: str, at: str) -> None:
        if called in ("list", "pages") and at == "/data" and world.reads:
            world.on_call = None
            act()

    world.on_call = after_reading


def test_a_file_that_changes_after_it_was_read(world: World) -> None:
    world.fill(23)
    _at_the_second_listing(world, lambda: world.driver.put(VICTIM, b"content changed behind our back"))
    _incomplete(world, "changed after it was read")
    _finished(world, n_files=23, read=[VICTIM])


def test_a_file_that_vanishes_after_it_was_read(world: World) -> None:
    world.fill(23)
    _at_the_second_listing(world, lambda: void(world.driver.tree.remove(VICTIM)))
    _incomplete(world, "vanished")
    _finished(world, n_files=22, read=[])


def test_a_file_that_appears_after_the_listing(world: World) -> None:
    world.fill(23)
    _at_the_second_listing(world, lambda: world.driver.put("/data/late", b"late"))
    _incomplete(world, "appeared after it was listed", path="/data/late")
    _finished(world, n_files=24, read=["/data/late"])


def test_only_a_changed_stat_counts_not_a_touched_directory(world: World) -> None:
    world.fill(23)
    _at_the_second_listing(world, lambda: world.driver.tree.make_directory("/data/empty"))
    assert world.publish().outcome is PublishOutcome.PUBLISHED


def test_a_published_dataset_whose_files_change_while_compared_is_not_called_other(world: World) -> None:
    world.fill(23)
    world.publish()
    world.on_call = _once("checksum.chunk", VICTIM, lambda: world.driver.put(VICTIM, b"x" * 500))
    assert world.publish().outcome is PublishOutcome.INCOMPLETE


def test_a_report_names_some_problems_and_counts_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.replication import publish as module

    monkeypatch.setattr(module, "PROBLEMS_MAX", 4)
    monkeypatch.setattr(reading, "PROBLEMS_MAX", 4)
    paths = world.fill(23)

    def change_all() -> None:
        for path in paths:
            world.driver.put(path, b"new")

    _at_the_second_listing(world, change_all)
    report = world.publish()
    assert (report.n_problems, len(report.problems)) == (23, 4)


def test_a_batch_is_kept_when_it_is_old_large_or_long(world: World) -> None:
    """Each limit alone makes as many batches as it has to."""
    for top, limits, batches in (
        ("/count", BatchLimits(n_files=4, size=1 << 40, seconds=1e9), 5),
        ("/bytes", BatchLimits(n_files=10_000, size=200, seconds=1e9), 5),
        ("/age", BatchLimits(n_files=10_000, size=1 << 40, seconds=0), 20),
    ):
        world.fill(20, top=top)
        seen: list[str] = []
        with steps.observed(seen.append):
            world.publish(top, key=KEY._replace(version=top[1:]), limits=limits, workers=1)
        assert seen.count("publish.hashed") == pytest.approx(batches, abs=2), top
