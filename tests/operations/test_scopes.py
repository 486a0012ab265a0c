"""Scopes are sets of files, however they are written. Method: compared with plain sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import Block, BlockFiles
from holdfast.operations.requesting import scopes

DATASET = DatasetKey("/sky/survey", "1")
N_FILES = dict.fromkeys("abc", 4)
BLOCKS = [Block(BlockKey(DATASET, name), n_files=4, size=4) for name in "abc"]

drawn = st.lists(
    st.builds(BlockFiles, st.sampled_from("abc"), st.none() | st.lists(st.integers(0, 3), max_size=5).map(tuple)),
    max_size=5,
)


def files_of(scope: list[BlockFiles] | tuple[BlockFiles, ...]) -> set[tuple[str, int]]:
    return {
        (part.block, ordinal) for part in scope for ordinal in (range(4) if part.ordinals is None else part.ordinals)
    }


def plain(files: scopes.Files) -> set[tuple[str, int]]:
    return {(block, ordinal) for block, some in files.items() for ordinal in some}


@given(drawn)
def test_the_normal_form_keeps_the_files(scope: list[BlockFiles]) -> None:
    normal = scopes.normal(BLOCKS, scope)
    assert files_of(normal) == files_of(scope)
    assert scopes.normal(BLOCKS, normal) == normal
    assert all(part.ordinals is None or 0 < len(part.ordinals) < 4 for part in normal)


@given(drawn, drawn)
def test_sets_of_files_are_sets(first: list[BlockFiles], second: list[BlockFiles]) -> None:
    one, other = scopes.files_of(first, N_FILES), scopes.files_of(second, N_FILES)
    assert plain(one) == files_of(first)
    assert scopes.count(one) == len(files_of(first))
    assert plain(scopes.without(one, other)) == files_of(first) - files_of(second)
    assert plain(scopes.common(one, other)) == files_of(first) & files_of(second)
    assert all(scopes.without(one, other).values())
    greater, lesser = scopes.normal(BLOCKS, first), scopes.normal(BLOCKS, second)
    assert scopes.covers(greater, lesser) == (files_of(first) >= files_of(second))


def test_blocks_that_are_not_there_have_no_files() -> None:
    assert scopes.files_of([BlockFiles("z")], N_FILES) == {}
