"""The bench of the planner at a small size: everything that is asked for is assigned, and all figures are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import planner


@pytest.mark.slow
def test_small_figures_are_only_shown(tmp_path: Path) -> None:
    rows = planner.run(tmp_path, 2_000)
    assert len(rows) == 6
    assert all(row.ok and not row.wanted for row in rows)
    assert rows[0].what == "2,000 files planned and assigned"
    assert rows[0].ratio is not None
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tmp")] == []
