"""Lost subtrees, roll-up and drill-down: against plain loops over random findings."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from site_trees import LIMITS, NAMES, above_of, components, dirs, findings_table

from holdfast.consistency.classes import Class
from holdfast.consistency.expected import SCHEMA
from holdfast.consistency.findings import Finding
from holdfast.consistency.report import FINDINGS, LostSubtree
from holdfast.consistency.run_folder import EXPECTED
from holdfast.consistency.tree.lost_subtrees import lost_subtrees
from holdfast.consistency.tree.rollup import Rolled, children, rollup
from holdfast.model import names
from holdfast.model.errors import OperatorError
from support.soak import examples

paths = st.builds(names.join, dirs, st.sampled_from(NAMES))


def expected_table(folder: Path, sizes: dict[str, int]) -> None:
    """The table of what was expected, with these paths."""
    rows = [dict(zip(("dir", "name"), names.split(path), strict=True), size=size) for path, size in sizes.items()]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / EXPECTED)


def lost_of(sizes: dict[str, int], missing: Iterable[str], others: Sequence[Finding] = ()) -> list[LostSubtree]:
    """The lost subtrees of a run in which these were expected, and these missing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected_table(folder, sizes)
        found = [Finding(Class.MISSING, path, expected_size=sizes[path]) for path in missing]
        findings_table(folder / FINDINGS, [*found, *others])
        return lost_subtrees(folder, LIMITS)


def lost_oracle(sizes: dict[str, int], missing: set[str]) -> list[LostSubtree]:
    found = []
    directories = {above for path in sizes for above in above_of(path)}

    def below(directory: str) -> list[str]:
        return [path for path in sizes if directory in above_of(path)]

    for directory in directories:
        held = below(directory)
        is_lost = missing.issuperset(held)
        if is_lost and (directory == "/" or not missing.issuperset(below(names.split(directory)[0]))):
            found.append(LostSubtree(directory, len(held), sum(sizes[path] for path in held)))
    return sorted(found, key=lambda each: (-each.size, -each.files, each.path))


@st.composite
def damaged(draw: st.DrawFn) -> tuple[dict[str, int], set[str]]:
    """Sizes of expected files, and which of them are missing: some here and there, or whole directories."""
    sizes = draw(st.dictionaries(paths, st.integers(0, 3), max_size=14))
    gone = set(draw(st.lists(st.sampled_from(sorted(sizes)), max_size=4))) if sizes else set()
    for directory in draw(st.lists(dirs, max_size=3)):
        gone |= {path for path in sizes if directory in above_of(path)}
    return sizes, gone


@settings(max_examples=examples(75))
@given(damaged())
def test_lost_is_the_highest_directory_of_which_all_is_missing(case: tuple[dict[str, int], set[str]]) -> None:
    sizes, missing = case
    assert lost_of(sizes, missing) == lost_oracle(sizes, missing)


def test_a_file_that_is_something_else_than_missing_keeps_its_directory() -> None:
    sizes = {"/a/b/x": 1, "/a/b/y": 2, "/a/c/z": 4}
    suspect = Finding(Class.SUSPECT, "/a/b/y", expected_size=2)
    assert lost_of(sizes, ["/a/b/x", "/a/c/z"], [suspect]) == [LostSubtree("/a/c", 1, 4)]


def test_orphans_in_a_lost_directory_do_not_keep_it() -> None:
    orphan = Finding(Class.ORPHAN, "/a/new", actual_size=9)
    assert lost_of({"/a/x": 1, "/b": 1}, ["/a/x"], [orphan]) == [LostSubtree("/a", 1, 1)]


def test_a_whole_site_that_is_lost_is_the_top() -> None:
    assert lost_of({"/a/x": 1, "/b": 2}, ["/a/x", "/b"]) == [LostSubtree("/", 2, 3)]
    assert lost_of({"/a/x": 1, "/b": 2}, []) == lost_of({}, []) == []


def test_the_largest_are_told_if_there_are_too_many(tmp_path: Path) -> None:
    sizes = {f"/{number}/x": number for number in range(1, 8)}
    expected_table(tmp_path, sizes | {"/there": 1})
    findings_table(tmp_path / FINDINGS, [Finding(Class.MISSING, path) for path in sizes])
    assert [each.path for each in lost_subtrees(tmp_path, LIMITS, most=2)] == ["/7", "/6"]


def test_a_run_without_its_tables_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read") as raised:
        lost_subtrees(tmp_path, LIMITS)
    assert raised.value.place == str(tmp_path)


classes = st.sampled_from(Class)
found_ones = st.lists(
    st.builds(
        Finding,
        classes,
        paths,
        expected_size=st.one_of(st.none(), st.integers(0, 3)),
        actual_size=st.one_of(st.none(), st.integers(0, 3)),
        n_files=st.integers(0, 2),
    ),
    max_size=12,
)


def in_order(sums: dict[tuple[str, Class, bool], list[int]]) -> list[Rolled]:
    rolled = [Rolled(path, cls, files, size, is_dir) for (path, cls, is_dir), (files, size) in sums.items()]
    return sorted(rolled, key=lambda each: (-each.size, -each.files, each.path, each.cls.value, each.is_directory))


def add(sums: dict[tuple[str, Class, bool], list[int]], key: tuple[str, Class, bool], finding: Finding) -> None:
    held = sums.setdefault(key, [0, 0])
    held[0] += finding.n_files
    held[1] += finding.size


@settings(max_examples=examples(60))
@given(found_ones, st.integers(0, 4), st.sets(classes))
def test_findings_count_for_each_directory_above_them(found: list[Finding], depth: int, wanted: set[Class]) -> None:
    sums: dict[tuple[str, Class, bool], list[int]] = {}
    for finding in found:
        for above in above_of(finding.path):
            if finding.cls in wanted and len(components(above)) <= depth:
                add(sums, (above, finding.cls, True), finding)
    with tempfile.TemporaryDirectory() as folder:
        table = findings_table(Path(folder) / FINDINGS, found)
        assert rollup(table, LIMITS, depth=depth, classes=wanted) == in_order(sums)


@settings(max_examples=examples(60))
@given(found_ones, dirs, st.sets(classes))
def test_one_level_down_are_findings_and_directories(found: list[Finding], path: str, wanted: set[Class]) -> None:
    sums: dict[tuple[str, Class, bool], list[int]] = {}
    for finding in found:
        here = [finding.path, *above_of(finding.path)]
        if finding.cls in wanted and path in here[1:]:
            child = here[here.index(path) - 1]
            add(sums, (child, finding.cls, child != finding.path), finding)
    with tempfile.TemporaryDirectory() as folder:
        table = findings_table(Path(folder) / FINDINGS, found)
        assert children(table, path, LIMITS, classes=wanted) == in_order(sums)


def test_all_classes_and_the_largest_if_there_are_too_many(tmp_path: Path) -> None:
    found = [Finding(cls, f"/a/{cls}", actual_size=number) for number, cls in enumerate(Class)]
    table = findings_table(tmp_path / FINDINGS, found)
    assert Counter(each.cls for each in children(table, "/a", LIMITS)) == Counter(Class)
    assert [each.size for each in children(table, "/a", LIMITS, most=2)] == [len(Class) - 1, len(Class) - 2]
    assert [each.size for each in rollup(table, LIMITS, depth=0, most=1)] == [len(Class) - 1]


def test_a_finding_about_the_top_itself_is_in_the_top(tmp_path: Path) -> None:
    table = findings_table(tmp_path / FINDINGS, [Finding(Class.UNLISTED, "/", "failed", n_files=7)])
    assert rollup(table, LIMITS) == [Rolled("/", Class.UNLISTED, 7, 0)]
    assert children(table, "/", LIMITS) == [Rolled("/", Class.UNLISTED, 7, 0, is_directory=False)]
