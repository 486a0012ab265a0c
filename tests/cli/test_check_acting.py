"""``holdfast check`` that acts: confirmation over checks, gates, modes, quarantine, and what is declared lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commanding import CONTENTS, Commands, copied_dataset

SETTINGS = """[consistency]
ignore_age_s = 0
orphan_runs = 2
orphan_over_days = 0
orphans_of_actual_max = 1.0
missing_fraction_max = 0.5
empty_directories_of_listed_max = 1.0
"""


@pytest.fixture
def run(commands: Commands) -> Commands:
    """A dataset of four files at A and B; B is the one that things happen to."""
    copied_dataset(commands)
    configuration = commands.folder / "holdfast.toml"
    configuration.write_text(configuration.read_text().replace("[consistency]\n", SETTINGS, 1))
    return commands


def damage(run: Commands) -> Path:
    """A missing file, an orphan that is kept open by nobody, and an empty directory; returns the orphan."""
    (run.folder / "b/data/f1").unlink()
    dark = run.folder / "b/data/old/dark"
    dark.parent.mkdir()
    dark.write_text("dark")
    (run.folder / "b/data/empty").mkdir()
    return dark


def quarantined(run: Commands) -> list[Path]:
    return [path for path in (run.folder / "b/.holdfast-quarantine").rglob("*") if path.is_file()]


def test_what_is_not_confirmed_waits_for_the_next_check(run: Commands) -> None:
    dark = damage(run)
    first = run("check", "B", "--act")
    assert first.code == 1
    assert "left: orphan: no orphan of 1 is confirmed: that takes 2 checks without a break" in first.out
    assert (run.folder / "b/data/f1").read_text() == CONTENTS["f1"]
    assert dark.exists()
    run.good("check", "B", "--act")
    assert not dark.exists()
    assert not (run.folder / "b/data/empty").exists()
    (moved,) = quarantined(run)
    assert moved.read_text() == "dark"
    assert moved.parts[-3:] == ("data", "old", "dark")
    document = run.good("check", "B", "--json").document
    assert (document["orphan"], document["ignored"]) == (0, 1)
    actions = run.good("consistency", "history", "B", "--json").document
    assert "orphan" in str(actions)


def test_a_quarantined_file_can_be_had_back(run: Commands) -> None:
    dark = damage(run)
    run("check", "B", "--delete-orphans", "--unconfirmed")
    (moved,) = quarantined(run)
    lying = f"/{moved.relative_to(run.folder / 'b')}"
    run.good("consistency", "restore", "B", lying)
    assert dark.read_text() == "dark"
    assert quarantined(run) == []


def test_without_quarantine_it_is_deleted(run: Commands) -> None:
    dark = damage(run)
    run("check", "B", "--delete-orphans", "--unconfirmed", "--no-quarantine")
    assert not dark.exists()
    assert quarantined(run) == []


def test_what_is_asked_for_by_name_and_not_confirmed_is_refused_before_anything(run: Commands) -> None:
    dark = damage(run)
    ran = run("check", "B", "--repair", "--delete-orphans")
    assert ran.code == 4
    assert "no orphan of 1 is confirmed" in ran.err
    assert not (run.folder / "b/data/f1").exists()
    assert dark.exists()


def test_mode_dry_says_what_it_would_do_and_does_nothing(run: Commands) -> None:
    dark = damage(run)
    run.good("consistency", "mode", "B", "dry", "--reason", "moving disks")
    options = ("check", "B", "--act", "--unconfirmed")
    dry = run(*options)
    assert dry.code == 1
    assert "nothing is asked for: B is in mode dry" in dry.out
    said = run(*options, "--json").document["repair"]["asked"]
    assert (said["copies"], said["deletions"], said["directories"]) == (1, 1, 1)
    assert dark.exists()
    run.good("consistency", "mode", "B", "act")
    done = run.good(*options, "--json").document["repair"]["asked"]
    assert (done["copies"], done["deletions"], done["directories"]) == (1, 1, 1)
    assert not dark.exists()


def test_a_dry_run_prints_exactly_what_a_real_one_does(run: Commands) -> None:
    damage(run)
    options = ("check", "B", "--act", "--unconfirmed", "--json")
    dry, real = (run(*options, *more).document["repair"]["asked"] for more in (("--dry-run",), ()))
    requests = ("copy_requests", "deletion_requests", "directory_requests")
    assert [dry[name] for name in requests] == [[], [], []]
    assert all(len(real[name]) == 1 for name in requests)
    assert {**dry, **dict.fromkeys(requests)} == {**real, **dict.fromkeys(requests)}


def test_a_site_that_shows_far_fewer_files_than_before_is_not_acted_on(run: Commands) -> None:
    dark = damage(run)
    for number in range(8):
        (run.folder / f"b/data/old/more{number}").write_text("more")
    run("check", "B")
    for number in range(8):
        (run.folder / f"b/data/old/more{number}").unlink()
    ran = run("check", "B", "--act", "--unconfirmed")
    assert ran.code == 1
    assert "fewer by more than shrunk_fraction_max" in ran.out
    assert dark.exists()


def test_a_halted_site_is_not_checked(run: Commands) -> None:
    run.good("consistency", "halt", "B", "--reason", "moving disks")
    ran = run("check", "B")
    assert ran.code == 4
    assert "B is halted" in ran.err
    run.good("consistency", "resume", "B")
    run.good("check", "B")


def test_what_is_gone_everywhere_is_declared_lost_after_two_checks(run: Commands) -> None:
    run.good("site", "set", "A", "--status", "morgue")
    (run.folder / "b/data/f1").unlink()
    run("check", "B")
    listed = run.good("consistency", "lost", "B", "--json").document
    (lost,) = listed["files"]
    assert (lost["lfn"], lost["hope"], lost["sites"]) == ("/data/f1", "only at sites that are not ready", ["A"])
    assert run("consistency", "lost", "B", "--dataset", "run#2").code == 2
    (lost,) = run.good("consistency", "lost", "B", "--json", "--dataset", "run#1").document["files"]
    assert lost["dataset"] == "run#1"
    run.good("site", "set", "A", "--status", "ready")
    run.good("consistency", "lost", "B")
    for reason in ((), ("--reason", " ")):
        run("consistency", "lost", "B", "--declare", *reason).expect_error(2, "give --reason")
    run("consistency", "lost", "B", "--reason", "fire").expect_error(2, "give --declare")


def test_only_a_reasoned_word_declares(run: Commands) -> None:
    run.good("delete", "run#1", "--at", "A", "--reason", "test", "--despite-brake")
    (run.folder / "b/data/f1").unlink()
    run("check", "B")
    word = ("consistency", "lost", "B", "--declare", "--reason", "fire", "--json")
    once = run(*word)
    assert (once.code, once.document["declared"]) == (1, [])
    assert "1 file not declared: not seen so in enough checks" in run(*word[:-1]).err
    run("check", "B")
    dry = run(*word, "--dry-run")
    assert (dry.code, dry.document["declared"]) == (1, ["/data/f1"])
    assert run.good(*word).document["declared"] == ["/data/f1"]
    assert run.good("check", "B", "--json").document["expected"] == 3


@pytest.mark.parametrize(
    "alone",
    [
        ("--unconfirmed",),
        ("--no-wait",),
        ("--max-fraction", "1"),
        ("--no-quarantine",),
        ("--again",),
        ("--orphan-limit", "1"),
    ],
)
def test_an_option_of_acting_alone_is_refused(run: Commands, alone: tuple[str, ...]) -> None:
    run("check", "B", *alone).expect_error(2, f"{alone[0]} says nothing without", "say both, or neither")
    assert run("check", "B", "--act", "--dry-run", *alone).code == 0


def test_what_somebody_cancelled_is_left_until_it_is_asked_for_again(run: Commands) -> None:
    dark, check = damage(run), ("check", "B", "--delete-orphans", "--unconfirmed")
    run(*check, "--no-wait")
    (request,) = run.good("deletions", "list", "--json").document["requests"]
    run.good("deletions", "cancel", request["request"], "--reason", "still needed")
    ran = run(*check)
    assert ran.code == 1
    assert "left alone: /data/old/dark: cancelled by" in ran.out
    assert "still needed; --again asks for it nonetheless" in ran.out
    assert dark.exists()
    run(*check, "--again")
    assert not dark.exists()


def test_what_earlier_requests_take_away_counts_as_put_right(run: Commands) -> None:
    dark, word = damage(run), ("check", "B", "--act", "--unconfirmed")
    run(*word, "--no-wait")
    assert dark.exists()
    out = run.good(*word).out
    assert "1 orphan to go already, by earlier requests" in out
    assert "1 empty directory to go already, by earlier requests" in out
    assert not (run.folder / "b/data/empty").exists()


def test_documents_say_the_same_things_in_the_same_words(run: Commands) -> None:
    damage(run)
    document = run("check", "B", "--act", "--unconfirmed", "--json").document
    (copy,) = document["repair"]["copied"]["requests"]
    assert copy["request"] == document["repair"]["asked"]["copy_requests"][0]
    (shown,) = run.good("consistency", "history", "B", "--json").document["runs"]
    assert document["sizes"] == shown["report"]["sizes"]
    _, site = run.good("consistency", "report", "B", "--json").document["sites"]
    assert {each["request"]: each["at"] for each in site["actions"]} == {
        each["request"]: each["at"] for each in shown["asked"]
    }
    assert (
        shown["started"]
        == site["runs"][0]["started"]
        <= document["started"]
        <= copy["asked"]
        <= shown["asked"][-1]["at"]
    )
    assert '_us": ' not in run("check", "B", "--json").out
    assert '_us": ' not in run.good("consistency", "report", "B", "--json").out


def test_a_document_says_whether_it_is_of_a_dry_run(run: Commands) -> None:
    for options, is_dry in (((), False), (("--dry-run",), True)):
        assert run.good("check", "B", "--act", "--json", *options).document["dry_run"] is is_dry
        assert run.good("clean", "quarantine", "B", "--json", *options).document["dry_run"] is is_dry


def test_without_its_report_nobody_says_what_a_site_lacks(run: Commands) -> None:
    damage(run)
    run("check", "B")
    (table,) = run.folder.glob("reports/B/*/findings.parquet")
    table.write_bytes(b"junk")
    run("consistency", "lost", "B").expect_error(2, "the findings cannot be read", "check the site again")
    shutil.rmtree(run.folder / "reports/B")
    for command in ("lost", "findings"):
        run("consistency", command, "B").expect_error(4, "the last check of B, is not on this machine")


def test_the_gates_hold_for_what_is_declared_lost_too(run: Commands) -> None:
    run.good("delete", "run#1", "--at", "A", "--reason", "test", "--despite-brake")
    word = ("consistency", "lost", "B", "--declare", "--reason", "fire")
    (run.folder / "b/data").rename(run.folder / "b/away")
    (run.folder / "b/data").mkdir()
    for _ in range(2):
        run("check", "B")
    run(*word).expect_error(4, "4 of 4 expected files (100.00%) are missing or wrong, more than missing_fraction_max")
    (run.folder / "b/data").rmdir()
    (run.folder / "b/away").rename(run.folder / "b/data")
    (run.folder / "b/data/f1").unlink()
    for _ in range(2):
        run("check", "B")
    run.good("consistency", "mode", "B", "dry")
    run(*word).expect_error(4, "B is in mode dry")
    run.good("consistency", "mode", "B", "act")
    assert "declared 1 file lost" in run.good(*word).out


def test_what_no_site_has_is_named_and_the_copy_that_waits_for_it(run: Commands) -> None:
    assert run.good("consistency", "nowhere", "--json").document == {"blocks": []}
    (run.folder / "a/data/f1").unlink()
    (run.folder / "b/data/f1").unlink()
    run("check", "B", "--repair", "--no-wait")
    run("check", "A")
    run("check", "A")
    run("consistency", "lost", "A", "--declare", "--reason", "fire")
    ran = run("consistency", "nowhere", "--json")
    assert ran.code == 1
    (block,) = ran.document["blocks"]
    (request,) = [each["request"] for each in run.good("transfers", "list", "--json").document["requests"]]
    assert (block["dataset"], block["files"], block["requests"]) == ("run#1", ["/data/f1"], [request])
    assert "/data/f1" in run("consistency", "nowhere", "run#1").out
    run.good("transfers", "cancel", request)
    assert run("consistency", "nowhere", "--json").document["blocks"][0]["requests"] == []


def test_a_site_whose_disk_was_replaced_is_repaired_by_a_person_s_word(run: Commands) -> None:
    for name in CONTENTS:
        (run.folder / "b/data" / name).unlink()
    (run.folder / "b/data").rmdir()
    repair = ("check", "B", "--repair", "--max-fraction", "1")
    refused = run(*repair)
    assert refused.code == 4
    assert "B shows no file at all" in refused.err
    assert run(*repair, "--act", "--despite-empty").code == 2
    run.good(*repair, "--despite-empty")
    assert {path.name: path.read_text() for path in (run.folder / "b/data").iterdir()} == CONTENTS


def test_whoever_asks_why_is_told_by_which_words_gates_were_opened(run: Commands) -> None:
    damage(run)
    words = ("--unconfirmed", "--orphan-limit", "50", "--no-quarantine")
    said = run("check", "B", "--delete-orphans", "--ignore-age", "0", "--no-wait", "--json", *words).document
    (id,) = said["repair"]["asked"]["deletion_requests"]
    reason = run.good("deletions", "show", id, "--json").document["reason"]
    assert reason == f"check {said['run']} of B (unconfirmed, orphan limit 50, no quarantine)"
