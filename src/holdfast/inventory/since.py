"""Since when something is broken: between the last position known to be sound and now.

Every whole and clean verify leaves a named cursor in the store. What is found
broken later broke after it; the entries since then that touched it are named.
If there is none, it was changed behind the journal's back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from holdfast import logs
from holdfast.inventory import schema
from holdfast.inventory.invariants import Touch, Violation
from holdfast.inventory.store import Head, Store
from holdfast.model.errors import HoldfastError

CURSOR = "verify"
"""The name of the cursor."""
TOUCHES_SHOWN = 20
"""How many entries a finding names at most: the last ones."""

_log = logs.get("inventory")


def dated(findings: Sequence[Violation], connection: Connection, head: Head) -> list[Violation]:
    """The same findings, with what is known of when."""
    clean = connection.scalar(select(schema.cursor.c.position).where(schema.cursor.c.name == CURSOR))
    if not findings or not isinstance(clean, int) or clean > head.position:
        return list(findings)
    touches = {item: _touches(connection, item, clean) for item in {each.about for each in findings} if item}
    since = (clean, head.position)
    return [replace(each, since=since, touches=touches.get(each.about, ()) if each.about else ()) for each in findings]


def _touches(connection: Connection, item: tuple[str, str], after: int) -> tuple[Touch, ...]:
    named, entry = schema.touched.c, schema.journal.c
    query = (
        select(entry.position, entry.at_us, entry.actor, entry.cause)
        .join(schema.touched, named.position == entry.position)
        .where(named.kind == item[0], named.item == item[1], named.position > after)
        .order_by(named.position.desc())
        .limit(TOUCHES_SHOWN)
    )
    return tuple(reversed([Touch(*row) for row in connection.execute(query)]))


def keep_clean(store: Store, head: Head) -> None:
    """Keep that all was sound at ``head``, if that can be written down: the verdict stands without it."""
    try:
        known = store.cursor(CURSOR)
        if known is None or known.position < head.position:
            store.advance(CURSOR, head.cursor)
    except (HoldfastError, SQLAlchemyError) as error:
        _log.warning("that the inventory is sound cannot be kept", position=head.position, problem=str(error))
