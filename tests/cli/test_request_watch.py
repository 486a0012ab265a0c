"""Watching requests: lines where there is no terminal, a table where there is one, until all is over.

Method: what is looked at, the waiting and the clock are invented.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from holdfast.cli import request_watch
from holdfast.model.names import DatasetKey
from holdfast.model.records import CopyRequest, RequestState
from holdfast.operations.batch import BatchState, QueuedRequest, RequestKind
from holdfast.operations.batches.counting import FileCounts
from holdfast.operations.showing.overview import RequestStatus

DATASET = DatasetKey("/sky/survey", "1")
REQUEST = CopyRequest("0123456789abcdef", DATASET, "B", (), owner="me")
QUEUED = QueuedRequest(
    number=1,
    id=REQUEST.id,
    kind=RequestKind.COPY,
    dataset=DATASET,
    site="B",
    owner="me",
    priority=3,
    deadline_us=None,
    created_us=0,
    plan=0,
    planned_to="",
    is_planned=True,
    n_files=10,
    size=1_000_000,
    n_done=0,
    size_done=0,
    n_found=0,
    on_hold="",
    is_closed=False,
)


def at(n_done: int, **changes: Any) -> RequestStatus:
    queued = replace(QUEUED, n_done=n_done, size_done=100_000 * n_done)
    counts = FileCounts({BatchState.ACTIVE: 10 - n_done}, {BatchState.ACTIVE: 100_000 * (10 - n_done)})
    return replace(RequestStatus(REQUEST, RequestKind.COPY, queued, counts, n_workers=1), **changes)


DONE = at(10, request=replace(REQUEST, state=RequestState.DONE, detail="10 files"), counts=FileCounts())


def watch(*looks: Sequence[RequestStatus]) -> tuple[Sequence[RequestStatus], list[float]]:
    """What is seen last, and how long was waited between looks, of which each takes ten seconds."""
    left, slept, seconds = list(looks), list[float](), iter(range(0, 1000, 10))
    last = request_watch.watch(
        lambda: left.pop(0),
        clock=lambda: 0,
        interval_s=2.5,
        sleep=slept.append,
        monotonic=lambda: float(next(seconds)),
    )
    assert left == []
    return last, slept


def test_lines_are_of_changes_only(capsys: pytest.CaptureFixture[str]) -> None:
    last, slept = watch([at(0)], [at(4)], [at(4)], [DONE])
    assert last[0].request.state is RequestState.DONE
    assert slept == [2.5] * 3
    assert capsys.readouterr().out.splitlines() == [
        "0123456789ab /sky/survey#1 at B: active, 0 of 10 files",
        "0123456789ab /sky/survey#1 at B: active, 4 of 10 files",
        "0123456789ab /sky/survey#1 at B: done, 10 of 10 files: 10 files",
    ]


def test_the_rate_is_measured_over_a_while() -> None:
    rates = request_watch._Rates()
    seen = [rates.measured(at(n_done), 10.0 * place).rate_bytes_s for place, n_done in enumerate((0, 1, 5, 5, 5, 5, 5))]
    assert seen[:3] == [None, 10_000, 25_000]
    assert seen[3] == pytest.approx(500_000 / 30)
    assert seen[4] == pytest.approx(400_000 / 30)
    assert seen[6] is None  # Nothing has moved for half a minute.


def test_the_total_is_of_what_is_open() -> None:
    fast = at(4, rate_bytes_s=60_000.0)
    assert request_watch.total([fast, DONE]) == "1 of 2 requests over, 14 of 20 files, 600.0 kB left, 60.0 kB/s"


def test_a_terminal_shows_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    watch([at(4)], [DONE])
    said = capsys.readouterr().out
    assert "0123456789ab" in said
    assert "1 of 1 request over, 10 of 10 files" in said
