"""Inside a room, packages and files do not go round in a circle: each can be read after those that it stands on.

Method: the imports at the top of each module, those for types only among them, taken together by package of the room
(files of the room's own folder count by themselves). Floors, between rooms, are held by import-linter.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping, Set
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def imports_between(source: Path) -> dict[str, dict[str, set[str]]]:
    """By room, which of its parts import which others."""
    modules = {_name(path.relative_to(source)): path for path in source.rglob("*.py")}
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, path in modules.items():
        for other in _imported(path, set(modules)):
            one, another = name.split("."), other.split(".")
            if len(one) > 2 < len(another) and one[1] == another[1] and one[2] != another[2]:
                found[one[1]][one[2]].add(another[2])
    return found


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path, modules: Set[str]) -> set[str]:
    found = set()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for node in [*body, *(inner for each in body if isinstance(each, ast.If) for inner in each.body)]:
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & modules or {node.module} & modules
    return found


def going_round(edges: Mapping[str, Set[str]]) -> set[str]:
    """All parts from which one comes back to them."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(edges.get(start, ()))
        while waiting:
            part = waiting.pop()
            if part not in seen:
                seen.add(part)
                waiting += edges.get(part, ())
        return seen

    return {part for part in edges if part in reached(part)}


def test_no_room_goes_round_in_a_circle() -> None:
    rooms = imports_between(SOURCE)
    assert {"consistency", "inventory", "operations", "storage"} <= set(rooms)
    problems = {room: going_round(edges) for room, edges in rooms.items()}
    assert {room: parts for room, parts in problems.items() if parts} == {}


def test_a_circle_is_seen(tmp_path: Path) -> None:
    files = {
        "h/room/a/one.py": "from h.room.b import two\n",
        "h/room/b/two.py": "from h.room.plain import x\n",
        "h/room/plain.py": "from h.room.a.one import y\n",
        "h/room/c/free.py": "from h.room.a import one\n",
    }
    for place, text in files.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    assert going_round(imports_between(tmp_path)["room"]) == {"a", "b", "plain"}
