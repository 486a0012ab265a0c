"""``holdfast consistency states``, ``halt``, ``resume``, ``disable``, ``mode``: the words of people on each site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from holdfast.cli import completing, consistency_runs, options, show
from holdfast.cli.context import Context, open_context
from holdfast.consistency.history.runs import History, Run, RunState
from holdfast.consistency.history.states import Mode, SiteState, State, States
from holdfast.model.errors import BadInput
from holdfast.operations.showing.why import lasting

SiteArgument = Annotated[
    str, typer.Argument(metavar="SITE", help="The site that is meant.", autocompletion=completing.sites)
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for those who meet it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("states")(states_command)
    app.command("halt")(halt_command)
    app.command("resume")(resume_command)
    app.command("disable")(disable_command)
    app.command("mode")(mode_command)


def states_of(context: Context) -> States:
    """What people have said of sites, the configuration's mode where they have not."""
    configured = context.config.consistency
    history = History(context.store, clock=context.clock)
    return States(context.store, mode_of=lambda site: configured.for_site(site).mode, history=history)


def states_command(
    sites: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SITE]...", help="Only these sites.", autocompletion=completing.sites),
    ] = None,
    json: options.Json = False,
) -> None:
    """Show each site's state and mode, and how its last check went.

    A site that is halted or disabled is neither checked nor acted on; one in mode
    dry is checked, and what would be done is only shown. Running is a site that a
    check of this machine is at.
    """
    with open_context() as context:
        with context.store.snapshot() as snapshot:
            names = [snapshot.site(site).name for site in sites] if sites else [site.name for site in snapshot.sites()]
        states, now_us = states_of(context), context.clock()
        said = states.all()
        found = [said.get(name) or states.get(name) for name in names]
        last = History(context.store, clock=context.clock).last(*names)
    if json:
        show.document({"sites": [_facts(state, last.get(state.site), now_us) for state in found]})
        return
    columns = ("site", "state", "mode", "last check", "age", "came to", "by", "reason")
    show.table(columns, [_row(state, last.get(state.site), now_us) for state in found], right=("age",))


def halt_command(
    site: SiteArgument, reason: Reason, dry_run: options.DryRun = False, json: options.Json = False
) -> None:
    """Stop checking a site and acting on it, until it is resumed.

    A check that is running gives up within seconds; what it has listed is kept for
    the next. What was asked for already is not taken back.
    """
    _say(site, reason=_given(reason), state=State.HALTED, dry_run=dry_run, json=json)


def resume_command(
    site: SiteArgument, reason: Reason = "", dry_run: options.DryRun = False, json: options.Json = False
) -> None:
    """Check and act on a site again that was halted or disabled. Its mode stays."""
    _say(site, reason=reason, state=State.READY, dry_run=dry_run, json=json)


def disable_command(
    site: SiteArgument, reason: Reason, dry_run: options.DryRun = False, json: options.Json = False
) -> None:
    """Stop checking a site and acting on it for good. Like `halt`, for sites that nobody is to wait for."""
    _say(site, reason=_given(reason), state=State.DISABLED, dry_run=dry_run, json=json)


def mode_command(
    site: SiteArgument,
    mode: Annotated[Mode, typer.Argument(metavar="MODE", help="act, or dry: only show what would be done.")],
    reason: Reason = "",
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Say whether what checks find may be acted on. For one site; this goes before the configuration."""
    _say(site, reason=reason, mode=mode, dry_run=dry_run, json=json)


def _given(reason: str) -> str:
    if not reason.strip():
        raise BadInput("the reason is empty", hint="say why: whoever meets it cannot know")
    return reason


def _say(
    site: str, *, reason: str, dry_run: bool, json: bool, state: State | None = None, mode: Mode | None = None
) -> None:
    with open_context() as context:
        with context.store.snapshot() as snapshot:
            name = snapshot.site(site).name
        now_us = context.clock()
        said = states_of(context).set(
            name, state=state, mode=mode, by=context.actor, at_us=now_us, reason=reason, dry_run=dry_run
        )
        last = History(context.store, clock=context.clock).last(name)
    if json:
        show.document({**_facts(said, last.get(name), now_us), "dry_run": dry_run})
        return
    word = f"in mode {said.mode}" if state is None else said.state
    show.line(
        f"{name}: {'would be ' if dry_run else ''}{word}{'; a check of it is running' if said.is_running else ''}"
    )
    if dry_run:
        show.note("dry run: nothing was done")


def _row(state: SiteState, last: Run | None, now_us: int) -> Sequence[str]:
    by, at_us, reason = _who(state)
    return (
        state.site,
        f"{state.state}, running" if state.is_running else state.state,
        state.mode,
        "" if last is None else show.time(last.started_us),
        "" if last is None else lasting(max(0, now_us - last.started_us)),
        "" if last is None else _came_to(last),
        f"{by}, {show.time(at_us)}" if by else "",
        reason,
    )


def _who(state: SiteState) -> tuple[str, int | None, str]:
    """Whose word, when and why it is as it is: that on the state where it is not ready, else that on the mode."""
    if state.state != State.READY or not state.mode_by:
        return state.by, state.at_us, state.reason
    return state.mode_by, state.mode_at_us, state.mode_reason


def _came_to(run: Run) -> str:
    if run.report is None or run.state is not RunState.DONE:
        return consistency_runs.state_text(run)
    if run.report.agrees:
        return "agrees"
    return ", ".join(consistency_runs.found_words(run.report)) or "could not be seen wholly"


def _facts(state: SiteState, last: Run | None, now_us: int) -> dict[str, Any]:
    return {
        "site": state.site,
        "state": state.state,
        "by": state.by or None,
        "at": show.time_exact(state.at_us),
        "reason": state.reason,
        "mode": state.mode,
        "mode_by": state.mode_by or None,
        "mode_at": show.time_exact(state.mode_at_us),
        "mode_reason": state.mode_reason,
        "is_running": state.is_running,
        "last_run": None if last is None else consistency_runs.facts(last),
        "last_run_age_s": None if last is None else (now_us - last.started_us) / 1e6,
    }
