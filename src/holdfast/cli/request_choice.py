"""Which requests a command is about: those that are named, by the beginning of their ids, or those that fit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from holdfast.cli import completing
from holdfast.cli.context import Context
from holdfast.model import names
from holdfast.model.errors import BadInput
from holdfast.model.records import Request
from holdfast.operations.batches import lease
from holdfast.operations.batches.workers import WorkerRow
from holdfast.operations.showing import overview
from holdfast.operations.showing.overview import Condition, Kinds, RequestStatus

SiteOption = Annotated[
    str | None,
    typer.Option("--site", metavar="SITE", help="Only those at this site.", autocompletion=completing.sites),
]
DatasetOption = Annotated[
    str | None,
    typer.Option("--dataset", metavar="DATASET", help="Only those of it.", autocompletion=completing.datasets),
]
StateOption = Annotated[
    list[Condition] | None, typer.Option("--state", help="Only those in this state; may be given several times.")
]


@dataclass(frozen=True, slots=True)
class RequestChoice:
    """What was said: ids, or what the requests have to be like."""

    kinds: Kinds
    ids: Sequence[str] = ()
    site: str | None = None
    dataset: str | None = None
    states: Sequence[Condition] = ()
    with_closed: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether anything was said."""
        return bool(self.ids or self.site or self.dataset or self.states)


def chosen(context: Context, choice: RequestChoice) -> list[RequestStatus]:
    """The requests that are meant, oldest first; UnknownName and BadInput for what is not there."""
    dataset = None if choice.dataset is None else names.dataset_key(choice.dataset)
    with_closed = choice.with_closed or any(state in _OVER for state in choice.states)
    with context.store.snapshot() as snapshot:
        if choice.site is not None:
            snapshot.site(choice.site)
        if dataset is not None:
            snapshot.dataset(dataset)
        if choice.ids:
            named = [overview.find(snapshot, id, choice.kinds) for id in choice.ids]
            found: list[Request] = list({request.id: request for request in named}.values())
        else:
            found = overview.requests_of(
                snapshot, choice.kinds, only_open=not with_closed, site=choice.site, dataset=dataset
            )
    statuses = statuses_of(context, found)
    if not choice.ids and choice.states:
        statuses = [status for status in statuses if status.condition in choice.states]
    return statuses


def statuses_of(context: Context, requests: Iterable[Request]) -> list[RequestStatus]:
    """How far requests are, in the same order."""
    links = context.config.operations.for_link
    return overview.statuses(
        context.store,
        requests,
        streams=lambda source, site: links(source, site).streams,
        now_us=context.clock(),
        is_alive=lambda row: lives(context, row),
    )


def lives(context: Context, row: WorkerRow) -> bool | None:
    """Whether a worker of this machine lives; None: of another one, or not to be seen."""
    return lease.is_alive(context.workers_dir, row.id) if row.host == os.uname().nodename else None


def describe(choice: RequestChoice) -> str:
    """What was asked for, where nothing fits it."""
    kind = "transfer" if choice.kinds == overview.COPIES else "deletion"
    state = f" that is {' or '.join(choice.states)}" if choice.states else ""
    of = f" of {choice.dataset}" if choice.dataset else ""
    at = f" at {choice.site}" if choice.site else ""
    is_closed = choice.with_closed or any(each in _OVER for each in choice.states)
    return f"no {'' if is_closed else 'open '}{kind}{of}{at}{state}"


_OVER = (Condition.DONE, Condition.FAILED, Condition.CANCELLED)


def require_narrow(choice: RequestChoice) -> None:
    """BadInput unless it was said which requests are meant: a slip of the pen must not mean all of them."""
    if not choice.is_narrow:
        raise BadInput("no request is named", hint="name some, or choose with --site, --dataset or --state")
    if choice.ids and (choice.site or choice.dataset or choice.states):
        raise BadInput("requests are named and chosen at once", hint="do one of the two")
