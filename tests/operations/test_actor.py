"""The cause that the journal gives where it followed from requests: each of them by its kind."""

from __future__ import annotations

import pytest

from holdfast.operations.actor import NAMED_MAX, cause_of
from holdfast.operations.batch import QueuedRequest, RequestKind


def queued(id: str, kind: RequestKind) -> QueuedRequest:
    return QueuedRequest(1, id, kind, None, "A", "me", 3, None, 0, 0, "", True, 1, 1, 0, 0, 0, "", False)


COPY = queued("c1", RequestKind.COPY)
REPLICAS, ORPHANS = queued("d1", RequestKind.REPLICAS), queued("d2", RequestKind.ORPHANS)


@pytest.mark.parametrize(
    ("requests", "cause"),
    [
        ([COPY], "copy c1"),
        ([COPY, COPY], "copy c1"),
        ([REPLICAS, COPY, REPLICAS], "deletion d1, copy c1"),
        ([COPY, ORPHANS], "copy c1, deletion d2"),
    ],
)
def test_each_request_is_named_by_its_kind(requests: list[QueuedRequest], cause: str) -> None:
    assert cause_of(requests) == cause


def test_of_many_requests_some_are_named() -> None:
    many = [queued(f"c{number}", RequestKind.COPY) for number in range(NAMED_MAX + 2)]
    assert cause_of(many[:NAMED_MAX]) == "copy c0, copy c1, copy c2, copy c3"
    assert cause_of(many) == "copy c0, copy c1, copy c2, copy c3 and 2 more"
