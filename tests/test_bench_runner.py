"""``python -m bench``: which benches run with how many rows, and what a missed target means.

Method: benches that are made up stand in for the real ones, which take minutes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

import bench.__main__ as runner
from bench.row import Row


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, int]]:
    seen: list[tuple[str, int]] = []
    monkeypatch.setattr(runner, "HERE", tmp_path)
    monkeypatch.setattr(runner, "ROWS", {"one": 10, "two": 20})
    monkeypatch.delenv("BENCH_ROWS", raising=False)
    for name, ratio in {"one": 5.0, "two": 0.5}.items():
        module = ModuleType(f"bench.{name}")

        def run(workdir: Path, rows: int, name: str = name, ratio: float = ratio) -> list[Row]:
            assert workdir.is_dir()
            seen.append((name, rows))
            return [Row(f"{name} [fast]", "1 s", "5 s", ratio, 1.0), Row("shown only", "1 MB", "", None)]

        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"bench.{name}", module)
    return seen


def test_all_run_with_their_own_rows_and_a_missed_target_fails(calls: list[tuple[str, int]], tmp_path: Path):
    assert runner.main([]) == 1
    assert calls == [("one", 10), ("two", 20)]
    (kept,) = (tmp_path / "out").iterdir()
    results = json.loads(kept.read_text())["results"]
    assert [row["ok"] for row in results["one"] + results["two"]] == [True, True, False, True]


def test_one_runs_with_the_rows_asked_for(
    calls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("BENCH_ROWS", "7")
    assert runner.main(["one"]) == 0
    assert calls == [("one", 7)]
    assert "one [fast]" in capsys.readouterr().out


def test_an_unknown_bench_is_refused(calls: list[tuple[str, int]]):
    with pytest.raises(SystemExit):
        runner.main(["three"])
    assert calls == []
