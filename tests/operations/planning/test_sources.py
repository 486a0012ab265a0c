"""Where a file is taken from, and why from nowhere: single cases, then the rules over random ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_world import DATASET, NOW_US, Inventory, batch, everywhere, holding, link, request, site, sites

from holdfast.inventory.store import Snapshot
from holdfast.model.clock import SECOND_US
from holdfast.model.fileset import FileSet
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import BlockFiles, DeletionRequest, Site, SiteStatus, StorageType
from holdfast.operations.batch import Batch, Held
from holdfast.operations.batches.links import Link
from holdfast.operations.planning import holders as planning_holders
from holdfast.operations.planning.holders import NOTHING, Holding, read_holders
from holdfast.operations.planning.sources import RECENT_US, HeldFiles, SourceChoice, Sources, SourceShare

BATCH = batch(1, n_files=4)
ALL, SOME = FileSet.full(4), FileSet.of([0, 1])
REST = ALL - SOME


def choose(held: dict[str, FileSet], of: Batch = BATCH, *, room: str = "", **given: Any) -> SourceChoice:
    """``room``: sites that have none."""
    values: dict[str, Any] = {"links": {}, "sites": sites("A", "B", "C", "Z"), "now_us": NOW_US} | given
    sources = Sources(holding({of.block_key: Holding(held)}), **values)
    return sources.choose(of, of.files, lambda name: name not in room)


def parts(choice: SourceChoice) -> tuple[tuple[str, FileSet], ...]:
    return tuple((part.source, part.files) for part in choice.sources)


def order(held: dict[str, FileSet], **given: Any) -> str:
    """The sources in their order, found by taking away the best one after the other."""
    found = ""
    while held:
        ((name, files),) = parts(choose(held, **given))
        assert files == ALL
        found += name
        held = {other: there for other, there in held.items() if other != name}
    return found


def test_disk_goes_before_tape_then_few_failures_then_rate_then_name() -> None:
    there = dict.fromkeys("ABCDE", ALL)
    known = sites("B", "C", "D", "E", A=site("A", StorageType.TAPE))
    failed = link("B", n_failed_row=2, last_failure_us=NOW_US)
    rates = link("E", rate_bytes_s=9.0) | link("C", rate_bytes_s=3.0)
    assert order(there, sites=known) == "BCDEA"
    assert order(there, sites=known, links=failed) == "CDEBA"
    assert order(there, sites=known, links=failed | rates) == "DECBA"
    everything = link("D", rate_bytes_s=1.0) | failed | rates
    assert order(there, sites=known, links=everything) == "ECDBA"
    assert order(dict(reversed(there.items())), sites=known, links=everything) == "ECDBA"


def test_a_rate_decides_only_between_links_that_have_one() -> None:
    there = {"A": ALL, "B": ALL}
    for rate in (1.0, 1e9):
        assert order(there, links=link("B", rate_bytes_s=rate)) == "AB"
        assert order(there, links=link("A", rate_bytes_s=rate)) == "AB"


def test_failures_of_long_ago_do_not_count() -> None:
    there = {"A": ALL, "B": ALL}
    for age_us, expected in (
        (0, "BA"),
        (-SECOND_US, "BA"),
        (RECENT_US, "BA"),
        (RECENT_US + 1, "AB"),
        (-2 * RECENT_US, "AB"),
    ):
        assert order(there, links=link("A", n_failed_row=1, last_failure_us=NOW_US - age_us)) == expected


def test_a_batch_is_divided_among_sources() -> None:
    assert parts(choose({"A": SOME, "B": ALL})) == (("A", SOME), ("B", REST))
    assert parts(choose({"A": SOME, "B": SOME, "C": REST})) == (("A", SOME), ("C", REST))


@pytest.mark.parametrize(
    "unusable", [site("A", status=status) for status in SiteStatus if status is not SiteStatus.READY]
)
def test_a_source_is_ready_and_not_the_destination(unusable: Site) -> None:
    nothing = SourceChoice(held=(HeldFiles(ALL, Held.NO_SOURCE, "no other ready site holds it"),))
    seen = batch(1, bad_sources=("Z",))
    assert choose({"A": ALL}, seen, sites=sites("Z", A=unusable)) == nothing
    assert choose({"A": ALL}, seen, sites=sites("Z")) == nothing
    assert choose({"Z": ALL}, seen) == nothing
    assert parts(choose({"Z": ALL, "A": ALL})) == (("A", ALL),)


def test_what_nobody_else_holds_is_looked_for_at_the_destination_once() -> None:
    assert choose({"A": SOME}).sources == (SourceShare("A", SOME), SourceShare("Z", REST))
    assert choose({"A": SOME}).held == ()
    assert parts(choose({"A": SOME}, room="Z")) == (("A", SOME),)
    assert choose({"A": SOME}, room="Z").held == ()
    nothing = (HeldFiles(REST, Held.NO_SOURCE, "no other ready site holds it"),)
    assert choose({"A": SOME}, batch(1, bad_sources=("Z",))).held == nothing
    assert choose({"A": SOME}, stopped={"Z": "its door does not open"}).held == nothing
    assert choose({"A": SOME}, sites=sites("A", Z=site("Z", status=SiteStatus.MORGUE))).held == nothing
    assert parts(choose({"A": ALL}, batch(1, bad_sources=("A",)))) == ()


def test_each_file_is_held_for_its_own_reason() -> None:
    failed = batch(1, bad_sources=("A", "B", "Z"), error="B: no such file")
    held = {"A": FileSet.of([0, 1]), "B": FileSet.of([1]), "C": FileSet.of([1, 2])}
    choice = choose(held, failed, stopped={"C": "its door does not open"})
    assert parts(choice) == ()
    assert choice.held == (
        HeldFiles(FileSet.of([1, 2]), Held.SITE_UNAVAILABLE, "C: its door does not open"),
        HeldFiles(FileSet.of([0]), Held.ALL_FAILED, "A, B: B: no such file"),
        HeldFiles(FileSet.of([3]), Held.NO_SOURCE, "no other ready site holds it"),
    )
    assert parts(choose(held, failed)) == (("C", FileSet.of([1, 2])),)


def test_sizes_follow_from_what_partial_holders_have() -> None:
    of = batch(1, n_files=4, size=1111)
    held = Holding({"A": SOME, "B": ALL, "C": REST}, {"A": 11, "C": 1100})
    sources = Sources(holding({of.block_key: held}), {}, sites("A", "B", "C", "Z"), now_us=NOW_US)
    assert sources.choose(of, ALL).sources == (SourceShare("A", SOME, 11), SourceShare("B", REST, 1100))
    assert sources.choose(of, REST).sources == (SourceShare("B", REST),)
    assert sources.choose(of, FileSet.of([0, 2])).sources == (
        SourceShare("A", FileSet.of([0])),
        SourceShare("B", FileSet.of([2])),
    )
    assert sources.choose(of, ALL, lambda name: name == "A").sources == (SourceShare("A", SOME, 11),)


def test_what_has_no_room_gives_way_only_to_its_like() -> None:
    known = sites("A", "B", "C", "Z", D=site("D", StorageType.TAPE))
    there = dict.fromkeys("ABCD", ALL)
    failed = link("C", n_failed_row=1, last_failure_us=NOW_US)
    assert parts(choose(there, sites=known, links=failed)) == (("A", ALL),)
    assert parts(choose(there, sites=known, links=failed, room="A")) == (("B", ALL),)
    assert choose(there, sites=known, links=failed, room="AB") == SourceChoice()
    assert choose({"C": ALL, "D": ALL}, sites=known, links=failed, room="C") == SourceChoice()
    assert choose({"A": SOME, "D": ALL}, sites=known, room="A") == SourceChoice((SourceShare("D", REST),))


names = st.sampled_from("ABCDEF")
some_files = st.sets(st.integers(0, 7), min_size=1).map(FileSet.of)
links = st.dictionaries(
    names,
    st.builds(
        Link,
        st.just("?"),
        st.just("Z"),
        st.none() | st.floats(0, 9),
        n_failed_row=st.integers(0, 2),
        last_failure_us=st.none() | st.just(NOW_US),
    ),
)


@given(
    held=st.dictionaries(names, some_files),
    bad=st.sets(names),
    stopped=st.sets(names),
    tapes=st.sets(names),
    away=st.sets(names),
    known_links=links,
    room=st.sets(names),
)
def test_every_file_has_one_usable_source_or_a_reason(
    held: dict[str, FileSet],
    bad: set[str],
    stopped: set[str],
    tapes: set[str],
    away: set[str],
    known_links: dict[str, Link],
    room: set[str],
) -> None:
    known = {
        name: site(
            name,
            StorageType.TAPE if name in tapes else StorageType.DISK,
            SiteStatus.MORGUE if name in away else SiteStatus.READY,
        )
        for name in "ABCDEF"
    }
    held = {name: files for name, files in held.items() if name not in away}
    of = batch(1, n_files=8, bad_sources=tuple(sorted(bad)))
    given: dict[str, Any] = {
        "sites": known,
        "links": {(name, "Z"): each for name, each in known_links.items()},
        "stopped": dict.fromkeys(stopped, "down"),
    }
    choice = choose(held, of, room="".join(room), **given)
    sets = [files for _, files in parts(choice)] + [each.files for each in choice.held]
    union = FileSet()
    for part in sets:
        assert part
        assert not part & union
        union |= part
    usable = {name: files for name, files in held.items() if name not in bad | stopped}
    for name, files in parts(choice):
        assert name not in room
        assert not files - usable[name]
    able = FileSet()
    for files in usable.values():
        able |= files
    for each in choice.held:
        assert not each.files & able
    if not room:
        assert union == of.files
    turned = choose(dict(reversed(held.items())), of, room="".join(room), **given)
    assert turned == choice


# ---- who holds what ---------------------------------------------------------------


def test_holders_are_ready_and_not_about_to_lose_it() -> None:
    inventory = Inventory({"a": 4, "b": 3})
    inventory.hold("B", {"a": FileSet.of([0, 1, 2]), "b": FileSet.full(3)})
    inventory.hold("C", {"a": FileSet.of([3])})
    scope = (BlockFiles("a", (0, 3)), BlockFiles("b"))
    inventory.ask(DeletionRequest("d", "B", dataset=DATASET, scope=scope))
    with inventory.store.snapshot() as snapshot:
        asked_us = snapshot.deletion_requests()[0].created_us
        holders = read_holders(snapshot, [BlockKey(DATASET, "a"), BlockKey(DATASET, "b")])
        assert holders(BlockKey(DATASET, "a")) == Holding(
            {"A": ALL, "B": FileSet.of([1, 2]), "C": FileSet.of([3])},
            {"C": 1000},
            leaving={"B": ((asked_us, FileSet.of([0])),)},
        )
        assert holders(BlockKey(DATASET, "b")) == Holding(
            {"A": FileSet.full(3)},
            unusable=("B (to be deleted)",),
            leaving={"B": ((asked_us, FileSet.full(3)),)},
        )
        assert holders(BlockKey(DATASET, "c")) == NOTHING


def test_sites_that_are_not_ready_are_named_for_people() -> None:
    inventory = Inventory({"a": 4})
    inventory.put(site("A", status=SiteStatus.MORGUE))
    key = BlockKey(DATASET, "a")
    with inventory.store.snapshot() as snapshot:
        holders = read_holders(snapshot, [key])
        choice = Sources(holders, {}, sites("Z"), now_us=NOW_US).choose(batch(1, block="a", bad_sources=("Z",)), ALL)
    assert choice.held[0].reason == "no other ready site holds it; not to be used: A (morgue)"


def test_blocks_are_read_when_they_are_asked_for_with_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning_holders, "BLOCKS", 4)
    datasets = [DatasetKey(f"/many/{number}") for number in range(5)]
    inventory = Inventory({})
    inventory.add(datasets, n_blocks=3, n_files=2)
    blocks = [BlockKey(dataset, str(number)) for dataset in datasets for number in range(3)]
    with inventory.store.snapshot() as snapshot:
        counting = Asked(snapshot)
        holders = read_holders(counting, [*blocks, *blocks, BlockKey(datasets[0], "none")])
        assert counting.n_asked == 0
        for _ in range(2):
            assert [holders(key) for key in blocks[4:8]] == [Holding({"A": FileSet.full(2)})] * 4
        assert counting.n_asked == 1
        assert all(holders(key).usable for key in reversed(blocks))
        assert counting.n_asked == 4
        assert holders(BlockKey(datasets[0], "none")) == NOTHING


class Asked:
    """A snapshot that counts how often it is asked for replicas."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.n_asked = 0

    def __getattr__(self, name: str) -> Any:
        self.n_asked += name == "find_replicas_of_blocks"
        return getattr(self._snapshot, name)


def test_only_requests_of_one_dataset_share_its_blocks() -> None:
    other = request(2, dataset=DatasetKey("/other"))
    holders = holding({batch(1).block_key: everywhere("A")(batch(1).block_key)})
    sources = Sources(holders, {}, sites("A", "Z"), now_us=NOW_US)
    assert parts(sources.choose(batch(1), ALL)) == (("A", ALL),)
    assert sources.choose(batch(1, other, bad_sources=("Z",)), ALL).held[0].held is Held.NO_SOURCE
