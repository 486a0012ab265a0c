"""LastCheck: which findings of which report say that a file may be somewhere else at the site."""

from __future__ import annotations

from pathlib import Path

from holdfast.consistency import findings
from holdfast.consistency.cleaning.last_check import last_lacking
from holdfast.consistency.findings import Class, Finding
from holdfast.consistency.report import FINDINGS, write_json
from holdfast.model.names import BlockKey, DatasetKey

BLOCK = BlockKey(DatasetKey("sky"), "0000")


def report(reports: Path, run: str, *found: Finding) -> None:
    folder = reports / "A" / run
    folder.mkdir(parents=True)
    findings.write_table(found, folder / FINDINGS)
    write_json(folder, {})


def test_a_site_that_was_never_checked_lacks_nothing(tmp_path: Path) -> None:
    assert list(last_lacking(tmp_path, "A")) == []


def test_it_is_what_the_last_whole_report_knows_no_place_of(tmp_path: Path) -> None:
    kept = [
        Finding(Class.MISSING, "/a", block=BLOCK),
        Finding(Class.IGNORED, "/b", "of an ignored dataset: s*", block=BLOCK),
        Finding(Class.UNLISTED, "/closed", n_files=3),
    ]
    others = [Finding(Class.ORPHAN, "/dark"), Finding(Class.IGNORED, "/young", "too young to be judged")]
    report(tmp_path, "2026-11-20", Finding(Class.MISSING, "/before", block=BLOCK))
    report(tmp_path, "2026-11-21", *others, *kept)
    report(tmp_path, "2026-11-22.part", Finding(Class.MISSING, "/half", block=BLOCK))
    assert list(last_lacking(tmp_path, "A")) == kept
