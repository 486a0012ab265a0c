"""Lists of protected paths: which are believed, and what a source that is not to be believed stops.

Method: lists as bytes; sources that change their mind in a small world.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cleaning_world import AREA, ELSEWHERE, Told, World
from hypothesis import given
from hypothesis import strategies as st

from holdfast.consistency.cleaning.protecting import lists
from holdfast.consistency.cleaning.protecting.lists import Belief, NotBelieved
from holdfast.consistency.cleaning.protecting.protected import Protected
from holdfast.consistency.cleaning.protecting.remembered import Remembered
from holdfast.model import pfn
from holdfast.model.errors import PeerError

NO_RULES = pfn.PfnRules()
MANY = [f"{AREA.path}/run{number}" for number in range(10)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    found.put(f"{AREA.path}/old")
    return found


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"/a/b\n/c\n", ""),
        (b"/a/b/\r\n\r\n/c///\r\n", ""),
        (b'["/a/b", "/c"]', ""),
        (b' \n[ "/a/b",\n"/c/" ]\n', ""),
        (b'{"result": ["/a/b", "/c"], "more": 1}', "result"),
    ],
)
def test_lists_as_lines_and_as_json(data: bytes, key: str) -> None:
    assert lists.parse(data, key=key) == ("/a/b", "/c")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"/a\nb/c\n", "entry 2 of the list is no absolute path"),
        (b"/a\n/b/../c\n", "entry 2"),
        (b"/a//b\n", "entry 1"),
        (b"/a\x00\n", "entry 1"),
        (b"# comment\n", "entry 1"),
        (b"/a\n/b/c", "breaks off"),
        (b"/a\xff\n", "not UTF-8, at byte 2"),
        (b"<!DOCTYPE html><html>/a\n</html>\n", "web page"),
        (b"\xef\xbb\xbf \n<html>", "web page"),
        (b'["/a", 3]', "entry 2 of the list is no text but 3"),
        (b'["/a", null]', "entry 2"),
        (b'["/a", "b"]', "entry 2"),
        (b'["/a", "/b"', "no JSON"),
        (b'["/a"] and more', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"error": "try later"}', "a JSON object, and not a list"),
        (b"/" + b"x" * 300 + b"\n", "entry 1"),
        (b"/a\n/b/* \n", "entry 2 of the list is a pattern"),
        (b'["/a*"]', "entry 1 of the list is a pattern"),
        (b"/a \n", "entry 1 of the list is a path with blanks around it"),
    ],
)
def test_one_wrong_entry_makes_the_whole_list_wrong(data: bytes, said: str) -> None:
    with pytest.raises(NotBelieved, match=said):
        lists.parse(data)


@pytest.mark.parametrize("text", ['{"result": {"a": 1}}', '{"result": null}', '{"other": ["/a"]}'])
def test_a_key_has_to_have_a_list(text: str) -> None:
    with pytest.raises(NotBelieved):
        lists.parse(text.encode(), key="result")


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_list_of_absolute_paths_or_not_believed(data: bytes) -> None:
    try:
        found = lists.parse(data)
    except NotBelieved as error:
        said, found = str(error), ()
    else:
        said = ""
    assert "\n" not in said
    assert all(path.startswith("/") for path in found)


@given(st.lists(st.from_regex(r"(/[a-z]{1,3}){1,3}", fullmatch=True), min_size=1))
def test_both_forms_say_the_same(paths: list[str]) -> None:
    lines = "".join(f"{path}\n" for path in paths).encode()
    assert lists.parse(lines) == lists.parse(json.dumps(paths).encode()) == tuple(paths)


def test_which_lists_are_judged_as_whole() -> None:
    lists.judge(("/a", "/b"), None, Belief())
    lists.judge(("/a", "/b"), 4, Belief())
    lists.judge(("/a", "/a"), 1, Belief())
    for paths, before, said in [
        ((), None, "empty"),
        (("/a",), 3, "has 1 paths, and had 3 before"),
        (("/a", "/a", "/a"), None, "of 3 entries only 1 are different"),
    ]:
        with pytest.raises(NotBelieved, match=said):
            lists.judge(paths, before, Belief())


def test_at_below_and_above_a_protected_path() -> None:
    protected = Protected(["/a/b", "/c"], NO_RULES)
    assert protected.reason("/a/b") == "protected"
    assert protected.reason("/a/b/x/y") == "protected with /a/b"
    assert protected.reason("/a") == "something below it is protected"
    assert protected.reason("/") == "something below it is protected"
    assert [protected.reason(path) for path in ("/a/bc", "/a/x", "/cc", "/b")] == ["", "", "", ""]


def test_a_protected_root_protects_everything() -> None:
    assert Protected(["/"], NO_RULES).reason("/x/y") == "protected with /"


def test_rules_give_a_second_meaning_and_take_none_away() -> None:
    protected = Protected(["/store/x"], pfn.PfnRules.prefix("/store", "/cms/store"))
    assert protected.reason("/cms/store/x/f")
    assert protected.reason("/store/x/f")
    assert not protected.reason("/cms/x")


@pytest.mark.parametrize(
    "entry", ["/store/unmerged", "/store", "/", "/store/unmerged/run1", "/store/unmerged/run1/f/g"]
)
def test_rules_that_begin_below_an_entry_do_not_lose_it(entry: str) -> None:
    protected = Protected([entry], pfn.PfnRules.prefix("/store/unmerged", "/cms/unm"))
    assert protected.reason("/cms/unm/run1/f")


# ---- what a source stops --------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        [[]],
        [[ELSEWHERE], []],
        [PeerError("away")],
        [[ELSEWHERE], PeerError("away")],
        [MANY, MANY[:4]],
        [["/another/area"]],
        [[ELSEWHERE], ["/another/area"]],
    ],
)
def test_a_source_that_is_not_to_be_believed_stops_everything(
    world: World, answers: list[list[str] | PeerError]
) -> None:
    with pytest.raises(PeerError):
        world.clean(source=Told(list(answers)))
    assert world.asked() == []


def test_of_several_sources_one_is_enough_to_stop_everything(world: World) -> None:
    good, bad = Told([[ELSEWHERE]], "good"), Told([[]], "bad")
    with pytest.raises(NotBelieved, match="bad: the list of protected paths is empty"):
        world.clean_by([good, bad])
    assert world.asked() == []


def test_what_any_of_several_sources_names_is_protected(world: World) -> None:
    for name in "ab":
        world.put(f"{AREA.path}/{name}")
    world.clean_by([Told([[f"{AREA.path}/{name}"]], name) for name in "ab"])
    assert world.asked() == [f"{AREA.path}/old"]


def test_a_list_far_smaller_than_the_last_time_is_not_believed(world: World) -> None:
    world.clean(*MANY)
    with pytest.raises(NotBelieved, match=r"has 4 paths, and had 10 before.*--despite-shrunk"):
        world.clean(*MANY[:4])
    world.clean(*MANY[:5])
    assert Remembered(world.store).lengths("away") == {"told": 5}


def test_somebody_may_say_that_the_smaller_list_is_right(world: World) -> None:
    world.clean(*MANY)
    world.clean(*MANY[:1], despite_shrunk=True)
    assert Remembered(world.store).lengths("away") == {"told": 1}
    with pytest.raises(NotBelieved):  # But not that it shrinks while the areas are listed.
        world.clean(source=Told([MANY, MANY[:1]]), despite_shrunk=True)


def test_a_dry_run_remembers_no_length(world: World) -> None:
    world.clean(*MANY, dry_run=True)
    assert Remembered(world.store).lengths("away") == {}


def test_each_source_of_each_site_is_remembered_by_itself(world: World) -> None:
    remembered = Remembered(world.store)
    remembered.keep("A", {"x": 1, "y": 2}, at_us=1)
    remembered.keep("B", {"x": 5}, at_us=1)
    remembered.keep("A", {"x": 3}, at_us=2)
    assert (remembered.lengths("A"), remembered.lengths("B")) == ({"x": 3, "y": 2}, {"x": 5})
