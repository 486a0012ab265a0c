"""The commands on an inventory in PostgreSQL: a whole life of it, and what may be said of its URL."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import Commands, holdfast

from holdfast.testing.postgres_server import PASSWORD, PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.real("postgresql")]


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


def without_password(url: str) -> str:
    head, _, tail = url.partition("@")
    return f"{head.rpartition(':')[0]}@{tail}"


def fill(folder: Path) -> None:
    for number in range(5):
        file = folder / f"a/data/d{number % 2}/f{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * (number + 1))
    (folder / "b").mkdir()


def test_a_whole_life(commands: Commands, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, folder = commands, commands.folder
    fill(folder)
    assert "would make: postgresql://" in run.good("init", "--database", url, "--dry-run").out
    assert not (folder / "holdfast.toml").exists()
    made = run.good("init", "--database", url)
    assert PASSWORD not in made.out.replace("%20", " ")
    assert not (folder / "state/inventory.db").exists()
    run.good("site", "add", "A", "--root", "a")
    run.good("site", "add", "B", "--root", "b")
    run.good("publish", "a/data", "--dataset", "run/one#1", "--site", "A", "--quiet")
    run.good("copy", "run/one#1", "--to", "B", "--quiet")
    assert (folder / "b/data/d1/f3").read_bytes() == b"xxxx"
    run.good("check", "B", "--quiet")
    (folder / "b/data/d1/f3").unlink()
    assert run("check", "B", "--quiet").code == 1
    run.good("check", "B", "--repair", "--max-fraction", "1", "--quiet")
    run.good("check", "B", "--quiet")
    assert "no violation" in run.good("verify", "--quiet").out
    assert "register-files" in run.good("journal", "tail").out
    found = run.good("whereis", "/data/d1/f3", "--json").document
    assert [replica["site"] for replica in found["files"][0]["replicas"]] == ["A", "B"]
    asked = run.good("delete", "run/one#1", "--at", "B", "--reason", "test", "--no-wait", "--json").document
    run.good("deletions", "hold", asked["request"], "--reason", "wait")
    run.good("deletions", "retry", asked["request"])
    assert run.good("copy", "run/one#1", "--to", "B", "--json").document["taken_back"] == 5
    run.good("delete", "run/one#1", "--at", "B", "--reason", "test", "--quiet")
    assert not (folder / "b/data/d1/f3").exists()
    found = run.good("whereis", "/data/d1/f3", "--json").document
    assert [replica["site"] for replica in found["files"][0]["replicas"]] == ["A"]
    saved = run.good("backup", "saved.db", "--json").document
    run.good("group", "add", "late")
    run("restore", "saved.db").expect_error(4, "changes", "--replace")
    dry = run.good("restore", "saved.db", "--replace", "--dry-run", "--json").document
    assert (dry["replaces"], dry["restores"]["position"]) == (True, saved["position"])
    restored = run.good("restore", "saved.db", "--replace", "--json").document
    assert restored["position"] == saved["position"] + 1
    assert PASSWORD not in restored["inventory"].replace("%20", " ")
    assert run.good("group", "list", "--json").document["groups"] == []
    run.good("restore", "--confirm")
    run.good("verify", "--quiet")
    run.good("transfers", "list")
    assert "nothing to do" in run.good("migrate").out
    # And the way back to a file, with all that was known.
    monkeypatch.setenv("HOLDFAST_INVENTORY_PATH", "moved/inventory.db")
    (folder / "holdfast.toml").write_text("")
    run.good("restore", "saved.db")
    run.good("verify", "--quiet")
    assert (folder / "moved/inventory.db").is_file()
    assert run.good("whereis", "/data/d1/f3", "--json").document == found


def test_a_second_machine_begins_with_its_configuration(
    commands: Commands, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.good("init", "--database", url)
    other = commands.folder / "other"
    other.mkdir()
    (other / "holdfast.toml").write_text("")
    monkeypatch.setenv("HOLDFAST_INVENTORY_DATABASE", url)
    commands.good("--config", other / "holdfast.toml", "group", "add", "from-there")
    assert (other / "state").is_dir()
    groups = commands.good("group", "list", "--json").document["groups"]
    assert [each if isinstance(each, str) else each["name"] for each in groups] == ["from-there"]


def test_a_password_is_kept_where_others_do_not_read(
    commands: Commands, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.good("init", "one", "--database", url)
    file = commands.folder / "one/holdfast.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert tomllib.loads(file.read_text())["inventory"] == {"database": url}
    shown = commands.good("--config", file, "config", "show")
    assert ":***@" in shown.out
    assert "sesame" not in shown.out
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    (commands.folder / "holdfast.toml").write_text(f'[inventory]\ndatabase = "{without_password(url)}"\n')
    commands.good("site", "list")


def test_what_is_in_the_way_is_told_before_anything_is_written(
    commands: Commands, url: str, postgres: PostgresServer
) -> None:
    postgres.run("CREATE TABLE theirs (a int)", url=url)
    for more in ([], ["--dry-run"]):
        commands("init", "--database", url, *more).expect_error(2, "somebody else's database")
    assert list(commands.folder.iterdir()) == []
    (commands.folder / "saved.db").write_text("no backup")
    (commands.folder / "holdfast.toml").write_text(f'[inventory]\ndatabase = "{url}"\n')
    commands("restore", "saved.db", "--replace").expect_error(2, "somebody else's database")
    commands("site", "list").expect_error(2, "there is no inventory", "holdfast init")
    commands("migrate").expect_error(2, "there is no inventory")


def test_an_inventory_is_not_made_twice(commands: Commands, url: str) -> None:
    commands.good("init", "--database", url)
    commands("init", "--database", url).expect_error(2, "there is an inventory already")
    commands("init", "--database", f"{url}2").expect_error(2, "does not say that")
    commands("init", "elsewhere", "--database", url).expect_error(2, "there is an inventory already")
    assert not (commands.folder / "elsewhere").exists()


def test_an_init_that_was_cut_short_is_finished(commands: Commands, url: str) -> None:
    (commands.folder / "holdfast.toml").write_text(f'[inventory]\ndatabase = "{url}"\n')
    assert "(was there)" in commands.good("init").out
    commands.good("site", "list")


def test_a_lost_database_is_restored_without_further_words(
    commands: Commands, url: str, postgres: PostgresServer
) -> None:
    commands.good("init", "--database", url)
    commands.good("group", "add", "kept")
    commands.good("backup", "saved.db")
    postgres.drop_database(url)
    name = url.rpartition("/")[2]
    commands("site", "list").expect_error(2, "there is no such database", "createdb")
    commands("restore", "saved.db").expect_error(2, "there is no such database")
    postgres.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    commands.good("restore", "saved.db", "--dry-run")
    assert "no orphan is deleted" in commands.good("restore", "saved.db").err
    commands.good("verify", "--quiet")


def test_a_process_that_cannot_reach_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "holdfast.toml").write_text('[inventory]\ndatabase = "postgresql://me:hidden@127.0.0.1:1/none"\n')
    ran = holdfast(["site", "list"], cwd=tmp_path)
    assert ran.returncode == 2
    assert "cannot be reached" in ran.stderr
    assert "hidden" not in ran.stderr + ran.stdout
