"""Run page: what one run found, by class, by place and by dataset, with a picture of where it lies. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.consistency import class_words
from holdfast.consistency.classes import TRAITS, WRONG, Class
from holdfast.consistency.pages import elements, treemap_picture, words
from holdfast.consistency.pages.drill_down import drill_down
from holdfast.consistency.pages.elements import Cell, address
from holdfast.consistency.pages.markup import Html, tag, text
from holdfast.consistency.pages.model import MISMATCHES, PICTURED, RunDetail, RunShown
from holdfast.model.wording import number, plural, size

_KINDS = dict.fromkeys(WRONG, "missing") | dict.fromkeys(MISMATCHES, "mismatch")
"""The colours of pictures; what is too much has that of orphans."""


def run_page(detail: RunDetail, *, site: str, now_us: int) -> str:
    """The document."""
    run = detail.run
    content = (
        _head(run),
        elements.paragraph(f"Its findings cannot be shown: {detail.trouble}") if detail.trouble else None,
        _sums(detail),
        *_trees(detail),
        _places(detail),
        _lost(detail),
        _unrecoverable(detail),
        _empty(detail),
        _usage(detail),
    )
    way = [("All sites", address("..", "..", elements.PAGE)), (site, address("..", elements.PAGE))]
    title = f"{site}, {words.moment(run.started_us)}"
    return elements.page(title, content, way=way, made_us=now_us)


def _head(run: RunShown) -> Html:
    took = words.lasting(run.seconds)
    return elements.figures(
        (
            ("site and inventory", "agree" if run.agrees else "differ", f"run {run.run}"),
            ("expected", size(run.expected.size), plural(run.expected.files, "file")),
            ("found", size(run.actual.size), plural(run.actual.files, "file")),
            ("listed", words.directories(run.directories), f"in {took}" if took else ""),
            ("not judged", plural(run.unlisted_places, "place"), ""),
        )
    )


def _sums(detail: RunDetail) -> Html | None:
    lists = {each.cls: each for each in detail.lists}
    rows = [[*_sum(detail.run, cls, lists[cls].file if cls in lists else "")] for cls in Class]
    columns = ("class", "files", "bytes", "list")
    table = elements.table(columns, rows, caption="What was found, by class", right=("files", "bytes"))
    return elements.section("Sums", table, id="sums")


def _sum(run: RunShown, cls: Class, file: str) -> Iterator[Cell]:
    amount = run.amount(cls)
    yield Html(text(class_words.HEADS[cls]) + tag("small", class_words.DEFINITIONS[cls]))
    yield (number(amount.files), "" if amount.files else "none")
    yield (size(amount.size), "whole" if amount.size else "none")
    yield elements.link(file, address(file)) if file else ""


def _trees(detail: RunDetail) -> Iterator[Html]:
    for cls in PICTURED:
        root = detail.trees.get(cls)
        if root is not None:
            title, kind, place = TRAITS[cls].where, _KINDS.get(cls, "orphan"), cls.value.replace("_", "-")
            told = (
                f"{words.files_and_bytes(root.amount)} below {root.path}, each directory as large as what is below it."
            )
            if root.amount.size == 0:
                told = f"{plural(root.amount.files, 'file')} below {root.path}, all empty: sizes are numbers of files."
            picture = treemap_picture.pictures(root, title=title, place=f"{place}-0")
            listed = drill_down(root, place=f"{place}-0", kind=kind)
            yield elements.section(title, elements.paragraph(told, quiet=True), picture, listed, id=place)


def _places(detail: RunDetail) -> Html | None:
    rows: list[list[Cell]] = [
        [(place.path, "path"), number(place.files), (place.reason, "path")] for place in detail.places
    ]
    columns = ("place", "files", "why")
    caption = "Not listed, or not believed: what is expected there was not judged"
    table = elements.table(columns, rows, caption=caption, right=("files",))
    if table is None:
        return None
    more = elements.and_more(len(rows), detail.n_places, _list(detail, Class.UNLISTED))
    return elements.section("Unlisted places", table, more, id="unlisted-places")


def _lost(detail: RunDetail) -> Html | None:
    rows: list[list[Cell]] = [
        [(each.path, "path"), number(each.amount.files), size(each.amount.size)] for each in detail.lost
    ]
    caption = "Directories of which every expected file is missing, the highest of each"
    table = elements.table(("directory", "files", "bytes"), rows, caption=caption, right=("files", "bytes"))
    if table is None:
        return None
    return elements.section("Lost subtrees", table, elements.and_more(len(rows), detail.n_lost), id="lost")


def _unrecoverable(detail: RunDetail) -> Html | None:
    rows: list[list[Cell]] = [
        [(each.dataset, "path"), number(each.amount.files), size(each.amount.size)] for each in detail.unrecoverable
    ]
    caption = "Files that no other site has, by dataset: a person may declare them lost"
    table = elements.table(("dataset", "files", "bytes"), rows, caption=caption, right=("files", "bytes"))
    if table is None:
        return None
    more = elements.and_more(len(rows), detail.n_unrecoverable)
    return elements.section("Unrecoverable files", table, more, id="unrecoverable")


def _empty(detail: RunDetail) -> Html | None:
    table = elements.table(("directory",), [[(path, "path")] for path in detail.empty], caption="Empty directories")
    if table is None:
        return None
    more = elements.and_more(len(detail.empty), detail.n_empty, _list(detail, Class.EMPTY_DIRECTORY))
    return elements.section("Empty directories", table, more, id="empty")


def _usage(detail: RunDetail) -> Html | None:
    rows: list[list[Cell]] = [
        [(each.path, "path"), number(each.amount.files), size(each.amount.size), number(each.directories)]
        for each in detail.usage
    ]
    columns = ("directory", "files", "bytes", "directories")
    table = elements.table(columns, rows, caption="What lies below each directory, as listed", right=columns[1:])
    if table is None:
        return None
    file = elements.link(detail.storage_file, address(detail.storage_file)) if detail.storage_file else None
    more = elements.and_more(len(rows), detail.n_usage)
    beside = elements.paragraph("For programs: ", file) if file else None
    return elements.section("Usage", table, more, beside, id="usage")


def _list(detail: RunDetail, cls: Class) -> Html | None:
    return next((elements.link(each.file, address(each.file)) for each in detail.lists if each.cls is cls), None)
