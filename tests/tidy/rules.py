"""The rules that this project's files keep and that no other tool holds.

Ruff holds docstrings, prints and bare excepts; import-linter holds the floors.
A rule here is a function from one file to its problems, with files that must
make it speak (so that it is known to be able to) and files that must not.
"""

from __future__ import annotations

import ast
import gc
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500
SUITE_LINES_MAX = 1000
FILE_BYTES_MAX = 1_000_000

HEAVY = {
    "duckdb": "60 ms and 100 MB of address space; only comparing listings needs it",
    "pyarrow": "100 ms; only Parquet and the snapshot need it",
    "polars": "150 ms; only policies and sums need it",
    "sqlalchemy": "200 ms; `holdfast compare` and --help have no inventory",
    "rich": "tables and progress bars; not for --json and not in a pipe",
    "structlog": "70 ms, most of it for colours",
}
"""What may be imported inside a function without further words, and why."""


@dataclass(frozen=True)
class Source:
    """One file: its path in the checkout and what is in it."""

    path: str
    data: bytes

    @cached_property
    def text(self) -> str:
        """The text; "" if it is not text."""
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return ""

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; an empty one if it is not Python."""
        # What the collector ends meanwhile may print a traceback, for which Python 3.11 parses, too, and stumbles.
        gc.disable()
        try:
            return ast.parse(self.text if self.path.endswith(".py") else "", self.path)
        finally:
            gc.enable()


@dataclass(frozen=True)
class Rule:
    """A check, and what it must and must not complain of.

    In those texts a "|" is left out before they are checked, so that this file
    does not itself hold what it forbids.
    """

    check: Callable[[Source], Iterator[str]]
    bad: tuple[tuple[str, str], ...]
    good: tuple[tuple[str, str], ...] = ()


def checkout_files(root: Path) -> list[Source]:
    """Every file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    paths = sorted({name for name in listed.stdout.decode().split("\0") if name and (root / name).is_file()})
    return [Source(name, (root / name).read_bytes()) for name in paths]


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _line_of(source: Source, position: int) -> int:
    return source.text.count("\n", 0, position) + 1


def long_functions(source: Source) -> Iterator[str]:
    """A function has a seam by its 60th line; its docstring is not counted."""
    for function in _functions(source.tree):
        first = function.body[0]
        if ast.get_docstring(function, clean=False) is not None and len(function.body) > 1:
            first = function.body[1]
        lines = (function.end_lineno or 0) - first.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{function.lineno}: {function.name} has {lines} lines, more than {FUNCTION_LINES_MAX}"


def long_files(source: Source) -> Iterator[str]:
    """At 500 lines there is a second noun in the file.

    A suite is one noun, however many cases it has, and is read case by case.
    """
    is_suite = re.search(r"(^|/)(test_[^/]*|[^/]*_suite)\.py$", source.path)
    most = SUITE_LINES_MAX if is_suite else FILE_LINES_MAX
    lines = source.text.count("\n")
    if source.path.endswith(".py") and lines > most:
        yield f"1: {lines} lines, more than {most}"


def leftover_markers(source: Source) -> Iterator[str]:
    """What is to be done stands in an issue, not in the source."""
    for found in re.finditer(r"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b", source.text):
        yield f"{_line_of(source, found.start())}: the marker {found.group()}"


def unexplained_imports(source: Source) -> Iterator[str]:
    """An import inside a function names something of HEAVY, or says why in a comment there or just above."""
    if not source.path.startswith(("src/", "bench/", "tools/")):
        return
    lines = source.text.splitlines()
    seen = set()
    for function in _functions(source.tree):
        for node in ast.walk(function):
            if not isinstance(node, ast.Import | ast.ImportFrom) or node.lineno in seen:
                continue
            seen.add(node.lineno)
            if isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            else:
                roots = {(node.module or "").split(".")[0]}
            if not roots <= HEAVY.keys() and not _has_comment(lines, node.lineno):
                yield f"{node.lineno}: an import inside {function.name} without a comment that says why"


def _has_comment(lines: list[str], number: int) -> bool:
    """Whether the line has a comment, or the run of imports that it stands in is headed by one."""
    if "#" in lines[number - 1]:
        return True
    above = number - 2
    while above >= 0 and lines[above].strip().startswith(("import ", "from ")):
        above -= 1
    return lines[above].strip().startswith("#")


_CHECKING = re.compile(r"(assert|check|expect|verify|require|raises|warns|fail|refus|alters)", re.IGNORECASE)


def idle_tests(source: Source) -> Iterator[str]:
    """A test asserts something, itself or through a function of its file or one whose name says so."""
    if not re.search(r"(^tests/.*test_[^/]*\.py|^src/holdfast/testing/.*\.py)$", source.path):
        return
    bodies = {function.name: function for function in _functions(source.tree)}
    for name, function in bodies.items():
        if name.startswith("test_") and not _asserts(function, bodies, {name}):
            yield f"{function.lineno}: {name} asserts nothing"


def _asserts(function: Function, bodies: dict[str, Function], seen: set[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert | ast.Raise):
            return True
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        if _CHECKING.search(name):
            return True
        if name in bodies and name not in seen and _asserts(bodies[name], bodies, seen | {name}):
            return True
    return False


def machine_paths(source: Source) -> Iterator[str]:
    """No file knows the machine it was written on."""
    for found in re.finditer(r"(?<![\w./${}-])/(?:[w]ork|[r]oot|[h]ome)/\w+", source.text):
        yield f"{_line_of(source, found.start())}: the path {found.group()} is of one machine"


def registry_addresses(source: Source) -> Iterator[str]:
    """Packages are named, never located: where they come from is the machine's own affair."""
    hosts = r"pypi[.]org|python[h]osted|debian[.]org/debian|deb[.]debian|npmjs[.]org|proxy[.]golang"
    options = r"--(extra-)?[i]ndex-url|--[f]ind-links"
    for found in re.finditer(f"{hosts}|{options}", source.text):
        yield f"{_line_of(source, found.start())}: {found.group()!r} locates packages"
    if source.path == "constraints.txt":
        for number, line in enumerate(source.text.splitlines(), 1):
            if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line):
                yield f"{number}: {line!r} is not NAME==VERSION"


def big_files(source: Source) -> Iterator[str]:
    """Data of a megabyte is made by a script, not kept."""
    if len(source.data) > FILE_BYTES_MAX:
        yield f"1: {len(source.data)} bytes, more than {FILE_BYTES_MAX}"


def lock_files(source: Source) -> Iterator[str]:
    """Lock files record addresses; constraints.txt does not."""
    name = source.path.rpartition("/")[2]
    if name.endswith(".lock") or name in ("package-lock.json", "pnpm-lock.yaml", "pylock.toml"):
        yield "1: is a lock file"


def control_characters(source: Source) -> Iterator[str]:
    """Text files hold no tabs for indent in Python, no carriage returns and no other control characters."""
    for found in re.finditer("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", source.text):
        yield f"{_line_of(source, found.start())}: the control character U+{ord(found.group()):04X}"


def _body(lines: int) -> str:
    return "def f():\n" + "    f()\n" * lines


RULES: dict[str, Rule] = {
    "long functions": Rule(long_functions, (("src/a.py", _body(61)),), (("src/a.py", _body(60)), ("a.md", _body(61)))),
    "long files": Rule(
        long_files,
        (("tests/support/a.py", "\n" * 501), ("tests/test_a.py", "\n" * 1001)),
        (("src/a.py", "\n" * 500), ("tests/test_a.py", "\n" * 1000), ("a.md", "\n" * 501)),
    ),
    "leftover markers": Rule(
        leftover_markers, (("a.md", "TO|DO: more"), ("src/a.py", "x = 1  # FIX|ME")), (("a.md", "toDOwn, XX|XX"),)
    ),
    "unexplained imports": Rule(
        unexplained_imports,
        (
            ("src/a.py", "def f():\n    import json\n"),
            ("src/a.py", "def f():\n    from holdfast import x\n"),
            ("src/a.py", "# far\n\ndef f():\n    import duckdb, json\n"),
        ),
        (
            ("src/a.py", "import json\n"),
            ("src/a.py", "def f():\n    import duckdb\n    from rich.table import Table\n"),
            ("src/a.py", "def f():\n    # Heavy.\n    import json\n    import os\n"),
            ("src/a.py", "def f():\n    import json  # heavy\n"),
        ),
    ),
    "idle tests": Rule(
        idle_tests,
        (
            ("tests/test_a.py", "def test_a():\n    print(1)\n"),
            ("tests/x/test_a.py", "class TestA:\n    async def test_a(self):\n        self.run()\n"),
            ("src/holdfast/testing/a.py", "def help():\n    pass\ndef test_a():\n    help()\n"),
        ),
        (
            ("tests/test_a.py", "def test_a():\n    assert 1\n"),
            ("tests/test_a.py", "def test_a():\n    with pytest.raises(ValueError):\n        f()\n"),
            ("tests/test_a.py", "def same(a):\n    assert a\ndef test_a():\n    same(1)\n"),
            ("tests/test_a.py", "def test_a(tree):\n    tree.assert_same()\n"),
            ("src/a.py", "def test_a():\n    print(1)\n"),
        ),
    ),
    "machine paths": Rule(
        machine_paths,
        (("a.md", "see /ro|ot/x"), ("src/a.py", "'/wo|rk/main'"), ("a", "/ho|me/me")),
        (("a.md", "/net/wo|rk/main and src/ro|ot/x, $HOME/ho|me/x"),),
    ),
    "registry addresses": Rule(
        registry_addresses,
        (
            ("a.md", "from pypi.o|rg"),
            ("Makefile", "pip install --index|-url x"),
            ("constraints.txt", "a @ file:///x"),
            ("constraints.txt", "-e ."),
            ("constraints.txt", "a>=1"),
        ),
        (("constraints.txt", "# why\nA-b_c==1.2.post0\n"), ("a.md", "https://www.apache.org")),
    ),
    "big files": Rule(big_files, (("a", "x" * 1_000_001),), (("a", "x" * 1_000_000),)),
    "lock files": Rule(lock_files, (("uv.lock", ""), ("web/package-lock.json", "")), (("src/lock.py", ""),)),
    "control characters": Rule(control_characters, (("a.py", "a\r\n"), ("a.md", "\u202e")), (("Makefile", "\ta\n"),)),
}
