"""How often commands look for garbage that only the collector can free: seldom.

They make very many small values and hardly any circles; looking through them
takes a fifth of the time of a listing.
"""

from __future__ import annotations

import gc

NEW_MAX = 10_000
"""So many more values made than freed before the young ones are looked through; Python's own is 700."""
LOOKS = 20
"""After so many looks at the young ones the older ones are looked through, too; Python's own is 10."""


def look_seldom() -> None:
    """For this process, from now on."""
    gc.set_threshold(NEW_MAX, LOOKS, LOOKS)
