"""An installation of its own for a chain of kills: three sites on disk, real processes, and proofs from outside.

What every file should be is known here and nowhere asked of the code under
test; the inventory is read by opening it, never through the commands that are
being killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sqlalchemy import select

from holdfast.consistency.history import tables
from holdfast.consistency.history.runs import History, RunState
from holdfast.inventory.sql_store import SqlStore
from holdfast.inventory.store import JournalEntry, Snapshot
from holdfast.inventory.verify import verify
from holdfast.model import changes as c
from holdfast.model import quarantine
from holdfast.model.clock import system_clock
from holdfast.model.names import DatasetKey
from holdfast.model.records import Door, RequestState, Site
from holdfast.operations import requests
from holdfast.storage import parts

KEY = DatasetKey("crash/data", "1")
SITES = ("A", "B", "C")
N_FILES = 26
N_DAMAGED = 3
"""As many files are deleted, truncated and altered, each."""
N_DARK = 7
N_PARTS = 8
"""So many copies go on at once; a killed process leaves their parts, orphans to a check that ignores no age."""
COMMAND_S_MAX = 60


@dataclass(frozen=True)
class Ran:
    """How one process ended, the steps it has passed, and what it said."""

    code: int
    passed: tuple[str, ...]
    output: str

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


@dataclass
class CrashWorld:
    """One installation in ``folder``. ``content`` is what each file has to be."""

    folder: Path
    seed: int
    content: dict[str, bytes] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    dark: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.folder.mkdir(parents=True)
        (self.folder / "holdfast.toml").write_text("")
        for site in SITES:
            (self.folder / site).mkdir()
        store = SqlStore.create(self.folder / "state/inventory.db")
        sites = [c.PutSite(Site(site, (Door("posix", str(self.folder / site)),))) for site in SITES]
        store.commit(c.ChangeSet(tuple(sites), actor="test", cause="test"))
        store.close()
        for number in range(N_FILES):
            # One that is read in several chunks; one without any byte.
            size = 2_500_000 if number == 5 else 0 if number == 6 else self._random.randrange(1, 3000)
            self.content[f"/data/d{number % 4}/f{number:02}"] = self._random.randbytes(size)
        for lfn, data in self.content.items():
            self.place("A", lfn).parent.mkdir(parents=True, exist_ok=True)
            self.place("A", lfn).write_bytes(data)

    # ---- commands ----------------------------------------------------------------

    @property
    def publish(self) -> list[str]:
        place = str(self.folder / "A/data")
        return ["publish", place, "--dataset", str(KEY), "--site", "A", "--workers", "2", "--quiet"]

    @property
    def copy(self) -> list[str]:
        return ["copy", str(KEY), "--to", "B", "--quiet"]

    @property
    def check(self) -> list[str]:
        mending = [
            "--repair",
            "--max-fraction",
            "1",
            "--delete-orphans",
            "--unconfirmed",
            "--orphan-limit",
            str(N_DARK + N_PARTS),
            "--ignore-age",
            "0",
        ]
        return [
            "check",
            "B",
            "--checksums",
            *mending,
            *([] if self.is_quarantining else ["--no-quarantine"]),
            "--quiet",
        ]

    @property
    def is_quarantining(self) -> bool:
        """Whether checks move orphans aside, or have them deleted."""
        return self.seed % 2 == 0

    @property
    def delete(self) -> list[str]:
        return ["delete", str(KEY), "--at", "C", "--reason", "test", "--despite-brake", "--quiet"]

    def run(self, command: Sequence[str], *, at: str = "", after_s: float | None = None) -> Ran:
        """Run a command; it dies ``at`` STEP:COUNT, or by our hand a while after its first step."""
        trace = self.folder / "trace"
        trace.unlink(missing_ok=True)
        options = ["--small", "--trace", str(trace), *(["--at", at] if at else [])]
        process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.testing.killer", *options, "--", *command],
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if after_s is not None:
            while process.poll() is None and not trace.exists():
                time.sleep(0.002)
            time.sleep(after_s)
            process.kill()
        output, _ = process.communicate(timeout=COMMAND_S_MAX)
        passed = tuple(trace.read_text().split()) if trace.exists() else ()
        ran = Ran(process.returncode, passed, output)
        self.log.append(f"{command[0]} {at or after_s or ''}: {ran.code} after {passed[-1] if passed else 'nothing'}")
        return ran

    def ask_for_c(self) -> None:
        """A second request, for another site, so that work for two is interrupted."""
        store = self.store()
        requests.request_copy(store, KEY, "C", reason="test", actor="test", clock=system_clock)
        store.close()

    def damage_b(self) -> None:
        """Break B as real sites break: files deleted, cut off, altered with size and time kept; and dark ones added."""
        chosen = self._random.sample([lfn for lfn, data in self.content.items() if data], 3 * N_DAMAGED)
        for number, lfn in enumerate(chosen):
            place = self.place("B", lfn)
            found = place.stat()
            if number % 3 == 0:
                place.unlink()
            elif number % 3 == 1:
                os.truncate(place, found.st_size // 2)
            else:
                data = bytearray(place.read_bytes())
                data[self._random.randrange(len(data))] ^= 1
                place.write_bytes(data)
                os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))
        for number in range(N_DARK):
            place = self.place("B", path := f"/data/d{number % 4}/dark{number}")
            place.write_bytes(b"dark")
            self.dark.add(path)
        self.damaged |= set(chosen)

    # ---- what is there -------------------------------------------------------------

    def place(self, site: str, path: str) -> Path:
        return self.folder / site / path[1:]

    def files(self, site: str) -> dict[str, bytes]:
        """All but those in the quarantine."""
        return {path: data for path, data in self.all_files(site).items() if not quarantine.is_quarantined(path)}

    def all_files(self, site: str) -> dict[str, bytes]:
        root = self.folder / site
        return {f"/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def store(self) -> SqlStore:
        return SqlStore.open(self.folder / "state/inventory.db")

    # ---- proofs --------------------------------------------------------------------

    def prove_sound(self) -> None:
        """What has to hold at every moment, whatever has died just now."""
        store = self.store()
        try:
            assert verify(store) == []
            with store.snapshot() as view:
                self._prove_visible_is_whole(view)
                self._prove_held_is_there(view)
        finally:
            store.close()
        assert self.files("A") == self.content, "the source was touched"
        there = self.files("B")
        for lfn, data in self.content.items():
            if lfn in there and lfn not in self.damaged:
                assert there[lfn] == data, f"{lfn} at B is a wrong file under its final name"

    def _prove_visible_is_whole(self, view: Snapshot) -> None:
        if any(dataset.key == KEY for dataset in view.datasets()):
            registered = {
                lfn: (size, digest)
                for block in view.blocks(KEY)
                for files in [view.files(block.key)]
                for lfn, size, digest in zip(files.lfns(), files.sizes, files.checksums["sha256"], strict=True)
            }
            assert registered == {lfn: (len(data), sha256(data).hexdigest()) for lfn, data in self.content.items()}

    def _prove_held_is_there(self, view: Snapshot) -> None:
        going = {(request.site, part.block) for request in view.deletion_requests() for part in request.scope}
        for replica in view.replicas():
            if (replica.site, replica.block.block) in going:
                continue  # What has gone may not have been told of yet.
            lfns = list(view.files(replica.block).lfns())
            for ordinal in replica.files(len(lfns)):
                place = self.place(replica.site, lfns[ordinal])
                known_damage = replica.site == "B" and lfns[ordinal] in self.damaged
                assert known_damage or place.read_bytes() == self.content[lfns[ordinal]], (replica, lfns[ordinal])

    def prove_published(self) -> None:
        self.prove_sound()
        store = self.store()
        with store.snapshot() as view:
            assert [dataset.key for dataset in view.datasets()] == [KEY]
            assert all(replica.is_complete and replica.verified_us for replica in view.replicas(site="A"))
            assert sum(replica.n_files for replica in view.replicas(site="A")) == N_FILES
        store.close()

    def prove_copied(self) -> None:
        """Every site has every file and nothing else, parts included, and the inventory says so."""
        self._prove_whole(SITES)

    def prove_history(self) -> None:
        """Every run of a check tells how it ended; every request of one is in its history, once, with all its paths."""
        store = self.store()
        history = History(store)
        states = [run.state for run in history.runs("B")]
        assert states[0] is RunState.DONE
        assert set(states) <= {RunState.DONE, RunState.INTERRUPTED}
        with store.snapshot() as view:
            every = [*view.copy_requests(only_open=False), *view.deletion_requests(only_open=False)]
        actions = history.actions(site="B")
        with store.room(tables.metadata).read() as connection:
            deeds = Counter((row.request, row._mapping["class"]) for row in connection.execute(select(tables.deed)))
        store.close()
        told = Counter((action.request, action.cls) for action in actions)
        assert set(told.values()) == {1}
        assert deeds == {(action.request, action.cls.value): action.n_files for action in actions}
        assert {request for request, _ in told} == {each.id for each in every if each.reason.startswith("check ")}

    def prove_quarantine(self) -> None:
        """Every dark file lies in the quarantine once, with its bytes, or is gone where there is to be none."""
        aside = [(path, data) for path, data in self.all_files("B").items() if quarantine.is_quarantined(path)]
        found = sorted((quarantine.original(path), data) for path, data in aside if parts.PREFIX not in path)
        assert found == ([(path, b"dark") for path in sorted(self.dark)] if self.is_quarantining else [])

    def prove_deleted(self) -> None:
        """C has nothing any more, and nothing was lost elsewhere."""
        self._prove_whole(("A", "B"))
        assert self.files("C") == {}

    def _prove_whole(self, sites: Sequence[str]) -> None:
        self.prove_sound()
        for site in sites:
            assert self.files(site) == self.content, f"site {site}"
            assert not [path for path in self.files(site) if parts.PREFIX in path]
        store = self.store()
        with store.snapshot() as view:
            assert not view.copy_requests()
            assert not view.deletion_requests()
            assert {replica.site for replica in view.replicas(dataset=KEY)} == set(sites)
            for site in sites:
                replicas = view.replicas(dataset=KEY, site=site)
                assert all(replica.is_complete and replica.verified_us for replica in replicas)
                assert sum(replica.n_files for replica in replicas) == N_FILES
        store.close()

    def prove_nothing_was_done_twice(self) -> None:
        store = self.store()
        entries = list(store.entries())
        with store.snapshot() as view:
            every = [*view.copy_requests(only_open=False), *view.deletion_requests(only_open=False)]
        store.close()
        assert len(entries) < 1000
        assert len([change for change in _changes(entries) if isinstance(change, c.RevealDataset)]) == 1
        assert not [change for change in _changes(entries) if isinstance(change, c.AbandonStaged)]
        registered = Counter(
            lfn for change in _changes(entries) if isinstance(change, c.RegisterFiles) for lfn in change.files.lfns()
        )
        assert registered == dict.fromkeys(self.content, 1)
        arrived, gone = _moved(entries, c.FilesArrived), _moved(entries, c.FilesGone)
        deleted = _moved(entries, c.FilesDeleted)
        assert set(deleted.values()) == {1}
        assert {site for site, *_ in deleted} == {"C"}
        assert len(deleted) == N_FILES
        assert set(gone.values()) <= {1}
        assert len(gone) == len(self.damaged)
        for site in ("B", "C"):
            n_arrived = sum(n for (at, *_), n in arrived.items() if at == site)
            assert n_arrived == N_FILES + (len(gone) if site == "B" else 0)
        assert all(n == 1 + gone[file] for file, n in arrived.items())
        closed = Counter(change.id for change in _changes(entries) if isinstance(change, c.CloseRequest))
        assert closed == {request.id: 1 for request in every}
        assert {request.state for request in every} == {RequestState.DONE}
        assert len([request for request in every if request.reason.startswith("copy ")]) == 1


def _changes(entries: Sequence[JournalEntry]) -> list[c.Change]:
    return [change for entry in entries for change in entry.changes]


def _moved(
    entries: Sequence[JournalEntry], kind: type[c.FilesArrived] | type[c.FilesGone] | type[c.FilesDeleted]
) -> Counter[tuple[str, str, int]]:
    """How often each file is said to have arrived, or gone, by site, block and ordinal."""
    return Counter(
        (change.site, change.block.block, ordinal)
        for change in _changes(entries)
        if isinstance(change, kind)
        for ordinal in change.ordinals or ()
    )
