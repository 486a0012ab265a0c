"""``holdfast delete``, ``holdfast deletions`` and what guards them, on real folders."""

from __future__ import annotations

import pytest
from commanding import Commands
from request_world import FILES, Sites

from holdfast.model import steps
from holdfast.model.clock import system_clock
from holdfast.model.records import Orphan
from holdfast.operations import requests

WHY = ("--reason", "test")


@pytest.fixture
def sites(commands: Commands) -> Sites:
    """A and B hold the dataset."""
    sites = Sites(commands)
    sites("copy", "d", "--to", "B")
    return sites


def test_a_site_loses_a_dataset_and_others_keep_it(sites: Sites) -> None:
    assert sites("delete", "d", "--at", "B", *WHY).startswith("deletion of d at B: done: deleted 3")
    assert (sites.files("A"), sites.files("B")) == (FILES, [])
    shown = sites.json("dataset", "show", "d")
    assert [each["site"] for each in shown["sites"]] == ["A"]
    assert sites("delete", "d", "--at", "B", *WHY) == "nothing to do: B holds none of these files\n"
    sites("copy", "d", "--to", "B")
    assert sites.files("B") == FILES
    assert "no violation" in sites("verify")


def test_a_dry_run_shows_all_and_does_nothing(sites: Sites) -> None:
    before = sites.position()
    said = sites("delete", "d", "--at", "B", *WHY, "--dry-run")
    assert said.startswith("would delete 3 files, 105.0 kB, of d at B, 1 block\n")
    document = sites.json("delete", "d", "--at", "B", *WHY, "--dry-run")
    assert (document["files"], document["absent"], document["staying"], document["refused"]) == (3, 0, [], None)
    assert sites.position() == before
    assert sites.files("B") == FILES


def test_the_last_copies_stay(sites: Sites) -> None:
    sites("delete", "d", "--at", "B", *WHY)
    for more in ((), ("--dry-run",)):
        said = sites("delete", "d", "--at", "A", *WHY, *more, code=4)
        assert "must not be deleted" in sites.err
    assert "last copy" in said
    assert "/data/f0" in said
    document = sites.json("delete", "d", "--at", "A", *WHY, "--dry-run", code=4)
    (staying,) = document["staying"]
    assert (staying["files"], staying["ground"]) == (3, "last-copy")
    assert staying["examples"] == ["/data/f0", "/data/f1", "/data/f2"]
    assert "must not be deleted" in document["refused"]
    assert sites.files("A") == FILES


def test_required_copies_and_locks_stand_against_it(sites: Sites) -> None:
    assert sites("dataset", "set", "d", "--required-copies", "2") == "d: valid, 2 required copies\n"
    sites("delete", "d", "--at", "B", *WHY, code=4)
    assert "fewer than 2 other ready sites" in sites.err
    sites("dataset", "set", "d", "--required-copies", "1", "--status", "deprecated")
    lock = sites.json("lock", "add", "d", "--reason", "paper")["id"]
    sites("delete", "d", "--at", "B", *WHY, code=4)
    assert "locked by" in sites.err
    sites("lock", "remove", lock)
    sites("delete", "d", "--at", "B", *WHY)


def test_what_a_dataset_can_be_set_to(sites: Sites) -> None:
    before = sites.position()
    sites("dataset", "set", "d", code=2)
    sites("dataset", "set", "d", "--required-copies", "0", code=2)
    sites("dataset", "set", "nothing", "--required-copies", "2", code=2)
    sites("dataset", "set", "d", "--required-copies", "2", "--dry-run")
    assert sites.position() == before


def test_a_lock_that_comes_after_the_request_counts(sites: Sites) -> None:
    sites("delete", "d", "--at", "B", *WHY, "--no-wait")
    lock = sites.json("lock", "add", "/data/f1", "--file", "--reason", "paper")["id"]
    assert "must stay: locked by" in sites("deletions", "run", code=3)
    assert sites.files("B") == ["data/f1"]
    (listed,) = sites.listed("deletions")
    assert (listed["state"], listed["done"], listed["by_state"]["held"]) == ("held", 2, 1)
    (problem,) = sites.json("deletions", "show", listed["request"])["problems"]
    assert problem["example"] == "/data/f1"
    assert "locked by" in problem["error"]
    sites("deletions", "run", code=3)
    sites("lock", "remove", lock)
    assert "done: deleted 3" in sites("deletions", "run")
    assert sites.files("B") == []


def test_blocks(sites: Sites) -> None:
    (block,) = [each["block"] for each in sites.json("dataset", "show", "d", "--blocks")["block_list"]]
    sites("delete", "d", "--at", "B", "--block", "nothing", *WHY, code=2)
    sites("delete", "d", "--at", "B", "--block", block, *WHY)
    assert sites.files("B") == []
    sites("copy", "d", "--to", "C", "--block", "nothing", code=2)
    sites("copy", "d", "--to", "C", "--block", block)
    assert sites.files("C") == FILES


def test_the_brake(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_OPERATIONS_BRAKE_FILES_MIN", "2")
    for more in ((), ("--dry-run",), ("--no-wait",)):
        sites("delete", "d", "--at", "B", *WHY, *more, code=4)
        assert "B would lose 3 of 3 files (100.0%)" in sites.err
        assert "--despite-brake" in sites.err
    sites("delete", "d", "--at", "B", *WHY, "--despite-brake")
    assert sites.files("B") == []


def test_a_copy_takes_a_deletion_back_and_the_other_way_round(sites: Sites) -> None:
    deletion = sites.json("delete", "d", "--at", "B", *WHY, "--no-wait")["request"]
    assert f"open deletion at B: {deletion}" in sites("dataset", "show", "d")
    assert "that it is to lose; that would be taken back" in sites("copy", "d", "--to", "B", "--dry-run")
    said = sites.json("copy", "d", "--to", "B")
    assert (said["state"], said["taken_back"], said["opposites"]) == ("done", 3, [deletion])
    assert sites.json("deletions", "show", deletion)["state"] == "cancelled"
    assert "deletions run" not in sites("deletions", "run")
    assert sites.files("B") == FILES
    copy = sites.json("copy", "d", "--to", "C", "--no-wait")["request"]
    said = sites("delete", "d", "--at", "C", *WHY)
    assert "3 files taken back of what was asked for before" in said
    assert sites.json("transfers", "show", copy)["state"] == "cancelled"
    assert sites("transfers", "run") == "nothing to do\n"


def test_orphans_are_deletions_too(sites: Sites) -> None:
    dark = sites.folder / "B/dark"
    dark.write_text("dark")
    stat = dark.stat()
    store = sites.store()
    orphan = Orphan("/dark", stat.st_size, stat.st_mtime_ns)
    requests.request_deletion(store, "B", [orphan], reason="test", actor="me@here", clock=system_clock)
    store.close()
    (listed,) = sites.listed("deletions")
    assert (listed["kind"], listed["dataset"], listed["owner"]) == ("orphans", None, "me")
    assert "orphans" in sites("deletions", "list")
    assert "deleted 1" in sites("deletions", "run")
    assert not dark.exists()
    assert sites.files("B") == FILES


def test_an_orphan_that_is_left_alone_is_told_by_the_exit_code(sites: Sites) -> None:
    dark = sites.folder / "B/dark"
    dark.write_text("dark")
    stat = dark.stat()
    store = sites.store()
    orphan = Orphan("/dark", stat.st_size, stat.st_mtime_ns)
    requests.request_deletion(store, "B", [orphan], reason="test", actor="me@here", clock=system_clock)
    store.close()
    dark.write_text("somebody's own")
    assert "deleted 0, already gone 0, skipped 1: /dark: it has 14 bytes now" in sites("deletions", "run", code=3)
    assert dark.exists()
    assert sites("deletions", "run") == "nothing to do\n"


def test_what_is_being_deleted_is_not_missed(sites: Sites) -> None:
    sites("delete", "d", "--at", "B", *WHY, "--no-wait")
    (sites.folder / "B/data/f1").unlink()
    report = sites.json("check", "B")
    assert report["missing"] == 0
    assert report["ignored"] == 1
    sites("deletions", "run")
    assert sites.files("B") == []


def test_one_that_had_begun_is_cancelling_until_it_is_known_what_has_gone(sites: Sites) -> None:
    class Killed(BaseException):
        pass

    def dies(step: str) -> None:
        if step == "deletion.deleted":
            raise Killed

    deletion = sites.json("delete", "d", "--at", "B", *WHY, "--no-wait")["request"]
    with steps.observed(dies):
        sites("deletions", "run", code=70)
    assert "cancelled" in sites("deletions", "cancel", deletion, "--dry-run")
    said = sites("deletions", "cancel", deletion, "--reason", "a mistake")
    assert "being cancelled: 0 files taken back, 3 under way" in said
    (listed,) = sites.listed("deletions")
    assert (listed["request"], listed["state"]) == (deletion, "cancelling")
    assert "a mistake; 3 files may be gone" in sites("deletions", "show", deletion)
    assert [each["request"] for each in sites.listed("deletions", "--state", "cancelling")] == [deletion]
    sites("transfers", "run")
    assert sites.json("deletions", "show", deletion)["state"] == "cancelled"
    held = [each["files"] for each in sites.json("dataset", "show", "d")["sites"] if each["site"] == "B"]
    assert sum(held) == len(sites.files("B")) < 3
    sites("deletions", "cancel", deletion, code=4)
