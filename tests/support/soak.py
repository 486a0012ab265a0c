"""What runs in ``make soak`` only: whole suites over ways so slow that CI would hardly end."""

from __future__ import annotations

import os

import pytest

only_in_soak = pytest.mark.skipif("HOLDFAST_SOAK" not in os.environ, reason="only in make soak")
