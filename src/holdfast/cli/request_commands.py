"""What ``transfers`` and ``deletions`` have in common: looking at requests, and saying what is to be done with them.

Each group has only its kind of requests; everything else is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from holdfast.cli import completing, options, request_choice, request_show, request_watch, run_show, running, show
from holdfast.cli.context import Context, open_context
from holdfast.cli.request_choice import DatasetOption, RequestChoice, SiteOption, StateOption
from holdfast.model.records import RequestState
from holdfast.operations import requests
from holdfast.operations.batch import BatchState
from holdfast.operations.requesting import steering
from holdfast.operations.showing import overview, troubles
from holdfast.operations.showing.overview import Kinds, RequestStatus

Command = Callable[..., None]
Said = tuple[str, dict[str, Any]]
"""What has become of a request, for people and for programs."""

INTERVAL_S = 1.0
"""How often `watch` looks."""

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for those who meet it.")]


def add_to(group: typer.Typer, kinds: Kinds) -> None:
    """Add the commands to one group."""
    complete = completing.copies if kinds == overview.COPIES else completing.deletions
    some = Annotated[
        list[str] | None,
        typer.Argument(metavar="REQUEST", help="Their ids, or beginnings of these.", autocompletion=complete),
    ]
    one = Annotated[
        str, typer.Argument(metavar="REQUEST", help="Its id, or the beginning of it.", autocompletion=complete)
    ]
    group.command("list")(_list(kinds))
    group.command("show")(_taking(_show(kinds), id=one))
    group.command("watch")(_taking(_watch(kinds), ids=some))
    group.command("run")(_taking(_run(kinds), ids=some))
    group.command("retry")(_taking(_retry(kinds), ids=some))
    group.command("hold")(_taking(_hold(kinds), ids=some))
    group.command("release")(_taking(_release(kinds), ids=some))
    group.command("cancel")(_taking(_cancel(kinds), ids=some))


def _taking(command: Command, **types: Any) -> Command:
    """The command with the types of those parameters that are not the same in both groups."""
    command.__annotations__.update(types)
    return command


def _list(kinds: Kinds) -> Command:
    def list_command(
        site: SiteOption = None,
        dataset: DatasetOption = None,
        state: StateOption = None,
        all: Annotated[bool, typer.Option("--all", "-a", help="Also requests that have their outcome.")] = False,
        json: options.Json = False,
    ) -> None:
        """List requests: how far they are, and why they do not move.

        The rate and the time left are by what the links have shown before; `watch` measures.
        """
        choice = RequestChoice(kinds, site=site, dataset=dataset, states=state or (), with_closed=all)
        with open_context() as context:
            found, now_us = request_choice.chosen(context, choice), context.clock()
        if json:
            show.document({"requests": [request_show.facts(status, now_us=now_us) for status in found]})
            return
        if not found:
            over = "" if all or state else ": --all shows those that are over"
            show.note(f"{request_choice.describe(choice)}{over}")
            return
        rows = [request_show.row(status, now_us=now_us) for status in found]
        show.table(request_show.COLUMNS, rows, right=request_show.RIGHT)

    return list_command


def _show(kinds: Kinds) -> Command:
    def show_command(id: str, json: options.Json = False) -> None:
        """Show one request, and why its files do not move."""
        with open_context() as context:
            (status,), now_us = request_choice.chosen(context, RequestChoice(kinds, [id])), context.clock()
            problems = troubles.problems(context.store, status.request)
            with context.store.snapshot() as snapshot:
                opposites = troubles.opposites_of(snapshot, status.request)
        if json:
            facts = request_show.facts(status, now_us=now_us) | {"paths": request_show.paths(status.request)}
            about = [{"request": each.id, "files": each.n_files} for each in opposites]
            show.document({**facts, "problems": [*map(request_show.problem_facts, problems)], "opposites": about})
        else:
            request_show.print_one(status, problems, opposites, now_us=now_us)

    return show_command


def _watch(kinds: Kinds) -> Command:
    def watch_command(
        ids: Sequence[str] | None = None,
        site: SiteOption = None,
        dataset: DatasetOption = None,
        interval: Annotated[
            float, typer.Option("--interval", metavar="SECONDS", min=0.1, help="How often to look.")
        ] = INTERVAL_S,
        json: options.Json = False,
    ) -> None:
        """Show how requests get on until all have their outcome.

        On a terminal the table is drawn again and again; else there is a line for
        each change, and with --json what they are in the end. Exit code 3: not all
        of them were done.
        """
        with open_context() as context:
            choice = RequestChoice(kinds, ids or (), site, dataset)
            found = request_choice.chosen(context, choice)
            # Those that were there at first, until their outcome, and none that come later.
            named = RequestChoice(kinds, [status.request.id for status in found])
            last = request_watch.watch(
                (lambda: request_choice.chosen(context, named)) if found else list,
                clock=context.clock,
                interval_s=interval,
                is_silent=json,
            )
        if json:
            now_us = context.clock()
            show.document({"requests": [request_show.facts(status, now_us=now_us) for status in last]})
        elif not last:
            show.note(request_choice.describe(choice))
        if any(status.request.state is not RequestState.DONE for status in last):
            raise typer.Exit(3)

    return watch_command


def _run(kinds: Kinds) -> Command:
    def run_command(
        ids: Sequence[str] | None = None,
        no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for what other workers are at.")] = False,
        forever: Annotated[
            bool, typer.Option("--forever", help="Do not end when all is done: wait for what comes.")
        ] = False,
        json: options.Json = False,
        quiet: options.Quiet = False,
    ) -> None:
        """Carry out what was asked for: all, or the requests named.

        Several of these may run at once, on one machine or many; killed, what they
        were at is taken over by others, or by the next. Exit code 1: what is left is
        held back by somebody, or its site is not to be used; 3: something else was
        not done and is held, or was given up; a site is full or lets nobody in.
        """
        with open_context() as context:
            only = None
            if ids:
                only = [status.request.id for status in request_choice.chosen(context, RequestChoice(kinds, ids))]
            report = running.carry_out(
                context, only, kinds=kinds, wait=not no_wait, forever=forever, quiet=quiet or json
            )
            if json:
                show.document(run_show.document(context, report))
            running.conclude(context, report, json=json)

    return run_command


def _retry(kinds: Kinds) -> Command:
    def retry_command(
        ids: Sequence[str] | None = None,
        site: SiteOption = None,
        dataset: DatasetOption = None,
        state: StateOption = None,
        dry_run: options.DryRun = False,
        json: options.Json = False,
    ) -> None:
        """Try again, at once, what is held, has failed or waits. Every source is asked anew."""

        def retry(context: Context, status: RequestStatus) -> Said:
            n_files = steering.retry(context.store, status.request.id, dry_run=dry_run)
            return f"{show.plural(n_files, 'file')} queued again", {"files": n_files}

        choice = RequestChoice(kinds, ids or (), site, dataset, state or ())
        _each(choice, retry, dry_run=dry_run, json=json)

    return retry_command


def _hold(kinds: Kinds) -> Command:
    def hold_command(
        ids: Sequence[str] | None = None,
        site: SiteOption = None,
        dataset: DatasetOption = None,
        state: StateOption = None,
        reason: Reason = "",
        dry_run: options.DryRun = False,
        json: options.Json = False,
    ) -> None:
        """Hold requests back until they are released. What is under way goes on to its end."""

        def hold(context: Context, status: RequestStatus) -> Said:
            steering.hold(context.store, status.request.id, actor=context.actor, reason=reason, dry_run=dry_run)
            n_active = status.counts.files(BatchState.ACTIVE)
            goes_on = f"; what is under way goes on ({show.plural(n_active, 'file')})" if n_active else ""
            return f"held back{goes_on}", {"under_way": n_active}

        choice = RequestChoice(kinds, ids or (), site, dataset, state or ())
        _each(choice, hold, dry_run=dry_run, json=json)

    return hold_command


def _release(kinds: Kinds) -> Command:
    def release_command(
        ids: Sequence[str] | None = None,
        site: SiteOption = None,
        dataset: DatasetOption = None,
        dry_run: options.DryRun = False,
        json: options.Json = False,
    ) -> None:
        """Let requests go on that are on hold."""

        def release(context: Context, status: RequestStatus) -> Said:
            steering.release(context.store, status.request.id, dry_run=dry_run)
            return "released", {}

        _each(RequestChoice(kinds, ids or (), site, dataset), release, dry_run=dry_run, json=json)

    return release_command


def _cancel(kinds: Kinds) -> Command:
    def cancel_command(
        ids: Sequence[str] | None = None,
        site: SiteOption = None,
        dataset: DatasetOption = None,
        state: StateOption = None,
        reason: Reason = "",
        dry_run: options.DryRun = False,
        json: options.Json = False,
    ) -> None:
        """Give up requests; what has arrived or gone stays so.

        Whoever works on them stops within seconds and removes what is half done. A
        deletion that had begun stays open, "cancelling", until it is known what has
        gone. Exit code 4: one is over already.
        """

        def cancel(context: Context, status: RequestStatus) -> Said:
            steering.require_open(status.request)
            why = f"cancelled by {context.actor}{f': {reason}' if reason else ''}"
            ended = requests.cancel(context.store, status.request.id, reason=why, actor=context.actor, dry_run=dry_run)
            state = "cancelled" if ended.is_over else "cancelling"
            counts = {"files_taken_back": ended.n_taken_back, "files_under_way": ended.n_begun}
            if ended.is_over:
                return state, {"state": state, **counts}
            taken_back = f"{show.plural(ended.n_taken_back, 'file')} taken back"
            return f"being cancelled: {taken_back}, {ended.n_begun:,} under way", {"state": state, **counts}

        choice = RequestChoice(kinds, ids or (), site, dataset, state or ())
        _each(choice, cancel, dry_run=dry_run, json=json)

    return cancel_command


def _each(choice: RequestChoice, word: Callable[[Context, RequestStatus], Said], *, dry_run: bool, json: bool) -> None:
    """Say a word to each request that is meant; all are found, and open, before the first hears it."""
    request_choice.require_narrow(choice)
    with open_context() as context:
        found = request_choice.chosen(context, choice)
        for status in found:
            steering.require_open(status.request)
        results = [(status, *word(context, status)) for status in found]
    if json:
        about = [{"request": each.request.id, "site": each.request.site, **more} for each, _, more in results]
        show.document({"requests": about, "dry_run": dry_run})
        return
    for status, text, _ in results:
        name = f"{status.request.id[: request_show.ID_SHOWN]} {request_show.what(status)}"
        show.line(f"{name} at {status.request.site}: {'would be ' if dry_run else ''}{text}")
    if dry_run and results:
        show.note("dry run: nothing was done")
    if not results:
        show.note(request_choice.describe(choice))
