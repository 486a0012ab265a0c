"""What runs in ``make soak`` only, or longer there: CI would hardly end."""

from __future__ import annotations

import os

import pytest

only_in_soak = pytest.mark.skipif("HOLDFAST_SOAK" not in os.environ, reason="only in make soak")


def examples(count: int) -> int:
    """How many examples hypothesis tries of what takes ``count`` in ``make soak``."""
    return count if "HOLDFAST_SOAK" in os.environ else max(count // 3, 6)
