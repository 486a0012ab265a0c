"""holdfast consistency report: a folder of pages, or the numbers behind them."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import Installation


@pytest.fixture
def checked(installation: Installation) -> Installation:
    """Site A was checked: what is registered there is missing, and a file lies there that nobody knows."""
    (installation.folder / "a" / "dark <b>.root").write_bytes(b"12345")
    assert installation.run("check", "A", "--ignore-age", "0").code == 1
    return installation


def run_of(checked: Installation, site: str) -> str:
    """The name of the only run of a site."""
    (folder,) = [path for path in (checked.folder / "reports" / site).iterdir() if not path.name.startswith(".")]
    return folder.name


def test_pages_are_made(checked: Installation):
    ran = checked.run.good("consistency", "report", "--out", "pages")
    run = run_of(checked, "A")
    assert ran.out == "4 pages: pages/index.html\n"
    files = {str(path.relative_to(checked.folder / "pages")) for path in (checked.folder / "pages").rglob("*.*")}
    assert files >= {"index.html", "A/index.html", "B/index.html", f"A/{run}/index.html", f"A/{run}/orphan.tsv"}
    page = (checked.folder / "pages" / "A" / run / "index.html").read_text()
    assert "dark <b>" not in page
    assert "/dark <b>.root\t" in (checked.folder / "pages" / "A" / run / "orphan.tsv").read_text()


def test_the_numbers_behind_them(checked: Installation):
    document = checked.run.good("consistency", "report", "--out", "pages", "--json").document
    assert (document["out"], document["pages"]) == ("pages", 4)
    a, b = document["sites"]
    assert (a["site"], a["state"], b["site"], b["runs"]) == ("A", "ready", "B", [])
    (run,) = a["runs"]
    assert run["amounts"]["missing"] == {"files": 3, "size": 2_000_010}
    assert run["amounts"]["orphan"] == {"files": 1, "size": 5}
    gates = {gate["class"]: gate for gate in a["gates"]}
    assert (gates["missing"]["is_open"], gates["missing"]["found"]) == (False, 3)
    assert gates["missing"]["reasons"]
    (detail,) = document["runs"]
    assert detail["run"]["run"] == run["run"] == run_of(checked, "A")
    assert detail["trees"]["orphan"]["amount"] == {"files": 1, "size": 5}


def test_numbers_only(checked: Installation):
    document = checked.run.good("consistency", "report", "A", "--json").document
    assert (document["out"], document["pages"], len(document["runs"])) == (None, 0, 1)
    assert not (checked.folder / "pages").exists()


def test_one_site(checked: Installation):
    checked.run.good("consistency", "report", "B", "--out", "pages")
    assert sorted(path.name for path in (checked.folder / "pages").iterdir()) == ["B", "index.html"]


def test_as_many_runs_as_were_asked_for(checked: Installation):
    checked.run("check", "A")
    assert checked.run.good("consistency", "report", "A", "--out", "pages", "--runs", "1").out.startswith("3 pages")
    assert checked.run.good("consistency", "report", "A", "--out", "pages").out.startswith("4 pages")


def test_what_makes_no_sense_is_refused(checked: Installation):
    checked.run("consistency", "report").expect_error(2, "--out", "--json")
    checked.run("consistency", "report", "Nowhere", "--out", "pages").expect_error(2, "Nowhere")
    checked.run("consistency", "report", "--out", "pages", "--runs", "0").expect_error(2, "--runs")


@pytest.mark.parametrize("place", ["a", "a/pages", "reports", "reports/A", "state/pages"])
def test_pages_do_not_go_among_other_files(checked: Installation, place: str):
    checked.run("consistency", "report", "--out", place).expect_error(2, place)
    assert not list(Path(checked.folder / place).rglob("index.html"))


def test_an_empty_installation_has_an_index(installation: Installation):
    assert installation.run.good("consistency", "report", "--out", "pages").out == "3 pages: pages/index.html\n"


def test_files_that_nobody_else_has_are_told_by_dataset(checked: Installation):
    (checked.folder / "a" / "kept").write_bytes(b"a site that shows no file at all is not repaired")
    assert checked.run("check", "A", "--repair", "--max-fraction", "1").code == 1
    document = checked.run.good("consistency", "report", "A", "--out", "pages", "--json").document
    latest, earlier = document["runs"]
    # One of the three is at B, by the inventory.
    assert latest["unrecoverable"] == [{"dataset": "run/raw#1", "amount": {"files": 2, "size": 2_000_000}}]
    assert earlier["unrecoverable"] == []
    page = (checked.folder / "pages" / "A" / latest["run"]["run"] / "index.html").read_text()
    assert "Unrecoverable files" in page
