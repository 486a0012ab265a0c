"""Gates: which classes of findings may be acted on, and why the others may not.

Pure: a report, how much of it is confirmed, limits, what people have said of
the site and the report before in; for each class out whether its gate is open,
and every reason why it is not.

Rules
  * Closed for every class: the site is halted or disabled, or not in mode act; it shows no file at all; it shows far
    fewer than in the report before; too great a part of what is expected there is missing or wrong.
  * Each class has limits of its own, a count and a fraction. They are held against all that was found, not only what
    is confirmed: too much of it means that something else is the matter.
  * Where the inventory expects nothing, nothing is an orphan and no directory empty by its word.
  * What is found and nowhere confirmed yet keeps its gate closed.
  * Nothing fails open: a state that is not known, a number that is missing or makes no sense, or no report before
    where confirmation takes more than one, closes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.config import SiteConsistencySettings
from holdfast.consistency import class_words
from holdfast.consistency.classes import ACTED, TRAITS, WRONG, Class, LimitGroup, Remedy
from holdfast.consistency.confirmation import DAY_S, Confirmation
from holdfast.consistency.history.states import SiteState
from holdfast.consistency.report import Report
from holdfast.model.wording import number, plural


@dataclass(frozen=True, slots=True)
class ClassLimits:
    """How much may be found at most: a count, and a fraction of what is named in the setting. None: no such limit."""

    count_max: int | None
    fraction_max: float | None


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What has to be so. Fractions: of expected files, but for orphans of those there, for directories of those listed.

    ``wrong`` is for files of wrong size and of wrong content together.
    """

    missing: ClassLimits
    orphan: ClassLimits
    empty_directory: ClassLimits
    wrong: ClassLimits
    shrunk_fraction_max: float
    confirmations: Mapping[Class, Confirmation]
    shrunk_runs: int = 3
    """After how many checks in a row that show so few files a site is believed to have shrunk."""
    is_empty_believed: bool = False
    """Somebody has said that the site has lost all its files."""

    @staticmethod
    def of(settings: SiteConsistencySettings) -> GateSettings:
        """Those of a site, by the configuration."""
        orphan = Confirmation(settings.orphan_runs, round(settings.orphan_over_days * DAY_S))
        missing = Confirmation(settings.missing_runs, round(settings.missing_over_days * DAY_S))
        confirmations = {
            LimitGroup.MISSING: missing,
            LimitGroup.WRONG: Confirmation(settings.wrong_runs),
            LimitGroup.ORPHAN: orphan,
            LimitGroup.EMPTY_DIRECTORY: orphan,
        }
        expected = ClassLimits(settings.missing_max, settings.missing_fraction_max)
        return GateSettings(
            missing=expected,
            orphan=ClassLimits(settings.orphans_max, settings.orphans_of_actual_max),
            empty_directory=ClassLimits(settings.empty_directories_max, settings.empty_directories_of_listed_max),
            wrong=expected,
            shrunk_fraction_max=settings.shrunk_fraction_max,
            confirmations={cls: confirmations[group] for cls in ACTED if (group := TRAITS[cls].limits)},
            shrunk_runs=settings.orphan_runs,
        )


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a class may be acted on, and every reason why it may not; how many were found, how many confirmed."""

    cls: Class
    is_open: bool
    reasons: tuple[str, ...]
    found: int
    confirmed: int


Gates = Mapping[Class, Gate]
"""The gate of each class that has one."""


def gates(
    report: Report,
    confirmed: Mapping[Class, int],
    settings: GateSettings,
    state: SiteState,
    previous: Report | None,
) -> Gates:
    """The gate of each class that may be acted on at all."""
    for_all = [*_of_state(report, state), *_of_listing(report, settings, previous), *_of_mass_loss(report, settings)]
    found: dict[Class, Gate] = {}
    for cls in ACTED:
        reasons = (*for_all, *_of_class(cls, report, confirmed, settings, previous))
        counts = (report.counts.get(cls, 0), confirmed.get(cls, 0))
        found[cls] = Gate(cls, not reasons, reasons, *counts)
    return found


def believed(reports: Sequence[Report], settings: GateSettings) -> Report | None:
    """The one of a site's reports, oldest first, that a further listing is measured by; None of none.

    One that shows far fewer files than the one before is believed when as many in a row have shown so few as it takes
    to confirm an orphan: else a listing that is not whole would be the measure of the next.
    """
    measure: Report | None = None
    doubted = 0
    for report in reports:
        shrank = measure is not None and _has_shrunk(report, measure, settings)
        doubted = doubted + 1 if shrank else 0
        if not shrank or doubted >= settings.shrunk_runs:
            measure, doubted = report, 0
    return measure


def _has_shrunk(report: Report, before: Report, settings: GateSettings) -> bool:
    return not _is_within(before.actual - report.actual, settings.shrunk_fraction_max, before.actual)


def _of_state(report: Report, state: SiteState) -> Iterator[str]:
    if state.site != report.site:
        yield f"what is known of {state.site} says nothing of {report.site}"
    yield from filter(None, (state.refusal, state.mode_refusal))


def _of_listing(report: Report, settings: GateSettings, previous: Report | None) -> Iterator[str]:
    """Whether the listing may be believed."""
    if not report.actual > 0:
        if not settings.is_empty_believed:
            yield f"{report.site} shows no file at all"
    elif previous is not None and previous.site != report.site:
        yield f"the report before is of {previous.site}"
    elif previous is not None and _has_shrunk(report, previous, settings):
        shown = f"{number(report.actual)} files, and {number(previous.actual)} in the check before"
        limit = f"shrunk_fraction_max, {settings.shrunk_fraction_max:.4g}"
        ends = f"{plural(settings.shrunk_runs, 'check')} in a row that show so few are believed"
        yield f"{report.site} shows {shown}: fewer by more than {limit}; {ends}"


def _of_mass_loss(report: Report, settings: GateSettings) -> Iterator[str]:
    """Whether so much is missing or wrong that nothing else may be believed, either."""
    lacking, fraction_max = _sum(report, WRONG), settings.missing.fraction_max
    if lacking is None:
        yield "the report does not say how much is missing or wrong"
    elif not _is_within(lacking, fraction_max, report.expected):
        share = _share(lacking, report.expected, "expected files")
        yield f"{share} are missing or wrong, more than missing_fraction_max, {fraction_max:.4g}"


def _of_class(
    cls: Class, report: Report, confirmed: Mapping[Class, int], settings: GateSettings, previous: Report | None
) -> Iterator[str]:
    found, many = report.counts.get(cls), class_words.NOUNS[cls][1]
    if found is None or found < 0:
        yield f"the report does not say how many {many} there are"
        return
    if found and TRAITS[cls].remedy is Remedy.REMOVAL and not report.expected > 0:
        yield f"the inventory expects no file at {report.site}: by its word everything would go"
    group = TRAITS[cls].limits
    # All kinds of wrong files are held against one limit.
    together = class_words.MISMATCHED if group is LimitGroup.WRONG else many
    yield from _of_limits(_measured(group, report, settings), together)
    yield from _of_confirmation(cls, found, confirmed.get(cls), settings.confirmations.get(cls))
    if found and previous is None and _takes_more_than_one(settings.confirmations.get(cls)):
        yield "there is no report before to compare the listing with"


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a class's limits are held against: how many, and of how many of what. None: not known."""

    found: int | None
    base: int
    of: str
    limits: ClassLimits
    count_name: str
    fraction_name: str


def _measured(group: LimitGroup | None, report: Report, settings: GateSettings) -> _Measured:
    found = _sum(report, [cls for cls in ACTED if TRAITS[cls].limits is group])
    if group is LimitGroup.ORPHAN:
        names = ("orphans_max", "orphans_of_actual_max")
        return _Measured(found, report.actual, "files", settings.orphan, *names)
    if group is LimitGroup.EMPTY_DIRECTORY:
        names = ("empty_directories_max", "empty_directories_of_listed_max")
        return _Measured(found, report.directories, "directories", settings.empty_directory, *names)
    if group is LimitGroup.MISSING:
        # The fraction is that of mass loss, which closes all gates.
        limits = ClassLimits(settings.missing.count_max, None)
        return _Measured(found, report.expected, "expected files", limits, "missing_max", "")
    names = ("missing_max", "missing_fraction_max")
    return _Measured(found, report.expected, "expected files", settings.wrong, *names)


def _of_limits(measured: _Measured, many: str) -> Iterator[str]:
    """Whether more was found than may be."""
    found, limits = measured.found, measured.limits
    if found is None:
        yield f"the report does not say how many {many} there are"
        return
    if limits.count_max is not None and not found <= limits.count_max:
        yield f"{number(found)} {many}, more than {measured.count_name}, {number(limits.count_max)}"
    if not _is_within(found, limits.fraction_max, measured.base):
        share = _share(found, measured.base, measured.of)
        yield f"{share} are {many}, more than {measured.fraction_name}, {limits.fraction_max:.4g}"


def _of_confirmation(cls: Class, found: int, confirmed: int | None, needed: Confirmation | None) -> Iterator[str]:
    """Whether anything is confirmed of what was found."""
    one, many = class_words.NOUNS[cls]
    if needed is None or needed.runs < 1 or needed.over_s < 0:
        yield f"it is not said when {many} are confirmed"
    elif confirmed is None or not 0 <= confirmed <= found:
        yield f"it is not known how many of {number(found)} {many} are confirmed"
    elif found and not confirmed:
        yield f"no {one} of {number(found)} is confirmed: that takes {needed.words}"


def _takes_more_than_one(needed: Confirmation | None) -> bool:
    return needed is None or needed.runs > 1


def _sum(report: Report, classes: Sequence[Class]) -> int | None:
    """How many findings there are of some classes together; None if it is not known of each."""
    counts = [report.counts.get(cls) for cls in classes]
    known = [count for count in counts if count is not None and count >= 0]
    return sum(known) if len(known) == len(counts) else None


def _is_within(found: int, fraction_max: float | None, base: int) -> bool:
    """Whether ``found`` is at most that part of ``base``; of nothing it is none. Nothing is within NaN."""
    return fraction_max is None or found <= 0 or (base > 0 and found / base <= fraction_max)


def _share(found: int, base: int, of: str) -> str:
    part = f" ({found / base:.2%})" if base > 0 else ""
    return f"{number(found)} of {number(base)} {of}{part}"
