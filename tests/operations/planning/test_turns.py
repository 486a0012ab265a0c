"""Who was given how much, and who comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_world import request

from holdfast.operations.batch import QueuedRequest, RequestKind
from holdfast.operations.planning import served as service
from holdfast.operations.planning.served import CREDIT, FILE_BYTES, TURN, Served
from holdfast.operations.planning.turns import Turns

BATCH = (100, 100 * FILE_BYTES)


def served_in(served: Served, requests: Sequence[QueuedRequest], n_turns: int, files: int = 10) -> Counter[int]:
    """How many turns each request gets, one at a time."""
    counts: Counter[int] = Counter()
    for _ in range(n_turns):
        turns = Turns(requests, served)
        chosen = turns.next()
        assert chosen is not None
        counts[chosen.number] += 1
        turns.charge(files, files * FILE_BYTES)
    return counts


@pytest.mark.parametrize("priorities", [(3, 3), (3, 4), (1, 2, 3, 4, 5), (5, 1)])
def test_requests_of_an_owner_get_service_by_their_weights(priorities: tuple[int, ...]) -> None:
    requests = [request(number, priority=each) for number, each in enumerate(priorities)]
    n_turns = 4000
    counts = served_in(Served(), requests, n_turns)
    weight = sum(1 << each for each in priorities)
    for number, each in enumerate(priorities):
        assert counts[number] == pytest.approx(n_turns * (1 << each) / weight, rel=0.1)


def test_owners_get_the_same_whatever_they_ask_for() -> None:
    requests = [request(number, owner="ann", priority=5) for number in range(9)]
    requests += [request(9, owner="bob", priority=1)]
    counts = served_in(Served(), requests, 1000)
    assert counts[9] == 500


def test_bytes_count_and_so_do_files() -> None:
    served, big, many = Served(), request(1, owner="ann"), request(2, owner="bob")
    served.charge(big, 1, 99 * FILE_BYTES)
    served.charge(many, 99, 0)
    assert served.of_owner(big) == served.of_owner(many) + (FILE_BYTES << 5)


def test_deletions_and_copies_are_counted_apart_and_deletions_by_files_only() -> None:
    served, copy, deletion = Served(), request(1), request(1, kind=RequestKind.ORPHANS)
    served.charge(copy, *BATCH)
    assert served.of_owner(deletion) == 0
    served.charge(deletion, 5, 10**15)
    other = Served()
    other.charge(deletion, 5, 0)
    assert served.of_owner(deletion) == other.of_owner(deletion) > 0


def test_who_comes_late_is_first_but_not_for_long() -> None:
    served, early, late = Served(), request(1), request(2)
    served_in(served, [early], 1000)
    counts = served_in(served, [early, late], 200)
    ahead = counts[2] - counts[1]
    assert 0 < ahead <= (CREDIT + 2 * TURN) // (20 * FILE_BYTES << 2)
    assert served_in(served, [early, late], 1000)[1] == pytest.approx(500, rel=0.05)


def test_who_had_no_room_for_long_does_not_keep_others_out_later() -> None:
    served = Served()
    ann, bob = request(1, owner="ann"), request(2, owner="bob")
    served_in(served, [ann, bob], 10)
    served_in(served, [ann], 10_000)  # Bob's site was away.
    counts = served_in(served, [ann, bob], 100)
    assert counts[1] > 25


def test_deadlines_decide_among_those_served_alike_and_not_for_ever() -> None:
    urgent, other = request(2, deadline_us=5), request(1)
    served = Served()
    first = served_in(served, [other, urgent], 4)
    assert first[2] == 4
    assert served_in(served, [other, urgent], 1000)[1] == pytest.approx(500, rel=0.05)


def test_in_one_schedule_each_gets_something_before_one_gets_more() -> None:
    requests = [request(number) for number in (3, 1, 2)]
    turns, order = Turns(requests, Served()), []
    for _ in range(6):
        chosen = turns.next()
        assert chosen is not None
        order.append(chosen.number)
        turns.charge(1, 0)
    assert order == [1, 2, 3, 1, 2, 3]


def test_who_leaves_does_not_come_again() -> None:
    turns = Turns([request(1), request(2), request(3, owner="bob")], Served())
    seen = []
    while (chosen := turns.next()) is not None:
        seen.append(chosen.number)
        turns.leave()
    assert sorted(seen) == [1, 2, 3]


def test_a_copy_says_the_same_and_changes_nothing() -> None:
    served, one = Served(), request(1)
    served.charge(one, *BATCH)
    copy = served.copy()
    before = served.of_owner(one), served.of_request(one)
    assert (copy.of_owner(one), copy.of_request(one)) == before
    copy.charge(one, *BATCH)
    assert (served.of_owner(one), served.of_request(one)) == before
    assert copy.of_owner(one) > before[0]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5), st.integers(1, 10_000)), max_size=80))
def test_forgetting_changes_nothing(charges: list[tuple[int, int, int]]) -> None:
    whole, small = Served(), Served()
    requests = {number: request(number) for number, _, _ in charges}
    for number, priority, n_files in charges:
        charged = request(number, priority=priority)
        whole.charge(charged, n_files, 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(service, "KEPT_MAX", 2)
            small.charge(charged, n_files, 0)
        assert [*map(whole.of_request, requests.values())] == [*map(small.of_request, requests.values())]
