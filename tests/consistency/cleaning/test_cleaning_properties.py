"""Whatever lies in an area: what is protected, young, registered or not listed is never named, all else is.

Method: random trees, ages, protected lists, registered files, failing directories
and directories that are not entered; what should go is told by a plain oracle.
"""

from __future__ import annotations

from cleaning_world import AREA, ELSEWHERE, Told, World
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.consistency.cleaning.areas import DAY_S, Area, is_at_or_below
from holdfast.consistency.cleaning.protecting.lists import Belief
from holdfast.model import names
from support import fast_folder, soak

TOP = AREA.path
CLEANED = Area(TOP, 28 * DAY_S, (f"{TOP}/l",), 60 * DAY_S, (f"{TOP}/*/n",))

component = st.sampled_from(["a", "b", "l", "n", "a b", "ü", "%", "a\\"])
path = st.lists(component, min_size=1, max_size=4).map(lambda parts: "/".join([TOP, *parts]))
days = st.sampled_from([0.0, 27.9, 28.1, 59.0, 61.0, 400.0])


@st.composite
def trees(draw: st.DrawFn) -> tuple[dict[str, float], dict[str, float]]:
    """Files and empty directories with their ages in days, of which none lies below a file."""
    files: dict[str, float] = {}
    directories: dict[str, float] = {}
    for each in draw(st.lists(path, min_size=5, max_size=40)):
        if not any(is_at_or_below(one, other) for other in files for one in (each,)) and not any(
            is_at_or_below(other, each) for other in {**files, **directories}
        ):
            kind = files if draw(st.booleans()) else directories
            kind[each] = draw(days)
    return files, {each: age for each, age in directories.items() if not any(is_at_or_below(each, x) for x in files)}


# Few examples of much each: a cleaning asks databases, whatever there is to clean.
@settings(max_examples=soak.examples(25))
@given(
    trees(),
    st.lists(path, max_size=3, unique=True),
    st.lists(path, max_size=3, unique=True),
    st.lists(path, max_size=2),
    st.sets(st.integers(0, 20), max_size=4),
)
def test_exactly_what_may_go_is_asked_to_go(
    tree: tuple[dict[str, float], dict[str, float]],
    before: list[str],
    after: list[str],
    failing: list[str],
    registered: set[int],
) -> None:
    files, directories = tree
    protected = (before or [ELSEWHERE], after or [ELSEWHERE])
    with fast_folder.fast_folder() as folder:
        world = World(folder)
        for each, age in files.items():
            world.put(each, each.encode(), days=age)
        for each, age in directories.items():
            world.make(each, days=age)
        ours = {each: each.encode() for number, each in enumerate(sorted(files)) if number in registered}
        if ours:
            world.register("ours", ours)
        for each in failing:
            if each not in files:
                world.away.fail_directory(each)
        if world.away.tree.has(TOP):
            world.clean(areas=[CLEANED], source=Told(list(protected)), belief=Belief(shrunk_max=1.0))
        asked = set(world.asked())

    def may_go(each: str, age: float) -> bool:
        is_named = any(is_at_or_below(each, p) or is_at_or_below(p, each) for p in (*protected[0], *protected[1]))
        is_hidden = any(is_at_or_below(each, f) for f in failing if f not in files)
        components = each.removeprefix(f"{TOP}/").split("/")
        is_file = each in files
        is_skipped = len(components) - is_file >= 2 and components[1] == "n"
        is_old = age > (60 if is_at_or_below(each, f"{TOP}/l") else 28)
        return is_old and not (is_named or is_hidden or is_skipped)

    assert {each for each in asked if each in files} == {
        each for each, age in files.items() if may_go(each, age) and each not in ours
    }
    every = {above: 0.0 for above in directories for above in _up_to_top(above)}
    assert asked - files.keys() <= every.keys()
    for each in every:
        things = [one for one in (*files, *directories) if one != each and is_at_or_below(one, each)]
        if each in asked:
            assert not [one for one in files if is_at_or_below(one, each)]
            assert all(one in asked for one in things)
            assert not any(is_at_or_below(each, lfn) or is_at_or_below(lfn, each) for lfn in ours)
    for each, age in directories.items():
        is_innermost = not any(one != each and is_at_or_below(one, each) for one in (*files, *directories))
        if is_innermost and not any(is_at_or_below(lfn, each) for lfn in ours):
            assert (each in asked) == may_go(each, age), each


def _up_to_top(directory: str) -> list[str]:
    found = []
    while directory != TOP:
        found.append(directory)
        directory = names.split(directory)[0]
    return found
