"""Index page: all sites, how they stand, and when each was last checked. Pure: values in, a document out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.consistency.classes import UNSEEN, Class
from holdfast.consistency.pages import elements, time_line, words
from holdfast.consistency.pages.elements import Cell, address
from holdfast.consistency.pages.markup import Html, join, tag
from holdfast.consistency.pages.model import MISMATCHES, SiteShown, total
from holdfast.consistency.pages.words import Age
from holdfast.model.clock import show_time
from holdfast.model.wording import plural, size

AGE_KINDS = {Age.RECENT: "good", Age.OLD: "warn", Age.VERY_OLD: "bad", Age.NONE: "bad"}
_STATE_KINDS = {"ready": "good", "halted": "bad", "disabled": "warn"}
SPARK_RUNS_MAX = 60

_COLUMNS = ("site", "state", "last check", "missing", "orphans", "corrupt", "not judged", "missing and orphan bytes")
_NUMBERS = ("missing", "orphans", "corrupt", "not judged")


def index_page(sites: Sequence[SiteShown], *, with_pages: frozenset[str], now_us: int) -> str:
    """The document. Those of ``with_pages`` have pages of their own."""
    rows = [[*_row(site, has_page=site.site in with_pages, now_us=now_us)] for site in sites]
    table = elements.table(_COLUMNS, rows, caption="Every site, by its last complete check", right=_NUMBERS)
    content = (
        elements.paragraph(f"What differs between the inventory and the storage, as of {show_time(now_us)}."),
        _figures(sites),
        table or elements.paragraph("The inventory knows no sites yet."),
        elements.paragraph(
            "Corrupt are files of the wrong size or checksum. Not judged are expected files below places that could"
            " not be listed, or are not believed.",
            quiet=True,
        ),
    )
    return elements.page("Consistency of all sites", content, made_us=now_us)


def state_signs(site: SiteShown) -> Html:
    """The state and the mode of a site, as words with a colour."""
    signs = [elements.sign(site.state, _STATE_KINDS.get(site.state, "bad"))]
    if site.is_running:
        signs.append(elements.sign("running", "good"))
    signs.append(elements.sign(site.mode, "good" if site.mode == "act" else "warn"))
    return join(signs, " ")


def _figures(sites: Sequence[SiteShown]) -> Html:
    latest = [run for site in sites if (run := site.latest) is not None]
    missing, orphans, corrupt = (
        total(run.amount(*classes) for run in latest) for classes in ((Class.MISSING,), (Class.ORPHAN,), MISMATCHES)
    )
    agreeing = sum(run.agrees for run in latest)
    return elements.figures(
        (
            ("sites", str(len(sites)), f"{agreeing} as the inventory says"),
            ("missing", size(missing.size), plural(missing.files, "file")),
            ("orphans", size(orphans.size), plural(orphans.files, "file")),
            ("corrupt", size(corrupt.size), plural(corrupt.files, "file")),
        )
    )


def _row(site: SiteShown, *, has_page: bool, now_us: int) -> Iterator[Cell]:
    yield elements.link(site.site, address(site.site, elements.PAGE)) if has_page else site.site
    yield state_signs(site)
    run = site.latest
    age = words.age_of(run.started_us if run else None, now_us)
    if run is None:
        yield elements.sign(age, AGE_KINDS[age])
        yield from [("", "none")] * 5
        return
    when = tag("time", words.ago(run.started_us, now_us), datetime=show_time(run.started_us))
    yield join([elements.sign(age, AGE_KINDS[age]), tag("small", when)])
    for classes in ((Class.MISSING,), (Class.ORPHAN,), MISMATCHES, UNSEEN):
        yield elements.amount_cell(run.amount(*classes))
    yield _spark(site)


def _spark(site: SiteShown) -> Html:
    runs = site.done[-SPARK_RUNS_MAX:]
    values = [run.amount(Class.MISSING, Class.ORPHAN).size for run in runs]
    title = (
        f"Missing and orphan bytes in {plural(len(runs), 'run')}: {size(values[0])} at first, {size(values[-1])} now"
    )
    return time_line.spark_line(values, title=title, kind="orphan")
