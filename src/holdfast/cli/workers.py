"""``holdfast workers``: who carries out copies and deletions, and who has not been seen for long."""

from __future__ import annotations

import typer

from holdfast.cli import options, request_choice, request_show, show
from holdfast.cli.context import open_context
from holdfast.operations.showing import worker_overview
from holdfast.operations.showing.why import lasting
from holdfast.operations.showing.worker_overview import WorkerStatus


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("workers")(workers_command)


def workers_command(json: options.Json = False) -> None:
    """Workers: who carries out copies and deletions, on whatever machine.

    One that is lost was killed, or has not been seen for its lease: the others,
    or the next that begins, take over what it was at. Of this machine that is
    known at once. Each shows a sign of life several times a minute; when that
    was is by its own clock.
    """
    with open_context() as context:
        now_us = context.clock()
        found = worker_overview.statuses(
            context.store, now_us=now_us, is_alive=lambda row: request_choice.lives(context, row)
        )
    if json:
        facts = [
            {
                "worker": each.id,
                "host": each.host,
                "process": each.pid,
                "state": _state(each),
                "seen": show.time_exact(each.seen_us),
                "batches": each.n_batches,
                "files": each.n_files,
            }
            for each in found
        ]
        show.document({"workers": facts})
        return
    if not found:
        show.note("no worker is known; `holdfast transfers run` and `holdfast deletions run` are some")
        return
    rows = [
        (
            each.id[: request_show.ID_SHOWN],
            each.host,
            str(each.pid),
            _state(each),
            "" if each.unseen_s is None else f"{lasting(each.unseen_s * 1e6)} ago",
            show.number(each.n_batches),
            show.number(each.n_files),
        )
        for each in found
    ]
    show.table(("worker", "host", "process", "state", "seen", "batches", "files"), rows, right=_NUMBERS)


_NUMBERS = ("process", "batches", "files")


def _state(worker: WorkerStatus) -> str:
    return "lost" if worker.is_lost else "alive"
