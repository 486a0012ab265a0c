"""The ways through the code in docs/ways/ name files that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WAYS = sorted((ROOT / "docs/ways").glob("*.md"))
NAMED = re.compile(r"`([a-z_]+(?:/[a-z_]+)*/(?:[a-z_]+\.py)?)`")


def test_there_are_ways():
    assert WAYS


@pytest.mark.parametrize("page", WAYS, ids=lambda page: page.name)
def test_the_files_of_a_way_are_there(page: Path):
    named = NAMED.findall(page.read_text().replace("src/holdfast/", ""))
    assert len(named) >= 5
    assert [name for name in named if not (ROOT / "src/holdfast" / name).exists()] == []
