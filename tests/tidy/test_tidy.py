"""Every file of the checkout keeps the rules of tests/tidy/rules.py, and every rule can speak."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tidy.rules import RULES, Rule, Source, checkout_files

ROOT = Path(__file__).parents[2]
FILES = checkout_files(ROOT)


def test_there_are_files_to_check():
    paths = {source.path for source in FILES}
    assert {"pyproject.toml", "src/holdfast/__init__.py", "tests/tidy/test_tidy.py"} <= paths
    assert not any(path.startswith((".venv/", ".git/")) for path in paths)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_the_checkout_is_tidy(rule: Rule):
    problems = [f"{source.path}:{problem}" for source in FILES for problem in rule.check(source)]
    assert not problems, "\n".join([rule.check.__doc__ or "", *problems])


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [(rule, *case) for rule in RULES.values() for case in rule.bad],
)
def test_the_rule_speaks_of_what_is_wrong(rule: Rule, path: str, text: str):
    assert list(rule.check(Source(path, text.replace("|", "").encode())))


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [(rule, *case) for rule in RULES.values() for case in rule.good],
)
def test_the_rule_is_silent_on_what_is_right(rule: Rule, path: str, text: str):
    assert not list(rule.check(Source(path, text.replace("|", "").encode())))


def repeated_names(paths: list[str]) -> list[str]:
    """Names of test files that are there twice: pytest would take one for the other."""
    tests = [Path(path).name for path in paths if path.startswith("tests/") and Path(path).name.startswith("test_")]
    return [name for name, count in Counter(tests).items() if count > 1]


def test_test_files_have_names_of_their_own():
    assert repeated_names([source.path for source in FILES]) == []
    assert repeated_names(["tests/a/test_x.py", "tests/b/test_x.py", "src/test_x.py"]) == ["test_x.py"]
