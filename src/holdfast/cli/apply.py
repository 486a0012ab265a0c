"""Apply: commit what a command wants, or find out whether it could be, without doing it.

With ``dry_run`` the change set goes through the whole transaction, every
requirement and rule included, which is then undone: what a dry run accepts,
the run itself accepts in the same state.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.cli import show
from holdfast.cli.context import Context
from holdfast.inventory import dry_run as dry_running
from holdfast.inventory.store import Head
from holdfast.model.changes import Change, ChangeSet
from holdfast.model.requirements import Requirement


def commit(
    context: Context,
    changes: Sequence[Change],
    *,
    cause: str,
    requirements: Sequence[Requirement] = (),
    dry_run: bool = False,
) -> Head | None:
    """Commit ``changes`` and return the new head; None after a dry run, which says so on standard error."""
    change_set = ChangeSet(tuple(changes), context.actor, cause, tuple(requirements))
    head = dry_running.commit(context.store, change_set, dry_run=dry_run)
    if head is None:
        show.note("dry run: it would be accepted; nothing was done")
    return head
