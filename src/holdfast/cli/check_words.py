"""Which options of ``holdfast check`` say something only beside others."""

from __future__ import annotations

from holdfast.consistency.mending.acting import Wishes
from holdfast.consistency.mending.overrides import Overrides
from holdfast.model.errors import BadInput

_ANY = "--repair, --delete-orphans, --remove-empty or --act"


def require_sense(wishes: Wishes, said: Overrides, *, no_wait: bool) -> None:
    """BadInput for a word that says nothing of what is wished for."""
    if said.despite_empty and (not wishes.copies or wishes.orphans or wishes.empty_directories):
        raise BadInput("--despite-empty goes with --repair only", hint="repair first, and act on the rest later")
    removals = wishes.orphans or wishes.empty_directories
    goes_with = {
        "--orphan-limit": (said.orphan_limit is not None, wishes.orphans, "--delete-orphans or --act"),
        "--no-quarantine": (said.no_quarantine, wishes.orphans, "--delete-orphans or --act"),
        "--again": (said.again, removals, "--delete-orphans, --remove-empty or --act"),
        "--unconfirmed": (said.unconfirmed, bool(wishes.classes), _ANY),
        "--max-fraction": (said.max_fraction is not None, bool(wishes.classes), _ANY),
        "--no-wait": (no_wait, bool(wishes.classes), _ANY),
    }
    for option, (is_said, is_of_use, others) in goes_with.items():
        if is_said and not is_of_use:
            raise BadInput(f"{option} says nothing without {others}", hint="say both, or neither")
