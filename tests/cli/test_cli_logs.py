"""The log of commands: on standard error, from the level asked for, as lines or as JSON, beside whole results."""

from __future__ import annotations

import json

import pytest
from commanding import Installation, holdfast


@pytest.fixture
def tree(installation: Installation) -> Installation:
    """A directory of two files at A."""
    (installation.folder / "a/data").mkdir()
    for name in ("one", "two"):
        (installation.folder / "a/data" / name).write_text(name)
    return installation


PUBLISHING = ("publish", "a/data", "--dataset", "new", "--site", "A", "--json")
EVENTS = ["publish begun", "publish listed", "publish read", "publish listed", "publish ended"]


def test_publish_logs_its_steps_as_lines(tree: Installation):
    ran = holdfast(["--log-level", "info", *PUBLISHING], cwd=tree.folder)
    assert json.loads(ran.stdout)["outcome"] == "published"
    lines = ran.stderr.splitlines()
    assert [
        event for line, event in zip(lines, EVENTS, strict=True) if event in line and "dataset=new" in line
    ] == EVENTS


def test_the_configuration_asks_for_json_lines(tree: Installation):
    (tree.folder / "holdfast.toml").write_text('[log]\nlevel = "info"\nformat = "json"\n')
    ran = holdfast(PUBLISHING, cwd=tree.folder)
    assert json.loads(ran.stdout)["outcome"] == "published"
    events = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [event["event"] for event in events] == EVENTS
    assert {(event["level"], event["dataset"], event["place"]) for event in events} == {("info", "new", "A:/data")}
    assert (events[-1]["outcome"], events[-1]["files"]) == ("published", 2)


def test_nothing_is_logged_unasked(tree: Installation):
    ran = holdfast(PUBLISHING, cwd=tree.folder)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_publish_that_takes_back_what_it_began_says_so(tree: Installation):
    (tree.folder / "a/data/loop").symlink_to("loop")
    ran = holdfast(["--log-level", "info", *PUBLISHING], cwd=tree.folder)
    assert ran.returncode == 2
    assert "publish taken back" in ran.stderr
