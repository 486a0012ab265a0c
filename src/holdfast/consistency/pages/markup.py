"""Markup: HTML and SVG put together so that no text can be taken for markup.

Rules
  * Only ``Html`` goes into a page as it is, and only the functions here make it; any other text is escaped, in
    attributes as between tags.
  * Characters that cannot be seen, turn the writing round or have no place in HTML are spelled out: ``\\x00``,
    ``\\u202e``, ``\\udc80``.
  * Attributes come in the order given; a trailing ``_`` of their names is dropped, other ``_`` become ``-``. None and
    False leave an attribute out.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = frozenset({"meta", "br", "link"})

Value = str | int | float | bool | None


class Html(str):
    """Markup, as against text."""

    __slots__ = ()


NEW_LINE = Html("\n")


def text(value: str) -> Html:
    """``value`` for people to read, wherever it comes from."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(shown_text(value)))


def shown_text(value: str) -> str:
    """``value`` in one line, what cannot be seen spelled out."""
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)


def tag(name: str, /, *children: str | None, **attributes: Value) -> Html:
    """An element with what is in it; None in place of a child is nothing."""
    within = "".join(text(child) for child in children if child is not None)
    opening = f"<{name}{_attributes(attributes)}>"
    return Html(opening if name in _VOID else f"{opening}{within}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Html:
    """The parts in a row."""
    return Html(text(between).join(text(part) for part in parts))


def lines(parts: Iterable[str]) -> Html:
    """The parts, each in a line of its own."""
    return Html("\n".join(text(part) for part in parts))


def style(css: str) -> Html:
    """A style sheet of our own: it is not escaped, so nothing of a storage may be in it."""
    return Html(f"<style>{css}</style>")


def coordinate(value: float) -> str:
    """A number for a picture: two digits after the point at most, the same on every machine."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")  # + 0.0: there is no "-0".


def _attributes(given: dict[str, Value]) -> str:
    return "".join(_attribute(name.rstrip("_").replace("_", "-"), value) for name, value in given.items())


def _attribute(name: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    shown = coordinate(value) if isinstance(value, float) else str(value)
    return f' {name}="{text(shown)}"'
