"""What may be trimmed from a journal, and what a reader hears whose place is gone. Pure.

Every store asks here, so that all refuse the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.inventory.store import Cursor, Head
from holdfast.model.errors import BadInput, Conflict, ResyncNeeded


def check_trim(through: int, head: Head) -> None:
    """BadInput unless an entry stays when those up to ``through`` go."""
    if through >= head.position:
        message = f"the journal ends at position {head.position}: its entries cannot go up to {through}"
        raise BadInput(message, hint="the last entry always stays")


def cut_off(cursors: Mapping[str, Cursor], through: int) -> list[str]:
    """The readers that have not seen all that is to go."""
    return sorted(name for name, cursor in cursors.items() if cursor.position < through)


def refuse_cut_off(names: Sequence[str]) -> Conflict:
    """The error for readers that would be cut off."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return Conflict(
        f"reader {names[0]}{more} has not read all that is to go",
        rows=tuple(names),
        hint="let it read on, or say --drop-cursors: it then has to start again from a snapshot",
    )


def not_on_history(cursor: Cursor, start: Cursor, head: Cursor) -> ResyncNeeded:
    """The error for a reader whose cursor is none of the points between ``start`` and ``head``."""
    problem = f"position {cursor.position} of epoch {cursor.epoch} is not on this history"
    if 0 <= cursor.position < start.position:
        problem = f"the entries after position {cursor.position} are gone up to {start.position}"
    hint = f"start again from a snapshot at {head.position} of epoch {head.epoch}"
    return ResyncNeeded(f"resync needed: {problem}", hint=hint)
