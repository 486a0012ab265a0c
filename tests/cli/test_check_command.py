"""``holdfast check`` on real folders: what it prints, how it ends, and what a dry run or a refusal leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from commanding import CONTENTS, Commands, copied_dataset, holdfast


@pytest.fixture
def run(commands: Commands) -> Commands:
    """A dataset of four files at A and B; B is the one that things happen to."""
    copied_dataset(commands)
    return commands


def at_b(run: Commands, name: str) -> Path:
    return run.folder / "b/data" / name


def open_requests(run: Commands) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = run.good("transfers", "list", "--json").document["requests"]
    return requests


def journal(run: Commands) -> Any:
    return run.good("journal", "tail", "--json").document


def test_a_missing_file_is_found_and_brought_back(run: Commands) -> None:
    at_b(run, "f1").unlink()
    assert run("check", "B").code == 1
    run.good("check", "B", "--repair", "--max-fraction", "0.5")
    assert at_b(run, "f1").read_text() == CONTENTS["f1"]
    run.good("check", "B")


def test_what_a_repair_only_asked_for_is_awaited_until_it_is_there(run: Commands) -> None:
    at_b(run, "f1").unlink()
    assert run("check", "B", "--repair", "--max-fraction", "0.5", "--no-wait").code == 1
    ran = run("check", "B")
    assert ran.code == 1
    assert "asked for, not there yet" in ran.out
    document = run("check", "B", "--json").document
    assert (document["awaited"], document["awaited_held"], document["agrees"]) == (1, 0, False)
    assert document["sizes"]["awaited"] == len(CONTENTS["f1"])
    run.good("check", "B", "--repair")
    assert at_b(run, "f1").exists()


def test_a_wrong_file_is_brought_after_a_repair_that_is_held(run: Commands) -> None:
    at_b(run, "f1").write_text("cut")
    good = run.folder / "a/data/f1"
    aside = good.rename(run.folder / "aside")
    ran = run("check", "B", "--repair", "--max-fraction", "0.5", "--ignore-age", "0")
    assert ran.code == 1
    assert "copies of run#1: held: all failed: " in ran.out
    (asked,) = open_requests(run)
    ran = run("check", "B")
    assert "asked for, not there yet; 1 held" in ran.out
    assert f"held: request {asked['request'][:12]}: 1 file held: all failed; last error " in ran.out
    document = run("check", "B", "--json").document
    assert (document["size_mismatch"], document["awaited"], document["awaited_held"]) == (0, 1, 1)
    aside.rename(good)
    ran = run("check", "B", "--repair", "--no-wait")
    assert "tries again 1 file of earlier requests that were held" in ran.out
    assert [each["state"] for each in open_requests(run)] == ["queued"]
    run.good("check", "B", "--repair")
    assert at_b(run, "f1").read_text() == CONTENTS["f1"]


def test_a_copy_that_somebody_cancelled_is_not_awaited_any_more(run: Commands) -> None:
    (run.folder / "a/more").mkdir()
    (run.folder / "a/more/g").write_text("more")
    run.good("publish", "a/more", "--dataset", "more#1", "--site", "A")
    run.good("copy", "more#1", "--to", "B", "--no-wait")
    assert run("check", "B").code == 1
    (asked,) = open_requests(run)
    run.good("transfers", "cancel", asked["request"])
    run.good("check", "B")


def test_a_renamed_directory_is_not_deleted_as_orphans(run: Commands) -> None:
    (run.folder / "b/data").rename(run.folder / "b/data.old")
    run.good("site", "set", "A", "--status", "morgue")
    deleting = ("check", "B", "--ignore-age", "0", "--delete-orphans", "--unconfirmed", "--orphan-limit", "100")
    ran = run(*deleting)
    assert ran.code == 4
    assert "4 of 4 expected files" in ran.err
    ran = run(*deleting, "--max-fraction", "1")
    assert ran.code == 1
    assert "may be a moved last copy of /data/f" in ran.out
    assert len(list((run.folder / "b/data.old").iterdir())) == 4


def test_what_was_moved_in_with_an_old_time_is_too_young(run: Commands) -> None:
    dark = run.folder / "b/dark"
    dark.write_text("dark")
    os.utime(dark, (0, 0))
    assert run.good("check", "B", "--json").document["ignored"] == 1
    assert run("check", "B", "--ignore-age", "0", "--json").document["orphan"] == 1
    run.good("check", "B", "--ignore-age", "0", "--delete-orphans", "--unconfirmed", "--orphan-limit", "1")
    assert not dark.exists()


def test_a_dry_run_changes_nothing_and_names_no_request(run: Commands) -> None:
    at_b(run, "f1").unlink()
    (run.folder / "b/dark").write_text("dark")
    before = journal(run)
    options = (
        "--checksums",
        "--max-fraction",
        "0.5",
        "--ignore-age",
        "0",
        "--unconfirmed",
        "--orphan-limit",
        "1",
        "--dry-run",
    )
    document = run("check", "B", "--repair", "--delete-orphans", *options, "--json").document
    asked = document["repair"]["asked"]
    assert (asked["copies"], asked["deletions"]) == (1, 1)
    assert (asked["copy_requests"], asked["deletion_requests"]) == ([], [])
    assert document["proved"] == 3
    assert Path(document["folder"]).is_dir()
    assert journal(run) == before
    run.good("check", "A", "--checksums", "--dry-run")
    assert journal(run) == before
    run.good("check", "A", "--checksums")
    assert journal(run) != before


def test_a_refusal_still_prints_the_report_as_json(run: Commands) -> None:
    at_b(run, "f1").unlink()
    ran = run("check", "B", "--repair", "--json")
    assert ran.code == 4
    assert ran.err.startswith("holdfast: error: 1 of 4 expected files")
    assert ran.err.count("\n") == 1
    document = ran.document
    assert (document["missing"], document["put_right"]) == (1, False)
    assert "1 of 4 expected files" in document["error"]


def test_too_many_orphans_and_nothing_at_all_is_asked_for(run: Commands) -> None:
    at_b(run, "f1").unlink()
    (run.folder / "b/dark").write_text("dark")
    options = ("--max-fraction", "0.5", "--ignore-age", "0", "--delete-orphans", "--unconfirmed", "--orphan-limit", "0")
    ran = run("check", "B", "--repair", *options)
    assert ran.code == 4
    assert "1 orphans, more than orphans_max, 0" in ran.err
    assert open_requests(run) == []


def test_a_file_named_like_what_a_run_leaves_does_no_harm(run: Commands) -> None:
    run.good("check", "B")
    (reports,) = run.folder.glob("**/reports/B")
    (reports / "x.part").write_text("mine")
    run.good("check", "B")
    assert (reports / "x.part").read_text() == "mine"


def test_the_log_tells_of_a_check_only_if_asked(run: Commands) -> None:
    told = holdfast(["--log-level", "info", "check", "B", "--quiet"], cwd=run.folder)
    assert "check begun" in told.stderr
    assert "check ended" in told.stderr
    assert "check begun" not in holdfast(["check", "B", "--quiet"], cwd=run.folder).stderr
