"""``holdfast site listing`` at the command line, and a check that goes on with what was listed or lists afresh."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commanding import Commands

FILES = [f"d{folder}/f{name}" for folder in range(4) for name in range(3)]


@pytest.fixture
def run(commands: Commands) -> Commands:
    """A site with a dozen files in a few folders."""
    for name in FILES:
        file = commands.folder / "a/store" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("content")
    commands.good("init")
    commands.good("site", "add", "A", "--root", "a")
    return commands


def killed(run: Commands, at: str, *command: str) -> None:
    """Run a command that kills itself at a step."""
    killer = [sys.executable, "-m", "holdfast.testing.killer", "--at", at, "--", *command]
    ran = subprocess.run(killer, cwd=run.folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == -signal.SIGKILL, ran


def paths(folder: Path) -> list[str]:
    rows = [row for part in sorted((folder / "entries").iterdir()) for row in pq.read_table(part).to_pylist()]
    return sorted(f"{row['dir']}/{row['name']}" for row in rows)


def test_a_site_is_listed_into_a_folder(run: Commands) -> None:
    ran = run.good("site", "listing", "A", "--into", "out", "--quiet")
    assert "12" in ran.out
    assert paths(run.folder / "out") == [f"/store/{name}" for name in FILES]


def test_a_part_of_a_site_by_a_named_door_for_machines(run: Commands) -> None:
    document = run.good(
        "site", "listing", "A", "--into", "out", "--top", "/store/d1", "--door", "posix", "--json"
    ).document
    assert {name: document[name] for name in ("folder", "site", "top", "files", "failed", "resumed")} == {
        "folder": "out",
        "site": "A",
        "top": "/store/d1",
        "files": 3,
        "failed": 0,
        "resumed": 0,
    }
    assert paths(run.folder / "out") == [f"/store/d1/f{number}" for number in range(3)]


def test_what_is_complete_is_given_again(run: Commands) -> None:
    first = run.good("site", "listing", "A", "--into", "out", "--json").document
    assert run.good("site", "listing", "A", "--into", "out", "--json").document == first


def test_a_listing_killed_in_the_middle_is_gone_on_with(run: Commands) -> None:
    killed(run, "listing.saved", "site", "listing", "A", "--into", "out", "--quiet")
    assert not (run.folder / "out/listing.json").exists()
    assert run.good("site", "listing", "A", "--into", "out", "--json").document["resumed"] == 1
    assert paths(run.folder / "out") == [f"/store/{name}" for name in FILES]


@pytest.mark.parametrize("into", ["a/store/listing", "a", "."])
def test_a_listing_does_not_go_where_a_site_has_its_files(run: Commands, into: str) -> None:
    run("site", "listing", "A", "--into", into).expect_error(2, "overlaps the root", "of A")
    assert not (run.folder / "a/store/listing").exists()


def test_a_door_that_is_not_there_is_told_with_those_that_are(run: Commands) -> None:
    ran = run("site", "listing", "A", "--into", "out", "--door", "nope")
    ran.expect_error(2, "'nope'", f"posix {run.folder}/a")
    run("site", "listing", "B", "--into", "out").expect_error(2, "'B'")


def test_a_further_door_that_cannot_be_opened_is_left_out(run: Commands) -> None:
    (run.folder / "b").mkdir()
    run.good("site", "door", "add", "A", "--protocol", "posix", "--root", "b")
    (run.folder / "b").rmdir()
    ran = run.good("site", "listing", "A", "--into", "out", "--quiet")
    assert "left out" in ran.err
    assert paths(run.folder / "out") == [f"/store/{name}" for name in FILES]


def test_an_interrupted_check_is_gone_on_with_or_begun_afresh(run: Commands) -> None:
    for options, resumed in ((), 1), (("--afresh",), 0):
        killed(run, "listing.saved", "check", "A", "--quiet")
        (left,) = (run.folder / "reports/A").glob("*.part")
        document = run("check", "A", "--json", *options).document
        assert document["resumed"] == resumed
        assert (document["run"] == left.stem) is bool(resumed)


def test_settings_of_a_site_that_is_not_known_are_told(run: Commands) -> None:
    config = run.folder / "holdfast.toml"
    config.write_text(f"{config.read_text()}\n[storage.sites.T2_TYPO]\nin_flight_max = 3\n")
    ran = run.good("site", "list", "--json")
    assert "storage.sites.T2_TYPO" in ran.err
    assert json.loads(ran.out)["sites"][0]["name"] == "A"


@pytest.mark.parametrize("more", [(), ("--no-check",)])
def test_a_root_with_a_secret_in_it_gets_nowhere(run: Commands, more: tuple[str, ...]) -> None:
    given = ("--protocol", "davs", "--root", "davs://bob:s3cr3t@door.here/store", *more)
    for command in (("site", "add", "C"), ("site", "door", "add", "A")):
        ran = run(*command, *given)
        ran.expect_error(2, "password")
        assert "s3cr3t" not in ran.err
    run("site", "add", "C", "--protocol", "nonsense", "--root", "/x", *more).expect_error(2, "'nonsense'")


def test_a_door_without_rules_says_so_for_machines(run: Commands) -> None:
    document = run.good("site", "pfn", "A", "/store/f", "--json").document
    assert (document["has_rules"], document["chains"]) == (False, [])
