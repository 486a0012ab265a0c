"""``holdfast init``: makes an installation, never overwrites one, and can be run again after it was cut short."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from commanding import Commands


def test_it_writes_an_explained_configuration_and_an_empty_inventory(commands: Commands):
    ran = commands.good("init", "new/place")
    file = commands.folder / "new/place/holdfast.toml"
    assert str(file) in ran.out
    assert tomllib.loads(file.read_text())["inventory"] == {}
    assert file.read_text().startswith("#")
    assert commands.good("--config", file, "journal", "tail", "--json").document == {"entries": []}


def test_a_second_one_is_refused_and_changes_nothing(commands: Commands):
    commands.good("init")
    before = (commands.folder / "holdfast.toml").read_bytes()
    commands("init").expect_error(2, "there is an inventory already")
    commands("init", "--dry-run").expect_error(2, "there is an inventory already", "nothing was changed")
    assert (commands.folder / "holdfast.toml").read_bytes() == before


def test_a_configuration_without_inventory_is_kept(commands: Commands):
    file = commands.folder / "holdfast.toml"
    file.write_text('[inventory]\npath = "elsewhere/i.db"\n')
    commands.good("init")
    assert file.read_text() == '[inventory]\npath = "elsewhere/i.db"\n'
    assert (commands.folder / "elsewhere/i.db").is_file()


def test_an_inventory_without_configuration_is_not_taken_over(commands: Commands):
    commands.good("init")
    (commands.folder / "holdfast.toml").unlink()
    commands("init").expect_error(2, "there is an inventory already", "nothing was changed")
    assert not (commands.folder / "holdfast.toml").exists()


def test_a_dry_run_makes_nothing(commands: Commands):
    ran = commands.good("init", "x", "--dry-run")
    assert "x/holdfast.toml" in ran.out
    assert "x/state/inventory.db" in ran.out
    assert list(commands.folder.iterdir()) == []


def test_config_says_where(commands: Commands):
    commands.good("--config", "mine.toml", "init")
    assert (commands.folder / "mine.toml").is_file()
    commands("--config", "other.toml", "init", "x").expect_error(2, "DIR", "--config")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_is_named(commands: Commands, place: str):
    Path("file").write_text("")
    commands("init", place).expect_error(2, str(commands.folder / "file"))
