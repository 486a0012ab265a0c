"""Publishing, killed at every named step and at every occurrence of it, and started again.

Goal: the second run ends with the whole dataset visible, nobody sees a part of
it before, and no file is read again whose digest was kept.
Method: an observer raises at the n-th passing of a step; the store and the tree
survive, as they do when a process dies.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from publishing import KEY, Crash, World

from holdfast.model import steps
from holdfast.replication import plan
from holdfast.replication.publication import PublishOutcome, PublishReport
from holdfast.replication.scan_table import ScanTable, TakenOver

N_FILES = 23


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = plan.blocks
    monkeypatch.setattr(plan, "blocks", lambda rows, algorithm: whole(rows, algorithm, files_max=6))


def _at(step: str, occurrence: int, act: Callable[[], None]) -> Callable[[str], None]:
    left = occurrence

    def observe(reached: str) -> None:
        nonlocal left
        left -= reached == step
        if reached == step and left == 0:
            act()

    return observe


def _crash() -> None:
    raise Crash


def _kept_digests(world: World) -> set[str]:
    """The paths whose digests have been kept, without disturbing who owns them."""
    from sqlalchemy import select

    from holdfast.replication.scan_schema import files, metadata

    with world.store.room(metadata).read() as connection:
        rows = connection.execute(select(files.c.dir, files.c.name).where(files.c.read_us.is_not(None)))
        return {f"{row.dir}/{row.name}" for row in rows}


def _passed(world: World) -> list[str]:
    seen: list[str] = []
    with steps.observed(seen.append):
        world.publish()
    return [name for name in seen if name in steps.STEPS["publish"]]


def test_every_named_step_is_passed_in_its_order(world: World) -> None:
    world.fill(N_FILES)
    seen = _passed(world)
    assert tuple(dict.fromkeys(seen)) == steps.STEPS["publish"]
    assert seen.count("publish.hashed") >= 4
    assert seen.count("publish.block-staged") == 4


CRASHES = [
    ("publish.staged", 1),
    ("publish.scanned", 1),
    *(("publish.hashed", occurrence) for occurrence in (1, 2, 3, 4)),
    *(("publish.block-staged", occurrence) for occurrence in (1, 2, 4)),
    ("publish.revealed", 1),
]


@pytest.mark.parametrize(("step", "occurrence"), CRASHES)
def test_a_killed_publish_is_finished_by_the_next_one(world: World, step: str, occurrence: int) -> None:
    paths = world.fill(N_FILES)
    with steps.observed(_at(step, occurrence, _crash)), pytest.raises(Crash):
        world.publish()
    revealed = step == "publish.revealed"
    assert world.visible() == ([str(KEY)] if revealed else [])
    kept = _kept_digests(world)
    assert len(kept) >= 5 * occurrence if step == "publish.hashed" else True

    report = world.publish()

    assert report.outcome is (PublishOutcome.ALREADY_PUBLISHED if revealed else PublishOutcome.PUBLISHED)
    assert world.reads == dict.fromkeys(set(paths) - kept, 1)
    assert (report.reused_files, report.read_files) == (len(kept), N_FILES - len(kept))
    _check_all_there(world, paths)


def _check_all_there(world: World, paths: list[str]) -> None:
    assert sorted(world.files()) == paths
    assert world.visible() == [str(KEY)]
    assert all(replica.is_complete for replica in world.replicas())
    assert ScanTable(world.store).claim_all(KEY) == []


def test_blocks_that_are_registered_are_not_registered_again(world: World) -> None:
    world.fill(N_FILES)
    with steps.observed(_at("publish.block-staged", 2, _crash)), pytest.raises(Crash):
        world.publish()
    before = world.position()
    assert _passed(world).count("publish.block-staged") == 2
    assert world.position() == before + 3, "two blocks and the reveal"


def test_killed_again_and_again_it_still_comes_to_its_end(world: World) -> None:
    paths = world.fill(N_FILES)
    reads = 0
    kills = ["publish.staged", "publish.scanned", *["publish.hashed"] * 4, *["publish.block-staged"] * 3]
    for step in kills:
        with steps.observed(_at(step, 1, _crash)), pytest.raises(Crash):
            world.publish()
        reads += world.reads.total()
    assert world.visible() == []
    assert world.publish().outcome is PublishOutcome.PUBLISHED
    reads += world.reads.total()
    assert reads <= N_FILES + 4 * (5 + 3), "each kill while reading costs at most a batch and what was being read"
    _check_all_there(world, paths)


@pytest.mark.parametrize("change", ["change", "add", "remove"])
def test_a_tree_that_changed_after_the_kill_is_registered_as_it_is_now(world: World, change: str) -> None:
    paths = world.fill(N_FILES)
    with steps.observed(_at("publish.block-staged", 3, _crash)), pytest.raises(Crash):
        world.publish()
    if change == "change":
        world.driver.put(paths[3], b"something else")
    elif change == "add":
        world.driver.put("/data/d000/another", b"new")
        paths = sorted([*paths, "/data/d000/another"])
    else:
        world.driver.tree.remove(paths.pop(3))
    report = world.publish()
    assert report.outcome is PublishOutcome.PUBLISHED
    assert world.reads.total() == (change != "remove"), "what did not change is not read again"
    _check_all_there(world, paths)


def test_a_cancelled_publish_keeps_what_it_has_read(world: World) -> None:
    paths = world.fill(N_FILES)
    seen = 0

    async def cancelled() -> None:
        task = asyncio.create_task(world.publish_async(progress=count))
        while seen < 8:
            await asyncio.sleep(0)
        task.cancel()
        await task

    def count(now: object) -> None:
        nonlocal seen
        seen = sum(world.reads.values())

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    kept = len(_kept_digests(world))
    assert kept >= 6
    assert kept % 5, "more than whole batches: the last one was kept on the way out"
    assert world.publish().reused_files == kept
    _check_all_there(world, paths)


# Two publishers of one dataset. The second one runs to its end while the first stands at a step.


def _in_a_thread(world: World) -> PublishReport | BaseException:
    found: list[PublishReport | BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(world.publish_async()))
        except BaseException as error:  # noqa: BLE001
            found.append(error)

    with steps.observed(lambda step: None):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
    return found[0]


@pytest.mark.parametrize(("step", "occurrence"), CRASHES[:-1])
def test_the_earlier_of_two_publishers_fails_cleanly(world: World, step: str, occurrence: int) -> None:
    paths = world.fill(N_FILES)
    later: list[PublishReport | BaseException] = []
    observer = _at(step, occurrence, lambda: later.append(_in_a_thread(world)))
    with steps.observed(observer), pytest.raises(TakenOver, match="taken over"):
        world.publish()
    assert isinstance(later[0], PublishReport)
    assert later[0].outcome is PublishOutcome.PUBLISHED
    _check_all_there(world, paths)


def test_a_publisher_who_comes_after_the_reveal_finds_it_done(world: World) -> None:
    paths = world.fill(N_FILES)
    later: list[PublishReport | BaseException] = []
    with steps.observed(_at("publish.revealed", 1, lambda: later.append(_in_a_thread(world)))):
        report = world.publish()
    assert report.outcome is PublishOutcome.PUBLISHED
    assert isinstance(later[0], PublishReport)
    assert (later[0].outcome, later[0].read_files) == (PublishOutcome.ALREADY_PUBLISHED, 0)
    _check_all_there(world, paths)


def test_of_two_publishers_in_one_loop_one_finishes(world: World) -> None:
    paths = world.fill(N_FILES)

    async def both() -> list[object]:
        return await asyncio.gather(world.publish_async(), world.publish_async(), return_exceptions=True)

    results = asyncio.run(both())
    assert [type(result) for result in results] == [TakenOver, PublishReport]
    _check_all_there(world, paths)
