"""Elements: what the pages are put together of: the frame, tables, figures, signs, links.

Rules
  * A page is one file: it asks for nothing else, and no script runs in it; a policy in it says so to the browser.
  * Colours never stand alone: what they say is there in words, too.

Pure: values in, markup out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from holdfast.consistency.pages import sheet
from holdfast.consistency.pages.markup import NEW_LINE, Html, join, lines, style, tag, text
from holdfast.consistency.pages.model import NOTHING, Amount
from holdfast.model.clock import show_time
from holdfast.model.wording import number, size

PAGE = "index.html"

_SHEET_DIGEST = base64.b64encode(hashlib.sha256(sheet.CSS.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_SHEET_DIGEST}'; base-uri 'none'; form-action 'none'"

Cell = str | tuple[str, str]
"""What stands in a cell, or that and the class it is shown in."""


def page(title: str, content: Iterable[Html | None], *, way: Sequence[tuple[str, str]] = (), made_us: int) -> str:
    """A whole document. ``way`` has the names of the pages above it, and where they are."""
    crumbs = join([*(link(name, address) for name, address in way), text(title)], " / ") if way else None
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{title} - Holdfast"),
        style(sheet.CSS),
    )
    body = (
        tag("nav", crumbs, aria_label="Where this page is") if crumbs else None,
        tag("main", tag("h1", title), *(each for each in content if each is not None)),
        tag("footer", tag("p", f"Made by holdfast consistency report at {show_time(made_us)}. All times are UTC.")),
    )
    document = tag("html", tag("head", lines(head)), NEW_LINE, tag("body", lines(filter(None, body))), lang="en")
    return f"<!doctype html>\n{document}\n"


def section(title: str, *content: Html | None, id: str) -> Html:
    """A part of a page with its heading."""
    return tag("section", tag("h2", title), *content, id=id, aria_label=title)


def paragraph(*content: str, quiet: bool = False) -> Html:
    """A paragraph."""
    return tag("p", *content, class_="quiet" if quiet else None)


def link(words: str, address: str) -> Html:
    """A link; the first row of the ``way`` of a page is a link too."""
    return tag("a", words, href=address)


def address(*parts: str) -> str:
    """A relative address of the names of folders and files, whatever characters are in them."""
    return "/".join(part if part == ".." else quote(part, safe="", errors="backslashreplace") for part in parts)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, caption: str, right: Iterable[str] = ()
) -> Html | None:
    """A table whose first column names its rows; None if it has no rows. Columns in ``right`` hold numbers."""
    to_the_right = frozenset(right)
    sides = ["right" if name in to_the_right else None for name in columns]
    body = [_row(row, sides) for row in rows]
    if not body:
        return None
    head = tag("tr", *(tag("th", name, scope="col", class_=side) for name, side in zip(columns, sides, strict=True)))
    drawn = tag("table", tag("caption", caption), tag("thead", head), NEW_LINE, tag("tbody", lines(body)))
    # With a name and a place in the order of the keys, so that it can be scrolled without a mouse.
    return tag("div", drawn, class_="scroll", role="region", aria_label=caption, tabindex=0)


def _row(row: Sequence[Cell], sides: Sequence[str | None]) -> Html:
    cells = []
    for place, (cell, side) in enumerate(zip(row, sides, strict=True)):
        content, kind = (cell, None) if isinstance(cell, str) else cell
        classes = " ".join(filter(None, (side, kind))) or None
        cells.append(tag("td", content, class_=classes) if place else tag("th", content, scope="row", class_=classes))
    return tag("tr", *cells)


def figures(pairs: Iterable[tuple[str, str, str]]) -> Html:
    """Some numbers to see first: a name, the number, and what is said of it."""
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", value, tag("small", about) if about else None))
            for name, value, about in pairs
        ),
        class_="figures",
    )


def sign(words: str, kind: str) -> Html:
    """A word that is to be seen: ``kind`` is good, warn or bad."""
    return tag("span", words, class_=f"sign {kind}")


def amount_cell(amount: Amount) -> Cell:
    """Files, and their bytes below."""
    if amount == NOTHING:
        return "0", "none"
    return Html(text(number(amount.files)) + tag("small", size(amount.size)))


def and_more(shown: int, of: int, where: Html | str | None = None) -> Html | None:
    """What is said below a list that was cut; None if it was not."""
    if shown >= of:
        return None
    return paragraph(
        f"... and {number(of - shown)} more", *([": all are in ", where] if where else []), ".", quiet=True
    )
