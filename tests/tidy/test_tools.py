"""The tools that hold our other rules do hold them: each is shown something wrong.

Method: ruff reads a bad snippet with our configuration; import-linter reads a
skeleton of our rooms to which one bad import was added.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DOC = '"""Doc."""\n'


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("src/holdfast/a.py", DOC + "print(1)\n", "T201"),
        ("src/holdfast/a.py", DOC + "try:\n    x = 1\nexcept:\n    x = 2\n", "E722"),
        ("src/holdfast/a.py", DOC + "try:\n    x = 1\nexcept Exception:\n    x = 2\n", "BLE001"),
        ("src/holdfast/a.py", "x = 1\n", "D100"),
        ("src/holdfast/a/__init__.py", "x = 1\n", "D104"),
        ("src/holdfast/a.py", DOC + "def f():\n    return 1\n", "D103"),
        ("src/holdfast/a.py", DOC + "class A:\n    x = 1\n", "D101"),
        ("src/holdfast/a.py", DOC + "class A:\n    '''A.'''\n    def f(self):\n        return 1\n", "D102"),
        ("src/holdfast/a.py", DOC + "import os\n", "F401"),
        ("src/holdfast/a.py", DOC + "x = eval('1')\n", "S307"),
        ("src/holdfast/a.py", DOC + "import pickle\nx = pickle.loads(b'')\n", "S301"),
        ("tests/test_a.py", "x = 1\n", "D100"),
    ],
)
def test_ruff_is_told(path: str, text: str, code: str):
    got = subprocess.run(
        [BIN / "ruff", "check", "--no-cache", "--output-format", "concise", "--stdin-filename", ROOT / path, "-"],
        input=text,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert got.returncode == 1
    assert f" {code} " in got.stdout


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("holdfast/model/bad.py", "from holdfast import config\n"),
        ("holdfast/model/bad.py", "import sqlite3\n"),
        ("holdfast/model/bad.py", "import os.path\n"),
        ("holdfast/inventory/bad.py", "def f():\n    from holdfast.storage import driver\n"),
        ("holdfast/inventory/bad.py", "from rich import table\n"),
        ("holdfast/operations/bad.py", "import holdfast.consistency\n"),
        ("holdfast/cli/bad.py", "import holdfast.testing\n"),
        ("holdfast/newroom/__init__.py", "x = 1\n"),
    ],
)
def test_import_linter_is_told(path: str, text: str, tmp_path: Path):
    _skeleton(tmp_path)
    assert lint_imports(tmp_path).returncode == 0
    bad = tmp_path / "src" / path
    bad.parent.mkdir(exist_ok=True)
    bad.write_text(text)
    got = lint_imports(tmp_path)
    assert got.returncode == 1
    assert "BROKEN" in got.stdout or "newroom" in got.stdout


def _skeleton(folder: Path) -> None:
    """Our rooms, empty, with our contracts."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for init in (ROOT / "src/holdfast").glob("**/__init__.py"):
        room = folder / init.parent.relative_to(ROOT)
        room.mkdir(parents=True)
        (room / "__init__.py").write_text(DOC)
    for module in (ROOT / "src/holdfast").glob("*.py"):
        (folder / module.relative_to(ROOT)).write_text(DOC)
    (folder / "src/holdfast/storage/driver.py").write_text(DOC)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "lint-imports", "--no-cache"],
        env={**os.environ, "PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
        cwd=folder,
    )


def test_stale_pages_are_noticed(tmp_path: Path):
    run = [sys.executable, ROOT / "tools/docs.py", "--root", tmp_path]
    assert subprocess.run([*run, "--check"], capture_output=True).returncode == 1
    assert subprocess.run(run, capture_output=True).returncode == 0
    assert subprocess.run([*run, "--check"], capture_output=True).returncode == 0
    (tmp_path / "docs/configuration.md").write_text("old")
    stale = subprocess.run([*run, "--check"], capture_output=True, text=True)
    assert stale.returncode == 1
    assert "run `make docs`" in stale.stderr
