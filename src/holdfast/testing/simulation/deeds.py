"""What happens in the simulated world: people put, break, lock; Holdfast publishes, copies, checks, mends, cleans.

A deed is a method of ``Deeds``; it draws what it needs from the world's source
and returns a word for the trace. Deeds of Holdfast go through the same
functions that the commands call, as one process each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holdfast.testing.simulation.publishing import Publishing
from holdfast.testing.simulation.tidying import Tidying


@dataclass
class Deeds(Publishing, Tidying):
    """Everything that can happen."""


Deed = Callable[[Any], str]
"""A method of ``Deeds``."""

PEOPLE: tuple[Deed, ...] = (
    Deeds.add_files,
    Deeds.break_files,
    Deeds.add_dark,
    Deeds.change_dark,
    Deeds.move_dark,
    Deeds.move_watched,
    Deeds.sweep_watched,
    Deeds.rename_files,
    Deeds.move_away,
    Deeds.make_directories,
    Deeds.use_directory,
    Deeds.add_leftovers,
    Deeds.need,
    Deeds.fail_directory,
    Deeds.unmount,
    Deeds.lock,
    Deeds.unlock,
    Deeds.turn_site,
    Deeds.halt,
    Deeds.turn_dry,
    Deeds.jump_clock,
    Deeds.wait,
)
"""The deeds that are not ours; nothing fails in them."""

WEIGHTS: tuple[tuple[Deed, int], ...] = (
    (Deeds.add_files, 6),
    (Deeds.break_files, 10),
    (Deeds.add_dark, 7),
    (Deeds.change_dark, 3),
    (Deeds.move_dark, 3),
    (Deeds.rename_files, 2),
    (Deeds.make_directories, 3),
    (Deeds.use_directory, 2),
    (Deeds.add_leftovers, 3),
    (Deeds.need, 1),
    (Deeds.fail_directory, 3),
    (Deeds.unmount, 4),
    (Deeds.lock, 5),
    (Deeds.unlock, 1),
    (Deeds.turn_site, 2),
    (Deeds.halt, 3),
    (Deeds.turn_dry, 3),
    (Deeds.jump_clock, 3),
    (Deeds.wait, 8),
    (Deeds.publish, 12),
    (Deeds.give_up, 1),
    (Deeds.ask_copy, 12),
    (Deeds.ask_replica_deletion, 6),
    (Deeds.require_copies, 1),
    (Deeds.cancel, 4),
    (Deeds.hold, 1),
    (Deeds.release, 1),
    (Deeds.carry, 9),
    (Deeds.carry_changing, 7),
    (Deeds.carry_together, 4),
    (Deeds.carry_asleep, 4),
    (Deeds.check, 10),
    (Deeds.check_unmounted, 3),
    (Deeds.check_and_act, 16),
    (Deeds.clear_out, 6),
    (Deeds.watch, 5),
    (Deeds.thin_out, 2),
    (Deeds.move_away, 3),
    (Deeds.drop, 4),
    (Deeds.act, 6),
    (Deeds.declare_lost, 5),
    (Deeds.have_back, 10),
    (Deeds.purge, 3),
    (Deeds.clean_area, 3),
)
"""Every deed, and how often it is chosen."""
