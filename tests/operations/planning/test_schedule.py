"""What is claimed next: single cases. The rules over random worlds are in ``test_schedule_rules``."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning_world import (
    FILE_SIZE,
    NOW_US,
    batch,
    everywhere,
    holding,
    limits,
    link,
    request,
    scheduled,
    site,
    sites,
    sizes,
    without,
)

from holdfast.model.fileset import FileSet
from holdfast.model.records import SiteStatus, StorageType
from holdfast.operations.batch import Batch, BatchState, Held, QueuedRequest, RequestKind
from holdfast.operations.planning.assignment import Assignment, HeldBatch
from holdfast.operations.planning.holders import Holding
from holdfast.operations.planning.served import Served
from holdfast.operations.planning.usage import StreamUsage, busy_of, usage_of


def active(assignments: tuple[Assignment, ...], worker: str = "w") -> list[Batch]:
    """Batches as they are once they are claimed."""
    claimed = [replace(each.batch, files=each.files, n_files=len(each.files)) for each in assignments]
    return [
        replace(batch, state=BatchState.ACTIVE, source=each.source, worker=worker)
        for batch, each in zip(claimed, assignments, strict=True)
    ]


def used(assignments: tuple[Assignment, ...]) -> StreamUsage:
    """What is taken up when these assignments are carried out by this worker."""
    streams = {each.batch.id: each.streams for each in assignments}
    return usage_of(active(assignments), "w", lambda of: streams[of.id])


def test_a_whole_batch_goes_as_it_is() -> None:
    assert scheduled([batch(1)]).assignments == (Assignment(batch(1), batch(1).files, 4 * FILE_SIZE, "A", 4),)


def test_nothing_gives_nothing() -> None:
    nothing = scheduled([])
    assert (nothing.assignments, nothing.held, nothing.overdue) == ((), (), ())


# ---- cutting --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "pieces"),
    [
        ({"batch_files": 4}, [4, 4, 2]),
        ({"batch_size": 3 * FILE_SIZE}, [3, 3, 3, 1]),
        ({"batch_size": 3 * FILE_SIZE + 999}, [3, 3, 3, 1]),
        ({"batch_size": 1}, [1] * 10),
        ({"batch_files": 4, "batch_size": 2 * FILE_SIZE}, [2] * 5),
    ],
)
def test_a_batch_is_cut_by_files_and_bytes_and_is_one_file_at_least(given: dict[str, int], pieces: list[int]) -> None:
    waiting = [batch(1, n_files=10)]
    found = scheduled(waiting, limits=limits(1000, **given)).assignments
    assert [len(each.files) for each in found] == pieces
    assert all(each.size == len(each.files) * FILE_SIZE for each in found)
    assert [min(each.files) for each in found] == sorted(min(each.files) for each in found)
    assert without(waiting, found) == []


def test_a_batch_is_about_twenty_seconds_of_work_where_the_rate_is_known() -> None:
    rate = link("A", rate_bytes_s=FILE_SIZE / 10)  # Ten seconds a file.
    found = scheduled([batch(1, n_files=100)], limits=limits(1000, streams=5), links=rate, room_files=10).assignments
    assert [(len(each.files), each.streams) for each in found] == [(10, 5)]
    slow = link("A", rate_bytes_s=FILE_SIZE / 100)
    assert len(scheduled([batch(1, n_files=100)], links=slow, room_files=1).assignments[0].files) == 1
    nothing = link("A", rate_bytes_s=0.0)
    assert len(scheduled([batch(1, n_files=100)], links=nothing).assignments[0].files) == 100


def test_sizes_of_unequal_files_are_exact() -> None:
    lengths = [5, 1, 1, 7, 2, 9]
    waiting = [batch(1, n_files=6, size=sum(lengths))]
    found = scheduled(waiting, limits=limits(1000, batch_size=8), sizes=lambda _of: lengths).assignments
    assert [(list(each.files), each.size) for each in found] == [([0, 1, 2], 7), ([3], 7), ([4], 2), ([5], 9)]
    assert without(waiting, found) == []


def test_sizes_are_not_read_where_holders_tell_them() -> None:
    waiting = [batch(1, n_files=4)]
    held = Holding({"A": FileSet.of([0, 3]), "B": FileSet.full(4)}, {"A": 2 * FILE_SIZE})

    def unread(_of: Batch) -> list[int]:
        raise AssertionError("the sizes of files are read")

    holders = holding({waiting[0].block_key: held})
    found = scheduled(waiting, holders=holders, sizes=unread).assignments
    assert [(each.source, each.size) for each in found] == [("A", 2 * FILE_SIZE), ("B", 2 * FILE_SIZE)]
    with pytest.raises(AssertionError, match="are read"):
        scheduled(waiting, holders=holders, sizes=unread, limits=limits(8, batch_files=1))


def test_a_batch_is_divided_among_sources_and_claimed_piece_by_piece() -> None:
    waiting = [batch(1, n_files=4)]
    held = Holding({"A": FileSet.of([0, 3]), "B": FileSet.of([1, 2])})
    found = scheduled(waiting, holders=holding({waiting[0].block_key: held})).assignments
    assert [(each.source, list(each.files)) for each in found] == [("A", [0, 3]), ("B", [1, 2])]
    assert [each.batch.n_files for each in found] == [4, 2]
    assert without(waiting, found) == []


# ---- what waits on, what is held ------------------------------------------------


def test_no_more_files_are_assigned_at_a_time_than_there_is_room_for() -> None:
    waiting = [batch(number, request(number), n_files=10) for number in range(1, 5)]
    found = scheduled(waiting, room_files=12).assignments
    assert sorted(each.batch.id for each in found) == [1, 2, 3, 4]
    assert [len(each.files) for each in found] == [3, 3, 3, 3]
    assert scheduled(waiting, room_files=0).assignments == ()


@pytest.mark.parametrize("status", [status for status in SiteStatus if status is not SiteStatus.READY])
def test_a_destination_that_is_not_ready_holds_its_batches(status: SiteStatus) -> None:
    found = scheduled([batch(1)], sites=sites("A", Z=site("Z", status=status)))
    assert found.held == (HeldBatch(batch(1), Held.SITE_UNAVAILABLE, f"Z is {status}"),)
    assert found.assignments == ()


def test_a_site_that_is_stopped_or_unknown_holds_what_has_to_do_with_it() -> None:
    deletion = batch(2, request(2, kind=RequestKind.REPLICAS))
    found = scheduled([batch(1), deletion], stopped={"Z": "no space left"})
    assert found.held == tuple(
        HeldBatch(each, Held.SITE_UNAVAILABLE, "Z: no space left") for each in (batch(1), deletion)
    )
    found = scheduled([batch(1), deletion], sites=sites("A"))
    assert found.held == tuple(
        HeldBatch(each, Held.SITE_UNAVAILABLE, "Z is not known") for each in (batch(1), deletion)
    )


def test_what_is_to_be_deleted_need_not_lie_at_a_ready_site() -> None:
    deletion = batch(1, request(1, kind=RequestKind.REPLICAS))
    found = scheduled([deletion], sites=sites(Z=site("Z", status=SiteStatus.MORGUE)))
    assert found.assignments == (Assignment(deletion, deletion.files, deletion.size, "", 3),)


def test_a_batch_without_a_source_is_held_with_the_reason() -> None:
    waiting = [batch(id, n_files=2, bad_sources=("Z",)) for id in (1, 2)]
    found = scheduled(waiting, holders=everywhere("Z"))
    reason = "no other ready site holds it"
    assert found.held == tuple(HeldBatch(each, Held.NO_SOURCE, reason) for each in waiting)
    failed = batch(1, bad_sources=("A",), error="A: wrong bytes")
    assert scheduled([failed]).held == (HeldBatch(failed, Held.ALL_FAILED, "A: A: wrong bytes"),)


def test_a_batch_of_which_a_part_has_a_source_is_held_when_only_the_rest_is_left() -> None:
    waiting = batch(1, n_files=3, bad_sources=("Z",))
    holders = holding({waiting.block_key: Holding({"A": FileSet.of([0, 1])})})
    found = scheduled([waiting], holders=holders, limits=limits(8, batch_files=2))
    (rest,) = without([waiting], found.assignments)
    assert [list(each.files) for each in found.assignments] == [[0, 1]]
    assert found.held == (HeldBatch(rest, Held.NO_SOURCE, "no other ready site holds it"),)
    full = scheduled([waiting], holders=holders, limits=limits(8, per_link=0))
    assert (full.assignments, full.held) == ((), ())


def test_a_request_that_is_overdue_is_reported_and_given_nothing() -> None:
    late, punctual = request(1, deadline_us=NOW_US), request(2, deadline_us=NOW_US + 1)
    found = scheduled([batch(1, late), batch(2, late), batch(3, punctual)])
    assert found.overdue == (late,)
    assert [each.batch.id for each in found.assignments] == [3]
    assert found.held == ()


def test_files_that_somebody_has_to_do_with_wait() -> None:
    other = batch(9, request(9), block="b1", files=FileSet.of([0, 1]), state=BatchState.ACTIVE, source="A")
    here, elsewhere = batch(1, n_files=3), batch(2, request(2, site="B"), n_files=3, block="b1")
    found = scheduled([here, elsewhere], busy=busy_of([other]))
    assert [(each.batch.id, list(each.files)) for each in found.assignments] == [(1, [2]), (2, [0, 1, 2])]
    assert found.held == ()
    assert scheduled([batch(1, n_files=2)], busy=busy_of([other])).assignments == ()


def test_nothing_is_brought_to_where_it_is_to_be_deleted_and_the_deletion_comes_through() -> None:
    """One file at a time: the one that is doomed must not be the only one that is ever chosen."""
    copy = batch(1, block="b", n_files=3)
    deletion = batch(2, request(2, kind=RequestKind.REPLICAS), block="b", files=FileSet.of([0]))
    doomed = {(copy.block_key, copy.site): deletion.files}
    found = scheduled([copy, deletion], doomed=doomed, limits=limits(batch_files=1), room_files=1)
    assert [(each.batch.id, list(each.files)) for each in found.assignments] == [(1, [1]), (2, [0])]
    assert found.assignments[0].batch == copy  # So that it can be claimed as it stands in the queue.


def test_two_requests_for_one_file_bring_it_once() -> None:
    waiting = [batch(number, request(number), block="same", n_files=3) for number in (1, 2)]
    found = scheduled(waiting).assignments
    assert [(each.batch.id, len(each.files)) for each in found] == [(1, 3)]


def test_what_is_written_read_or_deleted_is_not_deleted() -> None:
    deletions = [
        batch(number, request(number, kind=RequestKind.REPLICAS, site=at), block="b")
        for number, at in ((2, "A"), (3, "Z"))
    ]
    copy = batch(1, request(1), block="b")
    assert [each.batch.id for each in scheduled([copy, *deletions]).assignments] == [1]
    assert [each.batch.id for each in scheduled(deletions).assignments] == [2, 3]
    again = replace(deletions[0], id=4, request=request(4, kind=RequestKind.REPLICAS, site="A"))
    assert [each.batch.id for each in scheduled([deletions[0], again]).assignments] == [2]
    assert scheduled(deletions, busy=busy_of(active(scheduled([copy]).assignments))).assignments == ()


# ---- limits ---------------------------------------------------------------------


def test_one_request_alone_leaves_a_quarter_of_the_slots() -> None:
    waiting = [batch(number, n_files=100) for number in range(1, 20)]
    for slots, expected in ((1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (100, 75)):
        found = scheduled(waiting, limits=limits(slots, streams=4)).assignments
        assert sum(each.streams for each in found) == expected


def test_slots_are_shared_and_what_nobody_else_can_use_is_given_away() -> None:
    waiting = [batch(number, request(number), n_files=100) for number in (1, 2)]
    found = scheduled(waiting, limits=limits(8, streams=100)).assignments
    assert [each.streams for each in found] == [4, 3]
    few = [waiting[0], batch(2, request(2), n_files=1)]
    found = scheduled(few, limits=limits(8, streams=100)).assignments
    assert {each.batch.id: each.streams for each in found} == {1: 6, 2: 1}


@pytest.mark.parametrize("name", ["per_link", "into", "out", "per_owner"])
def test_every_limit_holds_and_keeps_one_for_who_comes(name: str) -> None:
    bounded = limits(1000, streams=100, **{name: 8})
    first = scheduled([batch(number, n_files=100) for number in (1, 2)], limits=bounded).assignments
    assert sum(each.streams for each in first) == 7
    more = scheduled([batch(3, n_files=100)], limits=bounded, usage=used(first))
    assert more.assignments == ()
    part = used((replace(first[0], streams=5),))
    assert [each.streams for each in scheduled([batch(3, n_files=100)], limits=bounded, usage=part).assignments] == [2]
    found = scheduled([batch(3, request(3), n_files=100)], limits=bounded, usage=used(first)).assignments
    assert [each.streams for each in found] == [1]
    assert scheduled([batch(4, request(4))], limits=bounded, usage=used((*first, *found))).assignments == ()


def test_another_source_serves_while_a_link_is_full() -> None:
    known = sites("A", "B", "Z", T=site("T", StorageType.TAPE))
    waiting = [batch(number, n_files=4) for number in range(1, 5)]
    found = scheduled(waiting, limits=limits(1000, per_link=4), sites=known, holders=everywhere("A", "B", "T"))
    assert [each.source for each in found.assignments] == ["A", "B"]


def test_deletions_have_their_own_slots_at_each_site() -> None:
    asked = [(1, "A"), (2, "A"), (3, "B")]
    deletions = [batch(number, request(number, kind=RequestKind.ORPHANS, site=at), n_files=50) for number, at in asked]
    bounded = limits(1, deletions=4, deletion_files=10)
    found = scheduled([batch(9, request(9)), *deletions], limits=bounded).assignments
    assert [(each.batch.id, len(each.files), each.streams) for each in found if each.source] == [(9, 4, 1)]
    assert [(each.batch.id, len(each.files), each.streams) for each in found if not each.source] == [
        (1, 10, 2),
        (2, 10, 1),
        (3, 10, 3),
    ]
    assert scheduled(deletions, limits=bounded, usage=used(found)).assignments == ()
    new = batch(4, request(4, kind=RequestKind.ORPHANS, site="A"), n_files=50)
    assert [each.streams for each in scheduled([new], limits=bounded, usage=used(found)).assignments] == [1]


def test_small_batches_share_the_deletions_of_a_site() -> None:
    asked = request(1, kind=RequestKind.ORPHANS, site="A")
    waiting = [batch(number, asked, n_files=100) for number in range(1, 30)]
    few = limits(1, deletions=8, deletion_files=1000)
    found = scheduled(waiting, limits=few, room_files=10_000).assignments
    assert [(len(each.files), each.streams) for each in found] == [(100, 1)] * 7  # The last is for whoever comes.
    alone = scheduled(waiting[:1], limits=few, room_files=10_000).assignments
    assert [(len(each.files), each.streams) for each in alone] == [(100, 7)]
    many = limits(1, deletions=4096, deletion_files=1000)
    found = scheduled(waiting, limits=many, room_files=10_000).assignments
    assert [(len(each.files), each.streams) for each in found] == [(100, 25)] * len(waiting)


def test_a_batch_takes_up_no_more_than_it_has_files() -> None:
    (nearly_done,) = active(scheduled([batch(1, n_files=2)]).assignments)
    usage = usage_of([nearly_done], "w", lambda _of: 8)
    assert usage.slots == {1: 2}
    assert set(usage.places.values()) == {2}


def test_the_slots_of_other_workers_are_theirs_but_not_the_limits() -> None:
    theirs = active(scheduled([batch(1, n_files=8)]).assignments, worker="other")
    usage = usage_of(theirs, "w", lambda _of: 8)
    waiting = [batch(2, request(2, owner="bob"), n_files=100)]
    assert sum(each.streams for each in scheduled(waiting, limits=limits(8, streams=8), usage=usage).assignments) == 6
    found = scheduled(waiting, limits=limits(8, streams=8, into=10), usage=usage).assignments
    assert sum(each.streams for each in found) == 1


# ---- who comes first ------------------------------------------------------------


def first_of(waiting: list[Batch], served: Served | None = None) -> int:
    """The number of the request that gets the only slot."""
    (found,) = scheduled(waiting, limits=limits(1), served=served or Served()).assignments
    return found.batch.request.number


def test_the_earliest_deadline_comes_first_among_equals_then_the_oldest() -> None:
    late, soon, none = (
        request(number, deadline_us=moment) for number, moment in ((1, NOW_US + 9), (2, NOW_US + 5), (3, None))
    )
    waiting = [batch(each.number, each) for each in (late, soon, none)]
    assert first_of(waiting) == 2
    assert first_of([waiting[2], waiting[0]]) == 1
    assert first_of([batch(5, request(5)), batch(6, request(4))]) == 4


def test_owners_come_in_turn_however_many_requests_they_have() -> None:
    served = Served()
    waiting = [batch(number, request(number, owner="ann"), n_files=1) for number in range(1, 40)]
    waiting += [batch(number, request(50, owner="bob"), n_files=1) for number in range(50, 60)]
    owners = ""
    for _ in range(12):
        (found,) = scheduled(waiting, limits=limits(1), served=served).assignments
        served.charge(found.batch.request, len(found.files), found.size)
        waiting = without(waiting, (found,))
        owners += found.batch.request.owner[0]
    assert owners == "ab" * 6


def huge(number: int, of: QueuedRequest) -> list[Batch]:
    """A million files in blocks of a thousand."""
    return [batch(number + place, of, n_files=1000, block=f"h{place}") for place in range(1000)]


@pytest.mark.parametrize("bounded", [limits(8), limits(8, per_link=6), limits(64, into=8), limits(64, per_owner=4)])
@pytest.mark.parametrize("owner", ["ann", "bob"])
def test_three_files_beside_a_million_are_in_the_first_schedule_after_they_come(bounded: object, owner: str) -> None:
    million = huge(1, request(1, owner="ann"))
    served = Served()
    first = scheduled(million, limits=bounded, served=served).assignments
    assert first
    for each in first:
        served.charge(each.batch.request, len(each.files), each.size)
    three = batch(5000, request(2, owner=owner), n_files=3, block="small")
    found = scheduled([*without(million, first), three], limits=bounded, served=served, usage=used(first)).assignments
    assert [list(each.files) for each in found if each.batch.id == 5000] == [[0, 1, 2]]


def test_the_order_in_which_batches_are_given_does_not_matter() -> None:
    waiting = [batch(number, request(number % 3, owner="ab"[number % 2]), n_files=5) for number in range(1, 30)]
    whole = scheduled(waiting, limits=limits(9), sizes=sizes)
    assert scheduled(waiting[::-1], limits=limits(9)) == whole
    assert whole.assignments
