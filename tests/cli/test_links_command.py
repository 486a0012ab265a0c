"""holdfast links: figures, limits, and what is on each link.

Method: the queue and the figures are written as a worker would, by the queue's own functions.
"""

from __future__ import annotations

from contextlib import closing

import pytest
from commanding import KEY, Installation

from holdfast.model.changes import PutSite, RequestCopy
from holdfast.model.fileset import FileSet
from holdfast.model.records import BlockFiles, CopyRequest, Door, Site, SiteStatus
from holdfast.operations.batch import NewBatch
from holdfast.operations.batches.links import Link, put_links
from holdfast.operations.batches.queue import Queue
from holdfast.operations.batches.workers import NewWorker, Workers
from holdfast.operations.codes import Code

AT_US = 1_700_000_000_000_000
FIGURES = (
    Link(
        "A",
        "B",
        2_500_000.0,
        1234,
        5_000_000_000,
        n_failed=1,
        last_error="B:/x: busy",
        last_failure_us=AT_US - 1,
        last_success_us=AT_US,
    ),
    Link(
        "B",
        "A",
        None,
        n_failed_row=2,
        n_failed=3,
        last_error="B:/x: connection refused",
        last_code=Code.SOURCE_FAILED,
        last_failure_us=AT_US,
    ),
)


@pytest.fixture
def used(installation: Installation) -> Installation:
    """Two links that were used; a copy to C of which one file is on its way from A, and two wait."""
    installation.commit(
        PutSite(Site("C", (Door("posix", str(installation.folder / "c")),))),
        RequestCopy(CopyRequest("to-c", KEY, "C", (BlockFiles("0000"),), reason="test")),
    )
    with closing(installation.store()) as store:
        queue = Queue(store)
        Workers(store).register(NewWorker("w", "here", 1, 60.0))
        with store.snapshot() as snapshot:
            requests = snapshot.copy_requests()
        request = next(each for each in queue.take_in(requests) if each.id == "to-c")
        queue.add(request, [NewBatch("0000", FileSet.full(3), 2_000_010)], "0000", is_last=True)
        with queue.write() as connection:
            put_links(connection, FIGURES)
            [batch] = queue.waiting(connection, now_us=AT_US, wait_us_max=0)
            claimed = queue.claim(
                connection, batch, FileSet.of([0]), 10, worker="w", claim="c", source="A", engine="local", now_us=AT_US
            )
            assert claimed is not None
    return installation


def test_no_link_was_ever_used(installation: Installation):
    ran = installation.run.good("links")
    assert (ran.out, ran.err) == ("", "none\n")


HEADER = "from to engines rate files size waiting active limit failing last error"
ROWS = (
    "A B local 2.5 MB/s 1,234 5.0 GB 0 0 4 0",
    "A C local 0 0 B 2 1 4 0",
    "B A local 0 0 B 0 0 4 2 2023-11-14T22:13:20Z: B:/x: connection refused",
)


def test_links_as_a_table(used: Installation):
    shown = [" ".join(line.split()) for line in used.run.good("links").out.splitlines()]
    assert shown == [HEADER, *ROWS]


def test_links_as_a_document(used: Installation):
    first, second, third = used.run.good("links", "--json").document["links"]
    assert (first["source"], first["destination"], first["rate_bytes_s"]) == ("A", "B", 2_500_000.0)
    assert (first["files_done"], first["size_done"], first["last_success"]) == (
        *(1234, 5_000_000_000),
        "2023-11-14T22:13:20.000000Z",
    )
    assert (first["last_error"], first["failures_since_success"], first["engines_able"]) == ("B:/x: busy", 0, ["local"])
    assert (second["engines_at_work"], second["files_active"], second["files_waiting"]) == (["local"], 1, 2)
    assert (third["failures_since_success"], third["failures"]) == (2, 3)
    assert (third["last_code"], third["rate_bytes_s"]) == ("source-failed", None)


def test_what_is_configured_is_shown(used: Installation):
    with (used.folder / "holdfast.toml").open("a") as file:
        file.write('\n[[operations.links]]\nsource = "?"\ndestination = "C"\nengines = ["local"]\nstreams = 7\n')
        file.write("per_link = 20\n")
    [found] = used.run.good("links", "--to", "C", "--json").document["links"]
    assert (found["engines"], found["streams"], found["per_link"]) == (["local"], 7, 20)
    assert "7 of 20" in used.run.good("links", "--to", "C").out


def test_links_are_chosen(used: Installation):
    chosen = [
        (("--from", "A"), ["AB", "AC"]),
        (("--to", "A"), ["BA"]),
        (("--from", "A", "--to", "C"), ["AC"]),
        (("--failing",), ["BA"]),
        (("--from", "C"), []),
    ]
    for options, shown in chosen:
        found = used.run.good("links", "--json", *options).document["links"]
        assert [each["source"] + each["destination"] for each in found] == shown, options


def test_of_a_link_with_a_door_that_does_not_open_the_configured_engines_are_shown(used: Installation):
    (used.folder / "b").rmdir()
    [found] = used.run.good("links", "--to", "B", "--json").document["links"]
    assert found["engines_able"] is None
    assert "http, xrootd, local" in used.run.good("links", "--to", "B").out


def test_a_site_that_is_not_there_is_an_error(used: Installation):
    used.run("links", "--to", "D").expect_error(2, "there is no site 'D'")


def test_what_cannot_be_taken_from_anywhere_waits_on_no_link(used: Installation):
    used.commit(PutSite(Site("A", (Door("posix", str(used.folder / "a")),), status=SiteStatus.MORGUE)))
    found = used.run.good("links", "--json", "--to", "C").document["links"]
    # B has the first file only, which is on its way.
    assert [(each["source"], each["files_waiting"], each["files_active"]) for each in found] == [("A", 0, 1)]


def test_settings_of_a_site_that_is_not_there_are_told_of(installation: Installation):
    with (installation.folder / "holdfast.toml").open("a") as file:
        file.write("\n[operations.sites.A]\nper_site_in = 3\n[operations.sites.Typo]\nper_site_in = 3\n")
    said = installation.run.good("links").err
    assert "operations.sites.Typo" in said
    assert "operations.sites.A" not in said
