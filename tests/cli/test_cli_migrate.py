"""``holdfast migrate``: says what it did or would do, and is the remedy that other commands name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from commanding import Commands

from holdfast.inventory import schema
from inventory.old_inventory import make_file

STEPS = schema.VERSION - 1


@pytest.fixture
def old(commands: Commands) -> Path:
    """An installation of the first release."""
    (commands.folder / "holdfast.toml").write_text("")
    (commands.folder / "state").mkdir()
    return make_file(commands.folder / "state/inventory.db")


def test_it_is_the_remedy_that_is_named(commands: Commands, old: Path):
    for arguments in (["site", "list"], ["verify"], ["backup", "saved.db"], ["journal", "tail"]):
        commands(*arguments).expect_error(2, "its schema is 1", "holdfast migrate")
    ran = commands.good("migrate")
    assert f"copied the old inventory to {old}.schema-1" in ran.out
    assert f"{old}: brought from version 1 to {schema.VERSION}" in ran.out
    assert len(ran.out.splitlines()) == STEPS + 2
    commands.good("verify")
    assert [site["name"] for site in commands.good("site", "list", "--json").document["sites"]] == ["A", "B", "C"]
    assert f"is at version {schema.VERSION}; nothing to do" in commands.good("migrate").out


def test_a_dry_run_changes_nothing(commands: Commands, old: Path):
    ran = commands.good("migrate", "--dry-run")
    assert f"would copy the old inventory to {old}.schema-1" in ran.out
    assert f"would be brought from version 1 to {schema.VERSION}" in ran.out
    assert commands.good("migrate", "--dry-run", "--json").document["dry_run"] is True
    commands("site", "list").expect_error(2, "its schema is 1")


def test_the_copy_is_an_inventory_of_the_old_release(commands: Commands, old: Path):
    document = commands.good("migrate", "--json").document
    assert (document["found"], document["version"], len(document["revisions"])) == (1, schema.VERSION, STEPS)
    copy = Path(document["copy"])
    commands("restore", copy).expect_error(4, "--replace")
    commands.good("restore", copy, "--replace")
    commands.good("verify")


def test_without_a_backup_none_is_left(commands: Commands, old: Path):
    assert commands.good("migrate", "--no-backup", "--json").document["copy"] is None
    assert not list(old.parent.glob("*.schema-1*"))


def test_what_a_newer_release_wrote_is_left_alone(commands: Commands):
    commands.good("init")
    store_path = commands.folder / "state/inventory.db"
    with closing(sqlite3.connect(store_path)) as connection:
        connection.execute("UPDATE head SET schema_version = 99")
        connection.commit()
    commands("migrate").expect_error(2, "its schema is 99", "use the release of Holdfast that wrote it")
    commands("site", "list").expect_error(2, "its schema is 99", "use the release of Holdfast that wrote it")
