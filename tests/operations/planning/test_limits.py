"""How limits follow from the configuration, and what of them is kept free."""

from __future__ import annotations

import pytest
from planning_world import request

from holdfast.config import OperationsSettings
from holdfast.config.links import LinkSettings
from holdfast.config.operations import SiteOperationsSettings
from holdfast.operations.planning.limits import LinkLimits, SiteLimits, WorkLimits, of_settings
from holdfast.operations.planning.rooms import Rooms
from holdfast.operations.planning.usage import StreamUsage


def test_limits_are_those_of_the_configuration() -> None:
    settings = OperationsSettings(concurrency=30, per_owner=20, request_share=0.5, per_link=9, per_site_in=8)
    link = LinkSettings(source="A*", streams=2, batch_files=3, batch_size=4, per_link=5)
    tape = SiteOperationsSettings(per_site_out=1, deletions_per_site=2)
    limits = of_settings(settings.with_tables(links=[link], sites={"tape": tape}))
    assert (limits.slots, limits.per_owner, limits.request_share) == (30, 20, 0.5)
    assert limits.of_link("A1", "B") == LinkLimits(per_link=5, streams=2, batch_files=3, batch_size=4)
    default = LinkSettings()
    assert limits.of_link("B", "A1") == LinkLimits(9, default.streams, default.batch_files, default.batch_size)
    assert limits.of_site("tape") == SiteLimits(None, 1, 2)
    assert limits.of_site("disk") == SiteLimits(8, None, settings.deletions_per_site)


@pytest.mark.parametrize(
    ("slots", "share", "expected"),
    [(1, 0.75, 1), (2, 0.75, 1), (3, 0.75, 2), (8, 0.75, 6), (8, 1.0, 7), (8, 0.01, 1), (10, 0.7, 7), (10, 0.3, 3)],
)
def test_a_request_gets_its_share_one_slot_at_least_and_never_the_last(slots: int, share: float, expected: int) -> None:
    assert WorkLimits(slots, request_share=share).request_slots() == expected


@pytest.mark.parametrize(
    ("most", "share", "spare"), [(1, 0.75, 0), (3, 0.75, 0), (4, 0.75, 1), (1000, 0.75, 1), (9, 1.0, 0), (5, 0.8, 1)]
)
def test_room_is_kept_where_it_is_a_small_part(most: int, share: float, spare: int) -> None:
    assert WorkLimits(8, request_share=share).spare(most) == spare


@pytest.mark.parametrize(("slots", "expected"), [(1, 1), (4, 4), (7, 7), (8, 7), (16, 14), (100, 88)])
def test_a_destination_gets_its_share_rounded_up(slots: int, expected: int) -> None:
    assert WorkLimits(slots, site_share=0.875).site_slots() == expected


def test_of_a_destination_that_has_its_share_something_is_left_for_others_and_at_the_source() -> None:
    limits = WorkLimits(8, request_share=1, site_share=0.75)
    rooms = Rooms(limits, StreamUsage())
    first, second, third = (request(number, site="B") for number in (1, 2, 3))
    assert rooms.for_request(second) == 5
    rooms.take_copy(first, "A", 5)
    assert rooms.for_request(first) == 0
    assert rooms.for_request(second) == 1
    rooms.take_copy(second, "A", 1)
    assert rooms.for_request(third) == 0
    elsewhere = request(4, site="C")
    assert min(rooms.for_request(elsewhere), rooms.from_source(elsewhere, "A")) == 1


def test_a_site_with_a_limit_of_its_own_has_no_share() -> None:
    limits = WorkLimits(8, request_share=1, site_share=0.5, of_site=lambda _: SiteLimits(into=8, out=8))
    assert Rooms(limits, StreamUsage()).for_request(request(1, site="B")) > 4
