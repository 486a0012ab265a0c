"""``holdfast whereis``: PFNs by the rules of each site, and the LFNs that nobody has."""

from __future__ import annotations

import pytest
from commanding import BLOCK, Installation, holdfast

from holdfast.model import names
from holdfast.model.changes import CreateDataset, FilesGone, RegisterFiles
from holdfast.model.names import BlockKey
from holdfast.model.records import Dataset, Evidence, FileColumns, Staging


def test_a_file_and_its_places(installation: Installation):
    ran = installation.run.good("whereis", "/store/a/one")
    header, first, second = ran.out.splitlines()
    assert header.split() == ["site", "pfn", "size", "block", "verified", "checksums"]
    assert first.split()[:2] == ["A", f"{installation.folder}/a/store/a/one"]
    assert second.split()[:2] == ["B", f"{installation.folder}/b/cms/a/one"]
    assert "2023-11-14T22:13:20Z" in first
    assert f"adler32:00000001 sha256:{'a' * 64}" in first
    assert second.split()[4] == "partial"


def test_json_has_every_file_and_names_the_unknown(installation: Installation):
    ran = installation.run("whereis", "/store/a/two [x]", "/no/such", "/store/b/drei-ß", "--json")
    assert ran.code == 1
    assert ran.err == "unknown: /no/such\n"
    assert ran.out.isascii()
    document = ran.document
    assert document["unknown"] == ["/no/such"]
    assert [file["lfn"] for file in document["files"]] == ["/store/a/two [x]", "/store/b/drei-ß"]
    assert document["files"][0] == {
        "lfn": "/store/a/two [x]",
        "dataset": "run/raw#1",
        "block": "0000",
        "size": 2_000_000,
        "checksums": {"adler32": "00000002"},
        "replicas": [
            {
                "site": "A",
                "pfn": f"{installation.folder}/a/store/a/two [x]",
                "block_complete": True,
                "verified_at": "2023-11-14T22:13:20.123456Z",
            }
        ],
    }


def test_a_file_that_is_nowhere_is_said_to_be(installation: Installation):
    installation.commit(FilesGone(BLOCK, "A", (2,), Evidence.DECLARED))
    ran = installation.run("whereis", "/store/b/drei-ß")
    assert ran.code == 1
    assert ran.out.splitlines()[1].startswith("nowhere")
    assert "`holdfast journal tail --lfn /store/b/drei-ß`" in ran.err
    told = installation.run.good("journal", "tail", "--lfn", "/store/b/drei-ß", "--site", "A").out.splitlines()
    assert "files-gone run/raw#1 A" in told[-1]


def test_what_is_being_published_is_not_there_yet(installation: Installation):
    draft = names.dataset_key("draft")
    files = FileColumns(dirs=("/draft",), dir_index=(0,), names=("one",), sizes=(5,))
    installation.commit(
        CreateDataset(Dataset(draft, staging=Staging("A", "/draft"))),
        RegisterFiles(BlockKey(draft, "0000"), 0, files, site="A"),
    )
    ran = installation.run("whereis", "/draft/one")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "not there yet: /draft/one (dataset draft is being published)\n"
    document = installation.run("whereis", "/draft/one", "/store/a/one", "/no", "--json").document
    assert [file["lfn"] for file in document["files"]] == ["/store/a/one"]
    assert document["unknown"] == ["/no"]
    assert document["being_published"] == [{"lfn": "/draft/one", "dataset": "draft"}]


def test_a_site_whose_rules_do_not_match_has_no_pfn(installation: Installation):
    run = installation.run
    run.good("site", "add", "C", "--root", "c", "--chain", "/other/(.*)=>/{0}")
    assert run("site", "pfn", "C", "/store/a/one").code == 1


@pytest.mark.parametrize("lfn", ["store/a/one", "/store//one", "/a\nb", "/a/\udcff", "", "/" + "x" * 300])
def test_what_cannot_be_an_lfn_is_one_clear_line(installation: Installation, lfn: str):
    installation.run("whereis", lfn).expect_error(2, "LFN")


def test_lfns_are_read_from_standard_input(installation: Installation):
    ran = holdfast(["whereis", "-", "--json"], cwd=installation.folder, stdin="/store/a/one\n\n/store/b/drei-ß\n/x\n")
    assert ran.returncode == 1
    assert ran.stderr == "unknown: /x\n"
    assert ran.stdout.count('"lfn"') == 2
