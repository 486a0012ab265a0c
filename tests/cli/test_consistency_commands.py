"""``holdfast consistency``: checks as they are remembered, what people say of sites, and what either shows."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commanding import CONTENTS, Commands, copied_dataset, holdfast

from holdfast.cli import commands, consistency_findings, consistency_runs
from holdfast.cli.context import open_context
from holdfast.consistency import classes
from holdfast.consistency.classes import Class
from holdfast.consistency.history import sighting_query
from holdfast.consistency.history.runs import History
from holdfast.consistency.resumable import LOCK
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.changes import ChangeSet, PutSite
from holdfast.storage.listing.folder_lock import FolderLock

CONFIGURED = """
[consistency.sites.B]
ignore_age_s = 0
missing_fraction_max = 0.5
"""


@pytest.fixture
def run(commands: Commands) -> Commands:
    """A dataset of four files at A and B; at B one of them is gone, and a file and a directory are too much."""
    copied_dataset(commands)
    with (commands.folder / "holdfast.toml").open("a") as file:
        file.write(CONFIGURED)
    (commands.folder / "b/data/f1").unlink()
    (commands.folder / "b/data/dark").write_text("dark")
    (commands.folder / "b/empty").mkdir()
    os.utime(commands.folder / "b/empty", (0, 0))
    return commands


def check(run: Commands, *options: str) -> str:
    """Check B, which differs; returns the name of the run."""
    ran = run("check", "B", "--json", *options)
    assert ran.code in (0, 1), ran
    name: str = ran.document["run"]
    return name


def findings(run: Commands, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.good("consistency", "findings", "B", *options, "--json").document["findings"]
    return found


def state(run: Commands, site: str = "B") -> dict[str, Any]:
    found: list[dict[str, Any]] = run.good("consistency", "states", site, "--json").document["sites"]
    return found[0]


@pytest.mark.parametrize("word", ["halt", "disable"])
def test_the_reason_of_a_halt_says_something(run: Commands, word: str) -> None:
    run("consistency", word, "B", "--reason", " ").expect_error(2, "the reason is empty", "say why")
    assert state(run)["state"] == "ready"


def test_a_mode_that_there_is_not(run: Commands) -> None:
    run("consistency", "mode", "B", "wet").expect_error(2, "invalid value for 'MODE': 'wet' is not one of 'act', 'dry'")


# ---- what checks found -------------------------------------------------------------


def test_nothing_is_known_before_the_first_check(run: Commands) -> None:
    assert run.good("consistency", "history").err == "none\n"
    assert run.good("consistency", "history", "B", "--json").document == {"runs": []}
    assert [each["last_run"] for each in run.good("consistency", "states", "--json").document["sites"]] == [None, None]
    run("consistency", "findings", "B").expect_error(2, "B has not been checked yet", "holdfast check B")


def test_checks_are_listed_the_newest_first(run: Commands) -> None:
    names = [check(run), check(run)]
    run.good("check", "A")
    listed = run.good("consistency", "history", "B", "--json").document["runs"]
    assert [each["run"] for each in listed] == names[::-1]
    (first,) = run.good("consistency", "history", "--limit", "1", "--json").document["runs"]
    assert (first["site"], first["state"], first["report"]["agrees"]) == ("A", "done", True)
    report = listed[0]["report"]
    assert (report["missing"], report["orphan"], report["empty_directory"], report["expected"]) == (1, 1, 1, 4)
    assert report["sizes"]["orphan"] == 4
    header, newest, _, _ = run.good("consistency", "history").out.splitlines()
    assert header.split()[:4] == ["run", "site", "started", "took"]
    assert newest.split()[0] == first["run"]


def test_what_was_asked_for_is_listed_with_its_check(run: Commands) -> None:
    name = check(run, "--repair", "--no-wait")
    (listed,) = run.good("consistency", "history", "B", "--json").document["runs"]
    (asked,) = listed["asked"]
    assert (asked["class"], asked["files"], asked["size"]) == ("missing", 1, len(CONTENTS["f1"]))
    assert run.good("consistency", "history").out.splitlines()[1].endswith("1 missing file")
    (shown,) = run.good("consistency", "show", name, "--json").document["asked"]
    assert (shown["request"], shown["state"]) == (asked["request"], "open")
    run.good("transfers", "run", "--quiet")
    assert run.good("consistency", "show", name, "--json").document["asked"][0]["state"] == "done"
    assert asked["request"][:12] in run.good("consistency", "show", name).out


def test_one_check_is_shown_with_its_gates(run: Commands) -> None:
    earlier, name = check(run), check(run)
    shown = run.good("consistency", "show", name, "--json").document
    gates = {gate["class"]: gate for gate in shown["gates"]}
    assert gates["missing"]["is_open"]
    assert not gates["orphan"]["is_open"]
    assert (gates["orphan"]["found"], gates["orphan"]["confirmed"]) == (1, 0)
    out = run.good("consistency", "show", name).out
    assert "orphan: 1 of 4 files (25.00%) are orphans, more than orphans_of_actual_max, 0.01" in out
    assert "that takes 3 checks without a break over 25 days" in out
    assert run.good("consistency", "show", earlier, "--json").document["gates"] == []


def test_a_reason_that_closes_all_gates_is_said_once(run: Commands) -> None:
    name = check(run)
    run.good("consistency", "mode", "B", "dry", "--reason", "new here")
    out = run.good("consistency", "show", name).out
    assert out.count("new here") == 1
    assert "  all: B is in mode dry" in out


def test_a_check_that_is_not_there(run: Commands) -> None:
    name = check(run)
    run("consistency", "show", f"{name}x").expect_error(2, "there is no run", f"did you mean {name}?")
    run("consistency", "show", "nosuch").expect_error(2, "there is no run 'nosuch'", "`holdfast consistency history`")
    run("consistency", "history", "Bee").expect_error(2, "there is no site 'Bee'")


def test_the_history_of_a_site_that_is_gone_is_there(run: Commands) -> None:
    (run.folder / "c").mkdir()
    run.good("site", "add", "C", "--root", "c")
    run.good("check", "C")
    run.good("site", "remove", "C")
    assert len(run.good("consistency", "history", "C", "--json").document["runs"]) == 1


def test_findings_say_since_when_and_whether_they_are_confirmed(run: Commands) -> None:
    first, second = check(run), check(run)
    found = {each["class"]: each for each in findings(run)}
    assert found.keys() == {"missing", "orphan", "empty_directory"}
    missing, orphan = found["missing"], found["orphan"]
    assert (missing["path"], missing["checks"], missing["is_confirmed"]) == ("/data/f1", 2, True)
    assert (orphan["path"], orphan["checks"], orphan["is_confirmed"]) == ("/data/dark", 2, False)
    assert (orphan["first_run"], orphan["last_run"], orphan["checks_needed"]) == (first, second, 3)
    assert orphan["confirmed_from"] > orphan["last_seen"]
    lines = run.good("consistency", "findings", "B").out.splitlines()
    assert any("/data/f1" in line and line.endswith("confirmed") for line in lines)
    assert any("/data/dark" in line and "confirmed after 1 more check, not before 20" in line for line in lines)


def test_findings_are_chosen_by_class_and_place(run: Commands) -> None:
    check(run)
    assert [each["path"] for each in findings(run, "--class", "orphan")] == ["/data/dark"]
    assert [each["path"] for each in findings(run, "--below", "/data/")] == ["/data/f1", "/data/dark"]
    assert [each["path"] for each in findings(run, "--below", "/empty")] == ["/empty"]
    assert len(findings(run, "--below", "/")) == 3
    run("consistency", "findings", "B", "--below", "data").expect_error(2, "is not absolute")
    run("consistency", "findings", "B", "--class", "ignored").expect_error(2, "ignored are not kept", "orphan")
    assert run("consistency", "findings", "B", "--class", "none").code == 2


def test_what_is_kept_and_never_acted_on_is_told_and_does_not_make_the_site_differ(
    run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be if the traits of what is ignored said so."""
    (run.folder / "b/data/f1").write_text(CONTENTS["f1"])
    (run.folder / "b/data/dark").unlink()
    (run.folder / "b/data/left").mkdir()
    (run.folder / "b/data/left/alone").write_text("left alone")
    with (run.folder / "holdfast.toml").open("a") as file:
        file.write('ignore_directories = ["/data/left"]\n')
    for user in (sighting_query, consistency_findings):
        monkeypatch.setattr(user, "KEPT", (*classes.KEPT, Class.IGNORED))
    monkeypatch.setattr(sighting_query, "LEAVING_OPEN", (Class.SUSPECT, Class.AWAITED, Class.UNLISTED))
    monkeypatch.setattr(consistency_runs, "TOLD", (*classes.TOLD, Class.IGNORED))
    assert [run.good("check", "B", "--json").document["ignored"] for _ in range(2)] == [1, 1]
    (kept,) = findings(run, "--class", "ignored")
    assert (kept["path"], kept["checks"], kept["is_confirmed"]) == ("/data/left/alone", 2, False)
    assert (kept["confirmed_from"], kept["checks_needed"]) == (None, None)
    assert run.good("consistency", "findings", "B", "--class", "ignored").out.splitlines()[1].endswith("never acted on")
    with open_context() as context:
        report = History(context.store).require_last_report("B")
    assert (report.agrees, "1 ignored file" in consistency_runs.found_words(report)) == (True, True)
    shown = run.good("consistency", "show", kept["last_run"], "--json").document
    assert "ignored" not in {gate["class"] for gate in shown["gates"]}


def test_no_more_findings_are_listed_than_asked_for(run: Commands) -> None:
    check(run)
    ran = run.good("consistency", "findings", "B", "--limit", "2")
    assert len(ran.out.splitlines()) == 3
    assert "there are more than 2" in ran.err
    document = run.good("consistency", "findings", "B", "--limit", "2", "--json").document
    assert (len(document["findings"]), document["is_more"]) == (2, True)
    assert run.good("consistency", "findings", "B", "--limit", "3", "--json").document["is_more"] is False


def test_what_was_is_kept_as_former(run: Commands) -> None:
    check(run)
    (run.folder / "b/data/dark").unlink()
    check(run)
    assert "/data/dark" not in [each["path"] for each in findings(run, "--current")]
    (former,) = findings(run, "--former")
    assert (former["path"], former["is_current"], former["is_confirmed"]) == ("/data/dark", False, False)
    assert run.good("consistency", "findings", "B", "--former").out.splitlines()[1].endswith("former")


def test_findings_say_what_was_done(run: Commands) -> None:
    check(run)
    assert [each["done"] for each in findings(run)] == [None, None, None]
    first = check(run, "--repair", "--no-wait")
    before, missing = findings(run, "--class", "orphan")[0], findings(run, "--class", "missing")[0]
    assert before["done"] is None
    (asked,) = run.good("consistency", "show", first, "--json").document["asked"]
    done = missing["done"]
    assert (done["kind"], done["request"], done["state"]) == ("copy", asked["request"], "new")
    assert missing["first_seen"] < done["at"]
    line = run.good("consistency", "findings", "B", "--class", "missing").out.splitlines()[1]
    assert f"copy asked {done['at'][:13]}" in line
    assert f": {asked['request'][:12]}, new" in line


def test_what_was_done_is_known_when_it_is_a_thing_of_the_past(run: Commands) -> None:
    acted = ("--unconfirmed", "--repair", "--delete-orphans", "--remove-empty", "--orphan-limit", "5")
    configuration = run.folder / "holdfast.toml"
    configuration.write_text(configuration.read_text() + "empty_directories_of_listed_max = 1.0\n")
    check(run, *acted)
    check(run)
    former = {each["class"]: each["done"] for each in findings(run, "--former")}
    kinds = {cls: (done["kind"], done["state"]) for cls, done in former.items()}
    assert kinds == {
        "missing": ("copy", "done"),
        "orphan": ("quarantine", "done"),
        "empty_directory": ("directory_removal", "done"),
    }
    (run.folder / "b/data/dark").write_text("another")
    check(run)
    (again,) = findings(run)
    assert (again["path"], again["done"]) == ("/data/dark", None)


def test_what_was_declared_lost_is_said_so(run: Commands) -> None:
    run.good("delete", "run#1", "--at", "A", "--reason", "test", "--despite-brake")
    check(run)
    check(run)
    run.good("consistency", "lost", "B", "--declare", "--reason", "fire")
    check(run)
    (gone,) = findings(run, "--former")
    assert (gone["path"], gone["done"]["kind"], gone["done"]["state"]) == ("/data/f1", "lost", None)
    assert gone["done"]["request"] == "declared lost: run#1"
    assert "declared lost 2" in run.good("consistency", "findings", "B", "--former").out


def test_nothing_is_declared_lost_by_what_was_seen_through_another_door(run: Commands) -> None:
    run.good("delete", "run#1", "--at", "A", "--reason", "test", "--despite-brake")
    check(run)
    check(run)
    (run.folder / "b/data/f1").write_text(CONTENTS["f1"])  # It is there again, where those checks looked.
    (run.folder / "c/data").mkdir(parents=True)
    (run.folder / "c/data/f2").write_text("already moved")
    lead_elsewhere(run, "B", run.folder / "c")
    declare = ("consistency", "lost", "B", "--declare", "--reason", "gone")
    run(*declare).expect_error(4, "another first door", "holdfast check B")
    check(run)
    assert run(*declare).code == 4  # It shows much less than the other one did.
    assert "files-gone" not in run.good("journal", "tail").out


def lead_elsewhere(run: Commands, site: str, root: Path) -> None:
    """Let the first door of a site be another one."""
    with closing(SqlStore.open(run.folder / "state/inventory.db")) as store:
        with store.snapshot() as view:
            record = view.site(site)
        moved = replace(record, doors=(replace(record.first_door, root=str(root)), *record.doors[1:]))
        store.commit(ChangeSet((PutSite(moved),), "people", "moved"))


# ---- what people say ---------------------------------------------------------------


@pytest.mark.parametrize(("word", "said"), [("halt", "halted"), ("disable", "disabled")])
def test_a_site_that_is_halted_is_not_checked_until_it_is_resumed(run: Commands, word: str, said: str) -> None:
    assert run.good("consistency", word, "B", "--reason", "down time").out == f"B: {said}\n"
    assert (state(run)["state"], state(run)["reason"]) == (said, "down time")
    run("check", "B").expect_error(4, f"B is {said}", "down time", "holdfast consistency resume B")
    run.good("check", "A")
    assert "down time" in run.good("consistency", "states").out
    run.good("consistency", "resume", "B", "--reason", "it is back")
    assert (state(run)["state"], state(run)["reason"]) == ("ready", "it is back")
    check(run)


def test_the_mode_goes_before_that_of_the_configuration(run: Commands) -> None:
    with (run.folder / "holdfast.toml").open("a") as file:
        file.write('mode = "dry"\n')
    assert (state(run)["mode"], state(run)["mode_by"], state(run, "A")["mode"]) == ("dry", None, "act")
    said = run.good("consistency", "mode", "B", "act", "--reason", "proved", "--json").document
    assert (said["mode"], said["mode_reason"], said["dry_run"]) == ("act", "proved", False)
    assert state(run)["mode"] == "act"
    assert state(run)["mode_by"].count("@") == 1
    assert run("consistency", "mode", "B", "maybe").code == 2


def test_who_halts_has_to_say_why(run: Commands) -> None:
    for word in ("halt", "disable"):
        run("consistency", word, "B").expect_error(2, "--reason")


@pytest.mark.parametrize(
    "words", [("halt", "B", "--reason", "x"), ("disable", "B", "--reason", "x"), ("resume", "B"), ("mode", "B", "dry")]
)
def test_a_dry_run_says_nothing(run: Commands, words: tuple[str, ...]) -> None:
    before = state(run)
    ran = run.good("consistency", *words, "--dry-run")
    assert "would be" in ran.out
    assert "nothing was done" in ran.err
    assert run.good("consistency", *words, "--dry-run", "--json").document["dry_run"] is True
    after = state(run)
    assert {**after, "last_run_age_s": 0} == {**before, "last_run_age_s": 0}


@pytest.mark.parametrize("words", [("halt", "--reason", "x"), ("resume",), ("disable", "--reason", "x")])
def test_a_site_that_is_not_there(run: Commands, words: tuple[str, ...]) -> None:
    run("consistency", words[0], "C", *words[1:]).expect_error(2, "there is no site 'C'")
    run("consistency", "states", "A", "C").expect_error(2, "there is no site 'C'")


# ---- checks that are at it -----------------------------------------------------------


def begun(run: Commands, *, host: str | None = None) -> Path:
    """A run of B that has begun and told no more; returns the folder that a check locks."""
    folder = run.folder / "reports/B"
    folder.mkdir(parents=True, exist_ok=True)
    store = SqlStore.open(run.folder / "state/inventory.db")
    History(store, host=host).begin("2026-01-01T000000Z-abcdef", "B", 1_767_225_600_000_000, folder / "run")
    store.close()
    return folder


def test_a_site_is_running_while_a_check_is_at_it(run: Commands) -> None:
    lock = FolderLock(begun(run), name=LOCK)
    assert state(run)["is_running"] is True
    assert "ready, running" in run.good("consistency", "states").out
    assert "a check of it is running" in run.good("consistency", "halt", "B", "--reason", "x").out
    lock.release()
    assert state(run)["is_running"] is False
    assert state(run)["last_run"]["state"] == "interrupted"


def test_of_a_check_on_another_machine_only_its_beginning_is_known(run: Commands) -> None:
    begun(run, host="far")
    (listed,) = run.good("consistency", "history", "--json").document["runs"]
    assert (listed["state"], listed["host"], listed["report"]) == ("unknown", "far", None)
    said = "running since 2026-01-01T00:00:00Z on far"
    for command in (("history",), ("states",), ("show", listed["run"])):
        assert said in run.good("consistency", *command).out
    assert state(run)["is_running"] is False


def test_names_of_sites_are_completed(run: Commands) -> None:
    env = {"_HOLDFAST_COMPLETE": "complete_bash", "COMP_WORDS": "holdfast consistency halt ", "COMP_CWORD": "3"}
    assert holdfast([], cwd=run.folder, env=env).stdout.split() == ["A", "B"]
    for name, command in commands.load("consistency").commands.items():
        for parameter in command.params:
            if parameter.name in ("site", "sites"):
                assert parameter._custom_shell_complete is not None, name
