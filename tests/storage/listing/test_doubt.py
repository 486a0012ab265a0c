"""Doubt: storages that leave out, repeat and contradict are not believed, and honest ones not doubted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from engine_world import (
    FILE,
    FOLDER,
    ListSink,
    Troubled,
    a_big_tree,
    breaks_off,
    check_no_silent_gap,
    contradicts_itself,
    leaves_out_most,
    listed,
    listing,
    says_nothing,
    says_twice,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.model.errors import PeerError
from holdfast.storage.driver import DirectoryListing, DirectoryNames, Entry, Kind, NotThere, Stat, Unnameable
from holdfast.storage.listing import doubt
from holdfast.storage.listing.answer import seen_in, sort_out
from holdfast.storage.listing.doubt import LISTS_MAX, DoubtStep, Look, next_step, suspicion
from holdfast.storage.listing.tables import Directory, DirectoryState, Odd
from holdfast.testing.memory_tree import MemoryTree
from holdfast.testing.simulation.timeless import SimulatedClock, run
from support.soak import examples


@pytest.mark.parametrize(
    ("names", "contradictions", "said", "expected", "word"),
    [
        (7, 0, "", None, ""),
        (7, 0, "", 7, ""),
        (7, 0, "", 3, ""),
        (0, 0, "", 0, ""),
        (0, 0, "", None, "empty"),
        (0, 0, "", 1, "empty, where 1 names"),
        (4, 0, "", 9, "only 4 names"),
        (5, 0, "", 10, ""),
        (2, 0, "", 6, ""),
        (2, 0, "", 7, "only 2 names"),
        (500, 0, "", 1000, ""),
        (499, 0, "", 1000, "only 499"),
        (7, 1, "", 7, "named 1 entries twice"),
        (7, 0, "it broke off", 7, "it broke off"),
    ],
)
def test_what_is_suspicious(names: int, contradictions: int, said: str, expected: int | None, word: str) -> None:
    found = suspicion(names, contradictions, said, expected)
    assert (word in found) if word else not found


def test_an_answer_is_believed_when_the_look_next_to_it_saw_the_same() -> None:
    few, all_of_it = Look("few", 1), Look("all", 9)
    named = all_of_it._replace(named_only=True, otherwise=True)
    assert next_step([few], None, names_can_be_asked=True) is DoubtStep.LOOK
    assert next_step([few], None, names_can_be_asked=False) is DoubtStep.LIST
    assert next_step([few, named], None, names_can_be_asked=True) is DoubtStep.LIST
    assert next_step([few, named, all_of_it], None, names_can_be_asked=True) is DoubtStep.BELIEVE
    # Not the first and the third: something else was seen in between.
    assert next_step([few, named, few], None, names_can_be_asked=True) is DoubtStep.LOOK
    assert next_step([few, few._replace(otherwise=True)], 9, names_can_be_asked=False) is DoubtStep.BELIEVE


def test_the_same_question_at_the_same_door_counts_only_half_where_more_was_expected() -> None:
    empty = Look("", 0)
    assert next_step([empty, empty], None, names_can_be_asked=False) is DoubtStep.BELIEVE
    assert next_step([empty, empty], 9, names_can_be_asked=False) is DoubtStep.LIST
    assert next_step([empty, empty, empty], 9, names_can_be_asked=False) is DoubtStep.BELIEVE


def test_what_contradicts_itself_is_never_believed() -> None:
    odd = Look("same", 3, contradicts_itself=True)
    assert next_step([odd], None, names_can_be_asked=True) is DoubtStep.LIST
    assert next_step([odd] * LISTS_MAX, None, names_can_be_asked=True) is DoubtStep.DOUBT
    assert next_step([odd, odd._replace(contradicts_itself=False)], None, names_can_be_asked=True) is DoubtStep.BELIEVE


ALL = frozenset("abcdefghij")


@given(st.lists(st.frozensets(st.sampled_from(sorted(ALL))), min_size=12, max_size=12), st.data())
def test_if_the_second_look_sees_everything_nothing_that_lacks_something_is_believed(
    answers: list[frozenset[str]], data: Any
) -> None:
    looks = [Look(answers[0], len(answers[0]))]
    for told in answers[1:]:
        step = next_step(looks, data.draw(st.sampled_from([None, 10])), names_can_be_asked=True)
        if step is DoubtStep.LOOK:
            looks.append(Look(ALL, len(ALL), named_only=True, otherwise=True))
        elif step is DoubtStep.LIST:
            looks.append(Look(told, len(told), otherwise=True))
        else:
            break
    else:
        raise AssertionError("it never ends")
    assert sum(not look.named_only for look in looks) <= LISTS_MAX
    if step is DoubtStep.BELIEVE:
        assert next(look for look in reversed(looks) if not look.named_only).seen == ALL


def test_a_doubted_directory_has_all_that_was_seen() -> None:
    one = sort_out("/d", DirectoryListing((Entry("a", FILE), Entry("sub", FOLDER)), (Unnameable(b"\xff", "why"),)))
    other = sort_out("/d", DirectoryListing((Entry("a", Stat(Kind.FILE, 2, 6)), Entry("b", FILE))))
    named = doubt.seen_by_names(DirectoryNames(("a", "c", "bad\udcfe"), (Unnameable(b"\xff", "why"),)))
    union = doubt.union([one.directory, other.directory], named, "because")
    assert (union.dir, union.state, union.reason) == ("/d", DirectoryState.DOUBTED, "because")
    assert [(entry.name, entry.stat.size) for entry in union.files] == [("a", 2), ("b", 1)]
    assert [entry.name for entry in union.directories] == ["sub"]
    assert [(odd.raw, odd.kind, odd.reason) for odd in union.oddities] == [
        (b"bad\xfe", Odd.REFUSED, "only a second look named it"),
        (b"c", Odd.REFUSED, "only a second look named it"),
        (b"\xff", Odd.UNNAMEABLE, "why"),
    ]
    assert seen_in(union) == {b"a", b"b", b"c", b"sub", b"\xff", b"bad\xfe"}


# Lying doors, and the engine between them and the ledger.


def exactly(tree: MemoryTree) -> Any:
    """An expectation that knows how it is."""
    return lambda path: len(tree.entries(path))


LIES = [says_nothing, leaves_out_most, breaks_off, says_twice, contradicts_itself]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("lies", [[lie] for lie in LIES] + [LIES], ids=[*(lie.__name__ for lie in LIES), "all"])
def test_no_lie_makes_a_silent_gap_where_the_second_look_is_honest(seed: int, p: float, lies: Any) -> None:
    tree, sink = a_big_tree(seed), ListSink()
    door = Troubled(tree, seed=seed, p=p, lies=lies)
    outcome = listed(door, sink, expected=exactly(tree))
    check_no_silent_gap(tree, sink)
    if p < 0.5:
        assert outcome.doubted <= 2
    if p == 1.0 and lies == [says_twice]:
        assert (outcome.doubted, outcome.failed) == (0, 0)
        assert outcome.merged == outcome.files + outcome.listed - 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("doors", [1, 3])
def test_lies_at_a_low_rate_are_found_out_without_a_second_way(seed: int, doors: int) -> None:
    tree, sink = a_big_tree(seed), ListSink()
    listed(
        [
            Troubled(tree, seed=10 * seed + number, p=0.02, lies=[says_nothing, leaves_out_most], second_look=False)
            for number in range(doors)
        ],
        sink,
        expected=exactly(tree),
    )
    check_no_silent_gap(tree, sink)


@pytest.mark.parametrize("second_look", [True, False])
def test_empty_lists_are_found_out_where_nothing_is_expected(second_look: bool) -> None:
    tree, sink = a_big_tree(6), ListSink()
    p = 0.3 if second_look else 0.02
    listed(Troubled(tree, seed=6, p=p, lies=[says_nothing], second_look=second_look), sink)
    check_no_silent_gap(tree, sink)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("second_look", [True, False])
def test_an_honest_storage_is_never_doubted_and_seldom_asked_twice(known: bool, second_look: bool) -> None:
    tree, sink = a_big_tree(8), ListSink()
    door = Troubled(tree, second_look=second_look)
    options = {"expected": exactly(tree)} if known else {}
    outcome = listed(door, sink, **options)
    assert outcome.complete
    empty = sum(not directory.files and not directory.directories for directory in sink.directories)
    assert empty > 5
    again = len(door.asked) - outcome.listed
    assert again == (0 if known or second_look else empty)


def test_a_directory_that_was_emptied_since_is_believed_after_a_second_look() -> None:
    tree, sink = MemoryTree(SimulatedClock()), ListSink()
    tree.make_directory("/was/full")
    outcome = listed(Troubled(tree), sink, expected=lambda path: 1000 if path == "/was/full" else None)
    assert outcome.complete
    assert sink.states["/was/full"] == ("listed", "")


def test_what_stays_contradictory_is_doubted_and_tells_what_was_seen() -> None:
    tree, sink = MemoryTree(SimulatedClock()), ListSink()
    for name in ("one", "two", "three"):
        tree.put(f"/d/{name}", b"x")

    class OnlyOne(Troubled):
        async def list(self, path: str) -> DirectoryListing:
            told = await super().list(path)
            return told if path == "/" else DirectoryListing(told.entries[:1], doubt="the answer broke off")

    outcome = listed(OnlyOne(tree), sink)
    (directory,) = [directory for directory in sink.directories if directory.dir == "/d"]
    assert directory.state is DirectoryState.DOUBTED
    assert directory.reason == "the answer broke off; 8 answers gave from 1 to 3 names"
    assert [entry.name for entry in directory.files] == ["one"]
    assert [odd.raw for odd in directory.oddities] == [b"three", b"two"]
    assert (outcome.doubted, outcome.complete, outcome.doubts) == (1, False, (("/d", directory.reason),))


def test_an_entry_that_stays_two_things_is_told() -> None:
    tree, sink = MemoryTree(SimulatedClock()), ListSink()
    tree.put("/file", b"x")

    class Two(Troubled):
        async def list(self, path: str) -> DirectoryListing:
            return DirectoryListing((Entry("file", FILE), Entry("file", Stat(Kind.FILE, 2, 5))))

    listed(Two(tree), sink)
    (directory,) = sink.directories
    assert directory.state is DirectoryState.DOUBTED
    assert "named 1 entries twice" in directory.reason
    assert [(odd.raw, odd.reason) for odd in directory.oddities] == [
        (b"file", "the listing names it twice, each time as something else")
    ]


def test_a_second_look_that_fails_leaves_the_directory_doubted() -> None:
    class Blind(Troubled):
        async def names(self, path: str) -> DirectoryNames:
            raise PeerError("not now")

    tree, sink = MemoryTree(SimulatedClock()), ListSink()
    tree.make_directory("/empty")
    listed(Blind(tree), sink)
    assert sink.states["/empty"] == ("doubted", "empty; and asking again failed: not now")


def test_a_directory_in_doubt_that_is_then_gone_is_not_doubted() -> None:
    tree, sink = MemoryTree(SimulatedClock()), ListSink()
    tree.make_directory("/empty")
    tree.put("/file", b"")

    class Going(Troubled):
        async def names(self, path: str) -> DirectoryNames:
            self.tree.remove("/empty")
            raise NotThere("no such directory")

    listed(Going(tree), sink)
    assert sink.states == {"/": ("listed", ""), "/empty": ("listed", "")}


def test_a_listing_that_was_made_earlier_is_not_asked_again() -> None:
    tree, sink = MemoryTree(SimulatedClock()), ListSink()
    tree.make_directory("/empty")
    door = Troubled(tree, live=False)
    assert listed(door, sink, expected=lambda path: 100).complete
    assert sorted(door.asked) == ["/", "/empty"]
    sink = ListSink()
    door = Troubled(tree, live=False, p=1.0, lies=[breaks_off])
    listed(door, sink)
    assert sink.states["/"] == ("doubted", "the answer broke off; 1 answers gave from 0 to 0 names")
    assert door.asked == ["/"]


def test_the_doors_take_turns_at_second_looks() -> None:
    tree, sink = a_big_tree(2), ListSink()
    liar = Troubled(tree, p=1.0, lies=[says_nothing], second_look=False, label="liar")
    honest = Troubled(tree, second_look=False, label="honest")
    listed([liar, honest], sink, expected=exactly(tree))
    check_no_silent_gap(tree, sink)


# In pieces.


class InPieces(Troubled):
    """Gives three entries at a time; each time it is asked, ``answers`` says how much is left out."""

    def __init__(self, tree: MemoryTree, lacking: list[int], **options: Any) -> None:
        super().__init__(tree, **options)
        self.lacking = list(lacking)
        self._capabilities = self.capabilities.__class__(pages=True, second_look=self.capabilities.second_look)

    async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
        entries = (await self.list(path)).entries
        if path == "/large" and self.lacking:
            entries = entries[: len(entries) - self.lacking.pop(0)]
        for start in range(0, max(1, len(entries)), 3):
            yield DirectoryListing(entries[start : start + 3])


def a_large_directory() -> MemoryTree:
    tree = MemoryTree(SimulatedClock())
    for number in range(40):
        tree.put(f"/large/file{number:02}", b"x" * number)
    tree.make_directory("/large/sub")
    return tree


@pytest.mark.parametrize(
    ("second_look", "lacking", "state", "files"),
    [
        (True, [], "listed", 40),
        (False, [], "listed", 40),
        (True, [30], "listed", 40),
        (False, [30], "listed", 40),
        (True, [30, 0, 25], "listed", 40),
        # Never the same twice in a row: what had most names is kept, and not believed.
        (False, [30, 0, 25], "doubted", 40),
        (True, [30, 29, 28, 27], "doubted", 14),
        (False, [30, 29, 28, 27], "doubted", 14),
    ],
)
def test_what_comes_in_pieces_is_judged_like_the_rest(
    second_look: bool, lacking: list[int], state: str, files: int
) -> None:
    tree, sink = a_large_directory(), ListSink()
    outcome = listed(InPieces(tree, lacking, second_look=second_look), sink, expected=exactly(tree))
    assert sink.states["/large"][0] == state
    assert sink.states.get("/large/sub") == (("listed", "") if files == 40 else None)
    check_no_silent_gap(tree, sink)
    assert (outcome.files, outcome.bytes) == (files, sum(range(files)))


def test_a_directory_that_breaks_off_between_pieces_is_asked_again_and_nothing_stays_of_it() -> None:
    tree, sink = a_large_directory(), ListSink()

    class Breaking(InPieces):
        broken = 0

        async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
            number = 0
            async for piece in super().pages(path):
                if path == "/large" and number == 5 and Breaking.broken < 2:
                    Breaking.broken += 1
                    raise PeerError("connection reset")
                yield piece
                number += 1

    outcome = listed(Breaking(tree, []), sink)
    assert (outcome.complete, outcome.retries, outcome.files) == (True, 2, 40)
    check_no_silent_gap(tree, sink)


def test_a_large_directory_in_doubt_whose_second_look_fails_keeps_what_it_has() -> None:
    class Blind(InPieces):
        async def pages(self, path: str) -> AsyncIterator[DirectoryListing]:
            if path == "/large" and self.asked.count(path) > 0:
                raise PeerError("not now")
            async for piece in super().pages(path):
                yield piece

    tree, sink = a_large_directory(), ListSink()
    outcome = listed(Blind(tree, [21], second_look=False), sink, expected=exactly(tree))
    why = "only 20 names, where 41 were expected; and asking again failed: not now"
    assert sink.states["/large"] == ("doubted", why)
    assert outcome.files == 20


@settings(max_examples=examples(20))
@given(st.integers(0, 2**32))
def test_a_listing_of_a_lying_site_comes_to_an_end(seed: int) -> None:
    chance = random.Random(seed)
    tree = a_big_tree(seed, 30)
    doors = [
        Troubled(
            tree,
            seed=seed + number,
            p=chance.random(),
            errors=(PeerError("reset"), NotThere("gone")),
            lies=LIES,
            second_look=chance.random() < 0.5,
            names_lie=True,
        )
        for number in range(chance.randint(1, 3))
    ]

    async def scenario() -> float:
        await listing(doors, ListSink(), seed=seed)
        return asyncio.get_running_loop().time()

    assert run(scenario(), SimulatedClock()) < 3600


def test_every_state_of_a_directory_is_one_that_tables_know() -> None:
    assert {state.value for state in DirectoryState} == {"listed", "failed", "skipped", "doubted"}
    assert Directory("/", DirectoryState.LISTED).reason == ""
