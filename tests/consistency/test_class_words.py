"""Classes of findings: each has words of its own, and the pages for people name it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from holdfast.consistency import class_words
from holdfast.consistency.classes import TRAITS, Class
from holdfast.consistency.history import tables


@pytest.mark.parametrize("words", [class_words.NAMES, class_words.NOUNS, class_words.HEADS])
def test_no_two_classes_are_called_the_same(words: Mapping[Class, object]) -> None:
    assert words.keys() == set(Class)
    assert len(set(words.values())) == len(Class)


def test_every_class_has_traits() -> None:
    assert TRAITS.keys() == set(Class)
    assert all(each.meaning and each.definition for each in TRAITS.values())


def test_a_class_fits_into_the_tables() -> None:
    widths = {table.c["class"].type.length for table in (tables.action, tables.deed)}  # type: ignore[attr-defined]
    assert max(map(len, Class)) <= min(widths)


def test_the_page_for_people_names_every_class() -> None:
    page = (Path(__file__).parents[2] / "docs" / "consistency.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    named = {word.strip() for row in rows for word in row.split(",")}
    assert set(class_words.NAMES.values()) <= named


def test_one_and_many() -> None:
    told = [class_words.counted(count, Class.EMPTY_DIRECTORY) for count in (0, 1, 2000)]
    assert told == ["0 empty directories", "1 empty directory", "2,000 empty directories"]
