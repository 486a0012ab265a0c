"""What a run tells people: each thing once, and which command tells more."""

from __future__ import annotations

import pytest

from holdfast.cli import run_show
from holdfast.model.names import DatasetKey
from holdfast.model.records import BlockFiles, CopyRequest, RequestState
from holdfast.operations.deletion_report import DeletionReport
from holdfast.operations.progress import LIKEWISE, BadSource, RunReport

DATASET = DatasetKey("/sky/survey", "1")
COPY = CopyRequest("c" * 32, DATASET, "B", (BlockFiles("x"),))
DELETION = DeletionReport("d" * 32, "B", state=RequestState.DONE, detail="deleted 3", dataset=DATASET)
ERRORS = tuple(f"/f{number}: busy" for number in range(12))


@pytest.mark.parametrize(
    ("report", "where"),
    [
        (RunReport(1, deletions=(DELETION,), errors=ERRORS), "`holdfast deletions show dddddddddddd`"),
        (RunReport(1, requests=(COPY,), errors=ERRORS), "`holdfast transfers show cccccccccccc`"),
        (RunReport(1, requests=(COPY, COPY), errors=ERRORS), "`holdfast transfers list`"),
        (
            RunReport(1, requests=(COPY,), deletions=(DELETION, DELETION), errors=ERRORS),
            "`holdfast transfers show cccccccccccc` and `holdfast deletions list`",
        ),
    ],
)
def test_the_command_that_tells_more_is_named(
    report: RunReport, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_show.show_report(report)
    assert capsys.readouterr().err.splitlines()[-1] == f"and 2 more; see {where}"


def test_a_deletion_names_its_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    orphans = DeletionReport("e", "B", state=RequestState.DONE, detail="deleted 1")
    run_show.show_report(RunReport(1, deletions=(DELETION, orphans)))
    assert capsys.readouterr().out.splitlines() == [
        "deletion of /sky/survey#1 at B: done: deleted 3",
        "deletion of orphans at B: done: deleted 1",
    ]


def test_an_error_that_was_said_as_the_reason_is_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    held = {COPY.id: "site unavailable: B: /f1: no space left"}
    bad = tuple(BadSource("A", lfn, "A: gone", is_missing=True) for lfn in ("/f2", "/f3"))
    errors = (f"B:/f1: no space left{LIKEWISE}", f"A:/f2: gone{LIKEWISE}")
    run_show.show_report(RunReport(1, requests=(COPY,), held=held, bad_sources=bad, errors=errors))
    assert capsys.readouterr().err.splitlines() == [
        f"A:/f2: gone{LIKEWISE}",
        "`holdfast check A` finds all that is missing there",
    ]
