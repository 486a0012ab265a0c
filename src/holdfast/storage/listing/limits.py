"""Limits: how hard a site may be asked, and how long one waits for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListingLimits:
    """``in_flight_max`` is the site's hard limit, over all its doors; times are seconds, None is no limit."""

    in_flight_start: int = 8
    """Requests under way at each door in the beginning."""
    in_flight_max: int = 256
    attempts: int = 4
    """How often a directory is asked for before it counts as failed."""
    pause_s: float = 0.2
    """The first pause before asking again; each further one is three times as long, more or less."""
    call_timeout_s: float | None = 300.0
    """How long one request may take; of a directory in pieces, one piece."""
    overall_timeout_s: float | None = None
    door_down_after: int = 6
    """So many failures in a row, and a door is asked whether it still answers at all."""
    door_retry_s: float = 5.0
    """How long a door that does not answer is left alone before it is asked again."""
    give_up_s: float = 300.0
    """How long no door may answer anything before the listing stops, to be gone on with later."""

    def __post_init__(self) -> None:
        counts = (self.in_flight_start, self.in_flight_max, self.attempts, self.door_down_after)
        if min(counts) < 1:
            raise ValueError(f"a limit below 1 in {self}")


DEFAULTS = ListingLimits()
