"""Planted bugs: each is a patch that applies to the source as it is, and the simulator finds it by the rules it names.

The seed in a patch's heading is tried first, because it is quick; if another change has moved it, all are. Here that is
done for those that nothing may ever let pass; ``make simulate-mutants``, and ``make soak``, do it for all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.soak import only_in_soak
from tools import mutants
from tools.mutants import Mutant

ALL = {mutant.name: mutant for mutant in mutants.mutants()}
ALWAYS = (
    "acknowledges_before_commit",
    "deletes_before_the_gate",
    "forgets_locks",
    "reuses_a_position",
    "trusts_an_empty_listing",
    "counts_what_is_to_go",
)
INVARIANTS = Path(__file__).parents[2] / "docs" / "invariants.md"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("name", ALL)
def test_every_patch_applies_and_names_known_rules(name: str) -> None:
    mutant = ALL[name]
    with mutants.planted(mutant) as source:
        changed = [path for path in _sources(source) if path.read_bytes() != _original(source, path).read_bytes()]
    assert changed
    known = {line.split("|")[1].strip() for line in INVARIANTS.read_text().splitlines() if line.startswith("| ")}
    assert mutant.rules - {"end"} <= known
    assert mutant.rules


@pytest.mark.parametrize("name", [name for name in ALL if name in ALWAYS])
def test_what_must_never_pass_is_found(name: str) -> None:
    _require_found(ALL[name])


@only_in_soak
@pytest.mark.parametrize("name", [name for name in ALL if name not in ALWAYS])
def test_all_others_are_found(name: str) -> None:
    _require_found(ALL[name])


def test_those_that_must_never_pass_are_there() -> None:
    assert set(ALWAYS) <= ALL.keys()


def test_a_bug_that_is_none_is_not_found(tmp_path: Path) -> None:
    """The command can fail: a patch that changes nothing but a docstring breaks no rule."""
    harmless = _patch(tmp_path, "-CLAIM_FILES = 7\n+CLAIM_FILES = 6\n")
    found = mutants.find(harmless, steps=2, seeds_max=1)
    assert not found.is_right
    assert "not within 1 seeds" in found.told


def test_a_patch_that_no_longer_applies_has_failed(tmp_path: Path) -> None:
    found = mutants.find(_patch(tmp_path, "-CLAIM_FILES = 70\n+CLAIM_FILES = 6\n"))
    assert not found.is_right
    assert "the patch does not apply" in found.problem


def _patch(folder: Path, change: str) -> Mutant:
    place = "src/holdfast/testing/amounts.py"
    line = next(
        number
        for number, text in enumerate(Path(mutants.ROOT, place).read_text().splitlines(), 1)
        if "CLAIM_FILES =" in text
    )
    path = folder / "harmless.patch"
    path.write_text(f"Nothing.\nRules: S1\nSeed: 0\n\n--- a/{place}\n+++ b/{place}\n@@ -{line} +{line} @@\n{change}")
    return mutants.read(path)


def _require_found(mutant: Mutant) -> None:
    found = mutants.find(mutant)
    assert found.is_right, found.told


def _sources(source: Path) -> list[Path]:
    return sorted(source.rglob("*.py"))


def _original(source: Path, path: Path) -> Path:
    return mutants.ROOT / "src" / path.relative_to(source)
