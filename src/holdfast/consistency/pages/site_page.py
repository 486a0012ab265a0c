"""Site page: one site over time: what each run found, what was asked for, and why not more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from holdfast.consistency import class_words
from holdfast.consistency.classes import TOLD, TRAITS, Class
from holdfast.consistency.pages import elements, time_line, words
from holdfast.consistency.pages.elements import Cell, address
from holdfast.consistency.pages.index_page import AGE_KINDS, state_signs
from holdfast.consistency.pages.markup import Html, join, tag
from holdfast.consistency.pages.model import MISMATCHES, GateShown, RunShown, SiteShown, WordShown
from holdfast.consistency.pages.time_line import Mark, Point
from holdfast.model.clock import show_time
from holdfast.model.wording import number, plural, size

ROWS_MAX = 100
POINTS_MAX = 300
MARKS_MAX = 40

_LINES = (
    ("Missing", "missing", (Class.MISSING,)),
    ("Orphans", "orphan", (Class.ORPHAN,)),
    ("Corrupt: wrong size or checksum", "mismatch", MISMATCHES),
)


def site_page(site: SiteShown, *, now_us: int) -> str:
    """The document."""
    content = (
        _state(site, now_us),
        _now(site),
        _time_lines(site),
        _gates(site.gates),
        _actions(site),
        _runs(site),
        _said(site),
    )
    return elements.page(site.site, content, way=[("All sites", address("..", elements.PAGE))], made_us=now_us)


def _state(site: SiteShown, now_us: int) -> Html:
    told = [elements.paragraph(state_signs(site))]
    # The last word on the state and that on the mode: one may be much older than the other.
    for said in (site.state, site.mode):
        word = next((word for word in reversed(site.said) if word.said == said), None)
        if word is not None:
            told.append(elements.paragraph(f"{words.ago(word.at_us, now_us)}: {_word(word)}"))
    run = site.latest
    age = words.age_of(run.started_us if run else None, now_us)
    last = [elements.sign(age, AGE_KINDS[age])]
    if run is not None:
        last.append(tag("span", f" last complete check {words.ago(run.started_us, now_us)}"))
    return join([*told, elements.paragraph(*last)])


def _now(site: SiteShown) -> Html | None:
    run = site.latest
    if run is None:
        return elements.paragraph("No check of this site has ended yet.")
    figures = [(title.split(":")[0].lower(), run.amount(*classes)) for title, _, classes in _LINES]
    return elements.figures(
        (
            ("expected", size(run.expected.size), plural(run.expected.files, "file")),
            ("found", size(run.actual.size), plural(run.actual.files, "file")),
            *((name, size(amount.size), plural(amount.files, "file")) for name, amount in figures),
        )
    )


def _time_lines(site: SiteShown) -> Html | None:
    runs = site.done[-POINTS_MAX:]
    if not runs:
        return None
    marks = [*_marks(site, runs[0].started_us)]
    drawn = []
    for title, kind, classes in _LINES:
        for what, show in (("bytes", size), ("files", number)):
            values = [run.amount(*classes) for run in runs]
            points = [
                Point(run.started_us, each.size if what == "bytes" else each.files, _point(run, *classes))
                for run, each in zip(runs, values, strict=True)
            ]
            line = time_line.picture(points, marks, title=f"{title}, {what}", kind=kind, show=show)
            drawn.append(tag("figure", tag("figcaption", f"{title}, {what}"), line))
    signs = "▼ something was asked for; ✕ a run did not end well; ◆ a person changed the state"
    told = elements.paragraph(f"From run to run. {signs}. The tables below have the numbers.", quiet=True)
    return elements.section("Over time", told, tag("div", *drawn, class_="lines"), id="time")


def _point(run: RunShown, *classes: Class) -> str:
    return f"{words.moment(run.started_us)}: {words.files_and_bytes(run.amount(*classes))}"


def _marks(site: SiteShown, from_us: int) -> Iterator[Mark]:
    """What happened since the first run that is drawn, one mark for all that was asked because of one run."""
    found = []
    asked: dict[str, list[int]] = {}
    for action in site.actions:
        asked.setdefault(action.run, []).append(action.at_us)
    for run, moments in asked.items():
        files = sum(action.amount.files for action in site.actions if action.run == run)
        label = f"{words.moment(min(moments))}: {plural(len(moments), 'request')} for {plural(files, 'file')}"
        found.append(Mark(min(moments), "asked", label))
    found += [
        Mark(run.started_us, "failed", f"{words.moment(run.started_us)}: {_ending(run)}")
        for run in site.runs
        if not run.is_done and run.state != "running"
    ]
    found += [Mark(word.at_us, "said", f"{words.moment(word.at_us)}: {_word(word)}") for word in site.said]
    yield from sorted((mark for mark in found if mark.at_us >= from_us), key=lambda mark: mark.at_us)[-MARKS_MAX:]


def _gates(gates: Iterable[GateShown]) -> Html | None:
    rows: list[list[Cell]] = [
        [
            class_words.HEADS[gate.cls],
            elements.sign("open", "good") if gate.is_open else elements.sign("closed", "warn"),
            number(gate.found),
            number(gate.confirmed),
            ("; ".join(gate.reasons) or "nothing stands against it", "path"),
        ]
        for gate in gates
    ]
    columns = ("class", "gate", "found", "confirmed", "why")
    table = elements.table(columns, rows, caption="What may be acted on now, and why not", right=columns[2:4])
    return elements.section("Gates", table, id="gates") if table else None


def _actions(site: SiteShown) -> Html | None:
    latest = sorted(site.actions, key=lambda action: (-action.at_us, action.request))
    rows: list[list[Cell]] = [
        [
            (words.moment(action.at_us), "whole"),
            class_words.HEADS[action.cls],
            (action.request, "path"),
            number(action.amount.files),
            size(action.amount.size),
            (action.run, "path"),
        ]
        for action in latest[:ROWS_MAX]
    ]
    columns = ("when", "because of", "request", "files", "bytes", "run")
    table = elements.table(columns, rows, caption="What was asked for, the latest first", right=("files", "bytes"))
    if table is None:
        return None
    return elements.section("Asked for", table, elements.and_more(len(rows), len(latest)), id="asked")


def _runs(site: SiteShown) -> Html | None:
    latest = [*reversed(site.runs)]
    rows = [_run(run) for run in latest[:ROWS_MAX]]
    names = [class_words.HEADS[cls] for cls in TOLD]
    columns = ("run", "took", *names, "found", "ended")
    table = elements.table(columns, rows, caption="Runs, the latest first", right=(*names, "found"))
    if table is None:
        return None
    return elements.section("Runs", table, elements.and_more(len(rows), len(latest)), id="runs")


def _run(run: RunShown) -> Sequence[Cell]:
    when = tag("time", words.moment(run.started_us), datetime=show_time(run.started_us))
    name = elements.link(when, address(run.run, elements.PAGE)) if run.has_page else when
    if not run.is_done:
        empty: list[Cell] = [("", "none")] * (len(TOLD) + 1)
        return [(name, "whole"), words.lasting(run.seconds), *empty, _ending(run)]
    counts = [_count(run, cls) for cls in TOLD]
    ended = "agrees" if run.agrees else "differs"
    return [(name, "whole"), (words.lasting(run.seconds), "whole"), *counts, elements.amount_cell(run.actual), ended]


def _count(run: RunShown, cls: Class) -> Cell:
    amount = run.amount(cls)
    # Empty directories have no bytes to speak of.
    return number(amount.files) if TRAITS[cls].is_directory and amount.files else elements.amount_cell(amount)


def _said(site: SiteShown) -> Html | None:
    latest = [*reversed(site.said)]
    rows: list[list[Cell]] = [
        [(words.moment(word.at_us), "whole"), word.said, word.by, word.reason] for word in latest[:ROWS_MAX]
    ]
    columns = ("when", "said", "by", "why")
    table = elements.table(columns, rows, caption="What people have said of the site, the latest first")
    if table is None:
        return None
    return elements.section("States and modes", table, elements.and_more(len(rows), len(latest)), id="said")


def _word(word: WordShown) -> str:
    because = f": {word.reason}" if word.reason else ""
    return f"{word.said} by the word of {word.by}{because}"


def _ending(run: RunShown) -> str:
    return f"{run.state}: {run.reason}" if run.reason else run.state
