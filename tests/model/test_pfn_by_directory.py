"""PFNs by directory are the PFNs of ``pfn_of``, whatever the rules; and for common rules the short way is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import pfn
from holdfast.model.errors import InvalidName
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.model.pfn_by_directory import ByDirectory, slashes_needed
from holdfast.model.records import Door

ROOT = "davs://door.example:443/top/"
PROVED = [
    ("/store(/.*)", "/pool{0}"),
    ("/store/(.*)", "/pool/{0}"),
    ("/store/(mc|data)/([^/]+)/(.*)", "/{1}/{0}/{2}"),
    ("/(.*)/([^/]+)", "/deep/{0}/{1}"),
    ("/.*/([^/]+)", "/flat/{0}"),
    ("/a/([^/]+)(.*)", "/b/{0}{1}"),
    ("/a/([a-z0-9]+)/(.+)", "/{0}/{1}"),
    (r"/store\.old(/.*)", "/old{0}"),
]
NOT_PROVED = [
    ("(.*)a(.*)", "{0}b{1}"),
    ("/(.*)x(.*)", "/{0}/{1}"),
    ("/([^/]+)/(.*)", "/{1}/{0}"),
    ("/(.*)", "/{0}/{0}"),
    ("(?:/store)?(/.*)", "/x{0}"),
    ("/([+-9]+)(.*)", "/{0}{1}"),
    (r"/(a|/b)(/.*)", "{1}"),
    ("(?=.*root)(/.*)", "/x{0}"),
    ("/(.*)/([^/]+)", "/{1}/{0}/{{1}"),
    ("/(.*)", "/x"),
]
NAMES = st.text("abxr1.-é", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
DIRECTORIES = st.lists(st.sampled_from(["store", "mc", "data", "a", "b1", "store.old", "x"]), max_size=4)


def _rules(*chains: list[tuple[str, str]]) -> PfnRules:
    return PfnRules(tuple(tuple(RewriteStep(*step) for step in chain) for chain in chains))


@pytest.mark.parametrize("step", PROVED)
def test_rules_that_people_write_are_proved(step: tuple[str, str]) -> None:
    assert slashes_needed(_rules([step])) is not None


@pytest.mark.parametrize("step", NOT_PROVED)
def test_rules_that_may_depend_on_the_name_are_not(step: tuple[str, str]) -> None:
    assert slashes_needed(_rules([step])) is None


@given(
    chains=st.lists(st.lists(st.sampled_from(PROVED + NOT_PROVED[:7]), min_size=1, max_size=2), max_size=3),
    parts=DIRECTORIES,
    names=st.lists(NAMES, min_size=1, max_size=4),
)
def test_every_file_gets_the_same_either_way(
    chains: list[list[tuple[str, str]]], parts: list[str], names: list[str]
) -> None:
    rules = _rules(*chains)
    ours = ByDirectory(ROOT, rules)
    directory = "".join(f"/{part}" for part in parts) + "/"
    for name in names:
        try:
            expected = pfn.pfn_of(ROOT, rules, directory + name)
        except InvalidName:
            expected = None
        assert ours.pfn(directory, name) == expected


def test_a_front_that_ends_in_the_name_is_asked_for_each_file() -> None:
    ours = ByDirectory(ROOT, _rules([("/a/([^/]+)(.*)", "/b/{0}{1}")]))
    assert ours.prefix("/a/") is None
    assert ours.prefix("/a/c/") == f"{ROOT}b/c/"
    assert ours.pfn("/a/", "file") == f"{ROOT}b/file"


def test_no_pfn_in_a_whole_directory() -> None:
    ours = ByDirectory(ROOT, _rules([("/store(/.*)", "/pool{0}")]))
    assert ours.prefix("/other/") == ""
    assert ours.pfn("/other/", "file") is None


def test_a_path_that_may_become_too_long_is_looked_at() -> None:
    directory = "/" + "/".join(["d" * 200] * 4) + "/"
    assert ByDirectory(ROOT, _rules([("(/.*)", "/" + "p" * 100 + "{0}")])).prefix(directory) is None


RULES = {
    "none": PfnRules(),
    "prefix": PfnRules.prefix("/data", "/{odd}/path"),
    "no prefix": PfnRules.prefix("", "/all"),
    "flat": _rules([("/data/(.*)/([^/]*)", "/{1}/{0}")], [("(/data/.*)", "{0}")]),
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("root", ["/", "/store/", "root://host:1094//eos"])
def test_they_are_the_pfns_of_the_door(rules: PfnRules, root: str) -> None:
    door, ours = Door("root", root, rules), ByDirectory(root, rules)
    for directory in ("/", "/data/", "/data/a/", "/data/a/b/", "/database/", "/other/"):
        for name in ("x", "é {0}", "n" * 255):
            assert ours.pfn(directory, name) == door.pfn(directory + name)


def test_no_path_is_too_long() -> None:
    ours = ByDirectory("/store", PfnRules.prefix("/a", "/" + "long/" * 150 + "b"))
    assert ours.pfn("/a/", "x" * 255)
    assert ours.pfn("/a" + "/deep" * 10 + "/", "x" * 255) is None
