"""``holdfast consistency history``: the checks of each site; and what other commands show of a check, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from holdfast.cli import completing, options, show
from holdfast.cli.context import Context, open_context
from holdfast.consistency.class_words import counted
from holdfast.consistency.classes import TOLD, UNSEEN, Class
from holdfast.consistency.history.runs import Action, History, Run, RunState
from holdfast.consistency.report import Report
from holdfast.model.errors import unknown_name
from holdfast.operations.showing.why import lasting

SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("history")(history_command)


def history_command(
    site: Annotated[
        str | None,
        typer.Argument(
            metavar="[SITE]", help="Only checks of this site.", show_default=False, autocompletion=completing.sites
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, help="The last N checks.")] = SHOWN,
    json: options.Json = False,
) -> None:
    """List checks, the newest first, and what they found.

    Each with when it was, how long, and what was asked for because of it. What a
    check of another machine came to is not known before it has told it.
    """
    with open_context() as context:
        history = History(context.store, clock=context.clock)
        if site is not None:
            _require_known(context, history, site)
        runs = history.runs(site, limit)
        asked = {run.run: history.actions(run=run.run) for run in runs}
    if json:
        show.document(
            {"runs": [{**facts(run), "asked": [asked_facts(each) for each in asked[run.run]]} for run in runs]}
        )
        return
    numbers = ("took", "missing", "orphans", "wrong", "not seen", "empty")
    columns = (
        "run",
        "site",
        "started",
        "took",
        "state",
        "missing",
        "orphans",
        "wrong",
        "not seen",
        "empty",
        "asked for",
    )
    show.table(columns, [_row(run, asked[run.run]) for run in runs], right=numbers)


# ---- what others show of runs, too -----------------------------------------------------


def found_words(report: Report) -> list[str]:
    """What a report found, class by class, as far as it is any."""
    return [counted(report.counts[cls], cls) for cls in TOLD if report.counts.get(cls)]


def state_text(run: Run) -> str:
    """What has become of a run, as far as that can be known here."""
    if run.state is RunState.UNKNOWN:
        return f"running since {show.time(run.started_us)} on {run.host}, or killed there"
    dry = ", a dry run" if run.report is not None and run.report.dry_run else ""
    return f"{run.state.value}: {run.reason}" if run.reason else f"{run.state.value}{dry}"


def facts(run: Run) -> dict[str, Any]:
    """The document of one run, with the numbers of its report."""
    report = run.report
    about: dict[str, Any] = {
        "run": run.run,
        "site": run.site,
        "state": run.state,
        "reason": run.reason,
        "started": show.time_exact(run.started_us),
        "ended": show.time_exact(run.ended_us),
        "seconds": run.seconds,
        "host": run.host,
        "folder": str(run.folder),
        "report": None,
    }
    if report is not None:
        about["report"] = {
            "agrees": report.agrees,
            "dry_run": report.dry_run,
            "expected": report.expected,
            "actual": report.actual,
            "directories": report.directories,
            "unlisted_places": report.unlisted_places,
            **{cls.value: count for cls, count in report.counts.items()},
            "sizes": {cls.value: size for cls, size in report.sizes.items()},
        }
    return about


# ---- rows and lines ------------------------------------------------------------------


def _row(run: Run, asked: Sequence[Action]) -> Sequence[str]:
    report = run.report

    def count(*classes: Class) -> str:
        return "" if report is None else show.number(sum(report.counts.get(cls, 0) for cls in classes))

    return (
        run.run,
        run.site,
        show.time(run.started_us),
        "" if run.seconds is None else lasting(run.seconds * 1e6),
        state_text(run),
        count(Class.MISSING),
        count(Class.ORPHAN),
        count(Class.SIZE_MISMATCH, Class.CHECKSUM_MISMATCH),
        count(*UNSEEN),
        count(Class.EMPTY_DIRECTORY),
        _asked_words(asked),
    )


def _asked_words(asked: Iterable[Action]) -> str:
    files: dict[Class, int] = {}
    for each in asked:
        files[each.cls] = files.get(each.cls, 0) + each.n_files
    return ", ".join(counted(files[cls], cls) for cls in TOLD if cls in files)


def asked_facts(action: Action) -> dict[str, Any]:
    """The document of what was asked for."""
    return {
        "request": action.request,
        "class": action.cls,
        "files": action.n_files,
        "size": action.size,
        "at": show.time_exact(action.at_us),
    }


def _require_known(context: Context, history: History, site: str) -> None:
    """UnknownName for a site that neither is in the inventory nor has ever been checked."""
    with context.store.snapshot() as snapshot:
        known = {each.name for each in snapshot.sites()}
    if site not in known and not history.runs(site, 1):
        raise unknown_name("site", site, known)
