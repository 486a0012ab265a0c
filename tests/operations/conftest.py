"""Worlds for the tests of operations."""

from __future__ import annotations

from pathlib import Path

import pytest
from operations_world import World

from holdfast.storage.posix.driver import PosixDriver


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three sites in memory."""
    return World(tmp_path)


@pytest.fixture(params=["memory", "posix"])
def any_world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    """Three sites in memory, then three on disk."""
    if request.param == "memory":
        return World(tmp_path)

    def make(site: str) -> PosixDriver:
        (tmp_path / site).mkdir()
        return PosixDriver(tmp_path / site, label=site)

    return World(tmp_path, make)
