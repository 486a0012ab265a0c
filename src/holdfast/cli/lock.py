"""``holdfast lock``: what must not be deleted."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from holdfast.cli import apply, options, show
from holdfast.cli.context import open_context
from holdfast.model import names
from holdfast.model.changes import PutLock, RemoveLock
from holdfast.model.clock import SECOND_US
from holdfast.model.errors import BadInput
from holdfast.model.names import DatasetKey
from holdfast.model.records import Lock

app = typer.Typer(no_args_is_help=True, help="Locks: what must not be deleted.")

_DURATION = re.compile(r"(\d{1,6})(min|h|d|w|y)")
_SECONDS = {"min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="lock")


@app.command("add")
def add_lock(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="A DATASET, a DATASET::BLOCK, or with --file an LFN.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who meet it.")],
    file: Annotated[bool, typer.Option("--file", help="ITEM is an LFN; it need not be registered.")] = False,
    sites: Annotated[
        str, typer.Option("--sites", "--site", metavar="PATTERN", help="At which sites, with * ? and [...].")
    ] = "*",
    groups: Annotated[
        str, typer.Option("--groups", "--group", metavar="PATTERN", help="Whose replicas, with * ? and [...].")
    ] = "*",
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="DURATION|DATE", help="90min, 12h, 30d, 2w, 1y or 2030-01-31[T12:00]; UTC."),
    ] = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
) -> None:
    """Lock a dataset, a block or a file against deletion."""
    dataset, block, lfn = _item(item, is_file=file)
    with open_context() as context:
        lock = Lock(
            id=secrets.token_hex(6),
            owner=context.actor,
            dataset=dataset,
            block=block,
            lfn=lfn,
            reason=reason,
            sites=sites,
            groups=groups,
            expires_us=expiry(expires, now_us=context.clock()),
        )
        committed = apply.commit(context, [PutLock(lock)], cause="lock add", dry_run=dry_run)
        now_us = context.clock()
    if json:
        # A dry run has no id to show: the lock itself would get another.
        show.document(_record(lock, now_us) if committed else {**_record(lock, now_us), "id": None, "dry_run": True})
    elif committed:
        show.line(f"{lock.id}: {lock.item} is locked {_until(lock)}")


@app.command("list")
def list_locks(json: options.Json = False) -> None:
    """All locks, expired ones too."""
    with open_context() as context, context.store.snapshot() as snapshot:
        locks, now_us = snapshot.locks(), context.clock()
    if json:
        show.document({"locks": [_record(lock, now_us) for lock in locks]})
        return
    show.table(
        ("id", "item", "sites", "groups", "owner", "expires", "reason"),
        [
            (lock.id, lock.item, lock.sites, lock.groups, lock.owner, _state(lock, now_us), lock.reason)
            for lock in locks
        ],
    )


@app.command("remove")
def remove_lock(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="As `holdfast lock list` shows them.")],
    dry_run: options.DryRun = False,
) -> None:
    """Lift locks: all that are named, or none."""
    with open_context() as context:
        if apply.commit(context, [RemoveLock(id) for id in ids], cause="lock remove", dry_run=dry_run):
            for id in ids:
                show.line(f"{id}: lifted")


def _item(text: str, *, is_file: bool) -> tuple[DatasetKey | None, str, str]:
    """Dataset, block and LFN that ``text`` means; what it does not mean is empty."""
    if is_file:
        return None, "", str(names.lfn(text))
    if "::" in text:
        key = names.block_key(text)
        return key.dataset, key.block, ""
    return names.dataset_key(text), "", ""


def expiry(text: str | None, *, now_us: int, option: str = "--expires") -> int | None:
    """The moment that ``text``, a duration or a date, means; BadInput, naming the option, if it is neither, or past."""
    if text is None:
        return None
    lasting = _DURATION.fullmatch(text)
    at_us = now_us + int(lasting[1]) * _SECONDS[lasting[2]] * SECOND_US if lasting else _moment(text, option)
    if at_us <= now_us:
        raise BadInput(f"{option} {text} is in the past", hint=f"now is {show.time(now_us)}")
    try:
        show.time(at_us)
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{option} {text} is beyond the year 9999", hint="leave it out for ever") from error
    return at_us


def _moment(text: str, option: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        hint = "at least 1min: 90min, 12h, 30d, 2w, 1y, 2030-01-31 or 2030-01-31T12:00"
        raise BadInput(f"{option} {text!r} is neither a duration nor a date", hint=hint) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND_US


def _until(lock: Lock) -> str:
    return "for ever" if lock.expires_us is None else f"until {show.time(lock.expires_us)}"


def _state(lock: Lock, now_us: int) -> str:
    if lock.expires_us is None:
        return "never"
    return show.time(lock.expires_us) + (" (expired)" if lock.expires_us <= now_us else "")


def _record(lock: Lock, now_us: int) -> dict[str, Any]:
    return {
        "id": lock.id,
        "item": lock.item,
        "dataset": str(lock.dataset) if lock.dataset else None,
        "block": lock.block,
        "lfn": lock.lfn,
        "owner": lock.owner,
        "reason": lock.reason,
        "sites": lock.sites,
        "groups": lock.groups,
        "expires_at": show.time_exact(lock.expires_us),
        "expired": lock.expires_us is not None and lock.expires_us <= now_us,
    }
