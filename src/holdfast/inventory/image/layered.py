"""Layered: a mapping that is never written, made of a base and a few layers of later changes.

``with_items`` gives a new one that shares everything else; the old one stays
as it was. A layer is folded into the one below once it is half as big, so that
there are few, and a change costs about as much as itself, not as the whole.

Rules
  * What was handed out is never written again: any number of threads may read.
  * GONE as a value takes a key away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class Gone(Enum):
    """The mark of a key that is no longer there."""

    GONE = "gone"


GONE: Final = Gone.GONE
_NOTHING: Final[Any] = object()


class Layered(Mapping[K, V]):
    """An immutable mapping; equal changes to equal mappings give equal mappings."""

    __slots__ = ("_base", "_layers")

    def __init__(self, base: Mapping[K, V] | None = None, layers: tuple[dict[K, V | Gone], ...] = ()) -> None:
        self._base: Mapping[K, V] = {} if base is None else base
        self._layers = layers

    @property
    def base(self) -> Mapping[K, V]:
        """The oldest part, which changes seldom; what a publisher writes once."""
        return self._base

    def changes(self) -> dict[K, V | Gone]:
        """All that differs from the base."""
        return _flattened(self._layers)

    def with_items(self, items: Mapping[K, V | Gone]) -> Layered[K, V]:
        """This mapping after ``items`` were put, or taken away where the value is GONE."""
        if not items:
            return self
        layers = (*self._layers, dict(items))
        while len(layers) > 1 and len(layers[-2]) <= 2 * len(layers[-1]):
            layers = (*layers[:-2], {**layers[-2], **layers[-1]})
        if len(layers[0]) > 64 + len(self._base) // 4:
            return Layered(self._base, layers).folded()
        return Layered(self._base, layers)

    @property
    def n_changes(self) -> int:
        """How many changes there are beside the base, some of them perhaps to the same key."""
        return sum(map(len, self._layers))

    def folded(self) -> Layered[K, V]:
        """The same mapping, all of it in the base."""
        return Layered(_without_gone({**self._base, **_flattened(self._layers)}))

    @property
    def is_empty(self) -> bool:
        """Whether there surely is nothing; what was taken away may still have its mark."""
        return not self._base and not self._layers

    def with_item(self, key: K, value: V | Gone) -> Layered[K, V]:
        """This mapping after one change."""
        return self.with_items({key: value})

    def __getitem__(self, key: K) -> V:
        value = self.get(key, _NOTHING)
        if value is _NOTHING:
            raise KeyError(key)
        return value

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T, /) -> V | T: ...
    def get(self, key: K, default: Any = None, /) -> Any:
        """The value of ``key``, or ``default``."""
        for layer in reversed(self._layers):
            value = layer.get(key, _NOTHING)
            if value is not _NOTHING:
                return default if value is GONE else value
        return self._base.get(key, default)

    def __contains__(self, key: object) -> bool:
        return self.get(key, _NOTHING) is not _NOTHING  # type: ignore[arg-type]

    def __len__(self) -> int:
        changed = _flattened(self._layers)
        added = sum(value is not GONE and key not in self._base for key, value in changed.items())
        gone = sum(value is GONE and key in self._base for key, value in changed.items())
        return len(self._base) + added - gone

    def __iter__(self) -> Iterator[K]:
        changed = _flattened(self._layers)
        yield from (key for key in self._base if key not in changed)
        yield from (key for key, value in changed.items() if value is not GONE)


def _flattened(layers: tuple[dict[K, V | Gone], ...]) -> dict[K, V | Gone]:
    flat: dict[K, V | Gone] = {}
    for layer in layers:
        flat.update(layer)
    return flat


def _without_gone(items: dict[K, V | Gone]) -> dict[K, V]:
    return {key: value for key, value in items.items() if value is not GONE}
