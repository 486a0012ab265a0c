"""Traits of the classes of findings: each is decided for each class, none by oversight, and none by another."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from itertools import product

import pytest

from holdfast.consistency import classes
from holdfast.consistency.classes import TRAITS, Class, LimitGroup, Remedy, Shown, Traits

MISSING_OR_WRONG = {Class.MISSING, Class.SIZE_MISMATCH, Class.CHECKSUM_MISMATCH}
NOT_JUDGED = {Class.SUSPECT, Class.AWAITED, Class.UNLISTED, Class.IGNORED}


def contradictions(traits: Traits) -> list[str]:
    """What cannot be so together: all that the traits of one class have to do with each other."""
    is_acted = traits.limits is not None
    rules = {
        "is acted on if and only if something mends it": is_acted == (traits.remedy in (Remedy.COPY, Remedy.REMOVAL)),
        "is acted on, so it is told": traits.is_told or not is_acted,
        "is acted on, so it has to be confirmed, so it is kept": traits.is_kept or not is_acted,
        "is acted on, so it says what its path is": not (is_acted and traits.leaves_open),
        "makes a site differ, so it is told": traits.is_told or not traits.makes_differ,
        "is not judged, so it leaves open what is there": traits.leaves_open or traits.remedy is not Remedy.LOOK,
        "may be brought or be there unseen, so what may be it stays": traits.may_be_lacking
        or traits.remedy not in (Remedy.COPY, Remedy.WAITING, Remedy.LOOK),
        "is found by a check": traits.in_check is not Shown.NEVER or traits.in_foreign_check is not Shown.NEVER,
    }
    return [rule for rule, is_kept in rules.items() if not is_kept]


def test_nothing_is_decided_by_a_default() -> None:
    assert TRAITS.keys() == set(Class)
    assert [each.name for each in fields(Traits) if (each.default, each.default_factory) != (MISSING, MISSING)] == []


@pytest.mark.parametrize("cls", Class)
def test_the_traits_of_a_class_do_not_contradict_each_other(cls: Class) -> None:
    assert contradictions(TRAITS[cls]) == []


def test_every_group_of_limits_is_that_of_a_class() -> None:
    assert {TRAITS[cls].limits for cls in classes.ACTED} == set(LimitGroup)


def test_told_and_kept_and_never_acted_on_can_be_said() -> None:
    """And that no site differs by it; without a remedy, limits or anything else that it has not."""
    said = replace(
        TRAITS[Class.IGNORED], is_told=True, is_kept=True, leaves_open=False, may_be_lacking=False, makes_differ=False
    )
    assert (said.remedy, said.limits) == (Remedy.NONE, None)
    assert contradictions(said) == []


def test_what_nothing_mends_may_be_so_in_any_way() -> None:
    for told, kept, leaves_open, lacking in product([True, False], repeat=4):
        said = replace(
            TRAITS[Class.IGNORED], is_told=told, is_kept=kept, leaves_open=leaves_open, may_be_lacking=lacking
        )
        assert contradictions(said) == []


@pytest.mark.parametrize(
    ("derived", "trait"),
    [
        (classes.TOLD, "is_told"),
        (classes.DIFFERING, "makes_differ"),
        (classes.KEPT, "is_kept"),
        (classes.LEAVING_OPEN, "leaves_open"),
        (classes.MAY_BE_LACKING, "may_be_lacking"),
    ],
)
def test_who_needs_some_classes_gets_those_with_the_trait(derived: tuple[Class, ...], trait: str) -> None:
    assert derived == tuple(cls for cls in Class if getattr(TRAITS[cls], trait))


def test_what_matters_to_removals_is_decided_as_written_here() -> None:
    """A change of one of these is a decision: what it lets go was held before."""
    assert {cls for cls in Class if TRAITS[cls].remedy is Remedy.REMOVAL} == {Class.ORPHAN, Class.EMPTY_DIRECTORY}
    assert set(classes.MAY_BE_LACKING) == MISSING_OR_WRONG | NOT_JUDGED
    assert set(classes.ACTED) == set(classes.KEPT) == MISSING_OR_WRONG | {Class.ORPHAN, Class.EMPTY_DIRECTORY}
    assert set(classes.LEAVING_OPEN) == NOT_JUDGED
    assert {cls for cls in Class if not TRAITS[cls].is_there} == {Class.MISSING, Class.AWAITED}
    assert {cls for cls in Class if TRAITS[cls].is_directory} == {Class.EMPTY_DIRECTORY}
    assert set(classes.DIFFERING) == {*MISSING_OR_WRONG, Class.ORPHAN, Class.SUSPECT, Class.AWAITED, Class.UNLISTED}


def test_a_line_without_findings() -> None:
    assert [[each.shows(count) for count in (0, 2)] for each in Shown] == [[True, True], [False, True], [False, False]]
