"""The pages: what they say, that they stand alone, and that no text becomes markup.

Method: each page is made of plain values and read again as a browser would read it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from read_page import Page
from shown_site import DAY_US, NOW_US, Say, as_it_is, run_detail, run_shown, site_shown

from holdfast.consistency.classes import Class
from holdfast.consistency.pages.index_page import index_page
from holdfast.consistency.pages.model import NOTHING, Amount, Branch, PlaceShown, RunDetail, SiteShown
from holdfast.consistency.pages.run_page import run_page
from holdfast.consistency.pages.site_page import ROWS_MAX, site_page
from support.soak import examples

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
HOSTILE = "\"'><script>alert(1)</script><svg onload=x>&lt;\x00\u202e\udcff</style></title><!--"


def index(say: Say = as_it_is) -> str:
    sites = [site_shown(say=say), SiteShown("T1_New"), SiteShown("T3_Busy", is_running=True)]
    return index_page(sites, with_pages=frozenset({"T2_Example"}), now_us=NOW_US)


def site(say: Say = as_it_is) -> str:
    return site_page(site_shown(say=say), now_us=NOW_US)


def run(say: Say = as_it_is) -> str:
    return run_page(run_detail(say=say), site="T2_Example", now_us=NOW_US)


every_page = pytest.mark.parametrize("page", [index, site, run])
Make = Callable[..., str]


# ---- alone, and safe ------------------------------------------------------------


@every_page
def test_a_page_asks_for_nothing(page: Make):
    read = Page(page())
    assert not read.all("script", "link", "img", "iframe", "object", "form", "base")
    assert not read.values("src")
    assert not re.search(r"url\(|@import|https?:", read.style)
    for address in read.values("href"):
        assert re.fullmatch(r"#[a-z0-9-]+|(\.\./)*([\w.%-]+/)*[\w.-]+\.(html|tsv|json)", address), address


@every_page
def test_the_policy_lets_nothing_in_but_the_style_sheet(page: Make):
    read = Page(page())
    (policy,) = [each["content"] for each in read.all("meta") if "http-equiv" in each]
    digest = base64.b64encode(hashlib.sha256(read.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not read.values("style")


@every_page
@given(data=st.data())
@settings(max_examples=examples(60), deadline=None)
def test_no_text_becomes_markup(page: Make, data: st.DataObject):
    plain = Page(page())
    hostile = Page(page(lambda _: data.draw(st.one_of(ANY_TEXT, st.just(HOSTILE)))))
    assert {name for name, _ in hostile.elements} <= {name for name, _ in plain.elements}
    for name, attributes in hostile.elements:
        known = {each for element, given in plain.elements if element == name for each in given}
        assert attributes.keys() <= known
    assert hostile.style == plain.style


@every_page
def test_hostile_text_is_shown_as_it_is(page: Make):
    read = Page(page(lambda _: HOSTILE))
    if page is not index:  # It shows nothing but names of sites, which cannot be like this.
        assert "\"'><script>alert(1)</script><svg onload=x>&lt;\\x00\\u202e\\udcff</style></title><!--" in read.text


def test_a_site_of_any_name_leads_nowhere_else():
    name = "../../javascript:alert(1)//\"'><x>?#"
    document = index_page([SiteShown(name)], with_pages=frozenset({name}), now_us=NOW_US)
    assert Page(document).values("href") == [
        "..%2F..%2Fjavascript%3Aalert%281%29%2F%2F%22%27%3E%3Cx%3E%3F%23/index.html"
    ]


@every_page
def test_the_same_values_make_the_same_bytes(page: Make):
    assert page().encode() == page().encode()


# ---- for everybody --------------------------------------------------------------


@every_page
def test_pictures_and_tables_have_words(page: Make):
    read = Page(page())
    assert read.all("html") == [{"lang": "en"}]
    assert len(read.all("h1")) == len(read.all("title")) - _titles_of_pictures(page()) == 1
    for picture in read.all("svg"):
        assert picture.get("aria-label") or picture.get("aria-hidden") == "true"
    assert len(read.all("table")) == len(read.all("caption")) > 0
    assert all(head.get("scope") in ("col", "row") for head in read.all("th"))
    assert any(each.get("name") == "viewport" for each in read.all("meta"))


def _titles_of_pictures(document: str) -> int:
    return len(re.findall("<title>", document)) - 1


@every_page
def test_ids_are_there_once_and_links_within_lead_to_one(page: Make):
    read = Page(page())
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in read.values("href") if address.startswith("#")} <= set(ids)


# ---- what they say --------------------------------------------------------------


def test_the_index_tells_the_state_and_the_age_of_each_site_in_words():
    rows = _rows(index())
    assert [row[:3] for row in rows] == [
        ["T2_Example", "halted dry", "old20 days ago"],
        ["T1_New", "ready act", "never checked"],
        ["T3_Busy", "ready running act", "never checked"],
    ]
    assert rows[0][3:7] == ["110 B", "2020.0 GB", "770 B", "13130 B"]


@pytest.mark.parametrize(
    ("days", "age"), [(0, "recent"), (7, "recent"), (8, "old"), (31, "old"), (32, "very old"), (4000, "very old")]
)
def test_ages(days: int, age: str):
    checked = SiteShown("A", runs=(run_shown(days),))
    assert _rows(index_page([checked], with_pages=frozenset(), now_us=NOW_US))[0][2].startswith(age)


def test_only_sites_with_pages_are_linked():
    assert Page(index()).values("href") == ["T2_Example/index.html"]


def test_without_sites_the_index_says_so():
    assert "knows no sites yet" in Page(index_page([], with_pages=frozenset(), now_us=NOW_US)).text


def test_a_site_tells_who_halted_it_and_why():
    text = Page(site()).text
    assert "10 days ago: halted by the word of bert@there: disks are moved" in text
    assert "50 days ago: dry by the word of anna@here: too many orphans" in text
    assert "last complete check 20 days ago" in text


def test_a_site_tells_gates_with_all_reasons():
    rows = _rows(site(), "What may be acted on now, and why not")
    assert rows == [
        ["missing", "open", "3", "3", "nothing stands against it"],
        ["orphans", "closed", "20", "4", "20 orphans, more than orphans_max, 10; halted"],
    ]


def test_a_site_tells_what_was_asked():
    rows = _rows(site(), "What was asked for, the latest first")
    assert rows == [
        ["2026-10-10 11:06", "missing", "copy-7", "3", "4.0 kB", "run-40"],
        ["2026-10-10 11:06", "orphans", "gone-8", "9", "9.0 kB", "run-40"],
    ]


def test_runs_are_told_newest_first_and_only_those_with_pages_are_linked():
    shown = site_shown()
    shown = replace(shown, runs=(replace(shown.runs[0], has_page=False), *shown.runs[1:]))
    document = site_page(shown, now_us=NOW_US)
    rows = _rows(document, "Runs, the latest first")
    assert [row[0] for row in rows] == [f"2026-{day} 11:06" for day in ("10-29", "10-19", "10-09", "09-19")]
    assert rows[0][1:4] == ["1 h 02 min", "110 B", "2020.0 GB"]
    assert (rows[0][-1], rows[1][-1]) == ("differs", "failed: the door does not answer")
    assert Page(document).values("href") == ["../index.html", "run-20/index.html", "run-40/index.html"]


def test_many_runs_are_cut_and_counted():
    shown = SiteShown("A", runs=tuple(run_shown(days) for days in range(ROWS_MAX + 23, 0, -1)))
    document = site_page(shown, now_us=NOW_US)
    assert len(_rows(document, "Runs, the latest first")) == ROWS_MAX
    assert "... and 23 more." in Page(document).text


def test_a_site_without_runs_says_so():
    text = Page(site_page(SiteShown("A"), now_us=NOW_US)).text
    assert "No check of this site has ended yet." in text
    assert "never checked" in text


def test_time_lines_mark_what_happened():
    document = site()
    for label in (
        "2026-10-10 11:06: 2 requests for 12 files",
        "2026-10-19 11:06: failed: the door does not answer",
        "2026-11-08 11:06: halted by the word of bert@there: disks are moved",
    ):
        assert document.count(label) == 6, "one in each of the six pictures"
    assert "Orphans, bytes: 60.0 GB on 2026-09-19, 20.0 GB on 2026-10-29, at most 60.0 GB." in document


def test_a_run_tells_its_sums_with_lists():
    rows = {row[0]: row[1:] for row in _rows(run(), "What was found, by class")}
    assert len(rows) == len(Class)
    assert rows["orphansthere, and expected by nobody"] == ["5", "5.0 GB", "orphan.tsv"]
    assert rows["missingexpected before and after the listing, and not there"] == ["1", "10 B", ""]


def test_a_run_tells_where_orphans_and_missing_files_are():
    document = run()
    headings = [each["aria-label"] for each in Page(document).all("section")]
    assert headings[1:3] == ["Where orphans lie", "Where missing files should be"]
    text = re.sub(r"\s+", " ", Page(document).text)
    assert "/store 900 files, 9.0 kB mc 600 files, 6.0 kB high 400 files, 4.0 kB low 150 files, 1.5 kB" in text
    assert "files in it 50 files, 500 B" in text
    assert "and 12 directories more 100 files, 1.0 kB" in text


def test_a_run_tells_the_rest_of_what_it_found():
    document = run()
    assert _rows(document, "Not listed, or not believed: what is expected there was not judged") == [
        ["/store/secret", "3", "failed: permission denied"]
    ]
    assert "... and 3 more: all are in unlisted.tsv." in Page(document).text
    assert _rows(document, "Directories of which every expected file is missing, the highest of each") == [
        ["/store/lost", "7", "70 B"]
    ]
    assert _rows(document, "Files that no other site has, by dataset: a person may declare them lost") == [
        ["sky#v1", "2", "20 B"]
    ]
    assert _rows(document, "Empty directories") == [["/store/empty"]]
    assert "... and 5 more." in Page(document).text
    assert "For programs: storage.json" in Page(document).text
    assert _rows(document, "What lies below each directory, as listed") == [["/store", "1,000", "1.0 TB", "77"]]
    assert "Its findings cannot be shown: tree.parquet cannot be read" in Page(document).text


def test_what_was_not_found_has_no_section():
    document = run_page(RunDetail(run_shown(1)), site="A", now_us=NOW_US)
    assert [each["aria-label"] for each in Page(document).all("section")] == ["Sums"]


def test_empty_files_are_pictured_by_their_number():
    root = Branch("/a", "/a", Amount(5, 0), own=Amount(5, 0))
    document = run_page(RunDetail(run_shown(1), trees={Class.ORPHAN: root}), site="A", now_us=NOW_US)
    assert "5 files below /a, all empty: sizes are numbers of files." in Page(document).text
    assert len(Page(document).all("rect")) == 3, "one in each picture, and the bar"


def test_a_run_without_a_page_of_its_own_is_only_named():
    detail = RunDetail(replace(run_shown(1), amounts={}), places=(PlaceShown("/x", "", 0),), n_places=1)
    document = run_page(detail, site="A", now_us=NOW_US + DAY_US)
    assert replace(run_shown(1), amounts={}).amount(Class.ORPHAN) == NOTHING
    assert _rows(document, "What was found, by class")[0][1:] == ["0", "0 B", ""]


def _rows(document: str, caption: str | None = None) -> list[list[str]]:
    """The text of the cells of a table: the one with a caption, else the first."""
    tables = re.findall(r"<table><caption>(.*?)</caption>.*?<tbody>(.*?)</tbody>", document, re.DOTALL)
    bodies = [body for name, body in tables if caption in (None, Page(name).text)]
    assert bodies, f"no table {caption} among {[name for name, _ in tables]}"
    rows = re.findall(r"<tr>(.*?)</tr>", bodies[0], re.DOTALL)
    return [
        [Page(_without_titles(cell)).text for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)] for row in rows
    ]


def _without_titles(cell: str) -> str:
    return re.sub(r"<title>.*?</title>", "", cell)
