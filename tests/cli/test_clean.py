"""``holdfast clean``: areas and quarantine on real folders, what is printed, and how it ends.

Method: files get their real times; the command's clock is moved ahead instead,
because nobody can make a file that was changed long ago.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import Commands

from holdfast.cli import context
from holdfast.model.clock import system_clock

DAY_US = 86_400_000_000
CONFIG = """
[consistency]
quarantine_days = 10

[cleaning]
protected_command = ["cat", "{list}"]
files_of_listed_max = 1.0
directories_of_listed_max = 1.0

[[cleaning.areas]]
path = "/store/unmerged"
log_directories = ["logs"]
never_enter = ["SAM"]
"""
FILES = ("run1/a", "run1/b", "run2/c", "logs/l", "SAM/s")


class Site:
    """A site with an area; files are made now, and the commands live ``days`` later."""

    def __init__(self, run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run = run
        self.root = run.folder / "site"
        self.days = 40.0
        for name in FILES:
            self.put(f"store/unmerged/{name}")
        (self.root / "store/unmerged/empty/deep").mkdir(parents=True)
        run.good("init")
        run.good("site", "add", "A", "--root", "site")
        self.protect("/store/unmerged/run2")
        self.configure()
        monkeypatch.setattr(context, "system_clock", lambda: system_clock() + round(self.days * DAY_US))

    def configure(self, more: str = "", *, of: str = CONFIG) -> None:
        text = of.replace("{list}", str(self.run.folder / "protected"))
        (self.run.folder / "holdfast.toml").write_text(text + more)

    def protect(self, *paths: str) -> None:
        (self.run.folder / "protected").write_text("".join(f"{path}\n" for path in paths))

    def put(self, path: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(path)

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def site(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(commands, monkeypatch)


def test_an_area_is_cleaned(site: Site) -> None:
    ran = site.run.good("clean", "area", "A")
    assert "asked for the removal of 2 files, 42 B, and 2 folders" in ran.out
    assert "stays: /store/unmerged/run2/c: protected: protected with /store/unmerged/run2" in ran.out
    assert "stays: 1 too young" in ran.out
    assert site.files() == [f"store/unmerged/{name}" for name in ("SAM/s", "logs/l", "run2/c")]
    assert not (site.root / "store/unmerged/empty").exists()
    site.days = 70
    site.run.good("clean", "area", "A")
    assert site.files() == [f"store/unmerged/{name}" for name in ("SAM/s", "run2/c")]


def test_a_dry_run_prints_what_the_real_one_does(site: Site) -> None:
    before = site.files()
    dry = site.run.good("clean", "area", "A", "--dry-run")
    assert site.files() == before
    assert site.run.good("deletions", "list", "--json").document["requests"] == []
    real = site.run.good("clean", "area", "A", "--no-wait")
    assert real.out == dry.out.replace("would ask for", "asked for")
    assert site.files() == before
    site.run.good("deletions", "run")
    assert len(site.files()) == 3


def test_as_json(site: Site) -> None:
    dry = site.run.good("clean", "area", "A", "--dry-run", "--json").document
    real = site.run.good("clean", "area", "A", "--json").document
    assert (dry["files"], dry["size"], dry["directories"], dry["requests"]) == (2, 42, 2, [])
    assert real["stays"] == {"protected": 1, "too young": 1}
    assert len(real["requests"]) == 2
    assert real["run"]["deletions"]
    assert (dry["dry_run"], real["dry_run"]) == (True, False)
    unlike = ("requests", "run", "dry_run")
    assert {name: value for name, value in real.items() if name not in unlike} == {
        name: value for name, value in dry.items() if name not in unlike
    }
    assert Path(real["decisions"]).is_file()


def test_what_an_earlier_run_only_asked_for_is_carried_out(site: Site) -> None:
    asked = site.run.good("clean", "area", "A", "--no-wait", "--json").document
    again = site.run.good("clean", "area", "A", "--json").document
    assert (again["requests"], sorted(again["earlier"])) == ([], sorted(asked["requests"]))
    assert len(site.files()) == 3


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ('["false"]', 3, ("protected_command false: ended with 1",)),
        ('["/nonexistent/x"]', 2, ("protected_command /nonexistent/x: ", "no such file")),
        ('["true"]', 3, ("protected_command true: the list of protected paths is empty",)),
        ('["echo", "<html>"]', 3, ("protected_command echo: this is a web page",)),
        ('["echo", "store/x"]', 3, ("protected_command echo: entry 1 of the list is no absolute path",)),
        ('["echo", "/elsewhere"]', 3, ("none of the 1 protected paths lies in /store/unmerged",)),
        ('["sleep", "60"]', 3, ("protected_command sleep: ", "longer than 0.5 s")),
    ],
)
def test_without_a_list_to_be_believed_nothing_is_done(
    site: Site, command: str, code: int, words: tuple[str, ...]
) -> None:
    before = site.files()
    text = CONFIG.replace('["cat", "{list}"]', f"{command}\nprotected_timeout_s = 0.5")
    site.configure(of=text)
    site.run("clean", "area", "A").expect_error(code, *words)
    assert site.files() == before


def test_without_areas_or_sources_there_is_nothing_to_clean(site: Site) -> None:
    site.configure(of="")
    site.run("clean", "area", "A").expect_error(2, "no area of A is to be cleaned", "[[cleaning.areas]]")
    site.run("clean", "area", "B").expect_error(2, "there is no site 'B'")
    site.configure(of='[[cleaning.areas]]\npath = "/store/unmerged"\n')
    site.run("clean", "area", "A").expect_error(2, "nobody says what running workflows need", "protected_url")
    site.run("clean", "quarantine", "B").expect_error(2, "there is no site 'B'")


def test_a_list_that_has_shrunk_needs_a_word(site: Site) -> None:
    site.protect(*(f"/store/unmerged/run{number}" for number in range(1, 9)))
    site.run.good("clean", "area", "A")
    site.protect("/store/unmerged/run2")
    site.run("clean", "area", "A").expect_error(3, "has 1 paths, and had 8 before", "--despite-shrunk")
    site.run.good("clean", "area", "A", "--despite-shrunk")
    assert "store/unmerged/run1/a" not in site.files()


def test_too_much_at_once_is_refused(site: Site) -> None:
    site.configure("[cleaning.sites.A]\nfiles_max = 1\n")
    for more in ([], ["--dry-run"]):
        ran = site.run("clean", "area", "A", "--no-wait", *more)
        assert ran.code == 1
        assert "refused: 2 files would go, more than files_max, 1: none is asked to" in ran.out
    assert len(site.files()) == len(FILES)


def test_the_state_of_the_site_counts(site: Site) -> None:
    site.run.good("consistency", "mode", "A", "dry", "--reason", "new disks")
    ran = site.run("clean", "area", "A")
    assert ran.code == 1
    assert "would go" not in ran.out
    assert "refused: A is in mode dry" in ran.out
    assert "would ask for the removal of " in ran.out
    site.run.good("consistency", "halt", "A", "--reason", "new disks")
    site.run("clean", "area", "A").expect_error(4, "A is halted")
    site.run("clean", "quarantine", "A").expect_error(4, "A is halted")
    assert len(site.files()) == len(FILES)


def test_the_quarantine_is_purged(site: Site) -> None:
    for name in ("2001-01-01/store/x", "odd/y"):
        site.put(f".holdfast-quarantine/{name}")
    site.days = 9
    site.run("clean", "quarantine", "A").expect_error(4, "A has not been checked")
    site.run("check", "A")
    ran = site.run.good("clean", "quarantine", "A")
    assert "asked for the removal of 0 files" in ran.out
    site.days = 11
    dry = site.run.good("clean", "quarantine", "A", "--dry-run")
    assert ".holdfast-quarantine/2001-01-01/store/x" in site.files()
    ran = site.run.good("clean", "quarantine", "A")
    assert ran.out.startswith(dry.out.partition("would ask")[0])
    assert "stays: /.holdfast-quarantine/odd/y: of unknown age: it lies in no folder that is named as a day" in ran.out
    assert [path for path in site.files() if path.startswith(".holdfast")] == [".holdfast-quarantine/odd/y"]


def test_without_the_last_report_nothing_is_cleaned(site: Site) -> None:
    report = site.run("check", "A", "--json").document
    shutil.rmtree(report["folder"])
    for what in ("area", "quarantine"):
        ran = site.run("clean", what, "A")
        ran.expect_error(4, f"the report of {report['run']}, the last check of A, is not on this machine")
    assert len(site.files()) == len(FILES)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that keeps its words from the command's output."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A plain web server of the folder ``web``; its address."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_the_list_may_come_from_a_web_server(site: Site, web: str, tmp_path: Path) -> None:
    url = f'protected_url = "{web}/list.txt"'
    site.configure(of=CONFIG.replace('protected_command = ["cat", "{list}"]', url))
    site.run("clean", "area", "A").expect_error(3, f"{web}/list.txt: answered 404")
    (tmp_path / "web/list.txt").write_text("/store/unmerged/run1\n")
    site.run.good("clean", "area", "A")
    assert site.files() == [f"store/unmerged/{name}" for name in ("SAM/s", "logs/l", "run1/a", "run1/b")]
