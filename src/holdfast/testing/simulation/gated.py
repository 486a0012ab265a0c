"""Gates, judged: what was asked for because of a check was wished for, and may have been by the report and the words.

The limits are worked out here once more, from the settings and what the simulator has seen of the checks before; the
code under test is not asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from holdfast.consistency.classes import WRONG, Class
from holdfast.consistency.gates import GateSettings
from holdfast.consistency.report import Report
from holdfast.testing.simulation.mending import Said

REMOVED = (Class.ORPHAN, Class.EMPTY_DIRECTORY)


def judge_wished(report: Report, said: Said, classes: Collection[Class]) -> Iterator[str]:
    """S8: nothing is acted on but what somebody has wished."""
    for cls in classes:
        if cls not in said.classes:
            yield f"S8: {cls.value} files of {report.site} were acted on, and nobody has wished for that"


def judge_gates(report: Report, said: Said, classes: Collection[Class], earlier: Sequence[Report]) -> Iterator[str]:
    """S9: that the report is one that may be acted on, and that there is not more of a class than may be.

    ``earlier`` are the reports of the site before that one, in the order in which they began.
    """
    settings, site = said.settings, report.site
    if not report.actual and not settings.is_empty_believed:
        yield f"S9: something was asked for at {site}, which showed no file"
    lacking = sum(report.counts[cls] for cls in WRONG)
    most = settings.missing.fraction_max
    if most is not None and lacking > most * report.expected:
        yield f"S9: something was asked for at {site}, which lacks {lacking} of {report.expected} files"
    n_before = _believed(earlier, settings)
    if n_before is not None and report.actual and _has_shrunk(report.actual, n_before, settings):
        yield f"S9: something was asked for at {site}, which showed {report.actual} files, and {n_before} before"
    # Who wishes for several things at once gets all of them or nothing.
    held_to = classes if said.is_as_far_as_open else {*classes, *(cls for cls in said.classes if report.counts[cls])}
    for cls in sorted(held_to):
        if cls in REMOVED and not report.expected:
            yield f"S9: {cls.value} files of {site} were acted on, where the inventory expects nothing"
        yield from _judge_limits(report, settings, cls)


def _judge_limits(report: Report, settings: GateSettings, cls: Class) -> Iterator[str]:
    found, limits, base = report.counts[cls], settings.missing, report.expected
    if cls is Class.ORPHAN:
        limits, base = settings.orphan, report.actual
    elif cls is Class.EMPTY_DIRECTORY:
        limits, base = settings.empty_directory, report.directories
    elif cls is Class.MISSING:
        limits = replace(limits, fraction_max=None)  # It is that of all that is lacking.
    else:
        limits, found = settings.wrong, report.counts[Class.SIZE_MISMATCH] + report.counts[Class.CHECKSUM_MISMATCH]
    is_too_many = limits.count_max is not None and found > limits.count_max
    if is_too_many or (limits.fraction_max is not None and found > limits.fraction_max * base):
        yield f"S9: something was asked for about {found} {cls.value} at {report.site}, which are too many"


def _believed(earlier: Sequence[Report], settings: GateSettings) -> int | None:
    """How many files the site showed in the last check whose listing is believed."""
    n_files: int | None = None
    doubted = 0
    for report in earlier:
        doubted = doubted + 1 if n_files is not None and _has_shrunk(report.actual, n_files, settings) else 0
        if doubted in (0, settings.shrunk_runs):
            n_files, doubted = report.actual, 0
    return n_files


def _has_shrunk(now: int, before: int, settings: GateSettings) -> bool:
    return now < before and before - now > settings.shrunk_fraction_max * before
