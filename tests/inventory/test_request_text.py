"""Requests as text: what is written is read back as it was, many files take little room, old texts are read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory import request_text
from holdfast.inventory.sql_requests import Decoded
from holdfast.model.names import DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, DeletionRequest, Orphan, Request, RequestState

DATA = DatasetKey("/data/one", "v1")
COPY = CopyRequest("copy", DATA, "A", (BlockFiles("0000"),), 'a "reason"', "physics", owner="me", deadline_us=7)
REMOVAL = DeletionRequest("removal", "B", dataset=DATA, scope=(BlockFiles("0000", (1, 0)),), priority=5)
ORPHANS = DeletionRequest("orphans", "B", (Orphan('/dark/"x"', 1, 2, "v"),), "why", RequestState.DONE, "gone", 9)


def read_back(request: Request) -> Request:
    return request_text.read(request_text.kind_of(request), request_text.written(request))


@pytest.mark.parametrize("request_", [COPY, REMOVAL, ORPHANS], ids=lambda each: each.id)
def test_a_request_is_read_back(request_: Request) -> None:
    assert read_back(request_) == request_
    assert type(read_back(request_)) is type(request_)


@given(st.lists(st.lists(st.integers(0, 300), max_size=200), max_size=3))
def test_a_scope_is_read_back_in_its_order(scope: list[list[int]]) -> None:
    parts = [BlockFiles(f"{place}", tuple(ordinals)) for place, ordinals in enumerate(scope)]
    ordered = [BlockFiles(f"{place}", tuple(sorted(set(ordinals)))) for place, ordinals in enumerate(scope)]
    for request in (replace(COPY, scope=tuple(parts)), replace(REMOVAL, scope=(BlockFiles("x"), *ordered))):
        assert read_back(request) == request


def test_many_files_take_little_room() -> None:
    whole, part = tuple(range(10_000)), tuple(range(0, 10_000, 2))
    request = replace(REMOVAL, scope=(BlockFiles("0000", whole), BlockFiles("0001", part), BlockFiles("0002", (1, 2))))
    assert read_back(request) == request
    assert len(request_text.written(request)) < 6000


def test_ordinals_far_apart_are_no_long_bitmap() -> None:
    request = replace(REMOVAL, scope=(BlockFiles("0000", (*range(100), 2**40)),))
    assert read_back(request) == request
    assert len(request_text.written(request)) < 1000


def test_a_text_of_the_first_release_is_read() -> None:
    copy = (
        '{"id":"copy","dataset":["/data/one","v1"],"site":"A","scope":[{"block":"0000","ordinals":null}],'
        '"reason":"","group":"physics","state":"open","detail":"","created_us":3,"replace":false}'
    )
    expected = CopyRequest("copy", DATA, "A", (BlockFiles("0000"),), group="physics", created_us=3)
    assert request_text.read("copy", copy) == expected
    orphans = '{"id":"o","site":"A","orphans":[{"path":"/d","size":5,"mtime_ns":1,"version":""}],"state":"open"}'
    assert request_text.read("deletion", orphans) == DeletionRequest("o", "A", (Orphan("/d", 5, 1),))


def test_what_is_no_request_is_an_error() -> None:
    for text in ("", "{", "{}", '{"packed":{"0":"ff"},"id":"x"}', request_text.written(COPY)[:-5]):
        with pytest.raises(ValueError, match="validation error"):
            request_text.read("copy", text)


def test_what_was_read_is_kept_while_its_text_is_the_same() -> None:
    known, text = Decoded(), request_text.written(COPY)
    first = known.get("copy", "copy", text)
    assert known.get("copy", "copy", text) is first
    other = replace(COPY, reason="another")
    assert known.get("copy", "copy", request_text.written(other)) == other
    assert known.get("copy", "copy", text) == COPY


def test_what_is_kept_is_bounded() -> None:
    texts = {f"{number}": request_text.written(replace(COPY, id=f"{number}")) for number in range(4)}
    known = Decoded(bytes_max=10 * len(texts["0"]))
    kept = {id: known.get(id, "copy", text) for id, text in texts.items()}
    assert known.get("3", "copy", texts["3"]) is kept["3"]
    again = known.get("0", "copy", texts["0"])
    assert (again == kept["0"], again is kept["0"]) == (True, False)
    assert known.get("0", "copy", texts["0"]) is again


def test_files_that_are_bits_in_the_text_count_as_the_numbers_they_become() -> None:
    requests = [replace(REMOVAL, id=id, scope=(BlockFiles("0000", tuple(range(10_000))),)) for id in "ab"]
    texts = [request_text.written(request) for request in requests]
    known = Decoded(bytes_max=600_000)
    first, last = (known.get(each.id, "deletion", text) for each, text in zip(requests, texts, strict=True))
    assert known.get("b", "deletion", texts[1]) is last
    assert known.get("a", "deletion", texts[0]) is not first
