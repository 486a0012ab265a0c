"""``holdfast dataset``: what is shown agrees with what was registered."""

from __future__ import annotations

import json

from commanding import KEY, Commands, Installation

from holdfast.model import names
from holdfast.model.changes import CreateDataset, PutLock, RegisterFiles
from holdfast.model.names import BlockKey
from holdfast.model.records import Dataset, FileColumns, Lock, Staging


def test_list_and_its_pattern(installation: Installation):
    run = installation.run
    staging = Staging("A", "/draft")
    installation.commit(CreateDataset(Dataset(names.dataset_key("draft"), staging=staging)))
    assert run.good("dataset", "list").out.splitlines()[1].split()[:6] == [
        "run/raw#1",
        "valid",
        "closed",
        "1",
        "3",
        "2.0",
    ]
    assert [each["dataset"] for each in run.good("dataset", "list", "--json").document["datasets"]] == ["run/raw#1"]
    both = run.good("dataset", "list", "--staged", "--json").document["datasets"]
    assert [(each["dataset"], each["state"]) for each in both] == [("draft", "staged"), ("run/raw#1", "closed")]
    assert run.good("dataset", "list", "run/*#1", "--json").document["datasets"] != []
    assert run.good("dataset", "list", "RUN*", "--json").document["datasets"] == []
    assert "being published" in run.good("dataset", "show", "draft").out


def test_show(installation: Installation):
    installation.commit(PutLock(Lock("lock-1", "me@here", lfn="/store/a/one")))
    document = installation.run.good("dataset", "show", "run/raw#1", "--blocks", "--json").document
    assert (document["files"], document["size"], document["blocks"]) == (3, 2_000_010, 1)
    assert document["metadata"] == {"energy": 13, "by": "x\ny"}
    assert document["locks"] == ["lock-1"]
    assert [request["id"] for request in document["open_copies"]] == ["copy-1"]
    there = {site["site"]: (site["complete"], site["files"], site["size"]) for site in document["sites"]}
    assert there == {"A": (True, 3, 2_000_010), "B": (False, 1, 10)}
    assert [replica["site"] for replica in document["block_list"][0]["replicas"]] == ["A", "B"]


def test_what_people_see_has_no_control_characters(installation: Installation):
    out = installation.run.good("dataset", "show", "run/raw#1", "--blocks").out
    assert r"x\ny" in out
    assert "copy-1" in out
    assert "B (1 files)" in out
    assert all(line.isprintable() for line in out.splitlines())


def test_files_are_a_listing_for_compare(installation: Installation):
    ran = installation.run.good("dataset", "files", "run/raw#1")
    assert ran.out.splitlines() == [
        "path\tsize\tadler32",
        "/store/a/one\t10\t00000001",
        "/store/a/two [x]\t2000000\t00000002",
        "/store/b/drei-ß\t0\t",
    ]
    wide = installation.run.good("dataset", "files", "run/raw#1", "--checksums").out.splitlines()
    assert wide[0].split("\t")[2:] == ["adler32", "crc32c", "md5", "sha256", "blake3"]
    assert wide[1].split("\t")[5] == "a" * 64


def test_files_as_json_is_one_document(installation: Installation):
    ran = installation.run.good("dataset", "files", "run/raw#1", "--block", "0000", "--json")
    document = json.loads(ran.out)
    assert document["dataset"] == str(KEY)
    assert [file["lfn"] for file in document["files"]] == ["/store/a/one", "/store/a/two [x]", "/store/b/drei-ß"]


def test_files_of_what_is_being_published_are_shown_only_when_asked_for(installation: Installation):
    run, draft = installation.run, names.dataset_key("draft")
    files = FileColumns(dirs=("/draft",), dir_index=(0,), names=("one",), sizes=(5,))
    installation.commit(
        CreateDataset(Dataset(draft, staging=Staging("A", "/draft"))),
        RegisterFiles(BlockKey(draft, "0000"), 0, files, site="A"),
    )
    run("dataset", "files", "draft").expect_error(4, "draft is still being published", "--staged")
    run("dataset", "files", "draft", "--json").expect_error(4, "--staged")
    assert "/draft/one" in run.good("dataset", "files", "draft", "--staged").out
    holds = run.good("site", "show", "A", "--json").document["holds"]
    assert (holds["files"], holds["datasets"], holds["blocks"]) == (3, 1, 1)


def test_an_unknown_name_is_one_clear_line(installation: Installation):
    installation.run("dataset", "show", "run/raw").expect_error(2, "there is no dataset 'run/raw'", "run/raw#1")
    installation.run("dataset", "files", "run/raw#1", "--block", "x").expect_error(2, "there is no block")
    installation.run("dataset", "show", "a\nb").expect_error(2, "control character U+000A")


def test_an_empty_inventory_has_no_datasets(commands: Commands):
    commands.good("init")
    assert commands.good("dataset", "list", "--json").document == {"datasets": []}
