"""A whole trial, as small as can be: real servers, workers, kills, checks, repairs, and the verdict of its book."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trial.__main__ import run
from trial.book import Kind
from trial.figures import FIGURES, Figures
from trial.page import page

SCALE = 0.0005


@pytest.mark.slow
@pytest.mark.real("xrootd", "rclone", "postgresql", "xrootd python client")
@pytest.mark.timeout(600)
def test_a_small_trial_ends_with_every_damage_found_and_nothing_else_done(tmp_path: Path) -> None:
    found = run(tmp_path, SCALE, Figures(tmp_path, SCALE))
    assert found == []
    document = json.loads((tmp_path / FIGURES).read_text())
    assert set(document["damage"]) == {kind.value for kind in Kind}
    assert all(document["damage"].values())
    for killed in ("a storage killed in copies to it", "a storage killed in a check"):
        assert document["stages"][killed]["in_the_middle"]
    assert page(document).startswith("# The trial, at scale 0.0005\n")
