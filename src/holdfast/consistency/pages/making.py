"""Making: a folder of pages for people to look at, put wherever they are served from.

    index.html              all sites
    SITE/index.html         one site over time
    SITE/RUN/index.html     what one run found
    SITE/RUN/CLASS.tsv      all findings of a class (``lists.py``)
    SITE/RUN/storage.json   how much lay where, as WLCG has it

Rules
  * Each file appears whole or not at all. Runs come before their site, sites before the index: nothing leads to a page
    that is not there.
  * What is there already stays, but for what is made anew: pages of earlier runs can still be read.
  * The same input makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.consistency.history.runs import Run
from holdfast.consistency.pages import lists, run_files, writing
from holdfast.consistency.pages.elements import PAGE
from holdfast.consistency.pages.gather import Gatherer, run_shown
from holdfast.consistency.pages.index_page import index_page
from holdfast.consistency.pages.model import RunDetail, SiteShown
from holdfast.consistency.pages.run_page import run_page
from holdfast.consistency.pages.site_page import site_page
from holdfast.consistency.report import FINDINGS
from holdfast.model.errors import BadInput, OperatorError

STORAGE = "storage.json"

Progress = Callable[[int, int], None]
"""Called with how many pages are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: the numbers behind each page, and how many pages were written."""

    sites: tuple[SiteShown, ...]
    runs: tuple[RunDetail, ...]
    pages: int


def make_pages(
    gatherer: Gatherer,
    names: Sequence[str],
    *,
    chosen: Sequence[str],
    folder: Path | None,
    pages_max: int,
    progress: Progress,
) -> Made:
    """Make the pages of the ``chosen`` sites and the index of all; without a ``folder``, only find the numbers.

    ``pages_max`` is how many runs of a site get a page, the newest first.
    """
    if PAGE in names and folder is not None:
        raise BadInput(f"a site named {PAGE} cannot have a folder beside the index", hint="give --json and no --out")
    now_us = gatherer.clock()
    sites = gatherer.sites(names, chosen=chosen, pages_max=pages_max)
    total = sum(len(sites[name][1]) + 1 for name in chosen) + 1
    details: list[RunDetail] = []
    done = 0
    for name in chosen:
        site, runs = sites[name]
        for run in runs:
            details.append(_run(run, gatherer, folder, now_us))
            progress(done := done + 1, total)
        if folder is not None:
            writing.write(folder / name / PAGE, site_page(site, now_us=now_us))
        progress(done := done + 1, total)
    shown = tuple(site for site, _ in sites.values())
    if folder is not None:
        with_pages = frozenset(name for name in names if (folder / name / PAGE).is_file())
        writing.write(folder / PAGE, index_page(shown, with_pages=with_pages, now_us=now_us))
    progress(total, total)
    return Made(shown, tuple(details), total if folder is not None else 0)


def _run(run: Run, gatherer: Gatherer, folder: Path | None, now_us: int) -> RunDetail:
    detail = run_files.run_detail(replace(run_shown(run), has_page=True), run.folder, gatherer.limits)
    if folder is not None:
        place = folder / run.site / run.run
        with writing.told(place):
            place.mkdir(parents=True, exist_ok=True)
            detail = _with_files(detail, run, gatherer, place)
        writing.write(place / PAGE, run_page(detail, site=run.site, now_us=now_us))
    return detail


def _with_files(detail: RunDetail, run: Run, gatherer: Gatherer, place: Path) -> RunDetail:
    """Write what lies beside the page of a run, as far as its folder can be read."""
    try:
        detail = replace(detail, lists=lists.write_lists(run.folder / FINDINGS, place))
        storage = run_files.storage_text(detail.run, run.site, run.folder, gatherer.limits)
    except OperatorError as error:
        return replace(detail, trouble=detail.trouble or str(error))
    if storage:
        writing.write(place / STORAGE, storage)
        detail = replace(detail, storage_file=STORAGE)
    return detail
