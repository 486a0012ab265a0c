"""Outside: time and chance as they come from outside, and the parts that every piece of a worker is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from holdfast.config import OperationsSettings
from holdfast.inventory.store import Store
from holdfast.model.clock import Clock
from holdfast.operations.batches.lease import Monotonic, monotonic_s
from holdfast.operations.batches.queue import Queue
from holdfast.operations.engines.choosing import Engines
from holdfast.operations.places import Places
from holdfast.operations.requests import random_id
from holdfast.operations.tally import RunTally

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outside:
    """Time and chance. Only ``monotonic`` decides how long something lasted; ``clock`` may be set by anybody."""

    clock: Clock
    monotonic: Monotonic = monotonic_s
    sleep: Sleep = asyncio.sleep
    seed: int = 0
    new_id: Callable[[], str] = random_id
    """For workers and claims; fit for naming temporary parts."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker works with."""

    store: Store
    queue: Queue
    places: Places
    engines: Engines
    settings: OperationsSettings
    outside: Outside
    tally: RunTally
    is_service: bool = False
    """Nobody waits for the end of it: what goes wrong has to be in the log."""

    @property
    def wait_us_max(self) -> int:
        """The longest that anything waits by its own."""
        return int(self.settings.retry_delay_s_max * 1_000_000)
