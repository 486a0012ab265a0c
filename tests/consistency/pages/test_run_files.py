"""What a run found, read from its folder: by directory, bounded, and as far as the folder tells it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from holdfast.consistency.classes import Class
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.findings import Finding, write_table
from holdfast.consistency.pages import run_files
from holdfast.consistency.pages.model import Amount, Below, Branch, DatasetShown, PlaceShown, RunDetail, RunShown
from holdfast.consistency.pages.run_files import SHOWN_MAX
from holdfast.consistency.report import FINDINGS, REPORT
from holdfast.model import names

LIMITS = EngineLimits(threads=1)
RUN = RunShown("run-1", 0)


def detail(folder: Path, *findings: Finding, **document: object) -> RunDetail:
    write_table(findings, folder / FINDINGS)
    if document:
        (folder / REPORT).write_text(json.dumps(document))
    found = run_files.run_detail(RUN, folder, LIMITS)
    assert found.run is RUN
    return found


def below(root: Branch, path: str) -> Amount:
    """What a tree has at and below a path."""
    waiting = [root]
    while waiting:
        branch = waiting.pop()
        if branch.path == path:
            return branch.amount
        waiting += branch.branches
    raise AssertionError(f"{path} is not in the tree")


def orphan(path: str, size: int | None = 1) -> Finding:
    return Finding(Class.ORPHAN, path, actual_size=size)


def test_each_pictured_class_has_its_tree(tmp_path: Path):
    found = detail(
        tmp_path,
        Finding(Class.MISSING, "/m/a", expected_size=5),
        Finding(Class.SIZE_MISMATCH, "/s/a", expected_size=6, actual_size=1),
        orphan("/o/a", 7),
        orphan("/o/b", None),
        Finding(Class.AWAITED, "/w/a", expected_size=8),
    )
    assert {cls: root.amount for cls, root in found.trees.items()} == {
        Class.ORPHAN: Amount(2, 7),
        Class.MISSING: Amount(1, 5),
        Class.SIZE_MISMATCH: Amount(1, 6),
    }
    assert found.trouble == ""


def test_sums_of_directories_are_those_of_their_files(tmp_path: Path):
    chance = random.Random(7)
    sizes: dict[str, int] = {}
    for number in range(400):
        dir = "".join(f"/{chance.choice(('a', 'a-b', 'a b', 'é', '!', '~'))}" for _ in range(chance.randint(0, 4)))
        sizes[f"{dir}/f{number}"] = chance.randint(0, 1000)
    (root,) = detail(tmp_path, *(orphan(path, size) for path, size in sizes.items())).trees.values()
    waiting = [root]
    while waiting:
        branch = waiting.pop()
        prefix = branch.path.rstrip("/") + "/"
        files = [size for path, size in sizes.items() if path.startswith(prefix)]
        assert branch.amount == Amount(len(files), sum(files))
        own = [size for path, size in sizes.items() if names.split(path)[0] == branch.path]
        assert branch.own == Amount(len(own), sum(own))
        waiting += branch.branches


def test_names_are_shown_so_that_no_two_are_alike(tmp_path: Path):
    (root,) = detail(tmp_path, orphan("/\u202e/x"), orphan("/\\u202e/x")).trees.values()
    assert below(root, "/\\u202e") == below(root, "/\\\\u202e") == Amount(1, 1)


def test_places_that_hide_most_come_first_and_are_cut(tmp_path: Path):
    hidden = [Finding(Class.UNLISTED, f"/d/{number:03}", "failed", n_files=number) for number in range(SHOWN_MAX + 5)]
    found = detail(tmp_path, *hidden, Finding(Class.SUSPECT, "/doubt", "doubted", n_files=9000))
    assert found.n_places == SHOWN_MAX + 6
    assert len(found.places) == SHOWN_MAX
    assert found.places[:2] == (PlaceShown("/doubt", "doubted", 9000), PlaceShown("/d/104", "failed", 104))


def test_empty_directories_are_cut(tmp_path: Path):
    empty = [Finding(Class.EMPTY_DIRECTORY, f"/e/{number:03}", n_files=0) for number in range(SHOWN_MAX + 1)]
    found = detail(tmp_path, *empty)
    assert found.n_empty == SHOWN_MAX + 1
    assert found.empty[:2] == ("/e/000", "/e/001")
    assert len(found.empty) == SHOWN_MAX


def test_unrecoverable_files_are_told_by_dataset(tmp_path: Path):
    lost = [
        {"block": "sky#v1::0000", "expected_size": 5, "actual_size": None},
        {"block": "sky#v1::0001", "expected_size": 6},
        {"block": "sea::0000", "expected_size": None, "actual_size": 100},
    ]
    found = detail(tmp_path, repair={"asked": {"unrecoverable": lost}})
    assert found.unrecoverable == (DatasetShown("sea", Amount(1, 100)), DatasetShown("sky#v1", Amount(2, 11)))
    assert found.n_unrecoverable == 2


def test_lost_subtrees_are_told(tmp_path: Path):
    lost = [{"path": f"/l/{number}", "files": 2, "size": 7} for number in range(SHOWN_MAX + 1)]
    found = detail(tmp_path, lost_subtrees=lost)
    assert found.lost[0] == Below("/l/0", Amount(2, 7))
    assert (len(found.lost), found.n_lost) == (SHOWN_MAX, SHOWN_MAX + 1)


@pytest.mark.parametrize(
    "report",
    [
        b"\xff",
        b"[]",
        b"{",
        b'{"repair": 3, "lost_subtrees": 4}',
        b'{"repair": {"asked": {"unrecoverable": [1, {"block": 5}]}}, "lost_subtrees": [{}, 7, {"path": 3}]}',
    ],
)
def test_a_report_that_makes_no_sense_spoils_nothing(tmp_path: Path, report: bytes):
    (tmp_path / REPORT).write_bytes(report)
    found = detail(tmp_path, orphan("/o/a"))
    assert found.trees.keys() == {Class.ORPHAN}


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_findings_that_cannot_be_read_are_told(tmp_path: Path, damage: str):
    table = tmp_path / FINDINGS
    write_table([orphan("/o/a")], table)
    if damage == "gone":
        table.unlink()
    else:
        table.write_bytes(table.read_bytes()[:-20] if damage == "cut" else b"nothing of the kind")
    found = run_files.run_detail(RUN, tmp_path, LIMITS)
    assert found.trees == {}
    assert str(table) in found.trouble
    assert "\n" not in found.trouble
