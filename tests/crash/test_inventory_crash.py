"""The inventory's own work, killed by SIGKILL at every named step.

Goal: what was acknowledged stands, what was not is there whole or not at all,
`verify` is clean, what was left behind is harmless, and the same call again
does the work.
Method: real processes on a real file, and on a real PostgreSQL. Commits of many
threads that are folded, with an image kept up and published beside them;
backup, restore and migration as the commands that people type.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from holdfast.inventory import schema
from holdfast.inventory.backup import check
from holdfast.inventory.image import published, sql_load
from holdfast.inventory.image.image import follow
from holdfast.inventory.image.published import PublishedImage
from holdfast.inventory.image.publisher import MANIFEST, Publisher
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.verify import verify
from holdfast.model import steps
from holdfast.model.changes import ChangeSet, PutGroup
from holdfast.model.records import Group
from holdfast.testing.inventory_server import SMALL
from holdfast.testing.postgres_server import PostgresServer
from holdfast.testing.snapshots import assert_same
from inventory.old_inventory import POSITION, make_file, make_postgres
from support.soak import only_in_soak

pytestmark = pytest.mark.slow

REAL = pytest.mark.real("postgresql")
KINDS = [pytest.param("sqlite", id="sqlite"), pytest.param("postgresql", id="postgresql", marks=REAL)]
KINDS_IN_TURN = [KINDS[0], pytest.param("postgresql", id="postgresql", marks=[REAL, only_in_soak])]
"""Where what is killed is the same work on both, but for the last transaction."""
WRITERS = Path(__file__).with_name("killed_writers.py")
PROCESS_S_MAX = 60


class Place:
    """An installation in ``folder``, its inventory in a file or in PostgreSQL."""

    def __init__(self, folder: Path, server: PostgresServer | None) -> None:
        self.folder, self.server = folder, server
        self.file = folder / "state/inventory.db"
        self.file.parent.mkdir()
        self.inventory: Path | str = self.file if server is None else server.new_schema()
        named = "" if server is None else f'[inventory]\ndatabase = "{self.inventory}"\n'
        (folder / "holdfast.toml").write_text(named)

    def make(self, *groups: str) -> None:
        SqlStore.create(self.inventory).close()
        self.add(*groups)

    def make_old(self) -> None:
        if self.server is None:
            make_file(self.file)
        else:
            make_postgres(str(self.inventory), make_file(self.folder / "old.db"))

    def add(self, *groups: str) -> None:
        with closing(SqlStore.open(self.inventory)) as store:
            for name in groups:
                store.commit(ChangeSet((PutGroup(Group(name)),), "me", "why"))

    def groups(self) -> list[str]:
        """What is there, on a clean inventory."""
        with closing(SqlStore.open(self.inventory)) as store:
            assert verify(store) == []
            with store.snapshot() as snapshot:
                return snapshot.groups()

    def run(self, *command: str, at: str = "") -> subprocess.CompletedProcess[str]:
        """One command as a process; with ``at`` it has to die there."""
        options = ["--small", *(["--at", at] if at else [])]
        ran = subprocess.run(
            [sys.executable, "-m", "holdfast.testing.killer", *options, "--", *command],
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=PROCESS_S_MAX,
            check=False,
        )
        assert ran.returncode == (-signal.SIGKILL if at else 0), ran
        return ran

    def left(self) -> list[str]:
        """Unfinished copies that lie about."""
        return [each.name for each in self.folder.rglob("*.part-*")]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    return Place(tmp_path, server)


# ---- commits that are folded, and the image beside them --------------------------

WRITTEN = [
    *((name, count) for name in steps.STEPS["commit"] for count in (9, 1)),
    *((name, count) for name in steps.STEPS["image"] for count in (3, 1)),
]
"""Steps, and at which pass of them. In `make test` each is tried once; the image's, which are files, on SQLite only."""


def _written() -> Iterator[Any]:
    known: set[str] = set()
    for place in KINDS:
        for step, count in WRITTEN:
            is_again = f"{place.id} {step}" in known or (place.id == "postgresql" and step not in steps.STEPS["commit"])
            known.add(f"{place.id} {step}")
            marks = [*place.marks, *([only_in_soak] if is_again else [])]
            yield pytest.param(*place.values, step, count, marks=marks)


def write_until_killed(place: Place, step: str, count: int) -> list[tuple[int, str]]:
    """The commits that were acknowledged before the process died."""
    command = [sys.executable, str(WRITERS), str(place.inventory), str(place.folder / "image"), f"{step}:{count}"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PROCESS_S_MAX, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    return [(int(position), digest) for position, digest in (line.split() for line in ran.stdout.splitlines())]


@pytest.mark.parametrize(("place", "step", "count"), list(_written()), indirect=["place"])
def test_killed_while_many_write(place: Place, step: str, count: int) -> None:
    place.make()
    acknowledged: dict[int, str] = {}
    for _ in range(2):  # The second process begins with what the first has left.
        acknowledged |= dict(write_until_killed(place, step, count))
        with closing(SqlStore.open(place.inventory)) as store:
            assert verify(store) == []
            written = {entry.position: entry.digest for entry in store.entries(limit=10_000)}
            assert acknowledged.items() <= written.items()
            check_published(place.folder / "image", store)
    if step in steps.STEPS["commit"]:
        assert len(acknowledged) >= 2 * (count - 1)


def check_published(folder: Path, store: SqlStore) -> None:
    """What is published is whole and of our history; the next publisher clears up and goes on."""
    if (folder / MANIFEST).exists():
        published.check(folder)
        head = PublishedImage(folder).snapshot().head
        assert head.position == 0 or [entry.digest for entry in store.entries()][head.position - 1] == head.digest
    with store.reading() as connection:
        image = sql_load.load(connection, sizes=SMALL)
    follow(store, image)
    with Publisher(folder) as publisher:
        publisher.publish(image.tables)
    published.check(folder)
    with store.snapshot() as snapshot:
        assert_same(PublishedImage(folder).snapshot(), snapshot)
    assert len(list(folder.iterdir())) == 2 + len(list(folder.glob("*.part")))


# ---- backup and restore -------------------------------------------------------------


@pytest.mark.parametrize("place", KINDS_IN_TURN, indirect=True)
@pytest.mark.parametrize("step", steps.STEPS["backup"])
def test_killed_during_a_backup(place: Place, step: str) -> None:
    place.make("a", "b")
    place.run("backup", "saved.db", at=step)
    saved = place.folder / "saved.db"
    assert saved.exists() == (step == "backup.named")
    if saved.exists():
        assert check(saved).position == 2
    assert place.left()
    assert place.groups() == ["a", "b"]
    saved.unlink(missing_ok=True)
    place.run("backup", "saved.db")
    assert check(saved).position == 2
    assert place.left() == []


@pytest.mark.parametrize("place", KINDS, indirect=True)
@pytest.mark.parametrize("step", steps.STEPS["restore"])
def test_killed_during_a_restore(place: Place, step: str) -> None:
    place.make("a", *(f"more-{number:02}" for number in range(40)))
    place.run("backup", "saved.db")
    before = place.groups()
    place.add("lost")
    place.run("restore", "saved.db", "--replace", at=step)
    assert place.groups() == (before if step == "restore.durable" else sorted([*before, "lost"]))
    place.run("restore", "saved.db", "--replace")
    assert place.groups() == before
    assert place.left() == []
    place.add("new")
    assert place.groups() == sorted([*before, "new"])


@pytest.mark.parametrize("place", KINDS_IN_TURN, indirect=True)
@pytest.mark.parametrize("step", steps.STEPS["restore"])
def test_killed_during_a_restore_to_where_nothing_is(place: Place, step: str) -> None:
    with closing(SqlStore.create(place.folder / "other.db")) as store:
        store.commit(ChangeSet((PutGroup(Group("a")),), "me", "why"))
        store.database.close()
    place.run("restore", "other.db", at=step)
    place.run("restore", "other.db", "--replace")
    assert place.groups() == ["a"]


# ---- migration ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "step"),
    [
        *(("sqlite", step) for step in steps.STEPS["migrate"]),
        *(
            pytest.param("postgresql", step, marks=pytest.mark.real("postgresql"))
            for step in steps.STEPS["migrate"]
            if step != "migrate.copied"  # There is no file to copy.
        ),
    ],
    indirect=["place"],
)
def test_killed_during_a_migration(place: Place, step: str) -> None:
    place.make_old()
    place.run("migrate", at=step)
    copies = sorted(place.file.parent.glob("*.schema-1*"))
    for copy in copies:
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT schema_version, position FROM head").fetchone() == (1, POSITION)
    assert len(copies) == (place.server is None)
    ran = place.run("migrate")
    done = f"is at version {schema.VERSION}" if step == "migrate.durable" else f"from version 1 to {schema.VERSION}"
    assert done in ran.stdout
    assert place.groups() == ["phys"]
    place.add("new")
    assert place.groups() == ["new", "phys"]
    assert place.left() == []


def test_every_step_of_commit_and_image_is_tried() -> None:
    assert {step for step, _ in WRITTEN} == {*steps.STEPS["commit"], *steps.STEPS["image"]}
