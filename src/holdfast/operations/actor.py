"""Actor: who the journal names for what nobody has said, but followed from what was carried out."""

from __future__ import annotations

ACTOR = "operations"
