"""PFN rules: forth, back, and never out of the root."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model import names, pfn
from holdfast.model.errors import BadInput, InvalidName
from holdfast.model.pfn import PfnRules, RewriteStep
from holdfast.testing import strategies as ours

NONE = PfnRules()
PREFIX = PfnRules.prefix("/store", "/pnfs/x/store")
CHAINS = PfnRules(
    chains=(
        (RewriteStep(r"/store/(temp|user)/(.*)", "/scratch/{0}/{1}"),),
        (RewriteStep(r"/store/(.*)", "/data/{0}"), RewriteStep(r"/data/([^/]+)/(.*)", "/data/{0}.d/{1}")),
    ),
    inverse=(
        (RewriteStep(r"/scratch/(temp|user)/(.*)", "/store/{0}/{1}"),),
        (RewriteStep(r"/data/([^/]+)\.d/(.*)", "/store/{0}/{1}"),),
    ),
)


@pytest.mark.parametrize(
    ("rules", "lfn", "path"),
    [
        (NONE, "/a/b", "/a/b"),
        (PREFIX, "/store/a", "/pnfs/x/store/a"),
        (PREFIX, "/store", None),
        (PREFIX, "/stored/a", None),
        (PREFIX, "/other/a", None),
        (PfnRules.prefix("", "/x{y}"), "/a{b}", "/x{y}/a{b}"),
        (PfnRules.prefix("/a.b", ""), "/a.b/c", "/c"),
        (PfnRules.prefix("/a.b", ""), "/aXb/c", None),
        (CHAINS, "/store/temp/a/b", "/scratch/temp/a/b"),
        (CHAINS, "/store/data/a/b", "/data/data.d/a/b"),
        (CHAINS, "/store/a", None),
    ],
)
def test_forth_and_back(rules: PfnRules, lfn: str, path: str | None) -> None:
    pfn.check(rules)
    assert pfn.path_of(rules, lfn) == path
    if path is not None:
        assert pfn.lfn_of(rules, path) == lfn
        assert pfn.may_have_lfn(rules, path)


def test_the_first_chain_that_fits_wins() -> None:
    rules = PfnRules(((RewriteStep("/a/(.*)", "/first/{0}"),), (RewriteStep("/(.*)", "/second/{0}"),)))
    assert pfn.path_of(rules, "/a/x") == "/first/x"
    assert pfn.path_of(rules, "/b/x") == "/second/b/x"


def test_a_pattern_matches_the_whole_text() -> None:
    rules = PfnRules(((RewriteStep("/a", "/b"),),))
    assert pfn.path_of(rules, "/a") == "/b"
    assert pfn.path_of(rules, "/a/c") is None
    assert pfn.path_of(rules, "/x/a") is None


def test_a_group_that_took_no_part_is_empty() -> None:
    rules = PfnRules(((RewriteStep("/a(/b)?(/.*)", "/x{0}{1}"),),))
    assert pfn.path_of(rules, "/a/c") == "/x/c"


@pytest.mark.parametrize("template", ["/x/../{0}", "x/{0}", "/x//{0}", "/x/{0}/", "", "/x\n{0}", "/x/{0}" + "y" * 300])
def test_no_rule_leads_out_of_the_root(template: str) -> None:
    rules = PfnRules(((RewriteStep("/(.*)", template),),))
    with pytest.raises(InvalidName, match="the PFN rules make"):
        pfn.path_of(rules, "/a")


@given(rules=ours.pfn_rules(), lfn=ours.lfns())
def test_what_comes_out_is_a_plain_path_that_leads_back(rules: PfnRules, lfn: str) -> None:
    try:
        path = pfn.path_of(rules, lfn)
    except InvalidName:
        return  # Longer than a path may be.
    if path is not None:
        assert str(names.lfn(path)) == path
        assert pfn.lfn_of(rules, path) == lfn
        assert pfn.pfn_of("root://host//", rules, lfn) == f"root://host{path}"


@given(rules=st.sampled_from([NONE, PREFIX, CHAINS]), text=ours.hostile_text())
def test_going_back_from_anywhere_never_raises(rules: PfnRules, text: str) -> None:
    for path in (text, f"/pnfs/x/store/{text}", f"/scratch/temp/{text}", f"/data/a.d/{text}"):
        lfn = pfn.lfn_of(rules, path)
        if lfn is None:
            continue
        assert pfn.path_of(rules, lfn) == path
        assert pfn.may_have_lfn(rules, path)


def test_going_back_counts_only_if_going_forth_leads_to_the_path() -> None:
    liar = PfnRules(((RewriteStep("/a(/.*)", "/x{0}"),),), ((RewriteStep("/(.*)", "/a/{0}"),),))
    assert pfn.lfn_of(liar, "/x/f") is None
    assert pfn.may_have_lfn(liar, "/x/f")


def test_without_an_inverse_any_path_may_have_an_lfn() -> None:
    one_way = PfnRules(((RewriteStep("/a(/.*)", "/x{0}"),),))
    for path in ("/x/f", "/entirely/else"):
        assert pfn.lfn_of(one_way, path) is None
        assert pfn.may_have_lfn(one_way, path)


def test_with_an_inverse_other_paths_are_nobodys() -> None:
    assert not pfn.may_have_lfn(PREFIX, "/entirely/else")
    assert not pfn.may_have_lfn(CHAINS, "/data/plain/f")


def test_a_path_that_is_no_lfn_is_not_its_own() -> None:
    for path in ("", "a", "/a/../b", "/a\nb", "/a/"):
        assert pfn.lfn_of(NONE, path) is None
        assert pfn.may_have_lfn(NONE, path)


@pytest.mark.parametrize(
    "step",
    [
        RewriteStep("(", "{0}"),
        RewriteStep("(.*)", "{1}"),
        RewriteStep("(.*)", "{name}"),
        RewriteStep("(.*)", "{0"),
        RewriteStep(".*", "{0}"),
        RewriteStep("(?P<a>.*", "x"),
    ],
    ids=repr,
)
def test_rules_that_cannot_work_are_refused(step: RewriteStep) -> None:
    for rules in (PfnRules(((step,),)), PfnRules(inverse=((step,),))):
        with pytest.raises(BadInput, match="PFN rule"):
            pfn.check(rules)
    with pytest.raises(BadInput, match="empty"):
        pfn.check(PfnRules(((),)))


@pytest.mark.parametrize("root", ["/x", "/x/", "/x//"])
def test_root_and_path_are_joined_by_one_slash(root: str) -> None:
    assert pfn.pfn_of(root, NONE, "/a/b") == "/x/a/b"
    assert pfn.pfn_of(root, PREFIX, "/a/b") is None


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (PfnRules(), True),
        (PfnRules.prefix("/store", "/pnfs/site.a/{x}"), True),
        (PfnRules.prefix("", "/data"), True),
        (PfnRules.prefix("/store", ""), True),
        (PfnRules(chains=((RewriteStep("/store/.*(/.*)", "{0}"),),)), False),
        (PfnRules(chains=((RewriteStep("(/.*)", "/same"),),)), False),
        (PfnRules(chains=((RewriteStep("/a(/.*)", "{0}"),), (RewriteStep("/b(/.*)", "{0}"),))), False),
        (PfnRules(chains=((RewriteStep("/[ab](/.*)", "{0}"),),)), False),
        (PfnRules(chains=((RewriteStep("/a|/b(/.*)", "{0}"),),)), False),
    ],
)
def test_only_rules_that_surely_never_give_one_path_twice_are_one_to_one(rules: PfnRules, expected: bool) -> None:
    assert pfn.is_one_to_one(rules) is expected


@pytest.mark.parametrize(
    ("rules", "n_bytes"),
    [
        (PfnRules(), 0),
        (PfnRules.prefix("/data", "/a"), 0),
        (PfnRules.prefix("/data", ""), 0),
        (PfnRules.prefix("/data", "/\u00e9/much/longer"), 10),
        (PfnRules.prefix("", "/pool"), 5),
        (PfnRules.prefix("/data", "pool"), None),
        (PfnRules.prefix("/data", "/pool/"), None),
        (PfnRules.prefix("/data", "/../pool"), None),
        (PfnRules(((RewriteStep("/(.*)", "/x/{0}"),),)), None),
    ],
)
def test_how_much_longer_a_path_may_be_than_its_lfn(rules: PfnRules, n_bytes: int | None) -> None:
    assert pfn.bytes_added(rules) == n_bytes


@given(ours.lfns())
def test_a_trace_ends_where_the_path_does(lfn: str) -> None:
    for rules in (PREFIX, CHAINS):
        tried = pfn.trace(rules, lfn)
        assert [steps[-1].result for steps in tried[:-1]] == [None] * (len(tried) - 1)
        assert tried[-1][-1].result == pfn.path_of(rules, lfn)
        for steps in tried:
            assert steps[0].text == lfn
            for before, after in pairwise(steps):
                assert before.result == after.text


def test_a_trace_names_the_captures() -> None:
    first, second = pfn.trace(CHAINS, "/store/data/a/b")
    assert (first[0].captures, first[0].result) == (None, None)
    assert [(step.captures, step.result) for step in second] == [
        (("data/a/b",), "/data/data/a/b"),
        (("data", "a/b"), "/data/data.d/a/b"),
    ]
