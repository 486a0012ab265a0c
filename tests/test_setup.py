"""Setting up a machine: what the Makefile offers, and what tools/bootstrap.sh does where it cannot go on.

Method: the script runs with a PATH that holds only what the test puts there, so
that no case depends on the interpreters of this machine, and none installs
anything. That a fresh machine can really be set up is shown by .ci/run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("awk", "bash", "cat", "cut", "dirname", "flock", "id", "mkdir", "rm", "sha256sum", "tail", "touch")
TARGETS = {"demo", "test", "test-quick", "check", "bench", "simulate", "soak", "docs", "format", "clean", "help"}


def test_make_alone_lists_every_target():
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    listed = subprocess.run(["make", "-C", ROOT], env=env, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE))
    assert targets >= TARGETS
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    assert targets == set(phony.group(1).split())


class Machine:
    """A PATH of our own making."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.folder = folder
        for name in TOOLS:
            found = shutil.which(name)
            assert found, f"this machine has no {name}"
            (self.bin / name).symlink_to(found)

    def put(self, name: str, script: str) -> None:
        """A program, as a shell script."""
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def bootstrap(self, venv: str = "venv", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the script for ``venv`` below the test's folder."""
        return subprocess.run(
            [ROOT / "tools/bootstrap.sh", self.folder / venv, "core"],
            env={"PATH": str(self.bin), "HOME": str(self.folder / "nowhere"), **environ},
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


OLD = 'case "$*" in *version_info*) exit 1;; esac; exit 0'
WITHOUT_VENV = 'case "$*" in *">= "*|*"print("*) echo 3.12;; *"sys.exit(sys"*) exit 0;; *) exit 1;; esac'


def test_no_python(machine: Machine):
    machine.put("python3.12", "exit 127")  # A shim of pyenv for a version that is not chosen.
    machine.put("python3", OLD)
    got = machine.bootstrap()
    assert got.returncode == 1
    assert "no Python 3.11 or newer was found; on Debian or Ubuntu: apt-get install python3" in got.stderr


def test_python_without_venv_and_no_apt(machine: Machine):
    machine.put("python3.13", "exit 127")
    machine.put("python3", WITHOUT_VENV)
    got = machine.bootstrap()
    assert got.returncode == 1
    assert "this machine has no apt-get" in got.stderr
    assert "As an administrator: apt-get install python3.12-venv" in got.stderr
    assert "PYTHON=/path/to/python3" in got.stderr


def test_the_chosen_python_must_run(machine: Machine):
    got = machine.bootstrap(PYTHON=str(machine.folder / "none"))
    assert got.returncode == 1
    assert "does not run or is older than Python 3.11" in got.stderr


def test_a_folder_of_somebody_else_is_left_alone(machine: Machine):
    machine.put("python3", WITHOUT_VENV)
    theirs = machine.folder / "venv/thesis.tex"
    theirs.parent.mkdir()
    theirs.write_text("x")
    got = machine.bootstrap()
    assert got.returncode == 1
    assert "is not a virtual environment" in got.stderr
    assert theirs.read_text() == "x"


def test_apt_is_not_asked_without_the_right_to(machine: Machine):
    machine.put("apt-get", "echo asked; exit 1")
    (machine.bin / "id").unlink()
    machine.put("id", "echo 1000")
    got = subprocess.run(
        [ROOT / "tools/apt.sh", "hello"], env={"PATH": str(machine.bin)}, capture_output=True, text=True
    )
    assert got.returncode == 1
    assert got.stdout == ""
    assert "not root, and no sudo without a password" in got.stderr
