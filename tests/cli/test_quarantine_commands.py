"""``holdfast consistency quarantine`` and ``restore``, and quarantining requests among ``holdfast deletions``."""

from __future__ import annotations

import pytest
from commanding import Commands
from request_world import FILES, Sites

from holdfast.model import names, quarantine
from holdfast.model.clock import system_clock
from holdfast.model.records import EmptyDirectory, Orphan
from holdfast.operations import requests

INTO = quarantine.day_folder(system_clock())
DAY = names.split(INTO)[1]


@pytest.fixture
def sites(commands: Commands) -> Sites:
    """A and B hold the dataset."""
    made = Sites(commands)
    made("copy", "d", "--to", "B")
    return made


def ask(sites: Sites, *paths: str, into: str = INTO, directories: tuple[str, ...] = ()) -> None:
    """Ask that files with a word in them, made here, are quarantined."""
    orphans = []
    for path in paths:
        place = sites.folder / "B" / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("dark")
        orphans.append(Orphan(path, 4, place.stat().st_mtime_ns))
    for path in directories:
        (sites.folder / "B" / path[1:]).mkdir(parents=True)
    store = sites.store()
    requests.request_deletion(
        store,
        "B",
        orphans,
        reason="test",
        actor="me@here",
        clock=system_clock,
        into=into,
        directories=[EmptyDirectory(path) for path in directories],
    )
    store.close()


def test_quarantining_is_told_as_that(sites: Sites) -> None:
    ask(sites, "/dark/a", "/dark/b")
    (listed,) = sites.listed("deletions")
    assert (listed["kind"], listed["into"], listed["files"]) == ("orphans", INTO, 2)
    assert f"into      {INTO}\n" in sites("deletions", "show", listed["request"])
    assert "quarantine of orphans at B: done: moved 2, already gone 0, skipped 0\n" in sites("deletions", "run")
    assert sites.files("B") == sorted([*FILES, f"{INTO[1:]}/dark/a", f"{INTO[1:]}/dark/b"])


def test_directories_are_told_as_that(sites: Sites) -> None:
    ask(sites, into="", directories=("/idle", "/idle/below"))
    (listed,) = sites.listed("deletions")
    assert (listed["into"], listed["files"]) == (None, 2)
    assert "empty directories" in sites("deletions", "list")
    assert "deletion of empty directories at B: done: deleted 2" in sites("deletions", "run")
    assert not (sites.folder / "B/idle").exists()


def test_what_lies_there_is_shown_by_day(sites: Sites) -> None:
    assert sites("consistency", "quarantine", "B") == ""
    assert sites.json("consistency", "quarantine", "B") == {"site": "B", "days": {}, "files": [], "unlisted": []}
    ask(sites, "/dark/a", "/dark/b")
    sites("deletions", "run")
    lost = sites.folder / "B" / quarantine.QUARANTINE[1:] / "lost"
    lost.write_text("by hand")
    shown = sites("consistency", "quarantine", "B").splitlines()
    assert [line.split()[:2] for line in shown] == [["since", "files"], [DAY, "2"], ["other", "1"]]
    assert f"{INTO}/dark/a" in sites("consistency", "quarantine", "B", "--files").splitlines()
    told = sites.json("consistency", "quarantine", "B")
    assert told["days"] == {DAY: {"files": 2, "size": 8}, "other": {"files": 1, "size": 7}}
    first = {"path": f"{INTO}/dark/a", "original": "/dark/a", "since": DAY, "size": 4}
    other = {"path": f"{quarantine.QUARANTINE}/lost", "original": None, "since": None, "size": 7}
    assert (told["files"][0], told["files"][-1]) == (first, other)
    assert told["unlisted"] == []


def test_files_are_had_back(sites: Sites) -> None:
    ask(sites, "/dark/a", "/dark/b", "/dark/c")
    sites("deletions", "run")
    before = sites.files("B")
    assert sites("consistency", "restore", "B", f"{INTO}/dark/a", "--dry-run") == "/dark/a: would be back\n"
    assert sites.files("B") == before
    assert sites("consistency", "restore", "B", f"{INTO}/dark/a") == "/dark/a: back\n"
    assert "publish or lock" in sites.err
    told = sites.json("consistency", "restore", "B", f"{INTO}/dark/b")
    assert told == {"site": "B", "moved": {f"{INTO}/dark/b": "/dark/b"}, "dry_run": False}
    assert sites.files("B") == sorted([*FILES, "dark/a", "dark/b", f"{INTO[1:]}/dark/c"])


def test_one_that_cannot_be_had_back_ends_it(sites: Sites) -> None:
    ask(sites, "/dark/a", "/dark/b")
    sites("deletions", "run")
    (sites.folder / "B/dark").mkdir(exist_ok=True)
    (sites.folder / "B/dark/b").write_text("new")
    ran = sites.run("consistency", "restore", "B", f"{INTO}/dark/a", f"{INTO}/dark/b")
    assert (ran.code, ran.out) == (4, "/dark/a: back\n")
    assert "/dark/b is taken" in ran.err
    assert (sites.folder / "B/dark/b").read_text() == "new"
    sites.run("consistency", "restore", "B", "/dark/b").expect_error(2, "no file in the quarantine")
    sites.run("consistency", "restore", "B", f"{INTO}/dark/none").expect_error(3, "no such file")
    sites.run("consistency", "quarantine", "none").expect_error(2, "none")
