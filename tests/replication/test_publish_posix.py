"""Publishing a folder of this machine: real names, links, changes and kills by signal."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from publishing import KEY, World

from holdfast.inventory.sql_store import SqlStore
from holdfast.model.changes import PutSite
from holdfast.model.errors import BadInput, PeerError
from holdfast.model.records import Door, Site
from holdfast.replication.publication import PublishOutcome, PublishReport
from holdfast.storage.posix.driver import PosixDriver
from holdfast.testing.memory_driver import MemoryDriver
from support.users import Unprivileged


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    for number in range(30):
        path = root / "data" / f"d{number // 10}" / f"f{number:02d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1000))
    return root


class PosixWorld:
    """The site is a folder; each publish opens a driver of its own, as a command does."""

    def __init__(self, store: SqlStore, root: Path) -> None:
        self.site = Site("T1_P", (Door("posix", str(root)),))
        self.root = root
        self.inner = World(store, MemoryDriver())
        self.inner.commit(PutSite(self.site))

    def publish(self, directory: str = "/data", **given: Any) -> PublishReport:
        async def work() -> PublishReport:
            driver = PosixDriver(self.root, label="T1_P")
            try:
                report: PublishReport = await self.inner.publish_async(
                    directory, driver=driver, site=self.site, **given
                )
                return report
            finally:
                await driver.close()

        return asyncio.run(work())


@pytest.fixture
def posix(store: SqlStore, root: Path) -> Iterator[PosixWorld]:
    return PosixWorld(store, root)  # type: ignore[return-value]


def test_a_folder_is_published_with_the_digests_that_the_system_takes(posix: PosixWorld, root: Path) -> None:
    report = posix.publish()
    assert (report.outcome, report.n_files, report.size) == (PublishOutcome.PUBLISHED, 30, 30_000)
    printed = subprocess.run(["sha256sum", *root.rglob("f*")], capture_output=True, text=True, check=True).stdout
    expected = {line.split()[1].removeprefix(str(root)): line.split()[0] for line in printed.splitlines()}
    assert {lfn: digests["sha256"] for lfn, digests in posix.inner.files().items()} == expected


def test_a_second_publish_of_the_folder_changes_nothing(posix: PosixWorld) -> None:
    posix.publish()
    assert posix.publish().outcome is PublishOutcome.ALREADY_PUBLISHED


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda folder: (folder / "two\nlines").touch(), "two\\nlines"),
        (lambda folder: (folder / "link").symlink_to("f00"), "d0/link"),
        (lambda folder: (folder / "out").symlink_to("/"), "d0/out"),
        (lambda folder: os.mkfifo(folder / "pipe"), "d0/pipe"),
        (lambda folder: open(os.fsencode(folder) + b"/caf\xe9", "w").close(), "caf\\xe9"),
    ],
    ids=["newline", "link", "link to a directory", "pipe", "not UTF-8"],
)
def test_what_cannot_be_named_or_is_no_file_is_refused(posix: PosixWorld, root: Path, make: Any, shown: str) -> None:
    make(root / "data" / "d0")
    position = posix.inner.position()
    with pytest.raises(BadInput) as caught:
        posix.publish()
    assert shown in caught.value.message
    assert "\n" not in str(caught.value)
    assert posix.inner.dataset() is None
    assert posix.inner.position() == position + 2, "staged and taken back"


def test_a_file_that_grows_while_others_are_read_is_left_for_the_next_run(posix: PosixWorld, root: Path) -> None:
    victim = root / "data" / "d2" / "f29"

    def grow(now: object) -> None:
        with victim.open("ab") as file:
            file.write(b"more")

    report = posix.publish(progress=grow)
    assert report.outcome is PublishOutcome.INCOMPLETE
    assert [problem.path for problem in report.problems] == ["/data/d2/f29"]
    report = posix.publish()
    assert (report.outcome, report.read_files, report.reused_files) == (PublishOutcome.PUBLISHED, 1, 29)


@pytest.mark.real("unprivileged user")
def test_a_directory_and_a_file_that_permissions_close(unprivileged: Unprivileged) -> None:
    root = unprivileged.folder / "site"
    closed, secret = root / "data" / "closed", root / "data" / "secret"
    with unprivileged.acting():
        closed.mkdir(parents=True)
        for path in (root / "data" / "open", secret):
            path.write_text("content")
        closed.chmod(0)
        secret.chmod(0)
        store = SqlStore.create(unprivileged.folder / "inventory.db")
        posix = PosixWorld(store, root)
        with pytest.raises(PeerError, match="/data/closed: "):
            posix.publish()
        assert posix.inner.dataset() is None
        closed.chmod(0o755)
        report = posix.publish()
        assert report.outcome is PublishOutcome.INCOMPLETE
        assert [problem.path for problem in report.problems] == ["/data/secret"]
        store.close()


_KILLED = """
import asyncio, itertools, os, signal, sys
from pathlib import Path
from holdfast.inventory.sql_store import SqlStore
from holdfast.model import names, steps
from holdfast.model.clock import system_clock
from holdfast.replication.publish import publish
from holdfast.replication.reading import BatchLimits
from holdfast.storage.posix.driver import PosixDriver

database, root, step, occurrence = sys.argv[1:]
left = itertools.count(int(occurrence) - 1, -1)

def observe(reached):
    if reached == step and next(left) == 0:
        os.kill(os.getpid(), signal.SIGKILL)

store = SqlStore.open(Path(database))
with store.snapshot() as snapshot:
    site = snapshot.site("T1_P")
work = publish(store, PosixDriver(Path(root)), site, "/data", names.dataset_key("run/raw#1"),
               clock=system_clock, actor="killed", limits=BatchLimits(n_files=8), workers=2)
with steps.observed(observe):
    asyncio.run(work)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("step", "occurrence", "kept"), [("publish.hashed", 2, 16), ("publish.block-staged", 1, 30)])
def test_a_process_that_is_killed_has_kept_what_it_said(
    posix: PosixWorld, store: SqlStore, root: Path, step: str, occurrence: int, kept: int
) -> None:
    arguments = [str(store.path), str(root), step, str(occurrence)]
    ran = subprocess.run([sys.executable, "-c", _KILLED, *arguments], timeout=60, check=False)
    assert ran.returncode == -signal.SIGKILL
    assert posix.inner.visible() == []
    report = posix.publish()
    assert report.outcome is PublishOutcome.PUBLISHED
    assert kept <= report.reused_files <= kept + 2
    assert (report.reused_files + report.read_files, len(posix.inner.files())) == (30, 30)
    assert posix.inner.visible() == [str(KEY)]
