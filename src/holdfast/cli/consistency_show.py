"""``holdfast consistency show``: one check, what it found, what was asked for because of it, and its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli import options, request_show, show
from holdfast.cli.consistency_runs import asked_facts, facts, state_text
from holdfast.cli.consistency_states import states_of
from holdfast.cli.context import Context, open_context
from holdfast.consistency.class_words import NAMES
from holdfast.consistency.classes import Class
from holdfast.consistency.comparing.duckdb_session import limits_of
from holdfast.consistency.gates import Gate, GateSettings
from holdfast.consistency.history.runs import Action, History, Run
from holdfast.consistency.history.sightings import SIGHTINGS
from holdfast.consistency.site_gates import gates_of
from holdfast.operations.showing.why import lasting


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show")(show_command)


def show_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its name, as `holdfast consistency history` shows it.")],
    json: options.Json = False,
) -> None:
    """Show one check: what it found, and which gates are closed.

    And why these are, and what was asked for because of the check. Gates are shown
    for a site's last check only, as they stand now; its report has to be here.
    """
    with open_context() as context:
        history = History(context.store, clock=context.clock)
        found = history.run(run)
        asked = history.actions(run=found.run)
        gates = _gates(context, history, found)
        with context.store.snapshot() as snapshot:
            requests = {each.request: snapshot.request(each.request) for each in asked}
    # What is no request was done when it was said: files that were declared lost.
    states = {id: "" if request is None else request.state.value for id, request in requests.items()}
    if json:
        about = [{**asked_facts(each), "state": states[each.request]} for each in asked]
        shown = [show.jsonable(gate) for gate in gates]
        show.document({**facts(found), "asked": about, "gates": shown})
        return
    show.facts(_lines(found))
    _print_found(found)
    _print_asked(asked, states)
    _print_gates(gates)


def _lines(run: Run) -> list[tuple[str, str]]:
    report = run.report
    return [
        ("run", run.run),
        ("site", run.site),
        ("state", state_text(run)),
        ("started", show.time(run.started_us)),
        ("ended", show.time(run.ended_us)),
        ("took", "" if run.seconds is None else lasting(run.seconds * 1e6)),
        ("host", run.host),
        ("report", str(run.folder)),
        ("expected", "" if report is None else _amount(report.expected, report.expected_size)),
        ("found", "" if report is None else _amount(report.actual, report.actual_size)),
        ("listed", "" if report is None else show.plural(report.directories, "folder")),
    ]


def _amount(n_files: int, size: int) -> str:
    return f"{show.plural(n_files, 'file')}, {show.size(size)}"


def _print_found(run: Run) -> None:
    report = run.report
    if report is None:
        return
    counted = [(cls, report.counts[cls], report.sizes.get(cls, 0)) for cls in Class if report.counts.get(cls)]
    show.line()
    if counted:
        rows = [(NAMES[cls], show.number(count), show.size(size)) for cls, count, size in counted]
        show.table(("class", "files", "bytes"), rows, right=("files", "bytes"))
    else:
        show.line("nothing differs")


def _print_asked(asked: Sequence[Action], states: Mapping[str, str]) -> None:
    if not asked:
        return
    show.line()
    rows = [
        (
            each.request[: request_show.ID_SHOWN] if states[each.request] else each.request,
            NAMES[each.cls],
            show.number(each.n_files),
            show.size(each.size),
            show.time(each.at_us),
            states[each.request],
        )
        for each in asked
    ]
    show.table(("asked for", "class", "files", "bytes", "at", "state"), rows, right=("files", "bytes"))


def _print_gates(gates: Sequence[Gate]) -> None:
    shown = [gate for gate in gates if gate.found]
    if not shown:
        return
    show.line()
    rows = [
        (
            NAMES[gate.cls],
            show.number(gate.found),
            show.number(gate.confirmed),
            "open" if gate.is_open else "closed",
        )
        for gate in shown
    ]
    show.table(("gate", "found", "confirmed", "is"), rows, right=("found", "confirmed"))
    why: dict[str, list[str]] = {}
    for gate in shown:
        for reason in gate.reasons:
            why.setdefault(reason, []).append(NAMES[gate.cls])
    for reason, names in why.items():
        show.line(f"  {'all' if len(names) == len(shown) > 1 else ', '.join(names)}: {reason}")


def _gates(context: Context, history: History, run: Run) -> list[Gate]:
    """The gates of a site's last report as they stand now; none where the report is not here."""
    last = history.last_report(run.site)
    if last is None or last.run != run.run or run.report is None or not (Path(run.folder) / SIGHTINGS).exists():
        return []
    configured = context.config.consistency
    found = gates_of(
        history,
        run.report,
        GateSettings.of(configured.for_site(run.site)),
        states_of(context).get(run.site),
        limits_of(configured),
        now_us=context.clock(),
    )
    return list(found.values())
