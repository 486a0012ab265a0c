"""``holdfast delete``: let a site lose what it holds of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from holdfast.cli import completing, options, request_show, running, show
from holdfast.cli.context import Context, open_context
from holdfast.inventory.deletion import ReplicaObstacle
from holdfast.inventory.store import Snapshot
from holdfast.model import names
from holdfast.model.errors import HoldfastError
from holdfast.model.names import BlockKey, DatasetKey
from holdfast.model.records import PRIORITY_MOST, PRIORITY_USUAL, BlockFiles, DeletionRequest, RequestState
from holdfast.operations import requests
from holdfast.operations.requesting import needs, scopes
from holdfast.operations.requesting.asking import Asked
from holdfast.operations.requesting.brake import BrakeLimits
from holdfast.operations.requesting.needs import Loss
from holdfast.operations.showing import overview

EXAMPLES = 3
"""How many files are named of those that must stay for one reason."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("delete")(delete_command)


def delete_command(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="What is to go: NAME or NAME#VERSION.", autocompletion=completing.datasets
        ),
    ],
    *,
    at: Annotated[
        str, typer.Option(metavar="SITE", help="The site that is to lose it.", autocompletion=completing.sites)
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the journal.")],
    block: Annotated[
        list[str] | None, typer.Option("--block", help="Only this block; may be given several times.")
    ] = None,
    priority: Annotated[
        int, typer.Option(min=1, max=PRIORITY_MOST, help="How urgent it is: 1 the least, 5 the most.")
    ] = PRIORITY_USUAL,
    despite_brake: Annotated[
        bool, typer.Option("--despite-brake", help="Even if the site loses very much by it within a day.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Only ask for it; `deletions run` does it.")] = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Let a site lose what it holds of a dataset; other sites must hold it.

    Every file is checked when it is asked for, and again right before it goes: as
    many other ready sites as the dataset requires copies have to hold it, to keep,
    nothing may be locked, in custody, or the only source of a copy that is asked
    for. One file that must stay refuses it all. Copies to this site that nobody
    has begun are taken back. The dataset itself stays registered, whatever sites
    hold it. Exit code 3: some could not be deleted; 4: something stands against it.
    """
    key = names.dataset_key(dataset)
    scope = None if block is None else [BlockFiles(each) for each in block]
    with open_context() as context:
        said = _preview(context, key, at, scope, json=json) if dry_run else {}
        limits = None if despite_brake else BrakeLimits.of(context.config.operations.for_site(at))
        try:
            asked = requests.request_replica_deletion(
                context.store,
                key,
                at,
                scope=scope,
                reason=reason,
                actor=context.actor,
                clock=context.clock,
                priority=priority,
                limits=limits,
                dry_run=dry_run,
            )
        except HoldfastError as error:
            if dry_run and json:
                show.document({**said, "refused": str(error)})
            raise
        if dry_run:
            _conclude_dry_run(said, asked, json=json)
            return
        if json and (no_wait or asked.request.state is not RequestState.OPEN):
            show.document(running.asked_document(context, asked))
        elif no_wait or asked.request.state is not RequestState.OPEN:
            request_show.print_asked(asked, "deletions")
        else:
            running.carry_out_asked(context, asked, kinds=overview.DELETIONS, json=json, quiet=quiet)


def _preview(
    context: Context, key: DatasetKey, site: str, scope: list[BlockFiles] | None, *, json: bool
) -> dict[str, Any]:
    """What would go and what stands against it: printed, unless it is for ``json``, and as a document."""
    with context.store.snapshot() as snapshot:
        loss = needs.loss_of(snapshot, key, site, scope, now_us=context.clock())
        staying = [
            {
                "block": block.block,
                "files": len(each.files),
                "ground": each.ground,
                "reason": each.reason,
                "examples": list(_examples(snapshot, block, each)),
            }
            for block, found in loss.obstacles.items()
            for each in found
        ]
    if not json:
        _print_loss(key, site, loss, staying)
    return {
        "dataset": key,
        "site": site,
        "dry_run": True,
        "files": loss.n_files,
        "size": loss.size,
        "condemned": scopes.count(loss.condemned),
        "absent": loss.n_absent,
        "blocks": {block: len(files) for block, files in loss.held.items()},
        "staying": staying,
        "refused": None,
    }


def _examples(snapshot: Snapshot, block: BlockKey, obstacle: ReplicaObstacle) -> Iterator[str]:
    return snapshot.files(block).chosen(list(islice(obstacle.files, EXAMPLES))).lfns()


def _print_loss(key: DatasetKey, site: str, loss: Loss, staying: list[dict[str, Any]]) -> None:
    blocks = show.plural(len(loss.held), "block")
    show.line(f"would delete {show.plural(loss.n_files, 'file')}, {show.size(loss.size)}, of {key} at {site}, {blocks}")
    if loss.condemned:
        show.line(f"{show.plural(scopes.count(loss.condemned), 'file')} asked to go already")
    if loss.n_absent:
        show.line(f"{show.plural(loss.n_absent, 'file')} not held there")
    if staying:
        rows = [
            (
                each["block"],
                show.number(each["files"]),
                each["ground"].value.replace("-", " "),
                each["reason"],
                each["examples"][0],
            )
            for each in staying
        ]
        show.table(("block", "must stay", "ground", "reason", "one of them"), rows, right=("must stay",))


def _conclude_dry_run(said: dict[str, Any], asked: Asked[DeletionRequest], *, json: bool) -> None:
    if json:
        show.document({**said, "taken_back": asked.n_taken_back, "waiting": asked.n_waiting, "joined": asked.is_joined})
        return
    request_show.print_met(asked)
    if asked.request.state is not RequestState.OPEN:
        show.line(f"nothing to do: {asked.request.detail}")
    show.note("dry run: it would be accepted; nothing was done")
