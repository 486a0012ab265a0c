"""WritingBack: every byte of a large file is brought on its way once, whatever becomes of the hint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.storage.posix import writing_back
from holdfast.storage.posix.writing_back import STEP_BYTES, WritingBack

PIECE_BYTES = STEP_BYTES // 3 + 1

Begin = Callable[[int, int, int, int], int]


def calls_of(monkeypatch: pytest.MonkeyPatch, *, returns: int = 0) -> list[tuple[int, int]]:
    """Where the ranges begin that the system is told of, and how long they are."""
    calls: list[tuple[int, int]] = []

    def begin(handle: int, offset: int, count: int, flags: int) -> int:
        calls.append((offset, count))
        return returns

    monkeypatch.setattr(writing_back, "_sync_file_range", lambda: begin)
    return calls


@pytest.mark.parametrize("returns", [0, -1], ids=["done", "refused"])
def test_the_ranges_join_and_overlap_nowhere(returns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(monkeypatch, returns=returns)
    file = WritingBack()
    for _ in range(10):
        file.wrote(7, PIECE_BYTES)
    assert calls == [(number * 3 * PIECE_BYTES, 3 * PIECE_BYTES) for number in range(3)]


def test_a_small_file_is_left_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(monkeypatch)
    WritingBack().wrote(7, STEP_BYTES - 1)
    assert calls == []


def test_nothing_happens_where_there_is_no_such_call(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(writing_back, "_sync_file_range", lambda: asked.append("asked"))
    WritingBack().wrote(-1, 10 * STEP_BYTES)
    assert asked == ["asked"]


def test_the_system_takes_the_hint(tmp_path: Path) -> None:
    begin = writing_back._sync_file_range()
    if begin is None:
        pytest.skip("this system has no such call")
    with (tmp_path / "file").open("wb") as file:
        file.truncate(STEP_BYTES)
        assert begin(file.fileno(), 0, STEP_BYTES, writing_back._WRITE) == 0
    assert begin(-1, 0, STEP_BYTES, writing_back._WRITE) == -1
