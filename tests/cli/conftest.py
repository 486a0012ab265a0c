"""Fixtures for the tests of the commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import Commands, Installation

from support import fast_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: each command waits for the disk, and beside other tests that is most of its time."""
    with fast_folder.fast_folder() as folder:
        yield folder


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Commands:
    """Commands run in this process, in an empty folder, without settings of whoever runs the tests."""
    home = tmp_path / "here"
    home.mkdir()
    monkeypatch.chdir(home)
    for name in ("HOLDFAST_CONFIG", "HOLDFAST_DEBUG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Commands(home, capfd)


@pytest.fixture
def installation(commands: Commands) -> Installation:
    """Two sites, a dataset at one of them and a part of it at the other."""
    return Installation.build(commands)
