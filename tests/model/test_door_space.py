"""Two doors into one storage are seen as such, whatever their protocols are called; and only such."""

from __future__ import annotations

import itertools

import pytest

from holdfast.model.door_space import overlap, space
from holdfast.model.records import Door
from holdfast.storage import doors

SAME = [
    [("posix", "/x/y"), ("posix", "file:///x/y/"), ("posix", "file:///x/%79"), ("gfal", "file:///x/y")],
    [
        ("davs", "davs://h.example/store"),
        ("webdav", "https://H.example:443/store/"),
        ("https", "https://h.example/st%6Fre"),
        ("gfal", "davs://h.example//store"),
        ("s3", "s3://store?endpoint=https://h.example"),
    ],
    [
        ("xroot", "root://h.example//store"),
        ("xrdfs", "roots://h.example:1094//store"),
        ("gfal", "root://h.example:1094/store"),
        ("davs", "davs://h.example:1094/store"),
    ],
    [
        ("srm", "srm://h.example:8446/srm/managerv2?SFN=/store"),
        ("gfal", "srm://h.example:8446/store"),
    ],
    [("gsiftp", "gsiftp://h.example/store"), ("gfal", "gsiftp://h.example:2811/store")],
    [("http", "http://h.example/store"), ("dav", "dav://h.example:80/store")],
    [("s3", "s3://store"), ("s3", "s3://store?region=eu-west-1"), ("s3", "s3://store/below")],
    [("mine", "/store"), ("mine", "/store/below")],
]
"""Doors of a row lead to one place; those of different rows do not."""

ALL = [(row, Door(*each)) for row, texts in enumerate(SAME) for each in texts]


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations_with_replacement(ALL, 2)), ids=str)
def test_doors_overlap_if_they_lead_to_one_storage(one: tuple[int, Door], other: tuple[int, Door]) -> None:
    assert overlap(one[1], other[1]) == overlap(other[1], one[1]) == (one[0] == other[0])


def test_every_protocol_of_ours_with_a_server_behind_it_is_there() -> None:
    """A dump is no storage: what it names is elsewhere."""
    assert {door.protocol for _, door in ALL} - {"mine"} == set(doors.BUILT_IN) - {"dump"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("xroot", "root://h:1094//a"), ("xroot", "root://h:1095//a")),
        (("davs", "davs://h/a"), ("davs", "davs://i/a")),
        (("davs", "davs://h/a"), ("davs", "davs://h/ab")),
        (("s3", "s3://one"), ("s3", "s3://two")),
        (("posix", "/a"), ("mine", "/a")),
    ],
)
def test_doors_of_different_storages_do_not(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert not overlap(Door(*one), Door(*other))


@pytest.mark.parametrize("root", ["davs://[h/a", "nonsense", "davs://h:port/a", "", "srm://h"])
def test_a_root_that_is_none_is_compared_as_text(root: str) -> None:
    assert space(Door("davs", root)).tree
    assert overlap(Door("davs", root), Door("davs", root))
