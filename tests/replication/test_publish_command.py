"""``holdfast publish`` as it is typed: directories, options, output, exit codes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from publishing import KEY, SITE

import holdfast.cli.publish as command
from holdfast.cli.main import main
from holdfast.cli.publish import path_within
from holdfast.inventory.sql_store import SqlStore
from holdfast.model.changes import ChangeSet, CreateDataset, PutSite
from holdfast.model.errors import BadInput
from holdfast.model.records import Dataset, Door, Site, Staging
from holdfast.replication.publication import PublishOutcome, PublishProblem, PublishReport

NAME = str(KEY)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    def expect_error(self, code: int, *words: str) -> None:
        assert (self.code, self.out) == (code, "")
        assert self.err.startswith("holdfast: error: ")
        assert self.err.count("\n") == 1
        for word in words:
            assert word in self.err


@dataclass(frozen=True)
class Shell:
    folder: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Ran:
        self.capture.readouterr()
        code = main(["publish", *words])
        printed = self.capture.readouterr()
        return Ran(code, printed.out, printed.err)

    def commit(self, *changes: Any) -> None:
        store = SqlStore.open(self.folder / "state" / "inventory.db")
        store.commit(ChangeSet(changes, "tester", "test"))
        store.close()

    def visible(self) -> list[str]:
        store = SqlStore.open(self.folder / "state" / "inventory.db")
        with store.snapshot() as snapshot:
            found = [str(each.key) for each in snapshot.datasets()]
        store.close()
        return found


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HOLDFAST_CONFIG", "HOLDFAST_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "holdfast.toml").write_text("")
    SqlStore.create(tmp_path / "state" / "inventory.db").close()
    for name in ("one", "two"):
        path = tmp_path / "site" / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    shell = Shell(tmp_path, capfd)
    shell.commit(PutSite(Site("A", (Door("posix", str(tmp_path / "site")),))))
    return shell


def test_a_directory_is_published_and_told_in_a_few_lines(shell: Shell) -> None:
    ran = shell("site/data", "--dataset", NAME, "--site", "A")
    assert ran.code == 0, ran.err
    assert [line.split()[0] for line in ran.out.splitlines()] == [
        "dataset",
        "outcome",
        "at",
        "files",
        "read",
        "journal",
    ]
    assert "2 files, 6 B, in 1 block" in ran.out
    assert ran.err == ""
    assert shell.visible() == [NAME]


def test_json_is_one_document_with_everything(shell: Shell) -> None:
    options = [
        "--type",
        "raw",
        "--software-version",
        "v1",
        "--metadata",
        "run=1",
        "--metadata",
        "note=a=b",
        "--copies",
        "2",
    ]
    found = shell("site/data", "--dataset", NAME, "--site", "A", "--digest", "blake3", "--json", *options).document
    assert (found["dataset"], found["outcome"], found["site"], found["directory"]) == (NAME, "published", "A", "/data")
    assert (found["n_files"], found["size"], found["n_blocks"], found["problems"]) == (2, 6, 1, [])
    store = SqlStore.open(shell.folder / "state" / "inventory.db")
    with store.snapshot() as snapshot:
        dataset = snapshot.dataset(KEY)
    store.close()
    assert (dataset.type, dataset.software_version, dataset.required_copies) == ("raw", "v1", 2)
    assert dataset.metadata == {"run": "1", "note": "a=b"}


def test_a_second_time_it_is_published_already(shell: Shell) -> None:
    shell("site/data", "--dataset", NAME, "--site", "A")
    ran = shell("site/data", "--dataset", NAME, "--site", "A")
    assert ran.code == 0
    assert "already published" in ran.out


def test_a_dry_run_shows_names_and_changes_nothing(shell: Shell) -> None:
    ran = shell("site/data", "--dataset", NAME, "--site", "A", "--dry-run")
    assert ran.out.splitlines() == [f"{NAME} would be 2 files, 6 B at A:/data", "  /data/one", "  /data/two"]
    found = shell("site/data", "--dataset", NAME, "--site", "A", "--dry-run", "--json").document
    assert (found["n_files"], found["lfns"]) == (2, ["/data/one", "/data/two"])
    assert shell.visible() == []


def test_a_dry_run_is_refused_where_a_publish_is(shell: Shell) -> None:
    asked = ("site/data", "--dataset", NAME, "--site", "A")
    for more in (("--group", "nobody"), ("--digest", "md5")):
        ran = shell(*asked, *more)
        ran.expect_error(2)
        assert shell(*asked, *more, "--dry-run") == ran
    shell(*asked)
    ran = shell(*asked, "--type", "raw")
    ran.expect_error(4, "published already, with type")
    assert shell(*asked, "--type", "raw", "--dry-run") == ran
    assert "is published already" in shell(*asked, "--dry-run").out


def test_what_changed_is_a_table_and_exit_code_1(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = tuple(PublishProblem(f"/data/f{number:02d}", "changed while it was read") for number in range(25))
    report = PublishReport(KEY, "A", "/data", PublishOutcome.INCOMPLETE, 30, 60, 0, 5, 10, 0, 0, 25, problems, 0.5, 7)

    async def incomplete(*given: object, **named: object) -> PublishReport:
        return report

    monkeypatch.setattr(command, "publish", incomplete)
    ran = shell("site/data", "--dataset", NAME, "--site", "A")
    assert ran.code == 1
    assert "/data/f19" in ran.out
    assert "/data/f20" not in ran.out
    assert "and 5 more" in ran.err
    assert "run the same command again" in ran.err
    ran = shell("site/data", "--dataset", NAME, "--site", "A", "--json")
    assert ran.code == 1
    assert len(ran.document["problems"]) == 25


def test_bad_input_is_one_line_and_exit_code_2(shell: Shell) -> None:
    (shell.folder / "site" / "bad").mkdir()
    (shell.folder / "site" / "bad" / "two\nlines").touch()
    (shell.folder / "site" / "out").symlink_to("/")
    asked = ["--dataset", NAME, "--site", "A"]
    shell("site/bad", *asked).expect_error(2, "two\\nlines", "rename")
    shell(".", *asked).expect_error(2, "lies outside the root of site A", "its root is")
    shell("site/../..", *asked).expect_error(2, "lies outside the root")
    shell("site/out", *asked).expect_error(2, "lies outside the root")
    shell("site/none", *asked).expect_error(2, "no directory /none at A")
    shell("site/data/one", *asked).expect_error(2, "directory")
    shell("site/data", "--dataset", "a//b", "--site", "A").expect_error(2, "empty")
    shell("site/data", "--dataset", NAME, "--site", "AA").expect_error(2, "no site 'AA'")
    shell("site/data", *asked, "--metadata", "run").expect_error(2, "KEY=VALUE")
    shell("site/data", *asked, "--digest", "md5").expect_error(2, "md5")
    shell("site/data", *asked, "--group", "nobody").expect_error(2, "no group")
    shell("--dataset", NAME).expect_error(2, "DIR")
    assert shell.visible() == []


def test_a_conflict_is_exit_code_4(shell: Shell) -> None:
    shell("site/data", "--dataset", NAME, "--site", "A")
    (shell.folder / "site" / "data" / "three").touch()
    shell("site/data", "--dataset", NAME, "--site", "A").expect_error(4, "other content", "new version")
    shell("--dataset", NAME, "--abandon").expect_error(4, "is published")


def test_an_unfinished_publication_can_be_given_up(shell: Shell) -> None:
    shell.commit(CreateDataset(Dataset(KEY, staging=Staging("A", "/elsewhere"))))
    shell("site/data", "--dataset", NAME, "--site", "A").expect_error(4, "A:/elsewhere", "--abandon")
    ran = shell("--dataset", NAME, "--abandon", "--dry-run")
    assert (ran.code, ran.err) == (0, f"would be given up: {NAME}\n")
    assert shell("--dataset", NAME, "--abandon", "--dry-run", "--json").document["dry_run"] is True
    shell("site/data", "--dataset", NAME, "--site", "A").expect_error(4, "A:/elsewhere")  # Still there.
    assert shell("--dataset", NAME, "--abandon", "--json").document["outcome"] == "given-up"
    shell("--dataset", NAME, "--abandon", "--dry-run").expect_error(2, "not being published")
    assert shell("site/data", "--dataset", NAME, "--site", "A").code == 0
    assert shell.visible() == [NAME]


def test_the_root_itself_can_be_published(shell: Shell) -> None:
    found = shell("site", "--dataset", NAME, "--site", "A", "--json").document
    assert (found["directory"], found["n_files"]) == ("/", 2)


def test_a_path_of_a_far_site_is_taken_as_the_site_has_it() -> None:
    assert path_within(SITE, "/data/run/") == "/data/run"
    assert path_within(SITE, "data/run") == "/data/run"
    assert path_within(SITE, "/") == "/"
    with pytest.raises(BadInput):
        path_within(SITE, "/data/../run")
