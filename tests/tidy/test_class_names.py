"""A name means one thing: no two modules of a room have a public class of the same name.

Drivers and stand-ins are never seen together: in ``storage/`` and ``testing/``
that holds for each package.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src/holdfast"
BY_PACKAGE = frozenset({"storage", "testing"})


def classes_by_scope(source: Path) -> dict[str, dict[str, list[str]]]:
    """By room or package: the names of public classes, and the modules that have one."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(source.rglob("*.py")):
        room, *packages = path.relative_to(source).parts[:-1] or ("",)
        scope = "/".join([room, *packages]) if room in BY_PACKAGE else room
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[scope][node.name].append(path.name)
    return found


def shared(found: Mapping[str, Mapping[str, list[str]]]) -> list[str]:
    """The names that stand twice."""
    return [
        f"{scope}: {name} in {', '.join(modules)}"
        for scope, classes in sorted(found.items())
        for name, modules in sorted(classes.items())
        if len(modules) > 1
    ]


def test_no_name_of_a_room_means_two_things():
    found = classes_by_scope(SOURCE)
    assert {"inventory", "operations", "consistency"} <= set(found)
    assert shared(found) == []


def test_a_name_that_stands_twice_is_found(tmp_path: Path):
    for name in ("operations/one.py", "operations/work/two.py", "storage/s3/a.py", "storage/xroot/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("class Job: ...\nclass _Own: ...\n")
    assert shared(classes_by_scope(tmp_path)) == ["operations: Job in one.py, two.py"]
