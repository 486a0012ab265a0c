"""``holdfast backup``, ``restore`` and ``verify``: what is saved comes back, and damage is found."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from commanding import Commands, Installation

from holdfast.inventory.verify import INVARIANTS


def test_a_backup_comes_back_in_a_new_epoch(installation: Installation):
    run = installation.run
    saved = run.good("backup", "saved.db", "--json").document
    run.good("site", "add", "C", "--root", "c")
    run("restore", "saved.db").expect_error(4, "4 changes", "--replace")
    restored = run.good("restore", "saved.db", "--replace", "--json").document
    assert restored["position"] == saved["position"] + 1
    assert restored["epoch"] != saved["epoch"]
    assert [site["name"] for site in run.good("site", "list", "--json").document["sites"]] == ["A", "B"]
    run.good("verify")


def test_a_lost_inventory_is_restored_without_further_words(installation: Installation):
    installation.run.good("backup", "saved.db")
    for file in (installation.folder / "state").iterdir():
        file.unlink()
    installation.run("site", "list").expect_error(2, "there is no inventory", "restore a backup")
    ran = installation.run.good("restore", "saved.db")
    assert "first of epoch" in ran.out
    assert "no orphan is deleted" in ran.err
    assert "publish again" in ran.err
    assert "holdfast restore --confirm" in ran.err


def test_a_restore_is_confirmed_once_by_a_person(installation: Installation):
    run = installation.run
    run("restore", "--confirm").expect_error(2, "nothing was restored here")
    run.good("backup", "saved.db")
    epoch = run.good("restore", "saved.db", "--replace", "--json").document["epoch"]
    before = installation.position()
    assert run.good("restore", "--confirm", "--dry-run", "--json").document == {
        "dry_run": True,
        "epoch": epoch,
        "is_confirmed": False,
    }
    assert installation.position() == before
    assert f"epoch {epoch}: confirmed" in run.good("restore", "--confirm").out
    assert installation.position() == before + 1
    store = installation.store()
    with store.snapshot() as snapshot:
        restored = snapshot.restored()
    store.close()
    assert restored is not None
    assert restored.is_confirmed
    assert run.good("restore", "--confirm", "--json").document == {"epoch": epoch, "is_confirmed": True}
    assert installation.position() == before + 1
    assert "confirm-restore" in run.good("journal", "tail", "-n", "1").out


@pytest.mark.parametrize("arguments", [(), ("--replace",), ("saved.db", "--confirm"), ("--confirm", "--replace")])
def test_restore_wants_a_backup_or_a_word(installation: Installation, arguments: tuple[str, ...]):
    installation.run("restore", *arguments).expect_error(2, "confirm")


def test_dry_runs_write_nothing(installation: Installation):
    run, before = installation.run, installation.position()
    run.good("backup", "saved.db", "--dry-run")
    assert not (installation.folder / "saved.db").exists()
    run.good("backup", "saved.db")
    run.good("restore", "saved.db", "--replace", "--dry-run")
    assert installation.position() == before


def test_dry_runs_have_json(installation: Installation):
    run, before = installation.run, installation.position()
    saving = run.good("backup", "saved.db", "--dry-run", "--json").document
    assert (saving["dry_run"], saving["file"], saving["position"]) == (
        True,
        str(installation.folder / "saved.db"),
        before,
    )
    saved = run.good("backup", "saved.db", "--json").document
    document = run.good("restore", "saved.db", "--replace", "--dry-run", "--json").document
    assert (document["dry_run"], document["replaces"]) == (True, True)
    assert document["restores"] == {
        "backup": "saved.db",
        "epoch": saved["epoch"],
        "position": saved["position"],
        "digest": saved["digest"],
    }


def damaged(saved: Path) -> None:
    """Change a page of the journal so that only its digests tell."""
    with sqlite3.connect(saved) as connection:
        connection.execute("UPDATE journal SET actor = 'somebody else' WHERE position = 2")
    connection.close()


@pytest.mark.parametrize("how", ["junk", "cut off", "altered", "the inventory"])
def test_a_dry_run_is_refused_like_the_restore(installation: Installation, how: str):
    run, saved = installation.run, installation.folder / "saved.db"
    run.good("backup", "saved.db")
    if how == "junk":
        saved.write_bytes(b"junk" * 5000)
    elif how == "cut off":
        saved.write_bytes(saved.read_bytes()[:-8192])
    elif how == "altered":
        damaged(saved)
    else:
        saved = installation.folder / "state/inventory.db"
    before = installation.position()
    dry = run("restore", saved, "--replace", "--dry-run")
    dry.expect_error(2, str(saved))
    assert ".part-" not in dry.err
    assert "/tmp/holdfast-backup" not in dry.err
    real = run("restore", saved, "--replace")
    assert (real.code, real.err) == (dry.code, dry.err)
    assert installation.position() == before


def test_what_is_in_the_way_stays(installation: Installation):
    run = installation.run
    (installation.folder / "saved.db").write_text("mine")
    run("backup", "saved.db").expect_error(2, "saved.db", "is there already")
    run("backup", "saved.db", "--dry-run").expect_error(2, "is there already")
    run("backup", "no/such/folder").expect_error(2, "there is no such folder")
    run("restore", "nothing").expect_error(2, "there is no backup")
    run("restore", "saved.db", "--replace").expect_error(2, "this is no inventory of Holdfast")
    assert (installation.folder / "saved.db").read_text() == "mine"


def test_verify_names_every_invariant(installation: Installation):
    ran = installation.run.good("verify")
    lines = ran.out.splitlines()
    assert [line.split()[:2] for line in lines[1 : len(INVARIANTS) + 1]] == [[number, "ok"] for number in INVARIANTS]
    assert installation.run.good("verify", "--json").document["findings"] == []


def test_verify_finds_what_was_changed_behind_our_back(installation: Installation):
    with sqlite3.connect(installation.folder / "state/inventory.db") as connection:
        connection.execute("UPDATE block SET n_files = n_files + 1")
    connection.close()
    ran = installation.run("verify")
    assert ran.code == 1
    assert "I3: run/raw#1::0000: says 4 files" in ran.out
    found = installation.run("verify", "--json", "--no-replay").document
    assert found["replayed"] is False
    assert {each["invariant"] for each in found["findings"]} >= {"I3"}


def test_config_show_tells_where_values_come_from(commands: Commands, monkeypatch):
    commands.good("init")
    file = commands.folder / "holdfast.toml"
    file.write_text("[operations]\nconcurrency = 2\n")
    monkeypatch.setenv("HOLDFAST_LOG_LEVEL", "error")
    shown = commands.good("config", "show", "--json").document
    origins = {f"{each['section']}.{each['key']}": (each["value"], each["origin"]) for each in shown["settings"]}
    assert origins["operations.concurrency"] == (2, f"{file}:2")
    assert origins["log.level"] == ("error", "HOLDFAST_LOG_LEVEL")
    assert origins["publish.workers"] == (None, "default")
    assert "publish.workers" in commands.good("config", "show").out
    assert commands.good("config", "path").out == f"{file}\n"
