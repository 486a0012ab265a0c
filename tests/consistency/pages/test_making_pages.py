"""A folder of pages from real checks: complete, linked, replaced at once, and the same for the same input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from read_page import Page

from consistency.checked_world import CONTENT, DAY_US, LIMITS, World
from holdfast.config import ConsistencySettings
from holdfast.consistency.classes import Class
from holdfast.consistency.history import tables
from holdfast.consistency.history.runs import History
from holdfast.consistency.history.states import States
from holdfast.consistency.pages import writing
from holdfast.consistency.pages.gather import Gatherer
from holdfast.consistency.pages.making import Made, make_pages
from holdfast.consistency.pages.model import Amount
from holdfast.consistency.report import FINDINGS
from holdfast.model.errors import BadInput, OperatorError

FIRST = sorted(CONTENT)[0]
SITES = ("away", "home")


class Pages:
    """The pages of the checks of a world."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.history = History(self.world.store, clock=self.world.clock)
        self.states = States(self.world.store, history=self.history)

    def make(self, *chosen: str, folder: Path | None = None, pages_max: int = 10) -> Made:
        gatherer = Gatherer(self.history, self.states, ConsistencySettings(), LIMITS, self.world.clock)
        steps: list[tuple[int, int]] = []
        made = make_pages(
            gatherer,
            SITES,
            chosen=chosen or SITES,
            folder=folder or self.folder,
            pages_max=pages_max,
            progress=lambda done, total: steps.append((done, total)),
        )
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert steps[-1] == (made.pages, made.pages)
        return made

    def files(self) -> Mapping[str, bytes]:
        """What is in the folder, by path."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}


def checked_world(folder: Path) -> World:
    """Two checks of a site: first with an orphan, ten days later with a missing file, too."""
    world = World(folder)
    world.away.put("/dark/<b>&\u202e", b"nobody knows me")
    world.report()
    world.now_us += 10 * DAY_US
    world.remove(FIRST)
    world.report()
    return world


@pytest.fixture(scope="module")
def only_read(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world that no test changes."""
    return checked_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def seen(only_read: World, tmp_path: Path) -> Pages:
    return Pages(only_read, tmp_path / "pages")


@pytest.fixture
def checked(tmp_path: Path) -> Pages:
    return Pages(checked_world(tmp_path / "world"), tmp_path / "pages")


def test_a_folder_has_all_sites_and_each_run(seen: Pages):
    made = seen.make()
    first, second = (run.run for run in seen.history.runs("away")[::-1])
    assert set(seen.files()) == {
        "index.html",
        "away/index.html",
        "home/index.html",
        f"away/{first}/index.html",
        f"away/{first}/orphan.tsv",
        f"away/{first}/storage.json",
        f"away/{second}/index.html",
        f"away/{second}/missing.tsv",
        f"away/{second}/orphan.tsv",
        f"away/{second}/storage.json",
    }
    assert made.pages == 5
    assert [run.run.run for run in made.runs] == [second, first]


def test_every_link_leads_to_a_file(seen: Pages):
    seen.make()
    n_links = 0
    for page in seen.folder.rglob("*.html"):
        for address in Page(page.read_text()).values("href"):
            n_links += 1
            assert address.startswith("#") or (page.parent / address).is_file(), f"{page}: {address}"
    assert n_links > 10


def test_the_numbers_are_those_of_the_runs(seen: Pages):
    made = seen.make()
    away, home = made.sites
    assert (away.site, home.site) == SITES
    assert [run.amounts[Class.ORPHAN] for run in away.runs] == [Amount(1, 15), Amount(1, 15)]
    assert [run.amounts[Class.MISSING].files for run in away.runs] == [0, 1]
    assert (home.runs, home.gates, home.latest) == ((), (), None)
    assert made.runs[0].trees[Class.ORPHAN].path == "/dark"
    assert {gate.cls: (gate.found, gate.confirmed) for gate in away.gates}[Class.MISSING] == (1, 1)
    assert {gate.cls: (gate.found, gate.confirmed) for gate in away.gates}[Class.ORPHAN] == (1, 0)
    assert not any(gate.is_open for gate in away.gates if gate.found), "a sixth is missing: too much"


def test_usage_is_there_for_programs(seen: Pages):
    (run, *_) = seen.make().runs
    document = json.loads((seen.folder / "away" / run.run.run / "storage.json").read_bytes())
    shares = {each["name"]: each for each in document["storageservice"]["storageshares"]}
    assert document["storageservice"]["name"] == "away"
    assert (shares["/dark"]["numberoffiles"], shares["/dark"]["usedsize"]) == (1, 15)
    assert shares["/"]["numberoffiles"] == len(CONTENT)
    usage = {each.path: each.amount for each in run.usage}
    assert usage["/dark"] == Amount(1, 15)


def test_what_people_said_and_what_was_asked_is_told(checked: Pages):
    world = checked.world
    checked.states.set("away", state="halted", by="anna", at_us=world.now_us, reason="moving <disks>")
    run = checked.history.runs("away")[0].run
    record = checked.history.recorder(run, Class.MISSING, "copy-1", 1, 18, world.now_us)
    with world.store.room(tables.metadata).write() as connection:
        record(connection)
    (away, _) = checked.make().sites
    assert (away.state, away.mode) == ("halted", "act")
    assert [(word.said, word.by, word.reason) for word in away.said] == [("halted", "anna", "moving <disks>")]
    assert [(each.request, each.amount) for each in away.actions] == [("copy-1", Amount(1, 18))]
    text = Page((checked.folder / "away/index.html").read_text()).text
    assert "halted by the word of anna: moving <disks>" in text


def test_the_same_input_makes_the_same_bytes(seen: Pages):
    seen.make()
    before = seen.files()
    shutil.rmtree(seen.folder)
    seen.make()
    assert seen.files() == before


def test_pages_are_replaced_and_earlier_ones_stay(checked: Pages):
    checked.make()
    before = checked.files()
    checked.world.now_us += DAY_US
    checked.world.report()
    made = checked.make(pages_max=1)
    newest, _, oldest = (run.run for run in checked.history.runs("away"))
    after = checked.files()
    assert [run.run.run for run in made.runs] == [newest]
    assert after[f"away/{oldest}/index.html"] == before[f"away/{oldest}/index.html"]
    assert after["away/index.html"] != before["away/index.html"]
    linked = Page(after["away/index.html"].decode()).values("href")
    assert linked == ["../index.html", f"{newest}/index.html"]


def test_one_site_by_itself_and_the_index_of_all(seen: Pages):
    seen.make("home")
    assert set(seen.files()) == {"index.html", "home/index.html"}
    assert Page((seen.folder / "index.html").read_text()).values("href") == ["home/index.html"]
    seen.make("away")
    assert Page((seen.folder / "index.html").read_text()).values("href") == ["away/index.html", "home/index.html"]


def test_a_run_whose_folder_is_gone_is_told_without_a_page(checked: Pages):
    newest, oldest = checked.history.runs("away")
    shutil.rmtree(newest.folder)
    made = checked.make()
    assert [run.run.run for run in made.runs] == [oldest.run]
    assert [run.has_page for run in made.sites[0].runs] == [True, False]
    assert {gate.confirmed for gate in made.sites[0].gates} == {0}, "nothing is known to be confirmed"
    assert not any(gate.is_open for gate in made.sites[0].gates)


def test_findings_that_cannot_be_read_have_a_page_that_says_so(checked: Pages):
    newest = checked.history.runs("away")[0]
    (newest.folder / FINDINGS).write_bytes(b"not a table")
    checked.make()
    page = Page((checked.folder / "away" / newest.run / "index.html").read_text())
    assert "Its findings cannot be shown:" in page.text
    assert not [address for address in page.values("href") if address.endswith(".tsv")]


def test_nothing_is_half_there_when_writing_fails(checked: Pages, monkeypatch: pytest.MonkeyPatch):
    checked.make()
    before = checked.files()

    def full(path: Path) -> None:
        if path.name.endswith(".part"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "sync", full)
    with pytest.raises(OperatorError, match="No space left on device") as caught:
        checked.make()
    assert caught.value.place.startswith(str(checked.folder))
    assert checked.files() == before


def test_a_site_named_as_the_index_is_refused(seen: Pages):
    gatherer = Gatherer(seen.history, seen.states, ConsistencySettings(), LIMITS, seen.world.clock)
    with pytest.raises(BadInput, match=r"index\.html"):
        make_pages(
            gatherer,
            ["index.html"],
            chosen=["index.html"],
            folder=seen.folder,
            pages_max=1,
            progress=lambda done, total: None,
        )
    assert not seen.folder.exists()


def test_numbers_need_no_folder(seen: Pages):
    gatherer = Gatherer(seen.history, seen.states, ConsistencySettings(), LIMITS, seen.world.clock)
    made = make_pages(gatherer, SITES, chosen=["away"], folder=None, pages_max=1, progress=lambda done, total: None)
    assert (made.pages, len(made.runs), made.runs[0].lists) == (0, 1, ())
    assert not seen.folder.exists()
