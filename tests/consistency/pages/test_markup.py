"""Markup: whatever text is put in, none of it becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.consistency.pages.markup import Html, coordinate, join, tag, text
from support.soak import examples

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


class Reader(HTMLParser):
    """What a browser would make of a piece of HTML: its elements with their attributes, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.others = 0
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.others += 1

    def handle_decl(self, decl: str) -> None:
        self.others += 1

    def handle_pi(self, data: str) -> None:
        self.others += 1


@given(ANY_TEXT, ANY_TEXT)
@settings(max_examples=examples(500), deadline=None)
def test_any_text_stays_text(within: str, value: str):
    read = Reader(tag("p", within, title=value, class_="x"))
    assert [name for name, _ in read.elements] == ["p"]
    assert read.elements[0][1] == {"title": shown(value), "class": "x"}
    assert read.text == shown(within)
    assert read.others == 0


@given(ANY_TEXT)
@settings(max_examples=examples(300), deadline=None)
def test_what_is_shown_can_be_seen_and_written(value: str):
    markup = text(value)
    assert markup.isprintable()
    assert markup.encode().decode() == markup


def shown(value: str) -> str:
    """A text with what cannot be seen spelled out, by a way of its own."""
    return "".join(c if c.isprintable() else c.encode("ascii", "backslashreplace").decode() for c in value).translate(
        {number: repr(chr(number))[1:-1] for number in range(32)} | {0x7F: "\\x7f"}
    )


def test_characters_that_trick_eyes_are_spelled_out():
    assert text("a\x00b\u202ecod.exe\udc80\n\u2028") == "a\\x00b\\u202ecod.exe\\udc80\\n\\u2028"


def test_markup_is_not_escaped_twice():
    assert tag("p", tag("b", "<1 & 2>")) == "<p><b>&lt;1 &amp; 2&gt;</b></p>"
    assert join(["<", Html("<br>"), ">"], ", ") == "&lt;, <br>, &gt;"


def test_attributes():
    element = tag(
        "a", "x", href='"><script>', class_="one", aria_label="l", tabindex=-1, open=True, id=None, hidden=False
    )
    assert element == '<a href="&quot;&gt;&lt;script&gt;" class="one" aria-label="l" tabindex="-1" open>x</a>'
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert tag("rect", x=1.0, y=2.345678) == '<rect x="1" y="2.35"></rect>'


def test_coordinates_are_short():
    assert [coordinate(value) for value in (0.0, -0.001, 10.0, 1.5, 100.126)] == ["0", "0", "10", "1.5", "100.13"]
