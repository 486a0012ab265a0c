"""The frame of the tests: real parts are skipped or fail, users without rights are without rights.

Method: pytest runs on a tiny test of its own in a child process, with our
conftest and with CI set or not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.users import Unprivileged

TESTS = Path(__file__).parent

ABSENT = """
import pytest
from support import real
real.PARTS = {"moon": lambda: "it is not up", "ground": lambda: ""}

@pytest.mark.real("moon")
def test_marked():
    raise AssertionError

@pytest.mark.real("ground")
def test_there():
    pass

def test_called():
    real.requires_real("sun", False, "it is down")
"""


def run_pytest(folder: Path, source: str, *, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = real: r\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", folder],
        env={**os.environ, "CI": ci, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
    )


def test_a_missing_part_is_a_skip_that_the_summary_names(tmp_path: Path):
    got = run_pytest(tmp_path, ABSENT, ci="")
    assert got.returncode == 0, got.stdout
    assert "1 passed, 2 skipped" in got.stdout
    assert "moon: it is not up (1 tests)" in got.stdout
    assert "sun: it is down (1 tests)" in got.stdout


def test_a_missing_part_fails_in_ci(tmp_path: Path):
    got = run_pytest(tmp_path, ABSENT, ci="true")
    assert got.returncode == 1
    assert "skipped" not in got.stdout.splitlines()[-1]
    assert "real part missing: moon: it is not up (CI=true" in got.stdout


def test_an_unknown_part_stops_the_run(tmp_path: Path):
    got = run_pytest(tmp_path, ABSENT.replace('real("moon")', 'real("mon")'), ci="")
    assert got.returncode == 4
    assert "names no part of moon, ground" in got.stderr


def test_the_callers_own_configuration_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOLDFAST_CONFIG", "/nowhere")
    monkeypatch.setenv("HOLDFAST_KILLS", "3")
    source = "import os\ndef test_a():\n    assert [n for n in os.environ if 'HOLDFAST' in n] == ['HOLDFAST_KILLS']\n"
    assert run_pytest(tmp_path, source, ci="").returncode == 0


def test_the_unprivileged_user_is_stopped_by_modes(unprivileged: Unprivileged):
    shut = unprivileged.folder / "shut"
    shut.mkdir(mode=0)
    try:
        with unprivileged.acting(), pytest.raises(PermissionError):
            os.listdir(shut)
        with unprivileged.acting():
            (unprivileged.folder / "own").write_text("x")
    finally:
        shut.chmod(0o700)
    assert (unprivileged.folder / "own").stat().st_uid == unprivileged.uid
