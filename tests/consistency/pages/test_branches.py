"""Sums by directory as a tree for a page: bounded, and nothing of the sums is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.consistency.pages import branches
from holdfast.consistency.pages.branches import BRANCHES_MAX, LEVELS_MAX, SHARE_MIN, DirectorySum
from holdfast.consistency.pages.model import NOTHING, Amount, Branch, total
from support.soak import examples

NAMES = st.sampled_from(("a", "a-b", "a b", "b", "B", "é", "~", "!"))
PATHS = st.lists(NAMES, max_size=6).map(lambda parts: "/" + "/".join(parts))
ROWS = st.dictionaries(PATHS, st.tuples(st.integers(1, 9), st.sampled_from((0, 1, 50, 10**6))), min_size=1, max_size=40)


def tree(sums: dict[str, tuple[int, int]]) -> Branch:
    """The tree of sums by directory, given as the rule wants them."""
    rows = [DirectorySum(dir, *sums[dir]) for dir in sorted(sums, key=lambda dir: (dir.rstrip("/") + "/").encode())]
    return branches.tree(rows, total(Amount(row.files, row.size) for row in rows))


def everywhere(branch: Branch) -> Iterator[Branch]:
    """A branch and all that are in it."""
    yield branch
    for each in branch.branches:
        yield from everywhere(each)


def below(sums: dict[str, tuple[int, int]], path: str) -> Amount:
    """By the sums alone, what lies at or below a path."""
    prefix = path.rstrip("/") + "/"
    return total(Amount(*found) for dir, found in sums.items() if (dir.rstrip("/") + "/").startswith(prefix))


@given(ROWS)
@settings(max_examples=examples(300), deadline=None)
def test_every_amount_is_what_lies_below(sums: dict[str, tuple[int, int]]):
    root = tree(sums)
    assert root.amount == below(sums, "/")
    for branch in everywhere(root):
        assert branch.amount == below(sums, branch.path)
        assert branch.own == Amount(*sums.get(branch.path, (0, 0)))
        rest = branch.rest.amount if branch.rest else NOTHING
        assert branch.amount == branch.own + total(each.amount for each in branch.branches) + rest
        weights = [each.amount.size or each.amount.files for each in branch.branches]
        assert weights == sorted(weights, reverse=True) or root.amount.size > 0


@given(ROWS)
@settings(max_examples=examples(100), deadline=None)
def test_names_lead_from_the_top_to_each_path(sums: dict[str, tuple[int, int]]):
    def follow(branch: Branch, above: str) -> None:
        path = f"{above.rstrip('/')}/{branch.name}" if above else branch.name
        assert path == branch.path
        for each in branch.branches:
            follow(each, path)

    follow(tree(sums), "")


def test_a_directory_with_but_one_other_in_it_is_shown_with_that():
    root = tree({"/store/mc/run/a": (1, 5), "/store/mc/run/b": (2, 7)})
    assert (root.path, root.name) == ("/store/mc/run", "/store/mc/run")
    assert [(each.name, each.path) for each in root.branches] == [("b", "/store/mc/run/b"), ("a", "/store/mc/run/a")]


def test_a_directory_with_files_of_its_own_is_not_passed_over():
    root = tree({"/": (1, 1), "/store": (1, 1), "/store/mc/run": (1, 1)})
    assert (root.path, root.own) == ("/", Amount(1, 1))
    (store,) = root.branches
    assert [each.name for each in store.branches] == ["mc/run"]


def test_the_largest_are_kept_and_the_rest_is_counted():
    sums = {f"/d{number:03}": (1, 1000 + number) for number in range(100)}
    root = tree(sums)
    assert [each.path for each in root.branches] == [f"/d{number:03}" for number in range(99, 99 - BRANCHES_MAX, -1)]
    assert root.rest is not None
    assert root.rest.directories == 100 - BRANCHES_MAX
    assert root.rest.amount == total(Amount(*sums[f"/d{number:03}"]) for number in range(100 - BRANCHES_MAX))


def test_what_is_nearly_nothing_is_not_kept():
    small = int(10**6 * SHARE_MIN) - 1
    root = tree({"/large": (1, 10**6 - small), "/small": (3, small)})
    assert [each.path for each in root.branches] == ["/large"]
    assert root.rest is not None
    assert (root.rest.directories, root.rest.amount) == (1, Amount(3, small))


def test_empty_files_count_by_their_number():
    root = tree({"/a": (1, 0), "/b": (5, 0)})
    assert [each.path for each in root.branches] == ["/b", "/a"]


def test_names_that_sort_before_the_slash_do_not_tear_a_directory_apart():
    root = tree({"/a": (1, 1), "/a-b": (1, 1), "/a/c": (1, 1), "/a!/c": (1, 1)})
    assert {each.path: each.amount.files for each in root.branches} == {"/a": 2, "/a-b": 1, "/a!/c": 1}


def test_a_tree_of_any_depth_has_an_end():
    deep = "".join(f"/{number}" for number in range(400))
    rows: Sequence[str] = [deep[: place + len(str(number)) + 1] for place, number in _places(deep)]
    root = tree(dict.fromkeys(rows, (1, 10)))
    levels, lowest = 0, root
    while lowest.branches:
        levels, lowest = levels + 1, lowest.branches[0]
    assert levels == LEVELS_MAX
    assert lowest.rest is not None
    assert lowest.amount.files == 400 - LEVELS_MAX


def _places(deep: str) -> Iterator[tuple[int, int]]:
    place = 0
    for number in range(400):
        yield place, number
        place += len(str(number)) + 1
    assert place == len(deep)
