"""``python -m bench``: which benches run with how many rows, and what a missed target means.

Method: benches that are made up stand in for the real ones, which take minutes.
"""

from __future__ import annotations

import json
import subprocess
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
    monkeypatch.setattr(runner, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(runner, "ROWS", {"one": 10, "two": 20})
    monkeypatch.delenv("BENCH_ROWS", raising=False)
    for name, ratio in {"one": 5.0, "two": 0.5}.items():
        module = ModuleType(f"bench.{name}", f"How {name} is measured.\n\nRun by ``make bench``.\n")

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


def test_the_page_has_what_was_measured_how_and_on_what(calls: list[tuple[str, int]], tmp_path: Path):
    assert runner.main(["--write-docs"]) == 1
    text = (tmp_path / "page.md").read_text()
    assert "1 of 2 targets are reached. Missed:\n\n- two [fast]: 0.5, 1\n" in text
    assert "## one\n\n10 files unless a row says otherwise. How one is measured.\n\n" in text
    assert "| one [fast] | 1 s | 5 s | 5 | 1 | reached |\n| shown only | 1 MB |  |  |  |  |\n" in text
    assert "| two [fast] | 1 s | 5 s | 0.5 | 1 | **missed** |" in text
    assert "Run by" not in text
    (kept,) = (tmp_path / "out").iterdir()
    for key, value in json.loads(kept.read_text())["machine"].items():
        assert f"| {key} | {value} |\n" in text


@pytest.mark.parametrize("beside", [["one"], ["--rows", "7"]])
def test_a_page_of_a_part_is_refused(calls: list[tuple[str, int]], beside: list[str], tmp_path: Path):
    with pytest.raises(SystemExit):
        runner.main(["--write-docs", *beside])
    assert calls == []
    assert not (tmp_path / "page.md").exists()


def test_one_that_fails_is_told_and_takes_nothing_from_the_others(
    calls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def fails(workdir: Path, rows: int) -> list[Row]:
        raise RuntimeError("the server is gone")

    monkeypatch.setattr(sys.modules["bench.one"], "run", fails)
    assert runner.main(["--write-docs"]) == 1
    assert calls == [("two", 20)]
    text = (tmp_path / "page.md").read_text()
    assert "- the whole bench: RuntimeError, comes to its end\n" in text
    assert "| two [fast] | 1 s | 5 s | 0.5 | 1 | **missed** |" in text


def test_the_peak_of_a_process_is_not_that_of_its_parent():
    held = bytearray(400 << 20)
    program = "from bench import machine; print(machine.peak_bytes())"
    peak = int(subprocess.check_output([sys.executable, "-c", program]))
    assert len(held) > peak > 1 << 20
