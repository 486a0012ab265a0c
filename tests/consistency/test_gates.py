"""Gates: every reason why a class is not acted on, at its limit and beyond; nothing fails open.

Method: a report in which all gates are open, and one thing changed at a time; then anything at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.config import ConsistencySettings
from holdfast.consistency import gates
from holdfast.consistency.class_words import NOUNS
from holdfast.consistency.classes import Class
from holdfast.consistency.confirmation import Confirmation
from holdfast.consistency.gates import ACTED, ClassLimits, Gate, GateSettings
from holdfast.consistency.history.states import SiteState
from holdfast.consistency.report import Report

MISMATCHES = {Class.SIZE_MISMATCH, Class.CHECKSUM_MISMATCH}
ALL = frozenset(ACTED)
FOUND = {
    Class.MISSING: 10,
    Class.ORPHAN: 10,
    Class.SIZE_MISMATCH: 10,
    Class.CHECKSUM_MISMATCH: 10,
    Class.EMPTY_DIRECTORY: 10,
}
SETTINGS = GateSettings(
    missing=ClassLimits(100, 0.1),
    orphan=ClassLimits(100, 0.1),
    empty_directory=ClassLimits(100, 0.1),
    wrong=ClassLimits(100, 0.1),
    shrunk_fraction_max=0.5,
    confirmations={cls: Confirmation(3, 86_400) for cls in ACTED},
)
READY = SiteState("A")


def a_report(**more: object) -> Report:
    counts = dict.fromkeys(Class, 0) | FOUND
    usual = Report(
        site="A",
        run="run2",
        started_us=1,
        seconds=1.0,
        epoch="e",
        position_before=1,
        position_after=1,
        directories=1000,
        unlisted_places=0,
        expected=1000,
        expected_size=1,
        actual=1000,
        actual_size=1,
        proved=0,
        with_checksums=False,
        counts=counts,
    )
    return replace(usual, **more)  # type: ignore[arg-type]


def with_found(**counts: int) -> Report:
    return a_report(counts={**a_report().counts, **{Class(name): count for name, count in counts.items()}})


def ask(
    report: Report | None = None,
    confirmed: Mapping[Class, int] = FOUND,
    settings: GateSettings = SETTINGS,
    state: SiteState = READY,
    previous: Report | None = a_report(run="run1"),  # noqa: B008 (frozen)
) -> Mapping[Class, Gate]:
    return gates.gates(report or a_report(), confirmed, settings, state, previous)


def closed(found: Mapping[Class, Gate]) -> dict[Class, tuple[str, ...]]:
    """The classes that are closed, with the reasons."""
    assert found.keys() == ALL
    assert all(gate.is_open == (not gate.reasons) for gate in found.values())
    return {cls: gate.reasons for cls, gate in found.items() if not gate.is_open}


def refused(*words: str, of: set[Class] | frozenset[Class], **asked: object) -> None:
    """Exactly the classes ``of`` are closed, each for one reason that has the words."""
    why = closed(ask(**asked))  # type: ignore[arg-type]
    assert why.keys() == of
    for reasons in why.values():
        assert len(reasons) == 1
        for word in words:
            assert word in reasons[0]


def test_when_nothing_stands_against_it_every_gate_is_open() -> None:
    assert closed(ask()) == {}
    assert ask()[Class.ORPHAN] == Gate(Class.ORPHAN, True, (), found=10, confirmed=10)


def test_where_nothing_was_found_every_gate_is_open() -> None:
    nothing = a_report(counts=dict.fromkeys(Class, 0))
    assert closed(ask(nothing, dict.fromkeys(ACTED, 0), previous=None)) == {}


def test_some_that_are_confirmed_open_the_gate() -> None:
    gate = ask(confirmed={**FOUND, Class.ORPHAN: 1})[Class.ORPHAN]
    assert (gate.is_open, gate.found, gate.confirmed) == (True, 10, 1)


# ---- what people have said -------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SiteState("A", "halted", by="anna@x", at_us=0, reason="downtime"), ("halted", "anna@x", "1970", "downtime")),
        (SiteState("A", "halted", by="anna@x"), ("`holdfast consistency resume A`",)),
        (SiteState("A", "disabled", by="anna@x"), ("A is disabled", "`holdfast consistency resume A`")),
        (SiteState("A", mode="dry", mode_by="bert", mode_reason="new"), ("mode dry", "bert", "new", "mode A act")),
        (SiteState("A", mode="dry"), ("mode dry", "by the configuration", "`holdfast consistency mode A act`")),
        (SiteState("A", "asleep"), ("'asleep'",)),
        (SiteState("A", mode=""), ("''",)),
        (SiteState("A", state=""), ("''",)),
        (SiteState("B"), ("B says nothing of A",)),
    ],
)
def test_a_site_that_is_not_to_be_acted_on(state: SiteState, words: tuple[str, ...]) -> None:
    refused(*words, of=ALL, state=state)


def test_halted_and_dry_are_two_reasons() -> None:
    assert len(closed(ask(state=SiteState("A", "halted", "dry", by="anna")))[Class.MISSING]) == 2


def test_a_site_may_be_acted_on_while_a_check_is_running() -> None:
    assert closed(ask(state=SiteState("A", is_running=True))) == {}


# ---- what the listing shows ------------------------------------------------------------


@pytest.mark.parametrize("expected", [0, 1000])
def test_a_site_that_shows_nothing(expected: int) -> None:
    nothing = a_report(actual=0, expected=expected, counts=dict.fromkeys(Class, 0))
    refused("A shows no file at all", of=ALL, report=nothing, confirmed=dict.fromkeys(ACTED, 0))


def test_a_site_that_shows_far_less_than_before() -> None:
    before = a_report(run="run1", actual=2000)
    assert closed(ask(previous=before)) == {}
    refused("1,000 files", "2,001", "shrunk_fraction_max, 0.5", of=ALL, previous=replace(before, actual=2001))
    assert closed(ask(previous=replace(before, actual=0))) == {}
    assert closed(ask(previous=replace(before, actual=1))) == {}


@pytest.mark.parametrize(
    ("share", "is_open"), [(1.0, True), (0.75, True), (0.7, False), (0.0, False), (math.nan, False)]
)
def test_how_far_a_site_may_shrink(share: float, is_open: bool) -> None:
    found = ask(previous=a_report(actual=4000), settings=replace(SETTINGS, shrunk_fraction_max=share))
    assert {gate.is_open for gate in found.values()} == {is_open}


def test_the_report_of_another_site_is_no_report_before() -> None:
    refused("of B", of=ALL, previous=a_report(site="B"))


def test_without_a_report_before_what_takes_several_runs_stays() -> None:
    once = {cls: Confirmation(1) for cls in (Class.MISSING, *MISMATCHES)}
    settings = replace(SETTINGS, confirmations={**SETTINGS.confirmations, **once})
    refused("no report before", of={Class.ORPHAN, Class.EMPTY_DIRECTORY}, settings=settings, previous=None)


def test_mass_loss_closes_everything() -> None:
    lost = {"missing": 60, "size_mismatch": 20, "checksum_mismatch": 20}
    assert closed(ask(with_found(**lost))) == {}
    lost["missing"] += 1
    words = ("101 of 1,000 expected files (10.10%)", "missing or wrong", "missing_fraction_max, 0.1")
    refused(*words, of=ALL, report=with_found(**lost))


def test_an_inventory_that_expects_nothing_calls_nothing_an_orphan() -> None:
    of = {"missing": 0, "size_mismatch": 0, "checksum_mismatch": 0}
    report = replace(with_found(**of), expected=0)
    confirmed = {**FOUND, **{Class(name): 0 for name in of}}
    orphans = {Class.ORPHAN, Class.EMPTY_DIRECTORY}
    refused("the inventory expects no file at A", of=orphans, report=report, confirmed=confirmed)


def test_what_is_missing_where_nothing_is_expected_makes_no_sense() -> None:
    assert closed(ask(replace(with_found(), expected=0))).keys() == ALL


# ---- limits of each class --------------------------------------------------------------


def test_more_missing_than_the_count() -> None:
    settings = replace(SETTINGS, missing=ClassLimits(9, 0.5), wrong=ClassLimits(None, None))
    refused("10 missing files, more than missing_max, 9", of={Class.MISSING}, settings=settings)
    assert closed(ask(settings=replace(settings, missing=ClassLimits(10, 0.5)))) == {}


def test_more_wrong_than_the_count_of_both_kinds_together() -> None:
    settings = replace(SETTINGS, wrong=ClassLimits(19, None))
    refused("20 wrong files, more than missing_max, 19", of=MISMATCHES, settings=settings)
    assert closed(ask(settings=replace(settings, wrong=ClassLimits(20, None)))) == {}


def test_more_wrong_than_the_fraction_of_both_kinds_together() -> None:
    settings = replace(SETTINGS, wrong=ClassLimits(None, 0.019))
    refused("20 of 1,000 expected files (2.00%)", "0.019", of=MISMATCHES, settings=settings)
    assert closed(ask(settings=replace(settings, wrong=ClassLimits(None, 0.02)))) == {}


@pytest.mark.parametrize(
    ("cls", "count_name", "fraction_name", "of"),
    [
        (Class.ORPHAN, "orphans_max", "orphans_of_actual_max", "10 of 1,000 files (1.00%) are orphans"),
        (
            Class.EMPTY_DIRECTORY,
            "empty_directories_max",
            "empty_directories_of_listed_max",
            "10 of 1,000 directories (1.00%) are empty directories",
        ),
    ],
)
def test_more_than_the_count_or_the_fraction(cls: Class, count_name: str, fraction_name: str, of: str) -> None:
    def limited(count_max: int | None, fraction_max: float | None) -> GateSettings:
        return replace(SETTINGS, **{cls.value: ClassLimits(count_max, fraction_max)})

    refused(f"10 {NOUNS[cls][1]}, more than {count_name}, 9", of={cls}, settings=limited(9, None))
    refused(of, f"more than {fraction_name}, 0.009", of={cls}, settings=limited(None, 0.009))
    assert closed(ask(settings=limited(10, 0.01))) == {}
    assert closed(ask(settings=limited(None, None))) == {}
    assert len(closed(ask(settings=limited(0, 0.0)))[cls]) == 2


def test_limits_are_held_against_what_was_found_not_what_is_confirmed() -> None:
    settings = replace(SETTINGS, orphan=ClassLimits(9, None))
    refused("10 orphans", of={Class.ORPHAN}, settings=settings, confirmed={**FOUND, Class.ORPHAN: 1})


def test_a_fraction_is_compared_as_it_is_written() -> None:
    # 0.29 * 100 is less than 29.
    report = replace(with_found(orphan=29), actual=100)
    settings = replace(SETTINGS, orphan=ClassLimits(None, 0.29))
    assert ask(report, {**FOUND, Class.ORPHAN: 29}, settings, previous=report)[Class.ORPHAN].is_open


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("missing", ALL),
        ("wrong", MISMATCHES),
        ("orphan", {Class.ORPHAN}),
        ("empty_directory", {Class.EMPTY_DIRECTORY}),
    ],
)
def test_a_fraction_that_is_no_number_is_no_leave(name: str, of: set[Class]) -> None:
    refused("nan", of=of, settings=replace(SETTINGS, **{name: ClassLimits(None, math.nan)}))  # type: ignore[arg-type]


# ---- confirmation ----------------------------------------------------------------------


@pytest.mark.parametrize("cls", ACTED)
def test_what_is_not_confirmed_yet_stays(cls: Class) -> None:
    words = ("of 10 is confirmed", "that takes 3 checks without a break over 1 days")
    refused(*words, of={cls}, confirmed={**FOUND, cls: 0})


@pytest.mark.parametrize("cls", ACTED)
@pytest.mark.parametrize("confirmed", [None, -1, 11])
def test_confirmed_has_to_be_a_part_of_what_was_found(cls: Class, confirmed: int | None) -> None:
    counts = {key: count for key, count in FOUND.items() if key is not cls}
    refused(
        "it is not known how many of 10",
        of={cls},
        confirmed=counts if confirmed is None else {**counts, cls: confirmed},
    )


@pytest.mark.parametrize("needed", [None, Confirmation(0), Confirmation(1, -1)])
def test_confirmation_has_to_be_something(needed: Confirmation | None) -> None:
    rest = {cls: each for cls, each in SETTINGS.confirmations.items() if cls is not Class.ORPHAN}
    settings = replace(SETTINGS, confirmations=rest if needed is None else {**rest, Class.ORPHAN: needed})
    refused("it is not said when orphans are confirmed", of={Class.ORPHAN}, settings=settings)


@pytest.mark.parametrize("cls", ACTED)
@pytest.mark.parametrize("count", [None, -1])
def test_a_report_without_a_number_closes_what_needs_it(cls: Class, count: int | None) -> None:
    counts = {key: number for key, number in a_report().counts.items() if key is not cls}
    why = closed(ask(a_report(counts=counts if count is None else {**counts, cls: count})))
    assert why.keys() == ({cls} if cls in (Class.ORPHAN, Class.EMPTY_DIRECTORY) else ALL)
    assert all("does not say" in reason for reasons in why.values() for reason in reasons)


# ---- anything at all -------------------------------------------------------------------

FRACTIONS = st.sampled_from([0.0, 0.1, 0.5, 1.0])
USUAL_COUNTS = st.fixed_dictionaries(dict.fromkeys(ACTED, st.integers(0, 3)))
USUAL_LIMITS = st.builds(ClassLimits, st.none() | st.integers(0, 5), st.none() | FRACTIONS)
USUAL_SETTINGS = st.builds(
    GateSettings,
    *[USUAL_LIMITS] * 4,
    FRACTIONS,
    st.fixed_dictionaries(dict.fromkeys(ACTED, st.builds(Confirmation, st.integers(1, 3)))),
)

NUMBERS = st.integers(-1, 30)
ODD_COUNTS = st.dictionaries(st.sampled_from(ACTED), NUMBERS)
ODD_FRACTIONS = FRACTIONS | st.just(math.nan)
ODD_LIMITS = st.builds(ClassLimits, st.none() | NUMBERS, st.none() | ODD_FRACTIONS)
ODD_SETTINGS = st.builds(
    GateSettings,
    *[ODD_LIMITS] * 4,
    ODD_FRACTIONS,
    st.dictionaries(st.sampled_from(ACTED), st.builds(Confirmation, st.integers(0, 3), st.integers(-1, 1))),
)
ODD_STATES = st.builds(
    SiteState, st.just("A"), st.sampled_from(["ready", "halted", "disabled", "?"]), st.sampled_from(["act", "dry", ""])
)


def reports(numbers: st.SearchStrategy[int], counts: st.SearchStrategy[dict[Class, int]]) -> st.SearchStrategy[Report]:
    return st.builds(a_report, expected=numbers, actual=numbers, directories=numbers, counts=counts)


USUAL_REPORTS, ODD_REPORTS = reports(st.integers(1, 30), USUAL_COUNTS), reports(NUMBERS, ODD_COUNTS)
ASKED = st.tuples(USUAL_REPORTS, USUAL_COUNTS, USUAL_SETTINGS, st.just(READY), st.none() | USUAL_REPORTS) | st.tuples(
    USUAL_REPORTS | ODD_REPORTS,
    USUAL_COUNTS | ODD_COUNTS,
    USUAL_SETTINGS | ODD_SETTINGS,
    st.just(READY) | ODD_STATES,
    st.none() | USUAL_REPORTS | ODD_REPORTS,
)


@given(ASKED)
def test_an_open_gate_has_everything_that_it_takes(
    asked: tuple[Report, dict[Class, int], GateSettings, SiteState, Report | None],
) -> None:
    report, confirmed, settings, state, previous = asked
    for cls, gate in gates.gates(report, confirmed, settings, state, previous).items():
        assert gate.is_open == (not gate.reasons)
        if not gate.is_open:
            continue
        assert (state.state, state.mode) == ("ready", "act")
        assert report.actual > 0
        assert 0 <= gate.confirmed <= gate.found == report.counts[cls]
        assert cls in settings.confirmations
        if gate.found == 0:
            continue
        assert gate.confirmed > 0
        assert previous is not None or settings.confirmations[cls].runs == 1
        lacking = sum(report.counts[each] for each in (Class.MISSING, *MISMATCHES))
        assert settings.missing.fraction_max is None or lacking <= settings.missing.fraction_max * max(
            report.expected, 0
        )
        limits, base = {
            Class.MISSING: (settings.missing, report.expected),
            Class.ORPHAN: (settings.orphan, report.actual),
            Class.EMPTY_DIRECTORY: (settings.empty_directory, report.directories),
        }.get(cls, (settings.wrong, report.expected))
        assert limits.count_max is None or gate.found <= limits.count_max
        assert limits.fraction_max is None or gate.found <= limits.fraction_max * base
        if previous is not None:
            assert report.actual >= (1 - settings.shrunk_fraction_max) * previous.actual


# ---- by the configuration --------------------------------------------------------------


def test_the_defaults_are_as_cms_runs_them() -> None:
    settings = GateSettings.of(ConsistencySettings())
    orphan = Confirmation(3, 25 * 86_400)
    assert settings.confirmations == {
        Class.MISSING: Confirmation(1, 0),
        Class.ORPHAN: orphan,
        Class.SIZE_MISMATCH: Confirmation(1, 0),
        Class.CHECKSUM_MISMATCH: Confirmation(1, 0),
        Class.EMPTY_DIRECTORY: orphan,
    }
    assert (settings.missing, settings.wrong) == (ClassLimits(None, 0.1), ClassLimits(None, 0.1))
    assert (settings.orphan, settings.empty_directory) == (ClassLimits(1000, 0.01), ClassLimits(10_000, 0.1))
    assert settings.shrunk_fraction_max == 0.5


def test_part_of_a_day_is_a_part_of_a_day() -> None:
    settings = GateSettings.of(ConsistencySettings(orphan_over_days=0.5, missing_over_days=1.0))
    assert settings.confirmations[Class.ORPHAN].over_s == 43_200
    assert settings.confirmations[Class.MISSING] == Confirmation(1, 86_400)


@pytest.mark.parametrize(
    ("shown", "measure"),
    [
        ([], None),
        ([100], 100),
        ([100, 120, 60], 60),
        ([100, 49], 100),
        ([100, 49, 48], 100),
        ([100, 49, 48, 47], 47),
        ([100, 49, 100, 48, 47], 100),
        ([100, 49, 48, 47, 20], 47),
        ([0, 5], 5),
    ],
)
def test_a_listing_that_shrank_is_no_measure_until_others_show_the_same(shown: list[int], measure: int | None) -> None:
    reports = [a_report(actual=actual) for actual in shown]
    found = gates.believed(reports, replace(SETTINGS, shrunk_runs=3))
    assert (None if found is None else found.actual) == measure


def test_an_empty_site_is_believed_only_by_a_person_s_word() -> None:
    report = a_report(actual=0, counts={**dict.fromkeys(Class, 0), Class.MISSING: 10})
    settings = replace(SETTINGS, confirmations=dict.fromkeys(ACTED, Confirmation()))
    confirmed = {Class.MISSING: 10}
    shut = gates.gates(report, confirmed, settings, READY, None)[Class.MISSING]
    assert shut.reasons == ("A shows no file at all",)
    believed = replace(settings, is_empty_believed=True)
    assert gates.gates(report, confirmed, believed, READY, None)[Class.MISSING].is_open
