"""``holdfast copy`` and ``holdfast transfers`` on real folders: what they print, and their exit codes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import Commands, holdfast
from request_world import FILES, Sites

from holdfast.cli import completing
from holdfast.model.clock import system_clock
from holdfast.model.fileset import FileSet
from holdfast.operations.batch import NewBatch
from holdfast.operations.batches.lease import WorkerFile
from holdfast.operations.batches.queue import Queue
from holdfast.operations.batches.workers import NewWorker, Workers


@pytest.fixture
def sites(commands: Commands) -> Sites:
    return Sites(commands)


def test_copy_and_copy_again(sites: Sites) -> None:
    assert "3 files" in sites("copy", "d", "--to", "B")
    assert sites.files() == FILES
    assert sites("copy", "d", "--to", "B") == "nothing to do: B holds all 3 files already\n"


def test_dry_run_does_nothing(sites: Sites) -> None:
    assert "would copy 3 files" in sites("copy", "d", "--to", "B", "--dry-run")
    said = sites.json("copy", "d", "--to", "B", "--dry-run")
    assert (said["files"], said["held"], said["condemned"], said["without_source"]) == (3, 0, 0, 0)
    assert sites.listed("transfers", "--all") == []
    assert sites.files() == []


def test_a_dry_run_is_refused_like_the_run(sites: Sites) -> None:
    for more in ((), ("--dry-run",)):
        sites("copy", "d", "--to", "B", "--group", "nobody", *more, code=2)
        sites("copy", "d", "--to", "B", "--deadline", "2001-01-01", *more, code=2)
        assert "--deadline 2001-01-01 is in the past" in sites.err
    assert sites.listed("transfers", "--all") == []


def test_what_was_said_is_on_record(sites: Sites) -> None:
    said = ("--priority", "5", "--deadline", "2999-01-31", "--reason", "for the school")
    id = sites.json("copy", "d", "--to", "B", "--no-wait", *said)["request"]
    shown = sites.json("transfers", "show", id)
    assert (shown["priority"], shown["deadline"], shown["reason"]) == (
        5,
        "2999-01-31T00:00:00.000000Z",
        "for the school",
    )
    assert shown["owner"]
    sites("copy", "d", "--to", "C", "--priority", "6", code=2)


def test_a_different_file_stays_unless_it_may_be_replaced(sites: Sites) -> None:
    foreign = sites.folder / "B/data/f1"
    foreign.parent.mkdir()
    foreign.write_text("mine")
    said = sites("copy", "d", "--to", "B", code=3)
    assert said.count("a different file is in its place") == 1
    assert sites.err == ""
    assert foreign.read_text() == "mine"
    assert "1 file replaced" in sites("copy", "d", "--to", "B", "--replace")
    assert foreign.read_text() == (sites.folder / "A/data/f1").read_text()


def test_ask_now_and_run_later(sites: Sites) -> None:
    asked = sites.json("copy", "d", "--to", "B", "--no-wait")
    assert not asked["joined"]
    again = sites.json("copy", "d", "--to", "B", "--no-wait")
    assert (again["joined"], again["request"]) == (True, asked["request"])
    (listed,) = sites.listed()
    assert (listed["request"], listed["state"], listed["kind"], listed["files"]) == (
        asked["request"],
        "new",
        "copy",
        3,
    )
    assert "no worker is at work" in sites("transfers", "list")
    report = sites.json("transfers", "run")
    assert report["files_copied"] == 3
    assert sites.files() == FILES
    assert sites("transfers", "run") == "nothing to do\n"
    shown = sites("transfers", "show", asked["request"][:8])
    assert "done" in shown
    assert "3 files" in shown
    sites("transfers", "list")
    assert sites.err == "no open transfer: --all shows those that are over\n"


def test_runs_of_one_kind_leave_the_other_alone(sites: Sites) -> None:
    sites("copy", "d", "--to", "B")
    sites("copy", "d", "--to", "C", "--no-wait")
    sites("delete", "d", "--at", "B", "--reason", "test", "--no-wait")
    sites("transfers", "run")
    assert (sites.files("B"), sites.files("C")) == (FILES, FILES)
    sites("deletions", "run")
    assert (sites.files("B"), sites.files("C")) == ([], FILES)


def test_only_what_is_named_is_run(sites: Sites) -> None:
    first = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]
    sites("copy", "d", "--to", "C", "--no-wait")
    sites("transfers", "run", first[:10])
    assert (sites.files("B"), sites.files("C")) == (FILES, [])


def test_choosing_requests(sites: Sites) -> None:
    first = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]
    second = sites.json("copy", "d", "--to", "C", "--no-wait")["request"]
    assert [each["request"] for each in sites.listed()] == [first, second]
    assert [each["request"] for each in sites.listed("transfers", "--site", "C")] == [second]
    assert [each["request"] for each in sites.listed("transfers", "--dataset", "d")] == [first, second]
    assert sites.listed("transfers", "--state", "active", "--state", "held") == []
    assert sites.listed("deletions") == []
    sites("transfers", "hold", "--site", "B")
    assert [each["request"] for each in sites.listed("transfers", "--state", "held")] == [first]
    for wrong in (("--site", "nowhere"), ("--dataset", "nothing"), ("--state", "lost")):
        sites("transfers", "list", *wrong, code=2)
    for word in ("hold", "release", "retry", "cancel"):
        sites("transfers", word, code=2)
        assert "no request is named" in sites.err
        sites("transfers", word, first, "--site", "B", code=2)


def test_holding_back_and_releasing(sites: Sites) -> None:
    id = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]
    assert "would be held back" in sites("transfers", "hold", id[:8], "--dry-run")
    assert sites.listed()[0]["state"] == "new"
    assert "held back" in sites("transfers", "hold", id[:8], "--reason", "disk week")
    assert sites.listed()[0]["why"].endswith(": disk week")
    said = sites("transfers", "run", code=1)
    assert "held: on hold by" in said
    assert sites.files() == []
    sites("transfers", "release", id[:8])
    sites("transfers", "run")
    assert sites.files() == FILES
    sites("transfers", "hold", id, code=4)


def test_cancelling(sites: Sites) -> None:
    first = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]
    second = sites.json("copy", "d", "--to", "C", "--no-wait")["request"]
    assert "would be cancelled" in sites("transfers", "cancel", first[:8], "--dry-run")
    assert sites.json("transfers", "show", first)["state"] == "new"
    said = sites.json("transfers", "cancel", first[:8], second, "--reason", "a mistake")
    assert [(each["request"], each["state"]) for each in said["requests"]] == [
        (first, "cancelled"),
        (second, "cancelled"),
    ]
    shown = sites.json("transfers", "show", first)
    assert shown["state"] == "cancelled"
    assert shown["detail"].endswith(": a mistake")
    sites("transfers", "cancel", first, code=4)
    sites("transfers", "cancel", "zzz", code=2)
    assert sites("transfers", "run") == "nothing to do\n"
    assert sites.files() == []


def test_what_a_request_that_is_joined_has_otherwise_is_said(sites: Sites) -> None:
    ask = ("copy", "d", "--to", "B", "--no-wait")
    sites(*ask, "--priority", "1")
    sites(*ask, "--priority", "5", "--deadline", "2999-01-31")
    assert "with priority 1 instead of 5, deadline none instead of 2999-01-31" in sites.err
    assert sites.json(*ask)["otherwise"] == {"priority": {"asked": 3, "stands": 1}}
    assert sites.json(*ask, "--priority", "1")["otherwise"] == {}


def test_a_request_has_one_shape(sites: Sites) -> None:
    asked = sites.json("copy", "d", "--to", "B", "--no-wait")
    (listed,) = sites.listed()
    shown = sites.json("transfers", "show", listed["request"])
    (ran,) = sites.json("transfers", "run")["requests"]
    told = sites.json("copy", "d", "--to", "C")
    over = sites.json("copy", "d", "--to", "C")
    for facts in (asked, shown, ran, told, over):
        assert listed.keys() <= facts.keys()
    assert [each["state"] for each in (asked, listed, ran, told, over)] == ["new", "new", "done", "done", "done"]
    assert (asked["files"], asked["size"], asked["asked"]) == (3, 105_000, listed["asked"])
    assert (over["request"], over["asked"], told["run"]["files_copied"]) == (None, None, 3)


def test_a_missing_source_is_said_once_with_what_to_do(sites: Sites) -> None:
    (sites.folder / "A/data/f1").unlink()
    said = sites("copy", "d", "--to", "B", code=3)
    assert said.count("A:/data/f1: no such file") == 1
    assert sites.err == "`holdfast check A` finds all that is missing there\n"


def test_what_is_under_way_goes_on_when_the_rest_is_held_back(sites: Sites) -> None:
    id = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]
    begin(sites, id, "w")
    assert "held back; what is under way goes on (3 files)" in sites("transfers", "hold", id)


def test_a_worker_that_was_killed_is_seen(sites: Sites) -> None:
    assert sites("workers") == ""
    id = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]
    file = WorkerFile(sites.folder / "state/workers", "w")
    file.acquire()
    begin(sites, id, "w")
    (worker,) = sites.json("workers")["workers"]
    assert (worker["worker"], worker["state"], worker["batches"], worker["files"]) == ("w", "alive", 1, 3)
    assert sites.listed()[0]["why"] == ""
    file.let_go()
    assert sites.json("workers")["workers"][0]["state"] == "lost"
    assert " lost " in sites("workers")
    (listed,) = sites.listed()
    assert listed["why"].startswith(f"its worker (process 1 on {os.uname().nodename}) ")
    assert listed["why"].endswith("another one takes over: `holdfast transfers run`")
    assert listed["rate_bytes_s"] is None
    sites("transfers", "run")
    assert sites.files() == FILES
    assert sites.json("workers")["workers"] == []


def begin(sites: Sites, id: str, worker: str) -> None:
    """What a worker does that begins a request."""
    store = sites.store()
    queue = Queue(store)
    Workers(store).register(NewWorker(worker, os.uname().nodename, 1, 60.0), now_us=system_clock())
    with store.snapshot() as snapshot:
        request = snapshot.request(id)
        assert request is not None
    (known,) = queue.take_in([request])
    queue.add(known, [NewBatch("0000", FileSet.full(3), 105_000)], "0000", is_last=True)
    with queue.write() as connection:
        [batch] = queue.waiting(connection, now_us=system_clock(), wait_us_max=0)
        given = {"worker": worker, "claim": "c", "source": "A", "engine": "local", "now_us": system_clock()}
        assert queue.claim(connection, batch, batch.files, batch.size, **given) is not None  # type: ignore[arg-type]
    store.close()


def test_a_site_in_the_waitroom_gets_its_copy_later(sites: Sites) -> None:
    sites("site", "set", "B", "--status", "waitroom")
    sites("copy", "d", "--to", "B", code=4)
    assert "--no-wait" in sites.err
    sites("copy", "d", "--to", "B", "--no-wait")
    assert "B is waitroom: it is held" in sites.err
    assert "held: site unavailable: B is waitroom" in sites("transfers", "run", code=1)
    assert "holdfast site set B --status ready" in sites.err
    sites("site", "set", "B", "--status", "ready")
    sites("transfers", "run")
    assert sites.files() == FILES


def test_the_least_deadline_is_said(sites: Sites) -> None:
    sites("copy", "d", "--to", "B", "--deadline", "1s", code=2)
    assert "at least 1min" in sites.err


def test_of_several_all_are_open_or_nothing_is_said_to_any(sites: Sites) -> None:
    first = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]
    second = sites.json("copy", "d", "--to", "C", "--no-wait")["request"]
    sites("transfers", "cancel", second)
    sites("transfers", "cancel", first, second, code=4)
    assert sites.json("transfers", "show", first)["state"] == "new"


def test_a_wrong_source_is_held_with_its_reason_and_tried_again(sites: Sites) -> None:
    damaged = sites.folder / "A/data/f1"
    good = damaged.read_bytes()
    damaged.write_bytes(b"X" + good[1:])
    said = sites.json("copy", "d", "--to", "B", code=3)
    assert (said["state"], said["done"], said["run"]["files_held"]) == ("held", 2, 1)
    assert said["run"]["bad_sources"][0]["site"] == "A"
    assert sites.files() == ["data/f0", "data/f2"]
    (listed,) = sites.listed("transfers", "--state", "held")
    assert (listed["done"], listed["left"], listed["by_state"]["held"]) == (2, 1, 1)
    assert listed["why"].startswith("1 file held: all failed; last error source is wrong: A:/data/f1: ")
    shown = sites.json("transfers", "show", listed["request"])
    assert shown["problems"][0]["example"] == "/data/f1"
    assert (shown["problems"][0]["code"], shown["problems"][0]["tries"]) == ("source-wrong", 1)
    assert "/data/f1" in sites("transfers", "show", listed["request"])
    sites("transfers", "run", code=3)
    assert "holdfast check A --checksums" in sites.err
    damaged.write_bytes(good)
    assert "1 file would be" not in sites("transfers", "retry", listed["request"], "--dry-run")
    assert sites.json("transfers", "retry", "--state", "held")["requests"][0]["files"] == 1
    assert sites.listed()[0]["why"] == "no worker is at work: `holdfast transfers run`"
    sites("transfers", "run")
    assert sites.files() == FILES


def test_watching_in_lines(sites: Sites) -> None:
    sites("transfers", "watch", "--site", "B")
    assert sites.err == "no open transfer at B\n"
    first = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]
    worker = subprocess.Popen(
        ["python", "-c", "import sys; from holdfast.cli.main import main; sys.exit(main(['transfers', 'run', '-q']))"],
        cwd=sites.folder,
        stdout=subprocess.DEVNULL,
    )
    said = sites("transfers", "watch", "--interval", "0.1").splitlines()
    assert worker.wait(30) == 0
    assert said[-1] == f"{first[:12]} d at B: done, 3 of 3 files: 3 files, 105.0 kB"
    sites("copy", "d", "--to", "C", "--no-wait")
    sites("transfers", "cancel", "--site", "C")
    cancelled = sites.listed("transfers", "--state", "cancelled")[0]["request"]
    assert "cancelled" in sites("transfers", "watch", cancelled, code=3)
    assert sites.json("transfers", "watch", first)["requests"][0]["done"] == 3


def test_looking_waits_for_no_writer(sites: Sites) -> None:
    id = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]
    sites("transfers", "list")
    store = sites.store()
    with store.writing():
        assert id[:12] in sites("transfers", "list")
        sites("transfers", "show", id)
    store.close()


def test_the_log_tells_what_was_done(sites: Sites) -> None:
    sites("--log-level", "info", "copy", "d", "--to", "B")
    for event in ("worker begun", "request closed", "worker ended"):
        assert event in sites.err


def test_bad_names_end_with_two(sites: Sites) -> None:
    for arguments in (("copy", "nope", "--to", "B"), ("copy", "d", "--to", "X"), ("transfers", "show", "zzz")):
        sites(*arguments, code=2)
        assert sites.err.count("\n") == 1


def test_words_are_completed(sites: Sites) -> None:
    id = sites.json("copy", "d", "--to", "B", "--no-wait")["request"]

    def offered(words: str) -> list[str]:
        ran = holdfast(
            (),
            cwd=sites.folder,
            env={"_HOLDFAST_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))},
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.split()

    assert offered(f"holdfast transfers show {id[:6]}") == [id]
    assert offered("holdfast deletions show ") == []
    assert offered("holdfast copy d --to ") == ["A", "B", "C"]
    assert offered("holdfast delete ") == ["d"]


def test_where_nothing_is_installed_nothing_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    class Nothing:
        def find_root(self) -> None:
            raise RuntimeError

    assert completing.sites(Nothing(), "") == []  # type: ignore[arg-type]


@pytest.fixture
def small_disk(commands: Commands) -> Iterator[Path]:
    folder = commands.folder / "B"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "holdfast-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.real("tmpfs mount")
def test_a_full_disk_is_said_once_and_the_rest_can_follow(commands: Commands, small_disk: Path) -> None:
    sites = Sites(commands)
    said = sites("copy", "d", "--to", "B", "--quiet", code=3)
    assert (said + sites.err).count("no space left on device") == 1
    assert ".holdfast-part-" not in said
    assert sites.err.count("\n") == 1
    assert "work has stopped at B" in sites.err
    assert "transfers run" in sites.err
    assert not list(small_disk.rglob(".*"))
    assert len(sites.files()) < 3
    (listed,) = sites.listed()
    assert listed["state"] == "held"
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    sites("transfers", "run")
    assert sites.files() == FILES
