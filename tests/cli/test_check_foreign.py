"""A site beside another catalogue, from the command's side: what is shown, the lists, the exit code.

Method: an installation in a folder, one site in another; the command's own function is called.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from commanding import Commands, Ran

from holdfast.cli.check_foreign import ForeignOptions, check_foreign, chosen
from holdfast.cli.context import open_context
from holdfast.consistency.checking.run import CheckSettings
from holdfast.consistency.comparing.duckdb_session import EngineLimits
from holdfast.consistency.sources.opening import Wanted
from holdfast.model.errors import BadInput, Conflict

SETTINGS = CheckSettings(EngineLimits(threads=1), ignore_age_s=0, walk_processes=1)
FILES = {f"f{number}": f"content {number}\n" for number in range(4)}


@pytest.fixture
def installed(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Four files at A, and a catalogue in SQLite that knows them and one more."""
    (commands.folder / "a/data").mkdir(parents=True)
    for name, text in FILES.items():
        (commands.folder / "a/data" / name).write_text(text)
        os.utime(commands.folder / "a/data" / name, (1_000_000_000, 1_000_000_000))
    commands.good("init")
    commands.good("site", "add", "A", "--root", "a")
    with sqlite3.connect(commands.folder / "catalogue.db") as database:
        database.execute("CREATE TABLE files (site, path, size)")
        rows = [("A", f"/data/{name}", len(text)) for name, text in FILES.items()]
        database.executemany("INSERT INTO files VALUES (?, ?, ?)", [*rows, ("A", "/data/lost", 7)])
    database.close()
    monkeypatch.setenv("HOLDFAST_CATALOGUE_URL", f"sqlite:///{commands.folder / 'catalogue.db'}")
    monkeypatch.setenv("HOLDFAST_CATALOGUE_QUERY", "SELECT path, size FROM files WHERE site = :site")
    monkeypatch.setenv("HOLDFAST_CATALOGUE_LISTS_FRACTION_MAX", "0.5")
    return commands


def ran(commands: Commands, options: ForeignOptions, site: str = "A") -> Ran:
    commands.capture.readouterr()
    with open_context() as context:
        code = check_foreign(context, site, SETTINGS, options)
    printed = commands.capture.readouterr()
    return Ran(code, printed.out, printed.err)


def test_what_differs_is_shown_and_told_as_lists(installed: Commands) -> None:
    got = ran(installed, ForeignOptions(Wanted("sql")))
    assert got.code == 1
    assert "missing: /data/lost" in got.out
    assert f"A differs from sql sqlite:///{installed.folder}/catalogue.db: SELECT path" in got.out
    lists = Path(got.out.splitlines()[-1].removeprefix("lists: "))
    assert lists.parent.parent == installed.folder / "reports-catalogue/A"
    assert (lists / "missing.lst").read_text() == "/data/lost\n"


def test_a_site_that_agrees(installed: Commands) -> None:
    (installed.folder / "a/data/lost").write_text("content")
    got = ran(installed, ForeignOptions(Wanted("sql"), json=True))
    assert (got.code, got.document["agrees"], got.document["missing"], got.document["actual"]) == (0, True, 0, 5)


def test_lists_go_where_they_are_wanted(installed: Commands) -> None:
    document = ran(installed, ForeignOptions(Wanted("sql"), lists=installed.folder / "told", json=True)).document
    assert document["lists"] == str(installed.folder / "told/A" / document["run"])
    assert document["lists_withheld"] == ""


def test_lists_that_are_withheld_are_said_to_be(installed: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CATALOGUE_LISTS_FRACTION_MAX", "0.1")
    last = ran(installed, ForeignOptions(Wanted("sql"))).out.splitlines()[-1]
    assert last == "no lists: missing: 20.0% of what is expected, and more than 10.0% is not believed"
    document = ran(installed, ForeignOptions(Wanted("sql"), json=True)).document
    assert (document["lists"], document["lists_withheld"]) == ("", last.removeprefix("no lists: "))


def test_sites_may_be_told_of_by_a_file(installed: Commands) -> None:
    sites = installed.folder / "sites.toml"
    root = installed.folder / "a/data"
    sites.write_text(f'[sites.ELSEWHERE]\n[[sites.ELSEWHERE.doors]]\nprotocol = "posix"\nroot = "{root}"\n')
    for name in ("before", "after"):
        (installed.folder / name).write_text("path\tsize\n/f0\t10\n/gone\t1\n")
    wanted = Wanted("dump", str(installed.folder / "before"), f"{installed.folder / 'after'}?taken=2100-01-01")
    document = ran(installed, ForeignOptions(wanted, sites=sites, json=True), "ELSEWHERE").document
    assert (document["site"], document["missing"], document["orphan"]) == ("ELSEWHERE", 1, 3)
    with pytest.raises(BadInput, match="there is no site 'A'"):
        ran(installed, ForeignOptions(wanted, sites=sites))


def test_a_site_that_is_halted_is_left_alone(installed: Commands) -> None:
    installed.good("consistency", "halt", "A", "--reason", "new disks")
    with pytest.raises(Conflict, match="A is halted"):
        ran(installed, ForeignOptions(Wanted("sql")))


def test_a_site_that_is_not_ready_is_checked_with_a_warning(installed: Commands) -> None:
    sites = installed.folder / "sites.json"
    door = {"protocol": "posix", "root": str(installed.folder / "a")}
    sites.write_text(json.dumps({"sites": {"A": {"status": "morgue", "doors": [door]}}}))
    got = ran(installed, ForeignOptions(Wanted("sql"), sites=sites))
    assert got.code == 1
    assert "the site is not ready" in got.err
    assert "morgue" in got.err


def test_names_without_a_path_are_shown(installed: Commands) -> None:
    for name in ("before", "after"):
        (installed.folder / name).write_text("/data/f0\n/data//f1\n")
    wanted = Wanted("dump", str(installed.folder / "before"), f"{installed.folder / 'after'}?taken=2100-01-01")
    told = ran(installed, ForeignOptions(wanted)).out
    assert "1 name of the catalogue (after) have no path here, as /data//f1" in told


NOTHING = {
    "inventory": None,
    "before": "",
    "after": "",
    "are_lfns": None,
    "sites": None,
    "lists": None,
    "json": False,
    "quiet": True,
}


@pytest.mark.parametrize(
    ("configured", "said", "name"),
    [
        ("snapshot", {}, None),
        ("snapshot", {"inventory": "sql"}, "sql"),
        ("snapshot", {"before": "b"}, "dump"),
        ("sql", {}, "sql"),
        ("sql", {"inventory": "snapshot"}, None),
        ("sql", {"after": "a"}, "dump"),
        ("ours", {"lists": Path("lists")}, "ours"),
    ],
)
def test_the_inventory_is_that_which_was_said_or_configured(
    installed: Commands, monkeypatch: pytest.MonkeyPatch, configured: str, said: dict[str, Any], name: str | None
) -> None:
    monkeypatch.setenv("HOLDFAST_CATALOGUE_INVENTORY", configured)
    with open_context() as context:
        options = chosen(context, **{**NOTHING, **said})
    assert (options and options.wanted.name) == name


def test_what_is_about_other_catalogues_is_not_said_of_ours(installed: Commands) -> None:
    with open_context() as context, pytest.raises(BadInput, match="are about other catalogues"):
        chosen(context, **{**NOTHING, "lists": Path("lists")})


def test_a_site_is_listed_between_two_dumps_by_two_commands(installed: Commands) -> None:
    rows = "".join(f"/data/{name}\t{len(text)}\n" for name, text in FILES.items())
    for name in ("before", "after"):
        (installed.folder / name).write_text(f"path\tsize\n{rows}/data/lost\t7\n")
    said = ("check", "A", "--before", "before", "--ignore-age", "0")
    first = installed(*said)
    assert (first.code, first.err) == (1, "")
    assert "A: the site is listed; what the catalogue says after that is wanted" in first.out
    assert "run the same again with --after and a dump of the catalogue made after" in first.out
    told = installed(*said, "--json")
    assert told.code == 1
    assert (told.document["site"], told.document["state"], told.document["agrees"]) == ("A", "listed", False)
    assert "--after" in told.document["hint"]
    got = installed(*said, "--after", "after?taken=2100-01-01", "--lists", "told", "--json")
    assert got.code == 1
    assert (got.document["missing"], got.document["expected"], got.document["resumed"]) == (1, 5, 0)
    assert (Path(got.document["lists"]) / "missing.lst").read_text() == "/data/lost\n"
    assert [path.name for path in (installed.folder / "told/A").iterdir()] == [got.document["run"]]
