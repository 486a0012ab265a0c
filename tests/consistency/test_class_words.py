"""Every class has words of its own, of each kind."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from holdfast.consistency import class_words
from holdfast.consistency.findings import Class


@pytest.mark.parametrize("words", [class_words.NAMES, class_words.NOUNS, class_words.HEADS])
def test_no_two_classes_are_called_the_same(words: Mapping[Class, object]) -> None:
    assert words.keys() == set(Class)
    assert len(set(words.values())) == len(Class)


def test_every_class_has_a_meaning() -> None:
    assert class_words.MEANINGS.keys() == class_words.DEFINITIONS.keys() == set(Class)


def test_one_and_many() -> None:
    told = [class_words.counted(count, Class.EMPTY_DIRECTORY) for count in (0, 1, 2000)]
    assert told == ["0 empty directories", "1 empty directory", "2,000 empty directories"]
