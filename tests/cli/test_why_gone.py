"""Why a file is no longer at a site: what the commands say leads on, by deletions that are really carried out."""

from __future__ import annotations

import pytest
from commanding import Commands
from request_world import Sites

from holdfast.cli import journal_lines, request_show
from holdfast.inventory.file_trail import Told
from holdfast.inventory.store import JournalEntry
from holdfast.model import names
from holdfast.model.changes import FilesDeleted
from holdfast.model.clock import system_clock
from holdfast.model.names import BlockKey
from holdfast.model.records import Orphan
from holdfast.operations import requests

FINDINGS = "`holdfast consistency findings SITE --below PATH`"


@pytest.fixture
def sites(commands: Commands) -> Sites:
    """A and B hold the dataset."""
    sites = Sites(commands)
    sites("copy", "d", "--to", "B")
    return sites


def _delete_orphans(sites: Sites, count: int) -> str:
    """Delete /dark0, /dark1 ... at B; the id of the request."""
    orphans = []
    for number in range(count):
        path = sites.folder / f"B/dark{number}"
        path.write_text("?")
        orphans.append(Orphan(f"/{path.name}", 1, path.stat().st_mtime_ns))
    store = sites.store()
    requests.request_deletion(store, "B", orphans, reason="dark", actor="me@here", clock=system_clock)
    store.close()
    (listed,) = sites.listed("deletions")
    sites("deletions", "run")
    id: str = listed["request"]
    return id


def test_an_orphan_that_went_is_found_by_its_path(sites: Sites) -> None:
    sites("whereis", "/dark0", "/dark1", code=1)
    assert sites.err.startswith("unknown: /dark0\nunknown: /dark1\n")
    assert sites.err.count(FINDINGS) == 1
    sites("whereis", "/dark0", "--json", code=1)
    assert sites.err == "unknown: /dark0\n"
    sites.run("journal", "tail", "--lfn", "/dark0").expect_error(2, "there is no file /dark0", "--dataset", FINDINGS)
    sites.run("journal", "tail", "--lfn", "/dark0", "--site", "B").expect_error(2, FINDINGS.replace("SITE", "B"))


@pytest.mark.parametrize(("count", "more"), [(1, ""), (3, " (3 rows)")])
def test_the_journal_names_orphans_by_the_first(sites: Sites, count: int, more: str) -> None:
    id = _delete_orphans(sites, count)
    said = sites("journal", "tail", "--site", "B")
    assert f"me@here  dark: request-deletion B {id[:12]} of orphans /dark0{more}\n" in said


def test_some_paths_of_a_deletion_are_shown_and_the_others_counted(sites: Sites) -> None:
    id = _delete_orphans(sites, request_show.PATHS_SHOWN + 2)
    lines = sites("deletions", "show", id).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("path")] == [f"/dark{number}" for number in range(5)]
    assert [line.split() for line in lines if "more" in line] == [["and", "2", "more:", "all", "are", "in", "--json"]]
    assert sites.json("deletions", "show", id)["paths"] == [f"/dark{number}" for number in range(7)]


def test_few_paths_are_all_shown(sites: Sites) -> None:
    said = sites("deletions", "show", _delete_orphans(sites, request_show.PATHS_SHOWN))
    assert "/dark4" in said
    assert "more" not in said
    sites("delete", "d", "--at", "B", "--reason", "test")
    ids = [each["request"] for each in sites.listed("deletions", "--all") if each["dataset"]]
    assert sites.json("deletions", "show", *ids)["paths"] == []


def test_an_empty_list_says_how_to_see_what_is_over(sites: Sites) -> None:
    sites("deletions", "list")
    assert sites.err == "no open deletion: --all shows those that are over\n"
    sites("deletions", "list", "--site", "B")
    assert sites.err == "no open deletion at B: --all shows those that are over\n"
    sites("deletions", "list", "--all")
    assert sites.err == "no deletion\n"
    sites("deletions", "list", "--state", "held")
    assert sites.err == "no open deletion that is held\n"


def test_who_looks_for_a_request_among_the_others_is_led_to_it(sites: Sites) -> None:
    deletion = _delete_orphans(sites, 1)
    (copied,) = sites.listed("transfers", "--all")
    copy = copied["request"]
    for group, right, kind, id in (
        ("deletions", "transfers", "copy", copy),
        ("transfers", "deletions", "deletion", deletion),
    ):
        for given in (id, id[:8]):
            ran = sites.run(group, "show", given)
            ran.expect_error(
                2, f"there is no {group[:-1]} '{given}'", f"it is a {kind}: `holdfast {right} show {given}`"
            )
            assert id in sites(right, "show", given)
    sites.run("deletions", "show", "nothing").expect_error(2, "there is no deletion 'nothing'")


def test_the_journal_joins_the_deed_to_who_asked_for_it_and_why(sites: Sites) -> None:
    asked = sites.json("delete", "d", "--at", "B", "--reason", "disk is needed", "--no-wait")
    sites("deletions", "run")
    (copied,) = sites.listed("transfers", "--all")
    said = sites("journal", "tail", "--lfn", "/data/f1", "--site", "B")
    assert f"request-copy d B {copied['request'][:12]}" in said
    assert f"disk is needed: request-deletion d B {asked['request'][:12]}\n" in said
    assert asked["owner"]
    assert f": files-deleted d B (3 rows), asked by {asked['owner']}: disk is needed; end-request" in said
    # The document has the changes as they are.
    (last,) = sites.json("journal", "tail", "-n", "1")["entries"]
    assert {"kind", "block", "site", "ordinals", "request"} == last["changes"][0].keys()


def test_a_deed_for_a_request_that_is_not_known_has_no_reason(sites: Sites) -> None:
    change = FilesDeleted(BlockKey(names.dataset_key("d"), "0000"), "B", (0,), "no-such")
    store = sites.store()
    told = Told(JournalEntry("e", 1, 0, "me", "test", None, (change,), ""), (change,))
    sites.run.capture.readouterr()
    journal_lines.write(store, [told, told], as_json=False)
    store.close()
    lines = sites.run.capture.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["test: files-deleted d B"] * 2
