"""Moments: whether a catalogue was asked, or dumped, before a listing began and after it was over.

Rules
  * What is asked now is of this moment; a dump is of the moment that it tells.
  * A live storage is listed by us, between two questions; a storage's dump shows
    the moment that it tells.
  * A moment that is known by the day only may be any of that day: it has to be
    right at the worst.

BadInput says which of them is of the wrong moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.consistency.sources.inventory import Written
from holdfast.model.clock import show_time
from holdfast.model.errors import BadInput
from holdfast.storage.abilities import Taken, TakenDriver
from holdfast.storage.driver import StorageDriver
from holdfast.storage.listing.reading import Listing


def listed_between(doors: Sequence[StorageDriver], listing: Listing) -> tuple[int, int]:
    """When the listing had not begun, and when it was over, in us; of a dump, when that was made."""
    taken = _shown_at(doors)
    if taken is None:
        return listing.summary.started_us, listing.summary.ended_us
    return taken.earliest_ns // 1000, -(-taken.latest_ns // 1000)


def check_before(said: Written, doors: Sequence[StorageDriver], now_us: int) -> None:
    """Refuse a first answer that is not older than what the doors show."""
    shown = _shown_at(doors)
    of_us = said.taken.latest_ns // 1000 if said.taken else now_us
    if shown is not None and of_us > shown.earliest_ns // 1000:
        when = show_time(shown.earliest_ns // 1000)
        raise BadInput(
            f"may show the site as it was at {when}, before the first answer of the catalogue, {show_time(of_us)}",
            place=doors[0].label,
            hint="take an earlier dump of the catalogue; taken= says when a dump was made",
        )


def check_after(said: Written, until_us: int, *, place: str) -> None:
    """Refuse a second answer that may be of a moment when the listing was not over."""
    taken = said.taken
    if taken is not None and taken.earliest_ns < until_us * 1000:
        of = show_time(taken.earliest_ns // 1000)
        message = f"may be of {of} (by its {taken.source}), when the listing was not over"
        raise BadInput(message, place=place, hint=f"{later(until_us)}; taken= says when a dump was made")


def later(until_us: int) -> str:
    """What to do if the second answer is of too early a moment."""
    return f"run the same again with --after and a dump of the catalogue made after {show_time(until_us)}"


def _shown_at(doors: Sequence[StorageDriver]) -> Taken | None:
    """The moment that the doors show; None if it is the present one."""
    shown = [door.taken for door in doors if isinstance(door, TakenDriver) and not door.capabilities.live]
    return shown[0] if shown else None
