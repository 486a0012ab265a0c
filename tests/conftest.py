"""What holds for every test: real parts, hypothesis profiles, a quiet log, a user without rights."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from holdfast import logs
from support import fast_folder, real, soak
from support.users import NOBODY, Unprivileged

if TYPE_CHECKING:
    from holdfast.testing.postgres_server import PostgresServer

# Before any test file imports them: asserts of the shipped helpers tell what was compared.
pytest.register_assert_rewrite("holdfast.testing")

# deadline=None: two busy cores make any limit on one example a coin toss; the
# limit on the whole test (pytest-timeout) stands.
hypothesis.settings.register_profile("person", deadline=None, print_blob=True, max_examples=soak.examples(100))
# In CI the same examples every time: a red run must mean that the change is at
# fault. New examples are sought by people and by `make soak`.
hypothesis.settings.register_profile(
    "ci", deadline=None, print_blob=True, derandomize=True, database=None, max_examples=soak.examples(100)
)
hypothesis.settings.load_profile("ci" if real.in_ci() else "person")


# What `make soak` sets; every other HOLDFAST_ variable is somebody's own configuration.
COUNTS = ("HOLDFAST_KILLS", "HOLDFAST_SEEDS", "HOLDFAST_SOAK")


def pytest_configure() -> None:
    for name in [name for name in os.environ if name.startswith("HOLDFAST_") and name not in COUNTS]:
        del os.environ[name]
    logs.configure("error", json=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("real"):
            if not mark.args or any(part not in real.PARTS for part in mark.args):
                known = ", ".join(real.PARTS)
                raise pytest.UsageError(f"{item.nodeid}: mark.real{mark.args} names no part of {known}")


def pytest_collection_finish() -> None:
    """Thousands of tests are objects, too, which the collector would go over again and again until the end."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("real"):
        for part in mark.args:
            real.require(part)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was not tested for want of a real part, once per part."""
    counts: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _, mark, rest = reason.partition(f"{real.MISSING}: ")
        if mark:
            counts[rest] = counts.get(rest, 0) + 1
    if counts:
        terminalreporter.section("not tested here: real parts missing")
        for reason, count in sorted(counts.items()):
            terminalreporter.write_line(f"{reason} ({count} tests)")


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresServer]:
    from holdfast.testing import postgres_server  # Its asserts are rewritten only if it is imported after this file.

    real.require("postgresql")
    programs = postgres_server.installed_programs()
    assert programs is not None
    with postgres_server.postgres_server(programs, within=fast_folder.place()) as server:
        yield server


@pytest.fixture
def postgres(_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A real PostgreSQL server of this test session; one that a test has stopped runs again for the next."""
    yield _postgres
    _postgres.restore()


@pytest.fixture
def unprivileged() -> Iterator[Unprivileged]:
    """A user whom permissions stop: ``nobody`` if we are root, else ourselves; with a folder it owns.

    Not in ``tmp_path``: pytest keeps that in a folder which only its own user enters.
    """
    real.require("unprivileged user")
    root = os.geteuid() == 0
    uid, gid = (NOBODY, NOBODY) if root else (os.getuid(), os.getgid())
    folder = Path(tempfile.mkdtemp(prefix="holdfast-nobody-"))
    os.chown(folder, uid, gid)
    yield Unprivileged(uid, gid, folder)
    shutil.rmtree(folder, ignore_errors=True)
